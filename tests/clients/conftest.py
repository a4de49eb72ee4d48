"""Fixtures: one server for the whole session, a fresh bucket for each test."""

from __future__ import annotations

import hashlib
import os
import pathlib
import random
import secrets
import shutil
import socket
import subprocess
import time

import boto3
import botocore.config
import pytest

import harness

MIB = 1024 * 1024
TOOLS = harness.REPOSITORY / ".tools"

# How this run was asked to be, kept from before the cleaning below.
_outside = {name: value for name, value in os.environ.items() if name.startswith("ONCILLA_")}

# The Python libraries under test read the environment of this very process.
_clean = harness.clean_environment()
os.environ.clear()
os.environ.update(_clean)
if "ONCILLA_BIN" in _outside:
    os.environ["ONCILLA_BIN"] = _outside["ONCILLA_BIN"]


def pytest_report_header(config):
    if "ONCILLA_TEST_ENDPOINT" in _outside:
        return f"server: {_outside['ONCILLA_TEST_ENDPOINT']} (already running)"
    return f"binary: {harness.binary()}"


@pytest.fixture(scope="session", autouse=True)
def localhost_names_resolve():
    """Virtual-hosted tests need names below localhost; say how to get them."""
    try:
        socket.getaddrinfo("bucket.localhost", 80)
    except OSError:
        pytest.exit("bucket.localhost does not resolve: run through scripts/with-localhost", 2)


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    """The server under test, or None when ONCILLA_TEST_ENDPOINT names a running one."""
    if "ONCILLA_TEST_ENDPOINT" in _outside:
        yield None
        return
    data = tmp_path_factory.mktemp("server") / "data"
    running = harness.Server(data, tls=True).start()
    yield running
    running.stop()


@pytest.fixture(scope="session")
def path_connection(server):
    if server is None:
        return harness.Connection(
            "path",
            _outside["ONCILLA_TEST_ENDPOINT"],
            path_style=True,
            region=_outside.get("ONCILLA_TEST_REGION", harness.REGION),
        )
    return server.path_connection()


@pytest.fixture(scope="session")
def virtual_connection(server):
    if server is None:
        return harness.Connection(
            "virtual",
            _outside["ONCILLA_TEST_TLS_ENDPOINT"],
            path_style=False,
            region=_outside.get("ONCILLA_TEST_REGION", harness.REGION),
            ca_file=_outside["ONCILLA_TEST_CA_FILE"],
        )
    return server.virtual_connection()


@pytest.fixture(params=["path", "virtual"])
def connection(request):
    """Both ways in: path-style over HTTP; virtual-hosted over TLS with region `auto`."""
    return request.getfixturevalue(f"{request.param}_connection")


def make_s3_client(connection, **settings):
    """A boto3 client for a connection; settings go to botocore's Config."""
    settings.setdefault("signature_version", "s3v4")
    settings.setdefault("retries", {"max_attempts": 1, "mode": "standard"})
    s3_settings = {"addressing_style": "path" if connection.path_style else "virtual"}
    s3_settings.update(settings.pop("s3", {}))
    return boto3.client(
        "s3",
        endpoint_url=connection.endpoint_url,
        region_name=connection.region,
        aws_access_key_id=connection.access_key,
        aws_secret_access_key=connection.secret_key,
        verify=connection.ca_file,
        config=botocore.config.Config(s3=s3_settings, **settings),
    )


@pytest.fixture
def s3(connection):
    return make_s3_client(connection)


@pytest.fixture
def admin_s3(path_connection):
    """A plain client with which tests look at what another client did."""
    return make_s3_client(path_connection)


def new_bucket_name(prefix: str = "test") -> str:
    return f"{prefix}-{secrets.token_hex(6)}"


@pytest.fixture
def bucket(admin_s3):
    name = new_bucket_name()
    admin_s3.create_bucket(Bucket=name)
    return name


def random_bytes(size: int, seed: int = 1) -> bytes:
    """Repeatable bytes that do not compress."""
    return random.Random(seed).randbytes(size)


def md5(data: bytes) -> str:
    return hashlib.md5(data).hexdigest()


def run(command, *, check=True, **arguments):
    """Runs a client program; its whole output is in the failure message."""
    arguments.setdefault("timeout", 300)
    result = subprocess.run(
        [str(part) for part in command],
        capture_output=True,
        text=arguments.pop("text", True),
        **arguments,
    )
    if check and result.returncode != 0:
        pytest.fail(
            f"{command} ended with {result.returncode}\n{result.stdout}\n{result.stderr}",
            pytrace=False,
        )
    return result


def tool(name: str) -> str:
    """A client program; missing is a failure, never a skip."""
    local = TOOLS / "cli" / "bin" / name
    if local.is_file():
        return str(local)
    found = shutil.which(name)
    if found is None:
        pytest.fail(f"{name} is not installed: run `make tools`", pytrace=False)
    return found


@pytest.fixture
def own_server(tmp_path):
    """A server of this test's own; `make(*arguments)` starts it."""
    servers = []

    def make(*arguments, **environment):
        data = tmp_path / f"data{len(servers)}"
        server = harness.Server(data, arguments=list(arguments), environment=environment)
        servers.append(server)
        return server.start()

    yield make
    for server in servers:
        server.stop()


def command_line(connection):
    """The product's command line against the server of a connection, as a function."""

    def call(*arguments, environment=None, **options):
        environment = environment or connection.environment()
        return run([harness.binary(), *arguments], env=environment, **options)

    return call


@pytest.fixture
def oncilla(path_connection):
    return command_line(path_connection)


@pytest.fixture
def tree(tmp_path):
    """A directory to upload: nesting, odd names, an empty file and one that needs multipart."""
    root = tmp_path / "tree"
    files = {
        "readme.txt": b"hello\n",
        "empty": b"",
        "docs/guide one.txt": b"a name with a space",
        "docs/deep/er/plus+and&equals=.txt": b"reserved characters",
        "docs/unicodé-Ω-日本.txt": "text ✓".encode(),
        "data/small.bin": random_bytes(70_000, 2),
        "data/large.bin": random_bytes(20 * MIB + 12_345, 3),
    }
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        # Older than any upload: tools that compare times to the second would otherwise
        # find files of this very second changed.
        hour_ago = time.time() - 3600
        os.utime(path, (hour_ago, hour_ago))
    return TreeOfFiles(root, files)


class TreeOfFiles:
    def __init__(self, root: pathlib.Path, files: dict[str, bytes]):
        self.root = root
        self.files = files

    def assert_in_bucket(self, s3, bucket: str, prefix: str = "") -> None:
        """Exactly these files lie below the prefix, byte for byte."""
        pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
        listed = {
            entry["Key"][len(prefix) :]: entry["Size"]
            for page in pages
            for entry in page.get("Contents", [])
        }
        assert listed == {name: len(content) for name, content in self.files.items()}
        for name, content in self.files.items():
            assert s3.get_object(Bucket=bucket, Key=prefix + name)["Body"].read() == content

    def assert_in_directory(self, directory: pathlib.Path) -> None:
        found = {
            str(path.relative_to(directory)): path.read_bytes()
            for path in directory.rglob("*")
            if path.is_file()
        }
        assert found.keys() == self.files.keys()
        for name, content in self.files.items():
            assert found[name] == content, name
