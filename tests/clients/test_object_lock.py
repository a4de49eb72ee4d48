"""Object Lock, appending and renaming through boto3: what backup programs and log writers rely on."""

import datetime
import time

import pytest
from botocore.exceptions import ClientError

from conftest import new_bucket_name


def code_of(error) -> str:
    return error.value.response["Error"]["Code"]


@pytest.fixture
def locked(s3):
    """A bucket with Object Lock. It is left behind, as nobody can remove what is locked."""
    name = new_bucket_name()
    s3.create_bucket(Bucket=name, ObjectLockEnabledForBucket=True)
    return name


def in_seconds(seconds: float) -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=seconds)


def test_a_backup_is_kept_until_its_time_is_over(s3, locked):
    until = in_seconds(6)
    version = s3.put_object(
        Bucket=locked,
        Key="backup",
        Body=b"x" * 100_000,
        ObjectLockMode="COMPLIANCE",
        ObjectLockRetainUntilDate=until,
    )["VersionId"]
    shown = s3.head_object(Bucket=locked, Key="backup")
    assert shown["ObjectLockMode"] == "COMPLIANCE"
    assert abs(shown["ObjectLockRetainUntilDate"] - until) < datetime.timedelta(seconds=1)
    with pytest.raises(ClientError) as error:
        s3.delete_object(
            Bucket=locked, Key="backup", VersionId=version, BypassGovernanceRetention=True
        )
    assert code_of(error) == "AccessDenied"
    s3.delete_object(Bucket=locked, Key="backup")
    with pytest.raises(ClientError) as error:
        s3.delete_bucket(Bucket=locked)
    assert code_of(error) == "BucketNotEmpty"
    time.sleep(max(0, (until - in_seconds(0)).total_seconds()) + 0.1)
    s3.delete_object(Bucket=locked, Key="backup", VersionId=version)
    left = s3.list_object_versions(Bucket=locked)
    assert "Versions" not in left


def test_the_default_retention_and_its_bypass(s3, locked):
    rule = {"DefaultRetention": {"Mode": "GOVERNANCE", "Days": 3}}
    configuration = {"ObjectLockEnabled": "Enabled", "Rule": rule}
    s3.put_object_lock_configuration(Bucket=locked, ObjectLockConfiguration=configuration)
    answer = s3.get_object_lock_configuration(Bucket=locked)
    assert answer["ObjectLockConfiguration"] == configuration
    written = s3.put_object(Bucket=locked, Key="k", Body=b"body")
    retention = s3.get_object_retention(Bucket=locked, Key="k")["Retention"]
    modified = s3.head_object(Bucket=locked, Key="k")["LastModified"]
    kept = retention["RetainUntilDate"] - modified
    assert abs(kept - datetime.timedelta(days=3)) <= datetime.timedelta(seconds=1)
    s3.put_object_legal_hold(Bucket=locked, Key="k", LegalHold={"Status": "ON"})
    delete = {"Bucket": locked, "Key": "k", "VersionId": written["VersionId"]}
    for settings in ({}, {"BypassGovernanceRetention": True}):
        with pytest.raises(ClientError) as error:
            s3.delete_object(**delete, **settings)
        assert code_of(error) == "AccessDenied"
    s3.put_object_legal_hold(Bucket=locked, Key="k", LegalHold={"Status": "OFF"})
    with pytest.raises(ClientError) as error:
        s3.delete_object(**delete)
    assert code_of(error) == "AccessDenied"
    s3.delete_object(**delete, BypassGovernanceRetention=True)


def test_a_log_grows_and_is_renamed(s3, bucket):
    written = b""
    for number in range(20):
        line = f"line {number}\n".encode() * (1 + number * 100)
        answer = s3.put_object(
            Bucket=bucket, Key="log", Body=line, WriteOffsetBytes=len(written)
        )
        written += line
        if number:
            assert answer["Size"] == len(written)
    with pytest.raises(ClientError) as error:
        s3.put_object(Bucket=bucket, Key="log", Body=b"x", WriteOffsetBytes=1)
    assert code_of(error) == "InvalidWriteOffset"
    for _ in range(2):
        s3.rename_object(
            Bucket=bucket, Key="log.1", RenameSource=f"/{bucket}/log", ClientToken="once"
        )
    read = s3.get_object(Bucket=bucket, Key="log.1", ChecksumMode="ENABLED")["Body"].read()
    assert read == written
    with pytest.raises(ClientError) as error:
        s3.head_object(Bucket=bucket, Key="log")
    assert code_of(error) == "404"
