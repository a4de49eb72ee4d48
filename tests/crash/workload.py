"""Concurrent writers that tell a Ledger what they sent and what was acknowledged."""

from __future__ import annotations

import enum
import random
import threading
import time

import botocore.exceptions

from model import Body, Ledger

MIB = 1024 * 1024
KEYS_PER_WORKER = 12
# Below, at and above the size from which bodies leave the metadata for volumes,
# and some that take many writes.
SIZES = [0, 1, 700, 4096, 16 * 1024, 16 * 1024 + 1, 70_000, 300_000, 1 * MIB, 3 * MIB + 17]

# Status of answers that say: not done, try again. Expected while the disk fails.
_SERVER_ERRORS = range(500, 600)
_NO_SPACE = (503, 507)
# A read may find the store reopening its metadata after the disk was full, but not for long.
_READ_PATIENCE_SECONDS = 10


class DiskErrors(enum.Enum):
    """What a worker makes of an answer with a status of 500 or above."""

    # There are none: a test that breaks nothing wants none.
    FORBIDDEN = enum.auto()
    # The write did not happen or happened, and a read now tells which for good; only 503 and 507.
    SETTLED = enum.auto()
    # A restart may still show either, so that the key is left alone until then.
    DOUBTED = enum.auto()


class Worker(threading.Thread):
    def __init__(
        self,
        number: int,
        s3,
        bucket: str,
        ledger: Ledger,
        seed: int,
        disk_errors: DiskErrors = DiskErrors.FORBIDDEN,
        sizes: list[int] = SIZES,
        refusal: threading.Event | None = None,
    ):
        super().__init__(name=f"worker-{number}", daemon=True)
        self.keys = [f"w{number}/key {index}" for index in range(KEYS_PER_WORKER)]
        self.s3 = s3
        self.bucket = bucket
        self.ledger = ledger
        self.random = random.Random(seed * 1000 + number)
        self.disk_errors = disk_errors
        self.sizes = sizes
        # Set at the first refusal of any worker, for those who wait for one.
        self.refusal = refusal or threading.Event()
        self.ending = threading.Event()
        self.problem: str | None = None
        self.operations = 0
        self.refused = 0

    def run(self) -> None:
        operations = [
            (self.put, 55),
            (self.delete, 15),
            (self.copy, 12),
            (self.multipart, 6),
            (self.read, 12),
        ]
        # Most tests end it with the server, the others by the event.
        while not self.ending.is_set() and len(self.keys) >= 2:
            (operation,) = self.random.choices(
                [operation for operation, _ in operations], [weight for _, weight in operations]
            )
            try:
                operation()
                self.operations += 1
            except botocore.exceptions.ClientError as error:
                self.problem = f"{operation.__name__}: {error}"
                return
            except (botocore.exceptions.BotoCoreError, OSError):
                # The server is gone; what was sent last is in doubt.
                return
            except AssertionError as error:
                self.problem = f"{operation.__name__}: {error}"
                return

    def _refuse(self, error: botocore.exceptions.ClientError) -> None:
        """Takes an answer that says the disk fails; raises `error` again if it may not come."""
        status = error.response["ResponseMetadata"]["HTTPStatusCode"]
        allowed = {
            DiskErrors.FORBIDDEN: (),
            DiskErrors.SETTLED: _NO_SPACE,
            DiskErrors.DOUBTED: _SERVER_ERRORS,
        }[self.disk_errors]
        if status not in allowed:
            raise error
        code = error.response["Error"]["Code"]
        assert code and not code.isdigit(), f"status {status} without an S3 error body"
        self.refused += 1
        self.refusal.set()
        time.sleep(0.05)

    def _fetch(self, key: str) -> Body | None:
        deadline = time.monotonic() + _READ_PATIENCE_SECONDS
        while True:
            try:
                return fetch(self.s3, self.bucket, key)
            except botocore.exceptions.ClientError as error:
                status = error.response["ResponseMetadata"]["HTTPStatusCode"]
                reopening = self.disk_errors is DiskErrors.SETTLED and status == 503
                if not reopening or time.monotonic() > deadline:
                    raise
                time.sleep(0.05)

    def _content(self) -> bytes:
        size = self.random.choice(self.sizes)
        return self.random.randbytes(size)

    def _change(self, key: str, outcome: Body | None, call) -> None:
        self.ledger.sent(key, outcome)
        try:
            call()
        except botocore.exceptions.ClientError as error:
            self._refuse(error)
            if self.disk_errors is DiskErrors.DOUBTED:
                self.keys.remove(key)
            else:
                problem = self.ledger.settle(key, self._fetch(key))
                assert problem is None, problem
            return
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
        try:
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
        except botocore.exceptions.ClientError as error:
            self._refuse(error)
            return
        self._change(
            key,
            Body.of(b"".join(contents)),
            lambda: self.s3.complete_multipart_upload(**where, MultipartUpload={"Parts": parts}),
        )

    def read(self) -> None:
        key = self.random.choice(self.keys)
        expected = self.ledger.state(key)
        found = self._fetch(key)
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
    end, make_client, bucket: str, ledger: Ledger, seed: int, workers: int, **options
) -> list[Worker]:
    """Lets workers run until `end()` returns, which mostly ends the server; returns them."""
    threads = [Worker(n, make_client(), bucket, ledger, seed, **options) for n in range(workers)]
    for thread in threads:
        thread.start()
    try:
        end()
    finally:
        for thread in threads:
            thread.ending.set()
    for thread in threads:
        thread.join(120)
        assert not thread.is_alive(), f"{thread.name} hangs"
        assert thread.problem is None, thread.problem
    return threads
