"""Lifecycle rules, storage classes and restorations through boto3, with a day of two seconds."""

import time

import pytest
from botocore.exceptions import ClientError

import harness
from conftest import MIB, make_s3_client, new_bucket_name, random_bytes

DAY_S = 2


def code_of(error) -> str:
    return error.value.response["Error"]["Code"]


@pytest.fixture(scope="module")
def cold(tmp_path_factory):
    """The directory of class GLACIER."""
    return tmp_path_factory.mktemp("lifecycle") / "cold"


@pytest.fixture(scope="module")
def quick(cold):
    """A client of a server for which days are short."""
    server = harness.Server(
        cold.with_name("data"),
        arguments=[
            *["--lifecycle-day", f"{DAY_S}s", "--lifecycle-interval", "100ms"],
            *["--storage-class", f"GLACIER={cold}"],
        ],
    ).start()
    yield make_s3_client(server.path_connection())
    server.stop()


@pytest.fixture
def bucket(quick):
    name = new_bucket_name("lifecycle")
    quick.create_bucket(Bucket=name)
    return name


def set_rules(s3, bucket: str, *rules: dict, **settings) -> None:
    rules = [{"Status": "Enabled", **rule} for rule in rules]
    s3.put_bucket_lifecycle_configuration(
        Bucket=bucket, LifecycleConfiguration={"Rules": rules}, **settings
    )


def eventually(what: str, holds, days: int = 8):
    end = time.monotonic() + days * DAY_S + 5
    while not holds():
        assert time.monotonic() < end, what
        time.sleep(0.1)


def test_rules_are_read_as_they_were_written(quick, bucket):
    with pytest.raises(ClientError) as error:
        quick.get_bucket_lifecycle_configuration(Bucket=bucket)
    assert code_of(error) == "NoSuchLifecycleConfiguration"
    rules = [
        {
            "ID": "all",
            "Status": "Enabled",
            "Filter": {
                "And": {
                    "Prefix": "logs/",
                    "Tags": [{"Key": "k", "Value": "v"}],
                    "ObjectSizeGreaterThan": 500,
                    "ObjectSizeLessThan": 64_000,
                }
            },
            "Expiration": {"Days": 365},
            "Transitions": [
                {"Days": 30, "StorageClass": "STANDARD_IA"},
                {"Days": 60, "StorageClass": "DEEP_ARCHIVE"},
            ],
            "NoncurrentVersionExpiration": {"NoncurrentDays": 30, "NewerNoncurrentVersions": 3},
            "NoncurrentVersionTransitions": [{"NoncurrentDays": 7, "StorageClass": "GLACIER"}],
        },
        {
            "ID": "uploads",
            "Status": "Disabled",
            "Prefix": "",
            "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 7},
        },
    ]
    set_rules(quick, bucket, *rules, TransitionDefaultMinimumObjectSize="varies_by_storage_class")
    answer = quick.get_bucket_lifecycle_configuration(Bucket=bucket)
    assert answer["Rules"] == rules
    assert answer["TransitionDefaultMinimumObjectSize"] == "varies_by_storage_class"
    with pytest.raises(ClientError) as error:
        set_rules(quick, bucket, {"Filter": {}, "Expiration": {"Days": 0}})
    assert code_of(error) == "InvalidArgument"
    quick.delete_bucket_lifecycle(Bucket=bucket)
    with pytest.raises(ClientError) as error:
        quick.get_bucket_lifecycle_configuration(Bucket=bucket)
    assert code_of(error) == "NoSuchLifecycleConfiguration"


def test_objects_expire_and_uploads_are_aborted(quick, bucket):
    set_rules(
        quick,
        bucket,
        {"ID": "old", "Filter": {"Prefix": "old/"}, "Expiration": {"Days": 1}},
        {
            "Filter": {"Prefix": "up/"},
            "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 1},
        },
    )
    written = quick.put_object(Bucket=bucket, Key="old/k", Body=b"body")
    assert 'rule-id="old"' in written["Expiration"]
    quick.put_object(Bucket=bucket, Key="k", Body=b"stays")
    created = quick.create_multipart_upload(Bucket=bucket, Key="up/k")
    assert created["AbortDate"] and created["AbortRuleId"]
    kept = quick.create_multipart_upload(Bucket=bucket, Key="k")

    def keys():
        return [entry["Key"] for entry in quick.list_objects_v2(Bucket=bucket)["Contents"]]

    def uploads():
        return [entry["Key"] for entry in quick.list_multipart_uploads(Bucket=bucket)["Uploads"]]

    eventually("the object expires", lambda: keys() == ["k"])
    eventually("the upload is aborted", lambda: uploads() == ["k"])
    assert "AbortDate" not in kept
    assert quick.get_object(Bucket=bucket, Key="k")["Body"].read() == b"stays"


@pytest.mark.parametrize("in_parts", [False, True])
def test_objects_move_to_an_archive_and_back(quick, bucket, cold, in_parts):
    body = random_bytes(11 * MIB)
    if in_parts:
        upload = quick.create_multipart_upload(Bucket=bucket, Key="k")["UploadId"]
        which = {"Bucket": bucket, "Key": "k", "UploadId": upload}
        parts = []
        for number, start in enumerate(range(0, len(body), 5 * MIB), 1):
            part = quick.upload_part(PartNumber=number, Body=body[start : start + 5 * MIB], **which)
            parts.append({"PartNumber": number, "ETag": part["ETag"]})
        quick.complete_multipart_upload(MultipartUpload={"Parts": parts}, **which)
    else:
        quick.put_object(Bucket=bucket, Key="k", Body=body)

    def cold_bytes() -> int:
        return sum(file.stat().st_blocks * 512 for file in cold.glob("*.vol"))

    before = cold_bytes()
    set_rules(
        quick,
        bucket,
        {"Filter": {}, "Transitions": [{"Days": 0, "StorageClass": "GLACIER"}]},
    )

    def head() -> dict:
        return quick.head_object(Bucket=bucket, Key="k")

    eventually("the object moves", lambda: head().get("StorageClass") == "GLACIER")
    assert cold_bytes() - before >= len(body)
    with pytest.raises(ClientError) as error:
        quick.get_object(Bucket=bucket, Key="k")
    assert code_of(error) == "InvalidObjectState"
    assert error.value.response["Error"]["StorageClass"] == "GLACIER"
    asked = {"Bucket": bucket, "Key": "k", "RestoreRequest": {"Days": 1}}
    answers = [quick.restore_object(**asked)["ResponseMetadata"]["HTTPStatusCode"] for _ in range(2)]
    assert answers == [202, 200]
    assert head()["Restore"].startswith('ongoing-request="false", expiry-date="')
    assert quick.get_object(Bucket=bucket, Key="k")["Body"].read() == body
    quick.delete_bucket_lifecycle(Bucket=bucket)
    quick.copy_object(
        Bucket=bucket,
        Key="k",
        CopySource={"Bucket": bucket, "Key": "k"},
        StorageClass="STANDARD",
    )
    assert "StorageClass" not in head()
    assert quick.get_object(Bucket=bucket, Key="k")["Body"].read() == body
    eventually("the archive gives its bytes back", lambda: cold_bytes() <= before + MIB, days=30)
