"""A disk that is full or fails: refusals in S3's shape, and nothing acknowledged is lost."""

import errno
import os
import random
import subprocess
import threading
import time

import botocore.exceptions
import pytest

import workload
from faults import quiet_server
from model import Ledger
from test_kill import assert_intact
from workload import MIB, DiskErrors

BUCKET = "faults"
WORKERS = 6
NO_SPACE = (503, 507)
# Longest time that a server may need to take writes again once there is space.
RESUME_TIMEOUT_SECONDS = 30
# Longest time until a writer meets a fault.
NOTICE_TIMEOUT_SECONDS = 30


def put(s3, key, content):
    """The HTTP status of a PUT."""
    try:
        answer = s3.put_object(Bucket=BUCKET, Key=key, Body=content)
        return answer["ResponseMetadata"]["HTTPStatusCode"]
    except botocore.exceptions.ClientError as error:
        code = error.response["Error"]["Code"]
        assert code and not code.isdigit(), f"no S3 error body: {error.response}"
        return error.response["ResponseMetadata"]["HTTPStatusCode"]


def get(s3, key):
    return s3.get_object(Bucket=BUCKET, Key=key)["Body"].read()


def wait_until_writable(s3, content) -> None:
    deadline = time.monotonic() + RESUME_TIMEOUT_SECONDS
    while put(s3, "after", content) != 200:
        assert time.monotonic() < deadline, "writes do not resume"
        time.sleep(0.2)


@pytest.mark.parametrize("size", [100, 200_000, 9_000_000])
def test_every_write_finds_no_space(faults, make_client, size):
    """Even the journal cannot grow; when space returns, service resumes by itself."""
    server = faults.start()
    s3 = make_client(server)
    s3.create_bucket(Bucket=BUCKET)
    before = random.Random(1).randbytes(size)
    assert put(s3, "kept", before) == 200
    faults.command("enospc")
    for attempt in range(5):
        assert put(s3, f"new-{attempt}", bytes(size)) in NO_SPACE
        assert put(s3, "kept", bytes(size)) in NO_SPACE
        assert get(s3, "kept") == before
    faults.clear()
    wait_until_writable(s3, before)
    for server in (server, None):
        if server is None:
            s3 = make_client(faults.start_without())
        assert get(s3, "after") == before
        assert get(s3, "kept") == before
        listed = s3.list_objects_v2(Bucket=BUCKET)["Contents"]
        assert [entry["Key"] for entry in listed] == ["after", "kept"], "a refused write is there"
        faults.server.stop()
        assert_intact(faults.data)


# A device of its own; the server keeps 128 MiB of it free for its metadata.
DEVICE_MIB = 384
ROOM_MIB = 64
RESERVE_MIB = 128


@pytest.fixture
def device(tmp_path):
    """A small file system. Where nothing can be mounted the test fails: it is not skipped."""
    path = tmp_path / "device"
    path.mkdir()
    subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={DEVICE_MIB}m", "oncilla-test", path], check=True
    )
    yield path
    subprocess.run(["umount", path], check=True)


def free_mib(device) -> float:
    status = os.statvfs(device)
    return status.f_bavail * status.f_frsize / MIB


def leave_free(device, mib: float) -> None:
    """Makes a ballast file that leaves so much free."""
    with open(device / "ballast", "wb") as file:
        os.posix_fallocate(file.fileno(), 0, int((free_mib(device) - mib) * MIB))


def take_the_rest(device) -> None:
    """Grows the ballast file to the last byte, whoever else writes meanwhile."""
    with open(device / "ballast", "ab") as file:
        size = os.fstat(file.fileno()).st_size
        # In small steps: one that fails is undone as a whole, and so would be the only one.
        for step in (MIB, 64 * 1024, 4096):
            try:
                while True:
                    os.posix_fallocate(file.fileno(), size, step)
                    size += step
            except OSError as error:
                assert error.errno == errno.ENOSPC, error


