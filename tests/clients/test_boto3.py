"""boto3: what Python programs do with object storage."""

import base64
import concurrent.futures
import dataclasses
import datetime
import hashlib
import io
import zlib

import awscrt.checksums
import boto3.s3.transfer
import pytest
import requests
from botocore.exceptions import ClientError

from conftest import MIB, make_s3_client, md5, new_bucket_name, random_bytes

# Characters that some layer between client and disk likes to damage.
ODD_KEYS = [
    "plain.txt",
    "with space",
    "plus+sign",
    "per%cent",
    "per%20cent",
    "ampersand&equals=",
    "question?mark",
    "hash#tag",
    "quote'\"quote",
    "brackets[]{}()<>",
    "star*tilde~bang!",
    "back\\slash",
    "colon:semi;comma,at@dollar$",
    "unicode-ß-日本語-🐈",
    "combining-e\u0301",
    "/leading-slash",
    "trailing-slash/",
    "double//slash",
    "./dot",
    "a/../b",
    "..",
    " leading and trailing ",
    "newline\nand\ttab",
    "x" * 1024,
]


def code_of(error) -> str:
    return error.value.response["Error"]["Code"]


def status_of(error) -> int:
    return error.value.response["ResponseMetadata"]["HTTPStatusCode"]


def test_bucket_life(s3):
    name = new_bucket_name("life")
    s3.create_bucket(Bucket=name)
    assert name in [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]]
    assert s3.head_bucket(Bucket=name)["ResponseMetadata"]["HTTPStatusCode"] == 200
    s3.get_bucket_location(Bucket=name)
    s3.put_object(Bucket=name, Key="k", Body=b"v")
    with pytest.raises(ClientError) as error:
        s3.delete_bucket(Bucket=name)
    assert code_of(error) == "BucketNotEmpty"
    s3.delete_object(Bucket=name, Key="k")
    s3.delete_bucket(Bucket=name)
    with pytest.raises(ClientError) as error:
        s3.head_bucket(Bucket=name)
    assert status_of(error) == 404
    with pytest.raises(ClientError) as error:
        s3.list_objects_v2(Bucket=name)
    assert code_of(error) == "NoSuchBucket"


def test_upload_and_download_files(s3, bucket, tmp_path):
    content = random_bytes(25 * MIB + 7)
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_bytes(content)
    transfer = boto3.s3.transfer.TransferConfig(
        multipart_threshold=8 * MIB, multipart_chunksize=8 * MIB, max_concurrency=4
    )
    seen = []
    s3.upload_file(str(source), bucket, "large", Config=transfer, Callback=seen.append)
    assert sum(seen) == len(content)
    head = s3.head_object(Bucket=bucket, Key="large")
    assert head["ContentLength"] == len(content)
    assert head["ETag"].endswith('-4"')
    s3.download_file(bucket, "large", str(target), Config=transfer)
    assert target.read_bytes() == content
    buffer = io.BytesIO()
    s3.download_fileobj(bucket, "large", buffer)
    assert buffer.getvalue() == content
    s3.upload_fileobj(io.BytesIO(b"small"), bucket, "small", ExtraArgs={"ContentType": "text/x"})
    small = s3.get_object(Bucket=bucket, Key="small")
    assert (small["Body"].read(), small["ContentType"]) == (b"small", "text/x")
    assert small["ETag"] == f'"{md5(b"small")}"'


@pytest.mark.parametrize("size", [0, 1, 16 * 1024, 16 * 1024 + 1, 1 * MIB, 9 * MIB + 1])
def test_every_size_comes_back(s3, bucket, size):
    content = random_bytes(size)
    put = s3.put_object(Bucket=bucket, Key="object", Body=content)
    assert put["ETag"] == f'"{md5(content)}"'
    got = s3.get_object(Bucket=bucket, Key="object")
    assert got["ContentLength"] == size
    assert got["Body"].read() == content


def test_ranges(s3, bucket):
    content = random_bytes(3 * MIB)
    s3.put_object(Bucket=bucket, Key="object", Body=content)
    for header, begin, end in [
        ("bytes=0-0", 0, 1),
        ("bytes=10-19", 10, 20),
        ("bytes=65530-70000", 65530, 70001),
        ("bytes=1048575-2097153", 1048575, 2097154),
        ("bytes=3145000-", 3145000, len(content)),
        ("bytes=-100", len(content) - 100, len(content)),
        ("bytes=3145727-99999999", 3145727, len(content)),
    ]:
        got = s3.get_object(Bucket=bucket, Key="object", Range=header)
        assert got["ResponseMetadata"]["HTTPStatusCode"] == 206
        assert got["Body"].read() == content[begin:end], header
        assert got["ContentRange"] == f"bytes {begin}-{end - 1}/{len(content)}"
    with pytest.raises(ClientError) as error:
        s3.get_object(Bucket=bucket, Key="object", Range=f"bytes={len(content)}-")
    assert code_of(error) == "InvalidRange" and status_of(error) == 416


