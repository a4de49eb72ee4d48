"""A server process: started on free ports, measured from /proc, gone when this script is gone."""

from __future__ import annotations

import contextlib
import ctypes
import dataclasses
import os
import pathlib
import re
import signal
import socket
import subprocess
import threading
import time

START_TIMEOUT_SECONDS = 60
STOP_TIMEOUT_SECONDS = 60
MEMORY_INTERVAL_SECONDS = 0.05

_PR_SET_PDEATHSIG = 1
_CLOCK_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
_libc = ctypes.CDLL(None, use_errno=True)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def die_with_parent() -> None:
    """In the child, before exec: the kernel ends it when this script ends, however that happens."""
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def clean_environment(**extra: str) -> dict[str, str]:
    """The environment without settings of other S3 clients, other servers and proxies."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("AWS_", "ONCILLA_", "GARAGE_")) and not name.lower().endswith("_proxy")
    }
    return kept | extra


@dataclasses.dataclass
class Memory:
    """Resident memory of a server in units of 10^6 bytes. `peak` is the kernel's own high-water mark; the others are sampled."""

    rss: float = 0.0
    peak: float = 0.0
    anonymous: float = 0.0
    file: float = 0.0

    def raise_to(self, other: Memory) -> None:
        for field in dataclasses.fields(self):
            setattr(self, field.name, max(getattr(self, field.name), getattr(other, field.name)))


def parse_status(text: str) -> Memory:
    """The memory lines of /proc/PID/status. Shared pages (RssShmem) are in `rss` alone."""
    kibibytes = {name: int(value) for name, value in re.findall(r"^(\w+):\s+(\d+) kB$", text, re.M)}
    return Memory(*(kibibytes.get(name, 0) * 1024 / 1e6 for name in ("VmRSS", "VmHWM", "RssAnon", "RssFile")))


def parse_cpu_ticks(stat: str) -> int:
    """User and system time of /proc/PID/stat; the command's name before them may hold anything."""
    fields = stat.rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


class Server:
    """A server process and its children (nginx has workers)."""

    def __init__(self, command: list[str], port: int, log: pathlib.Path, environment: dict[str, str] | None = None):
        with open(log, "ab") as output:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                env=environment or clean_environment(), preexec_fn=die_with_parent,
            )
        self.log = log
        try:
            self._wait_for(port)
        except BaseException:
            self.stop()
            raise

    def _wait_for(self, port: int) -> None:
        deadline = time.monotonic() + START_TIMEOUT_SECONDS
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                return
            if self.process.poll() is not None or time.monotonic() > deadline:
                tail = "\n".join(self.log.read_text(errors="replace").splitlines()[-20:])
                raise RuntimeError(f"{self.process.args[0]} did not start:\n{tail}")
            time.sleep(0.02)

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(STOP_TIMEOUT_SECONDS)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def _pids(self) -> list[int]:
        with contextlib.suppress(OSError):
            children = pathlib.Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
            return [self.process.pid, *map(int, children.split())]
        return [self.process.pid]

    def cpu_seconds(self) -> float:
        ticks = 0
        for pid in self._pids():
            with contextlib.suppress(OSError):
                ticks += parse_cpu_ticks(pathlib.Path(f"/proc/{pid}/stat").read_text())
        return ticks / _CLOCK_TICKS_PER_SECOND

    def memory(self) -> Memory:
        """The sum over the process and its children."""
        total = Memory()
        for pid in self._pids():
            with contextlib.suppress(OSError):
                one = parse_status(pathlib.Path(f"/proc/{pid}/status").read_text())
                total = Memory(*(a + b for a, b in zip(dataclasses.astuple(total), dataclasses.astuple(one), strict=True)))
        return total

    @contextlib.contextmanager
    def watched_memory(self):
        """Yields a `Memory` that holds the maxima of the time inside the block once it is left."""
        for pid in self._pids():
            with contextlib.suppress(OSError):
                pathlib.Path(f"/proc/{pid}/clear_refs").write_text("5")  # resets VmHWM to the present
        highest, done = Memory(), threading.Event()

        def watch() -> None:
            while not done.wait(MEMORY_INTERVAL_SECONDS):
                highest.raise_to(self.memory())

        thread = threading.Thread(target=watch, daemon=True)
        thread.start()
        try:
            yield highest
        finally:
            done.set()
            thread.join()
            highest.raise_to(self.memory())
