"""Damage on disk is found on reading and by scrub, and is never served as good."""

import random

import botocore.exceptions
import pytest

from faults import quiet_server
from test_kill import check

BUCKET = "damage"
MARKER_BYTES = 64
# An error answer, or a connection that breaks off: both tell the client.
REFUSALS = (botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError)


def get(s3, key, **options):
    return s3.get_object(Bucket=BUCKET, Key=key, **options)["Body"].read()


def flip_bit(paths, marker: bytes) -> int:
    """Flips one bit in every file that holds the marker; returns how many do."""
    damaged = 0
    for path in paths:
        if path.is_file() and (at := path.read_bytes().find(marker)) >= 0:
            with open(path, "r+b") as file:
                file.seek(at + 10)
                file.write(bytes([marker[10] ^ 0x04]))
            damaged += 1
    return damaged


def assert_scrub_names_only(data, victim: str, others) -> None:
    scrub = check("scrub", data)
    assert scrub.returncode == 1 and victim in scrub.stdout, scrub
    for other in others:
        assert other not in scrub.stdout, scrub


def test_bit_in_a_volume(tmp_path, make_client):
    server = quiet_server(tmp_path / "data").start()
    s3 = make_client(server)
    s3.create_bucket(Bucket=BUCKET)
    content = random.Random(5).randbytes(2_000_000)
    s3.put_object(Bucket=BUCKET, Key="victim", Body=content)
    s3.put_object(Bucket=BUCKET, Key="bystander", Body=content[::-1])
    server.stop()
    marker = content[1_000_000 : 1_000_000 + MARKER_BYTES]
    assert flip_bit((server.data / "volumes").rglob("*"), marker) == 1, "one volume has it"

    s3 = make_client(server.start())
    with pytest.raises(REFUSALS):
        get(s3, "victim")
    assert get(s3, "bystander") == content[::-1]
    # Ranges are verified frame by frame, so that the rest can still be had.
    assert get(s3, "victim", Range="bytes=0-999") == content[:1000]
    with pytest.raises(REFUSALS):
        get(s3, "victim", Range="bytes=1000000-1000099")
    # A copy shares the bytes, so that it may not be made to look good either.
    s3.copy_object(Bucket=BUCKET, Key="copy", CopySource={"Bucket": BUCKET, "Key": "victim"})
    with pytest.raises(REFUSALS):
        get(s3, "copy")
    s3.put_object(Bucket=BUCKET, Key="new", Body=b"service goes on")
    assert get(s3, "new") == b"service goes on"
    server.stop()
    assert_scrub_names_only(server.data, "victim", ["bystander", "new"])
    # Replacing the damaged object heals it.
    s3 = make_client(server.start())
    s3.put_object(Bucket=BUCKET, Key="victim", Body=content)
    s3.delete_object(Bucket=BUCKET, Key="copy")
    assert get(s3, "victim") == content
    server.stop()
    scrub = check("scrub", server.data)
    assert scrub.returncode == 0, scrub


# Bodies of this size are kept in metadata with the threshold below: enough of them, and their rows
# go from the journal to tables.
ROW_BYTES = 900_000
ROWS = 40


def test_bit_in_a_metadata_table(tmp_path, make_client):
    server = quiet_server(tmp_path / "data", "--inline-threshold", "1MiB").start()
    s3 = make_client(server)
    s3.create_bucket(Bucket=BUCKET)
    contents = {f"row-{n:02}": random.Random(n).randbytes(ROW_BYTES) for n in range(ROWS)}
    for key, content in contents.items():
        s3.put_object(Bucket=BUCKET, Key=key, Body=content)
    server.stop()
    victim = "row-03"
    marker = contents[victim][500_000 : 500_000 + MARKER_BYTES]
    tables = (server.data / "meta" / "keyspaces").rglob("tables/*")
    assert flip_bit(tables, marker) == 1, "the row is in one table"

    s3 = make_client(server.start())
    with pytest.raises(REFUSALS):
        get(s3, victim)
    for key, content in contents.items():
        if key != victim:
            assert get(s3, key) == content
    listed = s3.list_objects_v2(Bucket=BUCKET)["Contents"]
    assert [entry["Key"] for entry in listed] == sorted(contents)
    s3.put_object(Bucket=BUCKET, Key="new", Body=b"service goes on")
    assert get(s3, "new") == b"service goes on"
    server.stop()
    assert_scrub_names_only(server.data, victim, [key for key in contents if key != victim])


def test_bit_in_the_journal(tmp_path, make_client):
    """Acknowledged changes in a damaged journal are not forgotten in silence: no start."""
    server = quiet_server(tmp_path / "data").start()
    s3 = make_client(server)
    s3.create_bucket(Bucket=BUCKET)
    contents = {f"row-{n:02}": random.Random(n).randbytes(5_000) for n in range(20)}
    for key, content in contents.items():
        s3.put_object(Bucket=BUCKET, Key=key, Body=content)
    server.kill()
    marker = contents["row-10"][1_000 : 1_000 + MARKER_BYTES]
    assert flip_bit((server.data / "meta").glob("*.jnl"), marker) == 1, "the row is in a journal"
    with pytest.raises(RuntimeError, match="damaged"):
        server.start()