def test_ranges_side_by_side(s3, bucket):
    content = random_bytes(16 * MIB)
    s3.put_object(Bucket=bucket, Key="object", Body=content)

    def fetch(begin):
        got = s3.get_object(Bucket=bucket, Key="object", Range=f"bytes={begin}-{begin + MIB - 1}")
        return got["Body"].read()

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        parts = list(pool.map(fetch, range(0, len(content), MIB)))
    assert b"".join(parts) == content


def test_listing(s3, bucket):
    keys = sorted(
        [f"logs/{year}/{month:02}/{day}" for year in (2024, 2025) for month in (1, 2) for day in "abc"]
        + ["readme", "logs.txt", "zeta/omega"]
    )
    for key in keys:
        s3.put_object(Bucket=bucket, Key=key, Body=key.encode())

    for operation in ("list_objects_v2", "list_objects"):
        paginator = s3.get_paginator(operation)

        def listed(page_size=4, **arguments):
            found, prefixes = [], []
            pages = paginator.paginate(
                Bucket=bucket, PaginationConfig={"PageSize": page_size}, **arguments
            )
            for page in pages:
                found += [entry["Key"] for entry in page.get("Contents", [])]
                prefixes += [entry["Prefix"] for entry in page.get("CommonPrefixes", [])]
            return found, prefixes

        assert listed() == (keys, [])
        assert listed(page_size=1) == (keys, [])
        assert listed(Delimiter="/") == (["logs.txt", "readme"], ["logs/", "zeta/"])
        assert listed(page_size=1, Delimiter="/") == (["logs.txt", "readme"], ["logs/", "zeta/"])
        assert listed(Prefix="logs/", Delimiter="/") == ([], ["logs/2024/", "logs/2025/"])
        assert listed(Prefix="logs/2025/02/") == ([f"logs/2025/02/{day}" for day in "abc"], [])
        assert listed(Prefix="absent/") == ([], [])

    after = s3.list_objects_v2(Bucket=bucket, StartAfter="logs/2025/02/c")
    assert [entry["Key"] for entry in after["Contents"]] == ["readme", "zeta/omega"]
    assert after["KeyCount"] == 2 and after["IsTruncated"] is False
    none = s3.list_objects_v2(Bucket=bucket, MaxKeys=0)
    assert none["KeyCount"] == 0 and none["IsTruncated"] is False
    owned = s3.list_objects_v2(Bucket=bucket, FetchOwner=True, MaxKeys=1)
    assert owned["Contents"][0]["Owner"]["ID"]


def test_more_than_one_thousand_keys(s3, bucket):
    keys = [f"key-{number:04}" for number in range(1203)]
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda key: s3.put_object(Bucket=bucket, Key=key, Body=b""), keys))
    first = s3.list_objects_v2(Bucket=bucket)
    assert first["IsTruncated"] and first["KeyCount"] == 1000
    second = s3.list_objects_v2(Bucket=bucket, ContinuationToken=first["NextContinuationToken"])
    assert [entry["Key"] for entry in first["Contents"] + second["Contents"]] == keys
    for begin in range(0, len(keys), 1000):
        answer = s3.delete_objects(
            Bucket=bucket, Delete={"Objects": [{"Key": key} for key in keys[begin : begin + 1000]]}
        )
        assert len(answer["Deleted"]) == len(keys[begin : begin + 1000])
        assert "Errors" not in answer
    assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 0


@pytest.mark.parametrize("key", ODD_KEYS, ids=[ascii(key)[:40] for key in ODD_KEYS])
def test_odd_keys(s3, bucket, key):
    body = key.encode()
    s3.put_object(Bucket=bucket, Key=key, Body=body, Metadata={"marker": "1"})
    assert s3.get_object(Bucket=bucket, Key=key)["Body"].read() == body
    assert s3.head_object(Bucket=bucket, Key=key)["Metadata"] == {"marker": "1"}
    assert [e["Key"] for e in s3.list_objects_v2(Bucket=bucket)["Contents"]] == [key]
    assert [e["Key"] for e in s3.list_objects(Bucket=bucket, Prefix=key)["Contents"]] == [key]
    s3.copy_object(Bucket=bucket, Key="copy", CopySource={"Bucket": bucket, "Key": key})
    assert s3.get_object(Bucket=bucket, Key="copy")["Body"].read() == body
    answer = s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": key}]})
    assert [entry["Key"] for entry in answer["Deleted"]] == [key]
    assert [e["Key"] for e in s3.list_objects_v2(Bucket=bucket)["Contents"]] == ["copy"]


