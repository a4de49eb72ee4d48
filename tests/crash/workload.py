"""Concurrent writers that tell a Ledger what they sent and what was acknowledged."""

from __future__ import annotations

import random
import threading

import botocore.exceptions

from model import Body, Ledger

MIB = 1024 * 1024
KEYS_PER_WORKER = 12
# Below, at and above the size from which bodies leave the metadata for volumes,
# and some that take many writes.
SIZES = [0, 1, 700, 4096, 16 * 1024, 16 * 1024 + 1, 70_000, 300_000, 1 * MIB, 3 * MIB + 17]

# The status of answers that say: not done, try again. Expected while the disk fails.
_SERVER_ERRORS = range(500, 600)


class Worker(threading.Thread):
    def __init__(
        self, number: int, s3, bucket: str, ledger: Ledger, seed: int, disk_fails: bool = False
    ):
        super().__init__(name=f"worker-{number}", daemon=True)
        self.keys = [f"w{number}/key {index}" for index in range(KEYS_PER_WORKER)]
        self.s3 = s3
        self.bucket = bucket
        self.ledger = ledger
        self.random = random.Random(seed * 1000 + number)
        self.disk_fails = disk_fails
        self.problem: str | None = None
        self.operations = 0

    def run(self) -> None:
        operations = [
            (self.put, 55),
            (self.delete, 15),
            (self.copy, 12),
            (self.multipart, 6),
            (self.read, 12),
        ]
        # Ends with the server: every test ends that in some way.
        while True:
            (operation,) = self.random.choices(
                [operation for operation, _ in operations], [weight for _, weight in operations]
            )
            try:
                operation()
                self.operations += 1
            except botocore.exceptions.ClientError as error:
                status = error.response["ResponseMetadata"]["HTTPStatusCode"]
                if not (self.disk_fails and status in _SERVER_ERRORS):
                    self.problem = f"{operation.__name__}: {error}"
                return
            except (botocore.exceptions.BotoCoreError, OSError):
                # The server is gone; what was sent last is in doubt.
                return
            except AssertionError as error:
                self.problem = f"{operation.__name__}: {error}"
                return

    def _content(self) -> bytes:
        size = self.random.choice(SIZES)
        return self.random.randbytes(size)

    def _change(self, key: str, outcome: Body | None, call) -> None:
        self.ledger.sent(key, outcome)
        call()
        self.ledger.acknowledge(key, outcome)

    def put(self) -> None:
        key, content = self.random.choice(self.keys), self._content()
        self._change(
            key,
            Body.of(content),
            lambda: self.s3.put_object(Bucket=self.bucket, Key=key, Body=content),
        )

    def delete(self) -> None:
        key = self.random.choice(self.keys)
        self._change(key, None, lambda: self.s3.delete_object(Bucket=self.bucket, Key=key))

    def copy(self) -> None:
        source, target = self.random.sample(self.keys, 2)
        body = self.ledger.state(source)
        if body is None:
            return
        self._change(
            target,
            body,
            lambda: self.s3.copy_object(
                Bucket=self.bucket,
                Key=target,
                CopySource={"Bucket": self.bucket, "Key": source},
            ),
        )

    def multipart(self) -> None:
        key = self.random.choice(self.keys)
        contents = [self.random.randbytes(5 * MIB), self.random.randbytes(123_456)]
        where = {"Bucket": self.bucket, "Key": key}
        where["UploadId"] = self.s3.create_multipart_upload(**where)["UploadId"]
        parts = [
            {
                "PartNumber": number,
                "ETag": self.s3.upload_part(**where, PartNumber=number, Body=content)["ETag"],
            }
            for number, content in enumerate(contents, 1)
        ]
        if self.random.random() < 0.2:
            self.s3.abort_multipart_upload(**where)
            return
        self._change(
            key,
            Body.of(b"".join(contents)),
            lambda: self.s3.complete_multipart_upload(**where, MultipartUpload={"Parts": parts}),
        )

    def read(self) -> None:
        key = self.random.choice(self.keys)
        expected = self.ledger.state(key)
        found = fetch(self.s3, self.bucket, key)
        assert found == expected, f"read {key}: {found}, expected {expected}"


def fetch(s3, bucket: str, key: str) -> Body | None:
    try:
        answer = s3.get_object(Bucket=bucket, Key=key)
    except botocore.exceptions.ClientError as error:
        if error.response["Error"]["Code"] == "NoSuchKey":
            return None
        raise
    content = answer["Body"].read()
    assert len(content) == answer["ContentLength"]
    return Body.of(content)


def verify(s3, bucket: str, ledger: Ledger) -> list[str]:
    """Compares the whole bucket with the ledger; settles what was in doubt."""
    problems = []
    for key in ledger.keys():
        problem = ledger.settle(key, fetch(s3, bucket, key))
        if problem:
            problems.append(problem)
    if problems:
        return problems
    pages = s3.get_paginator("list_objects_v2").paginate(
        Bucket=bucket, PaginationConfig={"PageSize": 7}
    )
    listed = [entry for page in pages for entry in page.get("Contents", [])]
    names = [entry["Key"] for entry in listed]
    if names != sorted(names, key=str.encode):
        problems.append("the listing is out of order or names a key twice")
    if {entry["Key"]: entry["Size"] for entry in listed} != ledger.present():
        problems.append("the listing disagrees with the single objects")
    return problems


def run_until(
    end_server, make_client, bucket: str, ledger: Ledger, seed: int, workers: int, **options
) -> int:
    """Lets workers run until `end_server()` has ended the server; returns their operations."""
    threads = [Worker(n, make_client(), bucket, ledger, seed, **options) for n in range(workers)]
    for thread in threads:
        thread.start()
    end_server()
    for thread in threads:
        thread.join(120)
        assert not thread.is_alive(), f"{thread.name} hangs"
        assert thread.problem is None, thread.problem
    return sum(thread.operations for thread in threads)
