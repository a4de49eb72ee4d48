"""Power loss and disk faults, through the library in powerloss/ (read its head first)."""

import random
import re
import subprocess
import time

import botocore.exceptions
import pytest

import harness
import workload
from model import Ledger
from test_kill import fsck

BUCKET = "power"
WORKERS = 6
LIBRARY = harness.REPOSITORY / ".tools" / "lib" / "powerloss.so"


class Faults:
    """A server under the library, with its control and report files."""

    def __init__(self, directory, seed):
        assert LIBRARY.is_file(), "run `make .tools/lib/powerloss.so`"
        self.data = directory / "data"
        self.data.mkdir()
        self.control = directory / "control"
        self.report = directory / "report"
        self.server = harness.Server(self.data)
        self.seed = seed

    def start_with_faults(self, round_number: int = 0):
        self.control.unlink(missing_ok=True)
        self.report.unlink(missing_ok=True)
        self.server.environment = {
            "LD_PRELOAD": str(LIBRARY),
            "ONCILLA_FAULT_DIR": str(self.data),
            "ONCILLA_FAULT_CONTROL": str(self.control),
            "ONCILLA_FAULT_REPORT": str(self.report),
            "ONCILLA_FAULT_SEED": str(self.seed + round_number),
        }
        self.server.start()
        assert self.report.read_text().startswith("loaded"), "the library was not loaded"
        return self.server

    def start_without(self):
        self.server.environment = {}
        return self.server.start()

    def command(self, text: str) -> None:
        """Set in one step, so that the library never reads half a command."""
        new = self.control.with_suffix(".new")
        new.write_text(text + "\n")
        new.replace(self.control)

    def clear(self) -> None:
        self.control.unlink(missing_ok=True)


@pytest.fixture
def faults(tmp_path, seed):
    faults = Faults(tmp_path, seed)
    yield faults
    faults.server.kill()


def test_power_loss_under_load(faults, seed, seconds, make_client):
    chance = random.Random(seed)
    ledger = Ledger()
    server = faults.start_with_faults()
    make_client(server).create_bucket(Bucket=BUCKET)
    deadline = time.monotonic() + seconds
    rounds = lost = 0
    while time.monotonic() < deadline or rounds < 3:

        def cut():
            time.sleep(chance.uniform(0.1, 2.0))
            # Half of the cuts at any moment, half just before a sync, when most is at stake.
            faults.command("cut" if chance.random() < 0.5 else f"cut-sync {chance.randint(1, 20)}")
            server.process.wait(60)

        workload.run_until(
            cut, lambda: make_client(server), BUCKET, ledger, seed + rounds, WORKERS
        )
        assert server.process.returncode == 137, server.log_tail()
        line = faults.report.read_text().splitlines()[-1]
        seen = re.fullmatch(
            r"cut writes (\d+) syncs (\d+) dirty-files \d+ restored-sectors (\d+) "
            r"shortened-files (\d+)",
            line,
        )
        assert seen, line
        writes, syncs, restored, shortened = map(int, seen.groups())
        assert writes > 0 and syncs > 0, f"the library does not see the store's calls: {line}"
        lost += restored + shortened
        fsck(faults.data)
        server = faults.start_without()
        problems = workload.verify(make_client(server), BUCKET, ledger)
        assert not problems, f"round {rounds}, seed {seed}: {line}\n" + "\n".join(problems)
        server.stop()
        rounds += 1
        server = faults.start_with_faults(rounds)
    print(f"{rounds} power cuts, {lost} sectors or tails lost, {ledger.acknowledged} acknowledged")
    assert lost > 0, "no cut took anything away: the test proves nothing"


def put(s3, key, content):
    """The HTTP status of a PUT."""
    try:
        answer = s3.put_object(Bucket=BUCKET, Key=key, Body=content)
        return answer["ResponseMetadata"]["HTTPStatusCode"]
    except botocore.exceptions.ClientError as error:
        assert error.response["Error"]["Code"], "an S3 error body"
        return error.response["ResponseMetadata"]["HTTPStatusCode"]


def get(s3, key):
    return s3.get_object(Bucket=BUCKET, Key=key)["Body"].read()


