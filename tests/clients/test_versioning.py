"""Versioning through boto3: what backup and restore programs rely on."""

import pytest
from botocore.exceptions import ClientError

from conftest import MIB, random_bytes


def code_of(error) -> str:
    return error.value.response["Error"]["Code"]


def headers_of(response) -> dict:
    return response["ResponseMetadata"]["HTTPHeaders"]


def set_versioning(s3, bucket: str, status: str) -> None:
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": status})
    assert s3.get_bucket_versioning(Bucket=bucket)["Status"] == status


def body_of(s3, bucket: str, key: str, **which) -> bytes:
    return s3.get_object(Bucket=bucket, Key=key, **which)["Body"].read()


def all_versions(s3, bucket: str, **settings) -> list[tuple]:
    """(key, version id, is latest, is delete marker), page by page, in no certain order of kinds."""
    found = []
    for page in s3.get_paginator("list_object_versions").paginate(Bucket=bucket, **settings):
        for kind in ("Versions", "DeleteMarkers"):
            for entry in page.get(kind, []):
                found.append(
                    (entry["Key"], entry["VersionId"], entry["IsLatest"], kind != "Versions")
                )
    return found


def test_overwritten_and_deleted_objects_can_be_had_again(s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"before")
    set_versioning(s3, bucket, "Enabled")
    ids = [
        s3.put_object(Bucket=bucket, Key="k", Body=body)["VersionId"] for body in (b"1", b"2")
    ]
    marker = s3.delete_object(Bucket=bucket, Key="k")
    assert marker["DeleteMarker"] is True
    with pytest.raises(ClientError) as error:
        s3.get_object(Bucket=bucket, Key="k")
    assert code_of(error) == "NoSuchKey"
    assert headers_of(error.value.response)["x-amz-delete-marker"] == "true"
    with pytest.raises(ClientError) as error:
        s3.get_object(Bucket=bucket, Key="k", VersionId=marker["VersionId"])
    assert code_of(error) == "MethodNotAllowed"
    bodies = [body_of(s3, bucket, "k", VersionId=version) for version in ["null", *ids]]
    assert bodies == [b"before", b"1", b"2"]
    s3.delete_object(Bucket=bucket, Key="k", VersionId=marker["VersionId"])
    assert body_of(s3, bucket, "k") == b"2"
    s3.copy_object(
        Bucket=bucket, Key="k", CopySource={"Bucket": bucket, "Key": "k", "VersionId": ids[0]}
    )
    assert body_of(s3, bucket, "k") == b"1"


def test_listings_page_through_versions_and_markers(s3, bucket):
    set_versioning(s3, bucket, "Enabled")
    expected = []
    for key in ("a", "a/b", "b+c d", "ü"):
        ids = [s3.put_object(Bucket=bucket, Key=key, Body=b"x")["VersionId"] for _ in range(3)]
        ids.append(s3.delete_object(Bucket=bucket, Key=key)["VersionId"])
        expected += [(key, version, version == ids[-1], version == ids[-1]) for version in ids]
    for size in (1, 2, 5, 1000):
        found = all_versions(s3, bucket, PaginationConfig={"PageSize": size})
        assert sorted(found) == sorted(expected), f"pages of {size}"
    page = s3.list_object_versions(Bucket=bucket, Delimiter="/")
    assert [group["Prefix"] for group in page["CommonPrefixes"]] == ["a/"]
    assert len(page["Versions"]) == 9 and len(page["DeleteMarkers"]) == 3


def test_a_bucket_goes_when_its_last_version_is_gone(s3, bucket):
    set_versioning(s3, bucket, "Enabled")
    for _ in range(3):
        s3.put_object(Bucket=bucket, Key="k", Body=random_bytes(100_000))
    s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "k"}, {"Key": "never"}]})
    with pytest.raises(ClientError) as error:
        s3.delete_bucket(Bucket=bucket)
    assert code_of(error) == "BucketNotEmpty"
    objects = [{"Key": key, "VersionId": version} for key, version, *_ in all_versions(s3, bucket)]
    assert len(objects) == 5
    answer = s3.delete_objects(Bucket=bucket, Delete={"Objects": objects})
    assert "Errors" not in answer
    assert sum(deleted.get("DeleteMarker", False) for deleted in answer["Deleted"]) == 2
    assert {deleted["VersionId"] for deleted in answer["Deleted"]} == {
        each["VersionId"] for each in objects
    }
    s3.delete_bucket(Bucket=bucket)