def test_too_long_key(s3, bucket):
    with pytest.raises(ClientError) as error:
        s3.put_object(Bucket=bucket, Key="x" * 1025, Body=b"")
    assert code_of(error) == "KeyTooLongError"


def test_metadata_and_content_headers(s3, bucket):
    headers = {
        "ContentType": "application/x-test",
        "ContentEncoding": "identity-test",
        "ContentLanguage": "de-CH",
        "ContentDisposition": 'attachment; filename="a b.bin"',
        "CacheControl": "max-age=60, private",
        "Expires": datetime.datetime(2031, 1, 2, 3, 4, 5, tzinfo=datetime.timezone.utc),
        "Metadata": {"author": "somebody", "empty": "", "x-y": "a, b; c"},
    }
    s3.put_object(Bucket=bucket, Key="object", Body=b"12345", **headers)
    for answer in (
        s3.head_object(Bucket=bucket, Key="object"),
        s3.get_object(Bucket=bucket, Key="object"),
    ):
        for name in headers.keys() - {"Expires"}:
            assert answer[name] == headers[name], name
        assert answer["ExpiresString"] == "Thu, 02 Jan 2031 03:04:05 GMT"
        assert answer["AcceptRanges"] == "bytes"
        age = datetime.datetime.now(datetime.timezone.utc) - answer["LastModified"]
        assert abs(age.total_seconds()) < 60
    overridden = s3.get_object(
        Bucket=bucket,
        Key="object",
        ResponseContentType="text/plain",
        ResponseContentDisposition="inline",
        ResponseCacheControl="no-store",
    )
    assert overridden["ContentType"] == "text/plain"
    assert overridden["ContentDisposition"] == "inline"
    assert overridden["CacheControl"] == "no-store"


def test_copy(s3, bucket, admin_s3):
    other = new_bucket_name("other")
    admin_s3.create_bucket(Bucket=other)
    body = random_bytes(200_000)
    s3.put_object(
        Bucket=bucket, Key="from", Body=body, ContentType="a/b", Metadata={"kept": "yes"}
    )
    source = {"Bucket": bucket, "Key": "from"}
    s3.copy_object(Bucket=other, Key="to", CopySource=source)
    copied = s3.get_object(Bucket=other, Key="to")
    assert copied["Body"].read() == body
    assert (copied["ContentType"], copied["Metadata"]) == ("a/b", {"kept": "yes"})
    s3.copy_object(
        Bucket=other,
        Key="to",
        CopySource=source,
        MetadataDirective="REPLACE",
        ContentType="c/d",
        Metadata={"new": "1"},
    )
    replaced = s3.head_object(Bucket=other, Key="to")
    assert (replaced["ContentType"], replaced["Metadata"]) == ("c/d", {"new": "1"})
    # Onto itself: allowed only when something changes.
    with pytest.raises(ClientError) as error:
        s3.copy_object(Bucket=bucket, Key="from", CopySource=source)
    assert code_of(error) == "InvalidRequest"
    s3.copy_object(
        Bucket=bucket, Key="from", CopySource=source, MetadataDirective="REPLACE", Metadata={"n": "2"}
    )
    assert s3.head_object(Bucket=bucket, Key="from")["Metadata"] == {"n": "2"}
    assert s3.get_object(Bucket=bucket, Key="from")["Body"].read() == body
    # A copy lives on when its source is gone.
    s3.delete_object(Bucket=bucket, Key="from")
    assert s3.get_object(Bucket=other, Key="to")["Body"].read() == body
    with pytest.raises(ClientError) as error:
        s3.copy_object(Bucket=other, Key="x", CopySource=source)
    assert code_of(error) == "NoSuchKey"


def test_copy_conditions(s3, bucket):
    etag = s3.put_object(Bucket=bucket, Key="from", Body=b"body")["ETag"]
    source = {"Bucket": bucket, "Key": "from"}
    s3.copy_object(Bucket=bucket, Key="ok", CopySource=source, CopySourceIfMatch=etag)
    for condition in (
        {"CopySourceIfMatch": '"00000000000000000000000000000000"'},
        {"CopySourceIfNoneMatch": etag},
        {"CopySourceIfUnmodifiedSince": datetime.datetime(2000, 1, 1)},
    ):
        with pytest.raises(ClientError) as error:
            s3.copy_object(Bucket=bucket, Key="no", CopySource=source, **condition)
        assert status_of(error) == 412, condition


