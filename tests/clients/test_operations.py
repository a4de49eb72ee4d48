"""The operation table has every operation that the API reference has, as botocore has it."""

from pathlib import Path

import botocore.session

# Older names of operations, with the same requests.
RENAMED = {
    "GetBucketLifecycle",
    "GetBucketNotification",
    "PutBucketLifecycle",
    "PutBucketNotification",
}

PAGE = Path(__file__).parents[2] / "docs" / "s3-compatibility.md"


def test_every_operation_has_a_row():
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    rows = {line.split("|")[1].strip() for line in lines if line.startswith("| ")}
    model = botocore.session.get_session().get_service_model("s3")
    assert len(model.operation_names) > 100
    assert set(model.operation_names) - RENAMED - rows == set()