def test_full_device(device, tmp_path, seed, make_client):
    """Filled by clients, emptied by deletes, filled to the last byte by somebody else."""
    server = quiet_server(device / "data", log=tmp_path / "server.log").start()
    try:
        s3 = make_client(server)
        s3.create_bucket(Bucket=BUCKET)
        leave_free(device, RESERVE_MIB + ROOM_MIB)
        ledger = Ledger()
        contents = fill_by_puts(s3)
        assert RESERVE_MIB / 4 < free_mib(device) < RESERVE_MIB + 4
        # Writers meet the refusals; reads and deletes go on.
        run(server, make_client, ledger, seed, 2)
        for key, content in contents.items():
            assert get(s3, key) == content
        for key in list(contents)[::2]:
            s3.delete_object(Bucket=BUCKET, Key=key)
            del contents[key]
        wait_until_writable(s3, bytes(3 * MIB))

        # Somebody else takes the rest while writers run, and gives it back.
        workers = run(server, make_client, ledger, seed + 1, 4, lambda: take_the_rest(device))
        assert sum(worker.refused for worker in workers) > 0, "nobody noticed the full device"
        for key, content in contents.items():
            assert get(s3, key) == content
        (device / "ballast").unlink()
        wait_until_writable(s3, b"again")
        run(server, make_client, ledger, seed + 2, 1)
        server.kill()
        assert_intact(server.data)
        server.start()
        s3 = make_client(server)
        for key, content in contents.items():
            assert get(s3, key) == content
            s3.delete_object(Bucket=BUCKET, Key=key)
        s3.delete_object(Bucket=BUCKET, Key="after")
        problems = workload.verify(s3, BUCKET, ledger)
        assert not problems, "\n".join(problems)
        server.stop()
        assert_intact(server.data)
    finally:
        server.kill()


def fill_by_puts(s3) -> dict[str, bytes]:
    contents = {}
    while True:
        number = len(contents)
        content = random.Random(number).randbytes(3 * MIB + number)
        status = put(s3, f"fill/{number:03}", content)
        if status in NO_SPACE:
            assert number > 4, "the device was full from the start"
            return contents
        assert status == 200
        contents[f"fill/{number:03}"] = content
        assert number < DEVICE_MIB, "the device never gets full"


def run(server, make_client, ledger, seed, seconds, meanwhile=lambda: None):
    def wait():
        time.sleep(seconds / 2)
        meanwhile()
        time.sleep(seconds / 2)

    return workload.run_until(
        wait,
        lambda: make_client(server),
        BUCKET,
        ledger,
        seed,
        WORKERS,
        disk_errors=DiskErrors.SETTLED,
    )


@pytest.mark.parametrize(
    "fault",
    [
        f"{kind} {number} {part}"
        for kind in ("eio-write", "eio-sync")
        for part in ("/volumes", "/meta")
        for number in (1, 4)
    ],
)
def test_input_output_errors(faults, make_client, fault):
    """A failed write or sync is never acknowledged; what was acknowledged stays.

    After a failed sync the kernel may have dropped the bytes, so a server that
    ends itself is right as well: what counts is what it shows afterwards.
    """
    ledger = Ledger()
    server = faults.start()
    make_client(server).create_bucket(Bucket=BUCKET)
    refusal = threading.Event()

    def break_and_wait():
        time.sleep(0.3)
        faults.command(fault)
        deadline = time.monotonic() + NOTICE_TIMEOUT_SECONDS
        while server.process.poll() is None and time.monotonic() < deadline:
            if refusal.wait(0.1):
                # What the others are told after the fault counts as well.
                time.sleep(0.7)
                break
        # Power is lost as well, so that nothing is saved by the page cache.
        faults.cut()

    workers = workload.run_until(
        break_and_wait,
        lambda: make_client(server),
        BUCKET,
        ledger,
        faults.seed,
        WORKERS,
        disk_errors=DiskErrors.DOUBTED,
        refusal=refusal,
    )
    assert sum(worker.refused for worker in workers) > 0, "nobody noticed the fault"
    server.check_log()
    assert_intact(faults.data)
    server = faults.start_without()
    problems = workload.verify(make_client(server), BUCKET, ledger)
    assert not problems, "\n".join(problems)
    server.stop()


def test_short_writes(faults, make_client):
    """write() may take fewer bytes than it was given; the rest must follow."""
    server = faults.start()
    s3 = make_client(server)
    s3.create_bucket(Bucket=BUCKET)
    faults.command("short 2")
    contents = {f"k{n}": random.Random(n).randbytes(n * 77_777) for n in range(20)}
    for key, content in contents.items():
        assert put(s3, key, content) == 200
    faults.clear()
    for key, content in contents.items():
        assert get(s3, key) == content
    server.stop()
    assert_intact(faults.data)
    s3 = make_client(faults.start_without())
    for key, content in contents.items():
        assert get(s3, key) == content