def test_managed_copy_of_a_large_object(s3, bucket):
    body = random_bytes(18 * MIB)
    s3.put_object(Bucket=bucket, Key="from", Body=body)
    transfer = boto3.s3.transfer.TransferConfig(
        multipart_threshold=8 * MIB, multipart_chunksize=8 * MIB
    )
    s3.copy({"Bucket": bucket, "Key": "from"}, bucket, "to", Config=transfer)
    got = s3.get_object(Bucket=bucket, Key="to")
    assert got["ETag"].endswith('-3"')
    assert got["Body"].read() == body


def test_presigned_get_and_put(s3, bucket, connection):
    verify = connection.ca_file or True
    put_url = s3.generate_presigned_url(
        "put_object", {"Bucket": bucket, "Key": "a b/ü", "ContentType": "text/plain"}, ExpiresIn=120
    )
    headers = {"content-type": "text/plain"}
    answer = requests.put(put_url, data=b"presigned", headers=headers, verify=verify)
    assert answer.status_code == 200, answer.text
    # Content-Type was signed, so another one must not pass.
    refused = requests.put(put_url, data=b"other", headers={"content-type": "x/y"}, verify=verify)
    assert refused.status_code == 403 and "SignatureDoesNotMatch" in refused.text

    get_url = s3.generate_presigned_url(
        "get_object",
        {"Bucket": bucket, "Key": "a b/ü", "ResponseContentDisposition": "attachment"},
        ExpiresIn=120,
    )
    answer = requests.get(get_url, verify=verify)
    assert (answer.status_code, answer.content) == (200, b"presigned")
    assert answer.headers["content-disposition"] == "attachment"
    part = requests.get(get_url, headers={"range": "bytes=0-2"}, verify=verify)
    assert (part.status_code, part.content) == (206, b"pre")
    assert requests.head(get_url, verify=verify).status_code == 403
    assert requests.get(get_url + "0", verify=verify).status_code in (400, 403)
    plain = get_url.split("?")[0]
    assert requests.get(plain, verify=verify).status_code == 403

    head_url = s3.generate_presigned_url("head_object", {"Bucket": bucket, "Key": "a b/ü"})
    assert requests.head(head_url, verify=verify).headers["content-length"] == "9"
    delete_url = s3.generate_presigned_url("delete_object", {"Bucket": bucket, "Key": "a b/ü"})
    assert requests.delete(delete_url, verify=verify).status_code == 204
    assert requests.get(get_url, verify=verify).status_code == 404


def test_presigned_multipart(s3, bucket, connection):
    verify = connection.ca_file or True
    upload = s3.create_multipart_upload(Bucket=bucket, Key="object")["UploadId"]
    contents = [random_bytes(5 * MIB, 1), b"the end"]
    parts = []
    for number, content in enumerate(contents, 1):
        url = s3.generate_presigned_url(
            "upload_part",
            {"Bucket": bucket, "Key": "object", "UploadId": upload, "PartNumber": number},
        )
        answer = requests.put(url, data=content, verify=verify)
        assert answer.status_code == 200, answer.text
        parts.append({"PartNumber": number, "ETag": answer.headers["etag"]})
    s3.complete_multipart_upload(
        Bucket=bucket, Key="object", UploadId=upload, MultipartUpload={"Parts": parts}
    )
    assert s3.get_object(Bucket=bucket, Key="object")["Body"].read() == b"".join(contents)


def test_conditional_writes(s3, bucket):
    first = s3.put_object(Bucket=bucket, Key="k", Body=b"1", IfNoneMatch="*")["ETag"]
    with pytest.raises(ClientError) as error:
        s3.put_object(Bucket=bucket, Key="k", Body=b"2", IfNoneMatch="*")
    assert code_of(error) == "PreconditionFailed" and status_of(error) == 412
    second = s3.put_object(Bucket=bucket, Key="k", Body=b"2", IfMatch=first)["ETag"]
    with pytest.raises(ClientError) as error:
        s3.put_object(Bucket=bucket, Key="k", Body=b"3", IfMatch=first)
    assert status_of(error) == 412
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"2"
    with pytest.raises(ClientError) as error:
        s3.put_object(Bucket=bucket, Key="absent", Body=b"x", IfMatch=second)
    assert status_of(error) == 404
    with pytest.raises(ClientError) as error:
        s3.delete_object(Bucket=bucket, Key="k", IfMatch=first)
    assert status_of(error) == 412
    s3.delete_object(Bucket=bucket, Key="k", IfMatch=second)
    with pytest.raises(ClientError) as error:
        s3.head_object(Bucket=bucket, Key="k")
    assert status_of(error) == 404


