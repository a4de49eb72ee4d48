"""Starts and stops the real `oncilla` binary for black-box tests.

Shared by the client tests and the crash tests. Nothing here knows how the
server works inside: it uses flags, environment, HTTP and the exit code.
"""

from __future__ import annotations

import dataclasses
import os
import pathlib
import signal
import socket
import subprocess
import time

import requests

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]

ROOT_ACCESS_KEY_ID = "tid_ClientTestsRootKey000000"
ROOT_SECRET_ACCESS_KEY = "tsec_ClientTestsRootSecret00000000000000000000000000"
REGION = "auto"

# What the command line exits with: docs/commands.md. A wrong key and a wrong flag are told alike.
GENERAL, USAGE, AUTHENTICATION, NOT_FOUND, NETWORK, INTERRUPTED = 1, 2, 2, 3, 5, 130

# A debug build on a loaded two-core machine starts well within this.
START_TIMEOUT_SECONDS = 30
# Longer than the server's own time for draining connections.
STOP_TIMEOUT_SECONDS = 40

# Variables of the surrounding machine that change how clients connect. Tests
# set everything they need themselves.
_FOREIGN_VARIABLES = {
    "CURL_CA_BUNDLE",
    "NODE_EXTRA_CA_CERTS",
    "REQUESTS_CA_BUNDLE",
    "SSL_CERT_DIR",
    "SSL_CERT_FILE",
}


def clean_environment(**extra: str) -> dict[str, str]:
    """The environment for a child process, without foreign S3, proxy and CA settings."""
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("AWS_", "ONCILLA_", "RCLONE_", "BUCKET_NAME"))
        and not name.lower().endswith("_proxy")
        and name not in _FOREIGN_VARIABLES
    }
    # A developer's ~/.aws must not take part.
    environment["AWS_CONFIG_FILE"] = os.devnull
    environment["AWS_SHARED_CREDENTIALS_FILE"] = os.devnull
    environment["AWS_EC2_METADATA_DISABLED"] = "true"
    environment["RCLONE_CONFIG"] = os.devnull
    environment.update(extra)
    return environment


def binary() -> pathlib.Path:
    """The binary under test: ONCILLA_BIN, or the debug build."""
    path = pathlib.Path(os.environ.get("ONCILLA_BIN", REPOSITORY / "target" / "debug" / "oncilla"))
    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist: run `make build` or set ONCILLA_BIN")
    return path.resolve()


_ports_given_out: set[int] = set()


def free_port() -> int:
    """A port that was free a moment ago, and another one each time."""
    while True:
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            port = listener.getsockname()[1]
        # The kernel may choose a port again that nobody listens on yet.
        if port not in _ports_given_out:
            _ports_given_out.add(port)
            return port


@dataclasses.dataclass(frozen=True)
class Connection:
    """How a client reaches the server: seed 002's fields and a CA file."""

    name: str
    endpoint_url: str
    path_style: bool
    access_key: str = ROOT_ACCESS_KEY_ID
    secret_key: str = ROOT_SECRET_ACCESS_KEY
    region: str = REGION
    ca_file: str | None = None

    @property
    def secure(self) -> bool:
        return self.endpoint_url.startswith("https://")

    @property
    def host_and_port(self) -> str:
        return self.endpoint_url.split("://", 1)[1]

    def environment(self, **extra: str) -> dict[str, str]:
        """Variables the AWS SDKs and tools read, on top of a clean environment."""
        variables = {
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
            "AWS_REGION": self.region,
            "AWS_DEFAULT_REGION": self.region,
            "AWS_ENDPOINT_URL_S3": self.endpoint_url,
        }
        if self.ca_file:
            variables["AWS_CA_BUNDLE"] = self.ca_file
            variables["SSL_CERT_FILE"] = self.ca_file
            variables["NODE_EXTRA_CA_CERTS"] = self.ca_file
            variables["CURL_CA_BUNDLE"] = self.ca_file
        variables.update(extra)
        return clean_environment(**variables)


