"""Removing versions by the command line where Object Lock keeps some."""

import pytest

from conftest import new_bucket_name
from harness import GENERAL


@pytest.mark.parametrize("command", [("rb", "--force"), ("rm", "-r", "--versions", "--yes")])
def test_a_deleted_object_that_is_locked_does_not_come_back(oncilla, admin_s3, command):
    bucket = new_bucket_name()
    admin_s3.create_bucket(Bucket=bucket, ObjectLockEnabledForBucket=True)
    locked = admin_s3.put_object(Bucket=bucket, Key="locked", Body=b"x")["VersionId"]
    hold = {"Bucket": bucket, "Key": "locked", "VersionId": locked}
    admin_s3.put_object_legal_hold(**hold, LegalHold={"Status": "ON"})
    admin_s3.put_object(Bucket=bucket, Key="free", Body=b"x")
    for key in ("locked", "free"):
        admin_s3.delete_object(Bucket=bucket, Key=key)

    refused = oncilla(*command, f"s3://{bucket}", check=False)
    assert refused.returncode == GENERAL and "AccessDenied" in refused.stderr, refused
    assert "Contents" not in admin_s3.list_objects_v2(Bucket=bucket)
    left = admin_s3.list_object_versions(Bucket=bucket)
    assert [version["VersionId"] for version in left["Versions"]] == [locked]
    assert [marker["Key"] for marker in left["DeleteMarkers"]] == ["locked"]

    admin_s3.put_object_legal_hold(**hold, LegalHold={"Status": "OFF"})
    oncilla("rb", "--force", f"s3://{bucket}")