def test_only_one_of_many_conditional_writers_wins(s3, bucket):
    def attempt(number):
        try:
            s3.put_object(Bucket=bucket, Key="lock", Body=str(number).encode(), IfNoneMatch="*")
            return number
        except ClientError as error:
            assert error.response["Error"]["Code"] in (
                "PreconditionFailed",
                "ConditionalRequestConflict",
            )
            return None

    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        winners = [number for number in pool.map(attempt, range(16)) if number is not None]
    assert len(winners) == 1
    assert s3.get_object(Bucket=bucket, Key="lock")["Body"].read() == str(winners[0]).encode()


def test_conditional_reads(s3, bucket):
    etag = s3.put_object(Bucket=bucket, Key="k", Body=b"body")["ETag"]
    assert s3.get_object(Bucket=bucket, Key="k", IfMatch=etag)["Body"].read() == b"body"
    soon = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=5)
    past = datetime.datetime(2001, 1, 1)
    for arguments, status in [
        ({"IfMatch": '"no"'}, 412),
        ({"IfNoneMatch": etag}, 304),
        ({"IfUnmodifiedSince": past}, 412),
    ]:
        for operation in (s3.get_object, s3.head_object):
            with pytest.raises(ClientError) as error:
                operation(Bucket=bucket, Key="k", **arguments)
            assert status_of(error) == status, arguments
    assert s3.get_object(Bucket=bucket, Key="k", IfModifiedSince=past)["Body"].read() == b"body"
    assert s3.head_object(Bucket=bucket, Key="k", IfUnmodifiedSince=soon)["ETag"] == etag


def test_delete_objects(s3, bucket):
    for key in "abc":
        s3.put_object(Bucket=bucket, Key=key, Body=b"")
    answer = s3.delete_objects(
        Bucket=bucket, Delete={"Objects": [{"Key": key} for key in ("a", "b", "never-there")]}
    )
    # Deleting what is not there succeeds, as in S3.
    assert sorted(entry["Key"] for entry in answer["Deleted"]) == ["a", "b", "never-there"]
    quiet = s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "c"}], "Quiet": True})
    assert "Deleted" not in quiet and "Errors" not in quiet
    assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 0
    assert (
        s3.delete_object(Bucket=bucket, Key="a")["ResponseMetadata"]["HTTPStatusCode"] == 204
    )


def crc32(data: bytes) -> str:
    return base64.b64encode(zlib.crc32(data).to_bytes(4, "big")).decode()


CHECKSUM_OF_123456789 = {
    # The catalogued check values of the CRCs over the ASCII digits "123456789".
    "CRC32": base64.b64encode(bytes.fromhex("cbf43926")).decode(),
    "CRC32C": base64.b64encode(bytes.fromhex("e3069283")).decode(),
    "CRC64NVME": base64.b64encode(bytes.fromhex("ae8b14860a799888")).decode(),
    "SHA1": base64.b64encode(hashlib.sha1(b"123456789").digest()).decode(),
    "SHA256": base64.b64encode(hashlib.sha256(b"123456789").digest()).decode(),
}


@pytest.mark.parametrize("algorithm", CHECKSUM_OF_123456789)
def test_checksums_given_by_the_client(s3, bucket, algorithm):
    field, value = f"Checksum{algorithm}", CHECKSUM_OF_123456789[algorithm]
    put = s3.put_object(Bucket=bucket, Key="k", Body=b"123456789", **{field: value})
    assert put[field] == value
    head = s3.head_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")
    assert head[field] == value and head["ChecksumType"] == "FULL_OBJECT"
    assert field not in s3.head_object(Bucket=bucket, Key="k")
    attributes = s3.get_object_attributes(
        Bucket=bucket, Key="k", ObjectAttributes=["ETag", "Checksum", "ObjectSize", "StorageClass"]
    )
    assert attributes["Checksum"][field] == value
    assert attributes["ETag"] == md5(b"123456789")
    assert (attributes["ObjectSize"], attributes["StorageClass"]) == (9, "STANDARD")

    wrong = base64.b64encode(b"\1" * len(base64.b64decode(value))).decode()
    with pytest.raises(ClientError) as error:
        s3.put_object(Bucket=bucket, Key="k", Body=b"other body", **{field: wrong})
    assert code_of(error) == "BadDigest" and status_of(error) == 400
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"123456789"


