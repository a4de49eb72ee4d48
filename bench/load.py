"""The load: one round of one cell on one server, by `oncilla bench`."""

from __future__ import annotations

import json
import os
import pathlib
import subprocess

import grid
from peers.process import clean_environment, die_with_parent

BUCKET = "bench"
# A round that is a number of operations ends after this long all the same.
ROUND_SECONDS_MAX = 30
# More than the slowest preparation, so that only a hung run is cut off.
RUN_SECONDS_MAX = 3600

LIST_PREFIX = "many/"
LISTED_SIZE = grid.KIB
FILL_CONNECTIONS = 64
# How long to write before deciding how many objects fit the time.
RATE_SECONDS = 3

# The kernel counts processor time in ticks of 10 ms: less than a few of them says nothing.
CPU_SECONDS_MIN = 0.05

ROUND_FIELDS = ("operations_per_s", "bytes_per_s", "p50_ms", "p99_ms", "errors", "cpu_us_per_operation")


class LoadFailed(Exception):
    """`oncilla bench` measured nothing, or reported errors."""


class Generator:
    def __init__(self, binary: pathlib.Path):
        self.binary = binary

    def _run(self, server, operation: str, arguments: list[str], tls: bool = False) -> dict:
        url = server.tls_url if tls else server.url
        options = list(server.options) + ([f"ca-bundle={server.ca_file}"] if tls else [])
        command = [
            str(self.binary), "bench", operation, "--json", "--no-progress", "--bucket", BUCKET,
            "--endpoint", ",".join([f"{server.name}={url}", *options]), *arguments,
        ]  # fmt: skip
        environment = clean_environment(
            AWS_CONFIG_FILE=os.devnull, AWS_SHARED_CREDENTIALS_FILE=os.devnull, AWS_REGION=server.region, **server.credentials
        )
        done = subprocess.run(
            command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True,
            timeout=RUN_SECONDS_MAX, preexec_fn=die_with_parent,
        )  # fmt: skip
        # 1 with a report: some requests failed. They are counted in it.
        if done.returncode not in (0, 1) or not done.stdout:
            raise LoadFailed(f"{' '.join(command[1:])} ended with {done.returncode}:\n{done.stderr[-2000:]}{done.stdout[-2000:]}")
        return json.loads(done.stdout)["targets"][0]["total"]

    # ---- objects that stay ----

    def prepare(self, server, prefix: str, size: int, objects: int, connections: int = 4) -> None:
        """Writes objects that stay, `PREFIX00000000` and on: whatever reads can prepare them, so one HEAD does."""
        arguments = ["--size", str(size), "--objects", str(objects), "--prefix", prefix, "--keep"]
        self._run(server, "stat", [*arguments, "--operations", "1", "--warmup", "0s", "--concurrency", str(connections)])

    def fill(self, server, objects: int, seconds: float) -> int:
        """Writes the small objects that LIST cells list, as many as the time probably allows; returns how many."""
        arguments = ["--size", str(LISTED_SIZE), "--prefix", "rate/", "--concurrency", str(FILL_CONNECTIONS)]
        rate = self._run(server, "put", [*arguments, "--duration", f"{RATE_SECONDS}s"])["operations_per_s"]
        fitting = max(2 * grid.PAGE_KEYS, min(objects, int(rate * seconds)))
        self.prepare(server, LIST_PREFIX, LISTED_SIZE, fitting, FILL_CONNECTIONS)
        return fitting

    # ---- what is measured ----

    def round(self, server, cell: grid.Cell, seconds: float, number: int, listed: int) -> dict[str, float]:
        """One round. `number` makes the keys of written objects; `listed` is how many objects LIST chooses from."""
        cpu_before = server.server.cpu_seconds()
        total = self._run(server, *arguments_of(cell, seconds, number, listed), tls=cell.tls)
        cpu = server.server.cpu_seconds() - cpu_before
        if not total["bytes" if cell.operation == "GET" else "operations"]:
            raise LoadFailed(f"{server.name} finished nothing in time, {total['errors']} failed")
        latency = total["latency_ms"] or {}  # None where no operation of gigabytes ended in time
        return {
            "operations_per_s": total["operations_per_s"],
            # Of a PUT only whole objects count: what is still on its way has not been stored.
            "bytes_per_s": total["bytes_per_s"] if cell.reads else total["operations_per_s"] * cell.size,
            "p50_ms": latency.get("p50"),
            "p99_ms": latency.get("p99"),
            "errors": total["errors"],
            "cpu_us_per_operation": cpu * 1e6 / total["operations"] if says_something(cpu, cell) else None,
        }




def says_something(cpu_seconds: float, cell: grid.Cell) -> bool:
    """Whether processor time can be divided by operations: it has also that of preparing a DELETE, and of what did not end."""
    whole = cell.operations is not None or cell.in_flight_bytes <= grid.IN_FLIGHT_BY_TIME_BYTES
    return whole and cell.operation != "DELETE" and cpu_seconds >= CPU_SECONDS_MIN


def read_prefix(size: int) -> str:
    return f"read/{size}/"


def arguments_of(cell: grid.Cell, seconds: float, number: int, listed: int) -> tuple[str, list[str]]:
    """The operation and the arguments of `oncilla bench` for a round of a cell.

    There is no warm-up inside a round: each contestant's first round of a cell is thrown away
    instead, so that the server's processor time is that of the operations counted.
    """
    arguments = ["--concurrency", str(cell.concurrency), "--warmup", "0s"]
    if cell.operations is None:
        arguments += ["--duration", f"{round(seconds * 1000)}ms"]
    else:
        arguments += ["--operations", str(cell.operations), "--duration", f"{ROUND_SECONDS_MAX}s"]
    if cell.operation == "LIST":
        keys = ["--no-prepare", "--keys", LIST_PREFIX + "{n:08}", "--objects", str(listed)]
        return "list", [*arguments, *keys, "--page-keys", str(grid.PAGE_KEYS)]
    if cell.reads:
        keys = ["--no-prepare", "--keys", read_prefix(cell.size) + "{n:08}", "--objects", str(grid.OBJECTS_READ[cell.size])]
        if cell.operation == "RANGE":
            return "range", [*arguments, *keys, "--size", str(cell.size), "--range-size", str(grid.RANGE_SIZE)]
        return {"GET": "get", "HEAD": "stat"}[cell.operation], [*arguments, *keys]
    # Other bytes in every round: a server that knows a block by its hash would not write it twice.
    written = ["--size", str(cell.size), "--prefix", f"round-{number}/", "--seed", str(number + 1)]
    if cell.operation == "DELETE":
        return "delete", [*arguments, *written, "--objects", str(grid.DELETE_OBJECTS)]
    written.append("--keep")
    if cell.multipart:
        parts = ["--part-size", str(grid.PART_SIZE), "--part-concurrency", str(cell.part_concurrency)]
        return "multipart", [*arguments, *written, *parts]
    return "put", [*arguments, *written]
