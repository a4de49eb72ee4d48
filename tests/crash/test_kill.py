"""kill -9 under load: nothing acknowledged is lost, nothing is torn, garbage goes away."""

import random
import subprocess
import time

import harness
import workload
from faults import quiet_server
from model import Ledger

BUCKET = "crash"
WORKERS = 8
# In a round, on average: a load that is lighter means little.
ACKNOWLEDGED_MIN = 10
# Rounds at least, and at most while less was acknowledged: how much comes in a second depends on the
# machine, and how long a server lives on chance.
ROUNDS = range(4, 30)
# Garbage is collected in the background; this is how long it may take once nobody writes.
COLLECTION_TIMEOUT_SECONDS = 90
# The newest volumes stay, with nothing but a header.
EMPTY_VOLUMES_BYTES_MAX = 64 * 1024


def check(command: str, data) -> subprocess.CompletedProcess:
    """`oncilla fsck` or `oncilla scrub` on a stopped store."""
    return subprocess.run(
        [harness.binary(), command, "--data", data, "--json"],
        capture_output=True,
        text=True,
        env=harness.clean_environment(),
        timeout=600,
    )


def assert_intact(data, commands=("fsck", "scrub")) -> None:
    """No damage and no leaks."""
    for command in commands:
        result = check(command, data)
        said = f"{command}: {result.returncode}\n{result.stdout}\n{result.stderr}"
        assert result.returncode == 0, said


def test_kill_9_under_load(tmp_path, seed, seconds, make_client):
    chance = random.Random(seed)
    ledger = Ledger()
    server = quiet_server(tmp_path / "data").start()
    make_client(server).create_bucket(Bucket=BUCKET)
    deadline = time.monotonic() + seconds
    rounds = operations = 0
    slowest_start = 0.0
    while (
        time.monotonic() < deadline
        or rounds < ROUNDS.start
        or (rounds < ROUNDS.stop and ledger.acknowledged <= rounds * ACKNOWLEDGED_MIN)
    ):

        def kill_at_some_moment():
            time.sleep(chance.uniform(0.05, 3.0))
            server.kill()

        workers = workload.run_until(
            kill_at_some_moment, lambda: make_client(server), BUCKET, ledger, seed + rounds, WORKERS
        )
        operations += sum(worker.operations for worker in workers)
        if rounds % 4 == 1:
            assert_intact(server.data, ["fsck"])
        # Now and then the power of the recovery itself is cut short.
        if rounds % 5 == 3:
            server.spawn()
            time.sleep(chance.uniform(0.0, 0.3))
            server.kill()
        server.spawn()
        slowest_start = max(slowest_start, server.wait_until_ready())
        problems = workload.verify(make_client(server), BUCKET, ledger)
        assert not problems, f"round {rounds}, seed {seed}:\n" + "\n".join(problems)
        rounds += 1
    print(
        f"{rounds} rounds, {operations} operations, {ledger.acknowledged} acknowledged changes, "
        f"{ledger.in_doubt} in doubt, slowest start {slowest_start:.2f} s"
    )
    enough = rounds * ACKNOWLEDGED_MIN
    assert ledger.acknowledged > enough, "the load was too light to mean anything"

    server.stop()
    assert_intact(server.data)
    everything_disappears(server, make_client, ledger, BUCKET)


def everything_disappears(server, make_client, ledger, bucket) -> None:
    """After everything is deleted, no bytes are left that nobody names. Ends the server."""
    server.start()
    s3 = make_client(server)
    for key in ledger.present():
        s3.delete_object(Bucket=bucket, Key=key)
    for page in s3.get_paginator("list_multipart_uploads").paginate(Bucket=bucket):
        for upload in page.get("Uploads", []):
            s3.abort_multipart_upload(Bucket=bucket, Key=upload["Key"], UploadId=upload["UploadId"])
    s3.delete_bucket(Bucket=bucket)
    deadline = time.monotonic() + COLLECTION_TIMEOUT_SECONDS
    # What the volumes take is the measure: the gauges know only what was noticed already.
    while True:
        left = allocated_bytes(server.data / "volumes")
        if left <= EMPTY_VOLUMES_BYTES_MAX and server.metric("oncilla_garbage_bytes") == 0:
            break
        assert time.monotonic() < deadline, f"{left} bytes are left in volumes"
        time.sleep(0.5)
    server.stop()
    assert_intact(server.data)


def allocated_bytes(directory) -> int:
    """What the files take on the device, holes not counted."""
    return sum(path.stat().st_blocks * 512 for path in directory.iterdir())