CHECKSUM_FUNCTION = {
    "CRC32": lambda data: zlib.crc32(data).to_bytes(4, "big"),
    "CRC32C": lambda data: awscrt.checksums.crc32c(data).to_bytes(4, "big"),
    "CRC64NVME": lambda data: awscrt.checksums.crc64nvme(data).to_bytes(8, "big"),
    "SHA1": lambda data: hashlib.sha1(data).digest(),
    "SHA256": lambda data: hashlib.sha256(data).digest(),
}


@pytest.mark.parametrize("algorithm", CHECKSUM_FUNCTION)
def test_checksums_in_the_trailer(s3, bucket, algorithm):
    """A stream of unknown digest: botocore sends aws-chunked with the checksum at the end."""
    content = random_bytes(300_000)
    put = s3.put_object(
        Bucket=bucket, Key="k", Body=io.BytesIO(content), ChecksumAlgorithm=algorithm
    )
    expected = base64.b64encode(CHECKSUM_FUNCTION[algorithm](content)).decode()
    assert put[f"Checksum{algorithm}"] == expected
    got = s3.get_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")
    assert got["Body"].read() == content  # botocore verifies the checksum while it reads
    assert got[f"Checksum{algorithm}"] == expected
    assert "aws-chunked" not in got.get("ContentEncoding", "")


def test_wrong_content_md5(s3, bucket):
    with pytest.raises(ClientError) as error:
        s3.put_object(
            Bucket=bucket, Key="k", Body=b"1", ContentMD5=base64.b64encode(b"0" * 16).decode()
        )
    assert code_of(error) == "BadDigest"
    with pytest.raises(ClientError) as error:
        s3.head_object(Bucket=bucket, Key="k")
    assert status_of(error) == 404


def test_multipart_by_hand(s3, bucket):
    contents = [random_bytes(5 * MIB, seed) for seed in (1, 2)] + [b"last"]
    upload = s3.create_multipart_upload(
        Bucket=bucket, Key="object", ContentType="a/b", Metadata={"m": "1"}
    )["UploadId"]
    uploads = s3.list_multipart_uploads(Bucket=bucket)["Uploads"]
    assert [(entry["Key"], entry["UploadId"]) for entry in uploads] == [("object", upload)]
    # Out of order, and one part sent twice: the later one counts.
    parts = {}
    for number, content in [(3, contents[2]), (1, b"x" * (5 * MIB)), (2, contents[1]), (1, contents[0])]:
        answer = s3.upload_part(
            Bucket=bucket, Key="object", UploadId=upload, PartNumber=number, Body=content
        )
        assert answer["ETag"] == f'"{md5(content)}"'
        parts[number] = answer["ETag"]
    listed = s3.list_parts(Bucket=bucket, Key="object", UploadId=upload, MaxParts=2)
    assert [part["PartNumber"] for part in listed["Parts"]] == [1, 2] and listed["IsTruncated"]
    rest = s3.list_parts(
        Bucket=bucket,
        Key="object",
        UploadId=upload,
        PartNumberMarker=listed["NextPartNumberMarker"],
    )
    assert [(part["PartNumber"], part["Size"]) for part in rest["Parts"]] == [(3, 4)]
    # Nothing is visible before the end.
    with pytest.raises(ClientError) as error:
        s3.head_object(Bucket=bucket, Key="object")
    assert status_of(error) == 404

    manifest = {"Parts": [{"PartNumber": n, "ETag": parts[n]} for n in sorted(parts)]}
    for damaged, code in [
        ({"Parts": list(reversed(manifest["Parts"]))}, "InvalidPartOrder"),
        ({"Parts": [{"PartNumber": 1, "ETag": parts[2]}]}, "InvalidPart"),
        ({"Parts": [{"PartNumber": 9, "ETag": parts[2]}]}, "InvalidPart"),
    ]:
        with pytest.raises(ClientError) as error:
            s3.complete_multipart_upload(
                Bucket=bucket, Key="object", UploadId=upload, MultipartUpload=damaged
            )
        assert code_of(error) == code

    done = s3.complete_multipart_upload(
        Bucket=bucket, Key="object", UploadId=upload, MultipartUpload=manifest
    )
    digest = hashlib.md5(b"".join(hashlib.md5(content).digest() for content in contents))
    assert done["ETag"] == f'"{digest.hexdigest()}-3"'
    # A client whose connection broke repeats the call and must get the same answer.
    again = s3.complete_multipart_upload(
        Bucket=bucket, Key="object", UploadId=upload, MultipartUpload=manifest
    )
    assert again["ETag"] == done["ETag"]
    got = s3.get_object(Bucket=bucket, Key="object")
    assert got["Body"].read() == b"".join(contents)
    assert (got["ContentType"], got["Metadata"]) == ("a/b", {"m": "1"})
    for number, content in enumerate(contents, 1):
        part = s3.get_object(Bucket=bucket, Key="object", PartNumber=number)
        assert part["Body"].read() == content and part["PartsCount"] == 3
    assert "Uploads" not in s3.list_multipart_uploads(Bucket=bucket)