@pytest.mark.parametrize("size", [100, 200_000, 9_000_000])
def test_disk_full(faults, make_client, size):
    """503 or 507 in S3's shape, nothing corrupted, service resumes when space returns."""
    server = faults.start_with_faults()
    s3 = make_client(server)
    s3.create_bucket(Bucket=BUCKET)
    before = random.Random(1).randbytes(size)
    assert put(s3, "kept", before) == 200
    faults.command("enospc")
    for attempt in range(5):
        assert put(s3, f"new-{attempt}", bytes(size)) in (503, 507)
        assert put(s3, "kept", bytes(size)) in (503, 507)
        assert get(s3, "kept") == before
    faults.clear()
    deadline = time.monotonic() + 30
    while put(s3, "after", before) != 200:
        assert time.monotonic() < deadline, "writes do not resume"
        time.sleep(0.5)
    assert get(s3, "after") == before
    assert get(s3, "kept") == before
    server.stop()
    fsck(faults.data)
    s3 = make_client(faults.start_without())
    assert get(s3, "kept") == before and get(s3, "after") == before


@pytest.mark.parametrize("fault", ["eio-write 1", "eio-write 3", "eio-sync 1", "eio-sync 2"])
def test_input_output_errors(faults, make_client, fault):
    """A failed write or sync is never acknowledged; what was acknowledged stays.

    After a failed sync the kernel may have dropped the bytes, so a server that
    ends itself is right as well: what counts is what it shows afterwards.
    """
    ledger = Ledger()
    server = faults.start_with_faults()
    make_client(server).create_bucket(Bucket=BUCKET)

    def break_and_wait():
        time.sleep(0.5)
        faults.command(fault)
        time.sleep(1.5)
        # Power is lost as well, so that nothing is saved by the page cache.
        if server.process.poll() is None:
            faults.command("cut")
            server.process.wait(60)

    workload.run_until(
        break_and_wait,
        lambda: make_client(server),
        BUCKET,
        ledger,
        faults.seed,
        WORKERS,
        disk_fails=True,
    )
    server.check_log()
    fsck(faults.data)
    server = faults.start_without()
    problems = workload.verify(make_client(server), BUCKET, ledger)
    assert not problems, "\n".join(problems)
    server.stop()


def test_short_writes(faults, make_client):
    """write() may take fewer bytes than it was given; the rest must follow."""
    server = faults.start_with_faults()
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
    fsck(faults.data)
    s3 = make_client(faults.start_without())
    for key, content in contents.items():
        assert get(s3, key) == content


def test_flipped_bits_are_never_served(tmp_path, make_client):
    """Damage on disk is detected on read and reported by scrub, never served as good."""
    server = harness.Server(tmp_path / "data").start()
    s3 = make_client(server)
    s3.create_bucket(Bucket=BUCKET)
    content = random.Random(5).randbytes(2_000_000)
    s3.put_object(Bucket=BUCKET, Key="victim", Body=content)
    s3.put_object(Bucket=BUCKET, Key="bystander", Body=content[::-1])
    server.stop()

    marker = content[1_000_000:1_000_064]
    damaged = 0
    for path in (tmp_path / "data" / "volumes").rglob("*"):
        if path.is_file() and (at := path.read_bytes().find(marker)) >= 0:
            with open(path, "r+b") as file:
                file.seek(at + 10)
                file.write(bytes([marker[10] ^ 0x04]))
            damaged += 1
    assert damaged == 1, "the object's bytes lie in exactly one volume"

    server.start()
    s3 = make_client(server)
    # An error answer or a connection that breaks off: both tell the client.
    with pytest.raises((botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError)):
        get(s3, "victim")
    assert get(s3, "bystander") == content[::-1]
    untouched = s3.get_object(Bucket=BUCKET, Key="victim", Range="bytes=0-999")["Body"].read()
    assert untouched == content[:1000]
    server.stop()
    scrub = subprocess.run(
        [harness.binary(), "scrub", "--data", tmp_path / "data", "--json"],
        capture_output=True,
        text=True,
        env=harness.clean_environment(),
        timeout=300,
    )
    assert scrub.returncode != 0 and "victim" in scrub.stdout, scrub
    assert "bystander" not in scrub.stdout