def test_suspended_versioning_replaces_the_null_version_only(s3, bucket):
    set_versioning(s3, bucket, "Enabled")
    kept = s3.put_object(Bucket=bucket, Key="k", Body=b"kept")["VersionId"]
    set_versioning(s3, bucket, "Suspended")
    for body in (b"1", b"2"):
        assert "VersionId" not in s3.put_object(Bucket=bucket, Key="k", Body=body)
    assert s3.head_object(Bucket=bucket, Key="k")["VersionId"] == "null"
    assert body_of(s3, bucket, "k", VersionId=kept) == b"kept"
    assert s3.delete_object(Bucket=bucket, Key="k")["VersionId"] == "null"
    assert sorted(all_versions(s3, bucket)) == sorted(
        [("k", "null", True, True), ("k", kept, False, False)]
    )
    s3.delete_object(Bucket=bucket, Key="k", VersionId="null")
    assert body_of(s3, bucket, "k") == b"kept"


def test_uploads_in_parts_and_tags_by_version(s3, bucket):
    set_versioning(s3, bucket, "Enabled")
    first = s3.put_object(Bucket=bucket, Key="k", Body=random_bytes(6 * MIB))["VersionId"]
    upload = s3.create_multipart_upload(Bucket=bucket, Key="k")["UploadId"]
    copied = s3.upload_part_copy(
        Bucket=bucket,
        Key="k",
        UploadId=upload,
        PartNumber=1,
        CopySource={"Bucket": bucket, "Key": "k", "VersionId": first},
    )
    assert copied["CopySourceVersionId"] == first
    parts = [{"PartNumber": 1, "ETag": copied["CopyPartResult"]["ETag"]}]
    completed = s3.complete_multipart_upload(
        Bucket=bucket, Key="k", UploadId=upload, MultipartUpload={"Parts": parts}
    )
    assert completed["VersionId"] != first
    assert body_of(s3, bucket, "k", VersionId=first) == body_of(s3, bucket, "k")
    tags = {"TagSet": [{"Key": "state", "Value": "old"}]}
    s3.put_object_tagging(Bucket=bucket, Key="k", VersionId=first, Tagging=tags)
    assert s3.get_object_tagging(Bucket=bucket, Key="k")["TagSet"] == []
    tagged = s3.get_object_tagging(Bucket=bucket, Key="k", VersionId=first)
    assert (tagged["TagSet"], tagged["VersionId"]) == (tags["TagSet"], first)


def test_versions_survive_a_restart_and_fsck(tmp_path):
    import harness
    from conftest import make_s3_client, run

    server = harness.Server(tmp_path / "data").start()
    try:
        s3 = make_s3_client(server.path_connection())
        s3.create_bucket(Bucket="kept")
        set_versioning(s3, "kept", "Enabled")
        ids = {
            body: s3.put_object(Bucket="kept", Key="k", Body=body)["VersionId"]
            for body in (b"small", random_bytes(200_000), random_bytes(MIB, 2))
        }
        marker = s3.delete_object(Bucket="kept", Key="k")["VersionId"]
        server.stop()
        for check in ("fsck", "scrub"):
            run([harness.binary(), check, "--data", tmp_path / "data"])
        server.start()
        s3 = make_s3_client(server.path_connection())
        for body, version in ids.items():
            assert body_of(s3, "kept", "k", VersionId=version) == body
        s3.delete_object(Bucket="kept", Key="k", VersionId=marker)
        assert body_of(s3, "kept", "k") == list(ids)[-1]
    finally:
        server.stop()