def test_multipart_is_resumed_by_another_client(s3, bucket, connection):
    contents = [random_bytes(5 * MIB, seed) for seed in range(3)]
    upload = s3.create_multipart_upload(Bucket=bucket, Key="object")["UploadId"]
    s3.upload_part(Bucket=bucket, Key="object", UploadId=upload, PartNumber=1, Body=contents[0])

    other = make_s3_client(connection)
    found = other.list_multipart_uploads(Bucket=bucket, Prefix="obj")["Uploads"][0]["UploadId"]
    have = {
        part["PartNumber"]: part["ETag"]
        for part in other.list_parts(Bucket=bucket, Key="object", UploadId=found)["Parts"]
    }
    for number, content in enumerate(contents, 1):
        if have.get(number) != f'"{md5(content)}"':
            have[number] = other.upload_part(
                Bucket=bucket, Key="object", UploadId=found, PartNumber=number, Body=content
            )["ETag"]
    other.complete_multipart_upload(
        Bucket=bucket,
        Key="object",
        UploadId=found,
        MultipartUpload={"Parts": [{"PartNumber": n, "ETag": e} for n, e in sorted(have.items())]},
    )
    assert s3.get_object(Bucket=bucket, Key="object")["Body"].read() == b"".join(contents)


def test_part_copy(s3, bucket):
    content = random_bytes(12 * MIB)
    s3.put_object(Bucket=bucket, Key="from", Body=content)
    upload = s3.create_multipart_upload(Bucket=bucket, Key="to")["UploadId"]
    source = {"Bucket": bucket, "Key": "from"}
    parts = []
    for number, (begin, end) in enumerate([(6 * MIB, 12 * MIB), (100, 5_000)], 1):
        copied = s3.upload_part_copy(
            Bucket=bucket,
            Key="to",
            UploadId=upload,
            PartNumber=number,
            CopySource=source,
            CopySourceRange=f"bytes={begin}-{end - 1}",
        )
        assert copied["CopyPartResult"]["ETag"] == f'"{md5(content[begin:end])}"'
        parts.append({"PartNumber": number, "ETag": copied["CopyPartResult"]["ETag"]})
    with pytest.raises(ClientError) as error:
        s3.upload_part_copy(
            Bucket=bucket,
            Key="to",
            UploadId=upload,
            PartNumber=3,
            CopySource=source,
            CopySourceRange=f"bytes=0-{len(content)}",
        )
    assert status_of(error) in (400, 416)
    s3.complete_multipart_upload(
        Bucket=bucket, Key="to", UploadId=upload, MultipartUpload={"Parts": parts}
    )
    assert (
        s3.get_object(Bucket=bucket, Key="to")["Body"].read()
        == content[6 * MIB :] + content[100:5_000]
    )


def test_abort_and_too_small_parts(s3, bucket):
    upload = s3.create_multipart_upload(Bucket=bucket, Key="object")["UploadId"]
    parts = []
    for number in (1, 2):
        answer = s3.upload_part(
            Bucket=bucket, Key="object", UploadId=upload, PartNumber=number, Body=b"small"
        )
        parts.append({"PartNumber": number, "ETag": answer["ETag"]})
    with pytest.raises(ClientError) as error:
        s3.complete_multipart_upload(
            Bucket=bucket, Key="object", UploadId=upload, MultipartUpload={"Parts": parts}
        )
    assert code_of(error) == "EntityTooSmall"
    s3.abort_multipart_upload(Bucket=bucket, Key="object", UploadId=upload)
    with pytest.raises(ClientError) as error:
        s3.list_parts(Bucket=bucket, Key="object", UploadId=upload)
    assert code_of(error) == "NoSuchUpload"
    with pytest.raises(ClientError) as error:
        s3.upload_part(Bucket=bucket, Key="object", UploadId=upload, PartNumber=1, Body=b"x")
    assert code_of(error) == "NoSuchUpload"


