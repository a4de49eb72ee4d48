"""kill -9 under load: nothing acknowledged is lost, nothing is torn, garbage goes away."""

import random
import subprocess
import time

import requests

import harness
import workload
from model import Ledger

BUCKET = "crash"
WORKERS = 8
# Garbage is collected in the background; this is how long it may take once nobody writes.
COLLECTION_TIMEOUT_SECONDS = 90


def fsck(data) -> None:
    """`oncilla fsck` on a stopped store finds nothing wrong."""
    result = subprocess.run(
        [harness.binary(), "fsck", "--data", data],
        capture_output=True,
        text=True,
        env=harness.clean_environment(),
        timeout=600,
    )
    assert result.returncode == 0, f"fsck: {result.returncode}\n{result.stdout}\n{result.stderr}"


def metric(server, name: str) -> float:
    """The sum over all label sets of one metric."""
    text = requests.get(server.endpoint_url + "/-/metrics", timeout=10).text
    values = [
        float(line.rsplit(" ", 1)[1])
        for line in text.splitlines()
        if line.startswith((name + " ", name + "{"))
    ]
    assert values, f"no metric {name} in:\n{text}"
    return sum(values)


def test_kill_9_under_load(tmp_path, seed, seconds, make_client):
    chance = random.Random(seed)
    ledger = Ledger()
    server = harness.Server(tmp_path / "data").start()
    make_client(server).create_bucket(Bucket=BUCKET)
    deadline = time.monotonic() + seconds
    rounds = operations = 0
    slowest_start = 0.0
    while time.monotonic() < deadline or rounds < 3:

        def kill_at_some_moment():
            time.sleep(chance.uniform(0.05, 3.0))
            server.kill()

        operations += workload.run_until(
            kill_at_some_moment, lambda: make_client(server), BUCKET, ledger, seed + rounds, WORKERS
        )
        if rounds % 4 == 1:
            fsck(server.data)
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
    assert ledger.acknowledged > rounds * 10, "the load was too light to mean anything"

    garbage_disappears(server, make_client(server), ledger)
    server.stop()
    fsck(server.data)


def garbage_disappears(server, s3, ledger) -> None:
    """After everything is deleted, no bytes are left that nobody names."""
    for key in ledger.present():
        s3.delete_object(Bucket=BUCKET, Key=key)
    for upload in s3.list_multipart_uploads(Bucket=BUCKET).get("Uploads", []):
        s3.abort_multipart_upload(Bucket=BUCKET, Key=upload["Key"], UploadId=upload["UploadId"])
    s3.delete_bucket(Bucket=BUCKET)
    deadline = time.monotonic() + COLLECTION_TIMEOUT_SECONDS
    while (left := metric(server, "oncilla_garbage_bytes")) > 0:
        assert time.monotonic() < deadline, f"{left:.0f} bytes of garbage are left"
        time.sleep(1)