class Server:
    """One server process over one data directory; can be stopped and started again."""

    def __init__(
        self,
        data: pathlib.Path,
        *,
        tls: bool = False,
        arguments: list[str] | None = None,
        environment: dict[str, str] | None = None,
        log: pathlib.Path | None = None,
    ):
        self.data = pathlib.Path(data)
        self.tls = tls
        self.arguments = arguments or []
        self.environment = environment or {}
        self.log_path = log or self.data.with_name(self.data.name + ".log")
        self.port = free_port()
        self.tls_port = free_port() if tls else None
        self.process: subprocess.Popen | None = None

    @property
    def endpoint_url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def ca_file(self) -> pathlib.Path:
        return self.data / "tls" / "ca.pem"

    def command(self) -> list[str]:
        command = [
            str(binary()),
            "server",
            "--data",
            str(self.data),
            "--listen",
            f"127.0.0.1:{self.port}",
        ]
        if self.tls:
            command += ["--tls", "self-signed", "--listen-tls", f"127.0.0.1:{self.tls_port}"]
        return command + self.arguments

    def spawn(self) -> subprocess.Popen:
        """Starts the process without waiting for it."""
        assert self.process is None or self.process.poll() is not None, "already running"
        environment = clean_environment(
            ONCILLA_ROOT_ACCESS_KEY_ID=ROOT_ACCESS_KEY_ID,
            ONCILLA_ROOT_SECRET_ACCESS_KEY=ROOT_SECRET_ACCESS_KEY,
            RUST_BACKTRACE="1",
        )
        # The resolver for clients has no business inside the server.
        environment.pop("LD_PRELOAD", None)
        environment.update(self.environment)
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(
                self.command(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=environment,
            )
        return self.process

    def wait_until_ready(self, timeout_seconds: float = START_TIMEOUT_SECONDS) -> float:
        """Waits for /-/ready to answer 200 and returns the seconds it took."""
        started = time.monotonic()
        while True:
            status = self.process.poll()
            if status is not None:
                raise RuntimeError(f"server ended with {status} while starting:\n{self.log_tail()}")
            try:
                if requests.get(self.endpoint_url + "/-/ready", timeout=2).status_code == 200:
                    return time.monotonic() - started
            except requests.RequestException:
                pass
            if time.monotonic() - started > timeout_seconds:
                self.kill()
                raise RuntimeError(f"not ready in {timeout_seconds} s:\n{self.log_tail()}")
            time.sleep(0.02)

    def start(self) -> "Server":
        self.spawn()
        self.wait_until_ready()
        return self

    def kill(self) -> None:
        """Ends the process as `kill -9` does."""
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def stop(self) -> None:
        """Asks the process to end and requires exit code 0 and a log without a panic."""
        if self.process is None:
            return
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(STOP_TIMEOUT_SECONDS)
            except subprocess.TimeoutExpired:
                self.kill()
                raise AssertionError(
                    f"no graceful end within {STOP_TIMEOUT_SECONDS} s:\n{self.log_tail()}"
                ) from None
        status = self.process.returncode
        assert status == 0, f"server ended with {status}:\n{self.log_tail()}"
        self.check_log()

    def log(self) -> str:
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def log_tail(self, lines: int = 40) -> str:
        return "\n".join(self.log().splitlines()[-lines:])

    def check_log(self) -> None:
        panics = [line for line in self.log().splitlines() if "panicked at" in line]
        assert not panics, "the server panicked:\n" + "\n".join(panics)

    def metric(self, name: str, session=requests) -> float:
        """The sum over all label sets of one metric, asked for with `session` if there is one."""
        text = session.get(self.endpoint_url + "/-/metrics", timeout=10).text
        values = [
            float(line.rsplit(" ", 1)[1])
            for line in text.splitlines()
            if line.startswith((name + " ", name + "{"))
        ]
        assert values, f"no metric {name} in:\n{text}"
        return sum(values)

    def path_connection(self) -> Connection:
        return Connection("path", self.endpoint_url, path_style=True)

    def virtual_connection(self) -> Connection:
        """Buckets as bucket.s3.localhost: clients built on OpenSSL take no `*.localhost`."""
        assert self.tls
        return Connection(
            "virtual",
            f"https://s3.localhost:{self.tls_port}",
            path_style=False,
            ca_file=str(self.ca_file),
        )

    def __enter__(self) -> "Server":
        return self.start()

    def __exit__(self, kind, value, traceback) -> None:
        if kind is None:
            self.stop()
        else:
            self.kill()