@pytest.mark.parametrize(
    "algorithm,kind", [("CRC32", "COMPOSITE"), ("CRC32", "FULL_OBJECT"), ("SHA256", "COMPOSITE")]
)
def test_multipart_checksums(s3, bucket, algorithm, kind):
    contents = [random_bytes(5 * MIB), b"tail"]
    upload = s3.create_multipart_upload(
        Bucket=bucket, Key="object", ChecksumAlgorithm=algorithm, ChecksumType=kind
    )["UploadId"]
    field = f"Checksum{algorithm}"
    parts = []
    for number, content in enumerate(contents, 1):
        answer = s3.upload_part(
            Bucket=bucket,
            Key="object",
            UploadId=upload,
            PartNumber=number,
            Body=content,
            ChecksumAlgorithm=algorithm,
        )
        parts.append({"PartNumber": number, "ETag": answer["ETag"], field: answer[field]})
    done = s3.complete_multipart_upload(
        Bucket=bucket, Key="object", UploadId=upload, MultipartUpload={"Parts": parts}
    )
    if kind == "FULL_OBJECT":
        expected = crc32(b"".join(contents))
    elif algorithm == "CRC32":
        expected = crc32(b"".join(zlib.crc32(c).to_bytes(4, "big") for c in contents)) + "-2"
    else:
        digests = b"".join(hashlib.sha256(content).digest() for content in contents)
        expected = base64.b64encode(hashlib.sha256(digests).digest()).decode() + "-2"
    assert done[field] == expected and done["ChecksumType"] == kind
    attributes = s3.get_object_attributes(
        Bucket=bucket, Key="object", ObjectAttributes=["Checksum", "ObjectParts", "ObjectSize"]
    )
    assert attributes["Checksum"]["ChecksumType"] == kind
    assert attributes["ObjectParts"]["TotalPartsCount"] == 2
    assert attributes["ObjectSize"] == sum(map(len, contents))
    if kind == "COMPOSITE":
        # S3 keeps the single parts' sizes and checksums for composite checksums.
        assert [part["Size"] for part in attributes["ObjectParts"]["Parts"]] == [5 * MIB, 4]


def test_streams_of_unsigned_payload(connection, bucket):
    """payload_signing_enabled off and on reach different decoders in the server."""
    for signed in (False, True):
        s3 = make_s3_client(connection, s3={"payload_signing_enabled": signed})
        content = random_bytes(700_000, int(signed))
        s3.put_object(Bucket=bucket, Key=f"signed-{signed}", Body=io.BytesIO(content))
        assert s3.get_object(Bucket=bucket, Key=f"signed-{signed}")["Body"].read() == content


def test_object_tags(s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"", Tagging="a=1&b=two%20words")
    expected = [{"Key": "a", "Value": "1"}, {"Key": "b", "Value": "two words"}]
    assert s3.get_object_tagging(Bucket=bucket, Key="k")["TagSet"] == expected
    assert s3.get_object(Bucket=bucket, Key="k")["TagCount"] == 2
    s3.copy_object(Bucket=bucket, Key="copy", CopySource={"Bucket": bucket, "Key": "k"})
    assert s3.get_object_tagging(Bucket=bucket, Key="copy")["TagSet"] == expected
    s3.copy_object(
        Bucket=bucket,
        Key="copy",
        CopySource={"Bucket": bucket, "Key": "k"},
        TaggingDirective="REPLACE",
        Tagging="c=3",
    )
    assert s3.get_object_tagging(Bucket=bucket, Key="copy")["TagSet"] == [{"Key": "c", "Value": "3"}]


def test_any_region_is_accepted(connection, bucket):
    for region in ("auto", "us-east-1", "eu-central-1", "somewhere-else-9"):
        s3 = make_s3_client(dataclasses.replace(connection, region=region))
        s3.put_object(Bucket=bucket, Key=region, Body=b"x")
        assert s3.get_object(Bucket=bucket, Key=region)["Body"].read() == b"x"


def test_many_writers_and_readers(s3, bucket):
    """One key under constant overwriting: every read is one whole written body."""
    bodies = {bytes([letter]) * (30_000 + letter) for letter in b"abcdefgh"}
    s3.put_object(Bucket=bucket, Key="k", Body=next(iter(bodies)))

    def write(body):
        for _ in range(5):
            s3.put_object(Bucket=bucket, Key="k", Body=body)

    def read(_):
        return all(s3.get_object(Bucket=bucket, Key="k")["Body"].read() in bodies for _ in range(10))

    with concurrent.futures.ThreadPoolExecutor(12) as pool:
        writers = [pool.submit(write, body) for body in bodies]
        assert all(pool.map(read, range(4)))
        for writer in writers:
            writer.result()
