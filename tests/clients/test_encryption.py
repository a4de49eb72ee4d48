"""Encryption with boto3 and the aws command: SSE-S3, SSE-KMS, SSE-C, the bucket's default, and at rest."""

import base64
import hashlib
import json
import secrets

import pytest
from botocore.exceptions import ClientError

import harness
from conftest import MIB, make_s3_client, md5, random_bytes, run, tool


def code_of(error) -> str:
    return error.value.response["Error"]["Code"]


def body_of(s3, bucket: str, key: str, **which) -> bytes:
    return s3.get_object(Bucket=bucket, Key=key, **which)["Body"].read()


def kms_key(server) -> str:
    """A new KMS key, made by the command while the server runs."""
    command = [harness.binary(), "kms", "key", "create", "--data", server.data, "--json"]
    made = run(command, env=harness.clean_environment())
    return json.loads(made.stdout)["id"]


def customer_key() -> dict:
    """A key of the client's. boto3 computes its MD5 and refuses to send it over plain HTTP."""
    return {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": secrets.token_bytes(32)}


@pytest.fixture
def secure_s3(virtual_connection):
    return make_s3_client(virtual_connection)


def test_sse_s3_and_kms(server, s3, bucket):
    content = random_bytes(3 * MIB + 7)
    written = s3.put_object(Bucket=bucket, Key="s3", Body=content, ServerSideEncryption="AES256")
    assert written["ServerSideEncryption"] == "AES256"
    assert written["ETag"] == f'"{md5(content)}"'
    key = kms_key(server)
    written = s3.put_object(
        Bucket=bucket,
        Key="kms",
        Body=content,
        ServerSideEncryption="aws:kms",
        SSEKMSKeyId=key,
        SSEKMSEncryptionContext=base64.b64encode(b'{"team":"otters"}').decode(),
        BucketKeyEnabled=True,
    )
    assert written["SSEKMSKeyId"] == key and written["BucketKeyEnabled"] is True
    assert written["ETag"] != f'"{md5(content)}"'
    for name in ("s3", "kms"):
        assert body_of(s3, bucket, name) == content
        assert body_of(s3, bucket, name, Range="bytes=65500-65540") == content[65500:65541]
    with pytest.raises(ClientError) as error:
        s3.put_object(
            Bucket=bucket, Key="k", ServerSideEncryption="aws:kms", SSEKMSKeyId="no-such-key"
        )
    assert code_of(error) == "KMS.NotFoundException"


def test_sse_c_in_one_piece_in_parts_and_copied(secure_s3, bucket):
    s3 = secure_s3
    key, other = customer_key(), customer_key()
    content = random_bytes(100_000)
    s3.put_object(Bucket=bucket, Key="k", Body=content, **key)
    assert body_of(s3, bucket, "k", **key) == content
    for wrong in ({}, other):
        with pytest.raises(ClientError) as error:
            s3.get_object(Bucket=bucket, Key="k", **wrong)
        assert code_of(error) == "InvalidRequest"
    assert s3.head_object(Bucket=bucket, Key="k", **key)["ContentLength"] == len(content)

    upload = s3.create_multipart_upload(Bucket=bucket, Key="parts", **key)["UploadId"]
    pieces = [random_bytes(5 * MIB, 2), random_bytes(12_345, 3)]
    parts = []
    for number, piece in enumerate(pieces, start=1):
        part = s3.upload_part(
            Bucket=bucket, Key="parts", UploadId=upload, PartNumber=number, Body=piece, **key
        )
        parts.append({"PartNumber": number, "ETag": part["ETag"]})
    s3.complete_multipart_upload(
        Bucket=bucket, Key="parts", UploadId=upload, MultipartUpload={"Parts": parts}, **key
    )
    assert body_of(s3, bucket, "parts", **key) == b"".join(pieces)

    source = {f"CopySource{name}": value for name, value in key.items()}
    s3.copy_object(
        Bucket=bucket,
        Key="copy",
        CopySource={"Bucket": bucket, "Key": "parts"},
        **source,
        **other,
    )
    assert body_of(s3, bucket, "copy", **other) == b"".join(pieces)


def test_the_default_of_a_bucket(server, s3, bucket):
    with pytest.raises(ClientError) as error:
        s3.get_bucket_encryption(Bucket=bucket)
    assert code_of(error) == "ServerSideEncryptionConfigurationNotFoundError"
    key = kms_key(server)
    rule = {
        "ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": key},
        "BucketKeyEnabled": True,
    }
    s3.put_bucket_encryption(
        Bucket=bucket, ServerSideEncryptionConfiguration={"Rules": [rule]}
    )
    told = s3.get_bucket_encryption(Bucket=bucket)["ServerSideEncryptionConfiguration"]
    assert told["Rules"] == [rule]
    written = s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    assert (written["ServerSideEncryption"], written["SSEKMSKeyId"]) == ("aws:kms", key)
    s3.delete_bucket_encryption(Bucket=bucket)
    assert "ServerSideEncryption" not in s3.put_object(Bucket=bucket, Key="k", Body=b"x")


def test_the_aws_command(virtual_connection, admin_s3, bucket, tmp_path):
    environment = virtual_connection.environment(AWS_PAGER="")
    config = tmp_path / "config"
    config.write_text("[default]\ns3 =\n    addressing_style = virtual\n")
    environment["AWS_CONFIG_FILE"] = str(config)
    content = random_bytes(20 * MIB + 1)
    source, back = tmp_path / "source", tmp_path / "back"
    source.write_bytes(content)
    key = tmp_path / "key"
    key.write_bytes(secrets.token_bytes(32))

    def copy(*arguments):
        run([tool("aws"), "s3", "cp", "--no-progress", *arguments], env=environment)

    for name, options in {
        "s3": ["--sse"],
        "kms": ["--sse", "aws:kms"],
    }.items():
        copy(source, f"s3://{bucket}/{name}", *options)
        copy(f"s3://{bucket}/{name}", back)
        assert back.read_bytes() == content
        told = admin_s3.head_object(Bucket=bucket, Key=name)["ServerSideEncryption"]
        assert told == {"s3": "AES256", "kms": "aws:kms"}[name]
    customer = ["--sse-c", "AES256", "--sse-c-key", f"fileb://{key}"]
    copy(source, f"s3://{bucket}/c", *customer)
    copy(f"s3://{bucket}/c", back, *customer)
    assert back.read_bytes() == content


def kept(data) -> bytes:
    """Everything in a data directory."""
    files = sorted(path for path in data.rglob("*") if path.is_file())
    return b"".join(path.read_bytes() for path in files)


def test_at_rest_and_after_the_master_key_was_changed(tmp_path):
    """No byte of an object is on disk; it outlives rotation, a new master key, and kill -9."""
    data = tmp_path / "data"
    content = b"a secret that nobody may find on the disk" * 5_000
    server = harness.Server(data, arguments=["--encrypt-at-rest", "true"]).start()
    s3 = make_s3_client(server.path_connection())
    s3.create_bucket(Bucket="bucket")
    for key, body in {"small": content[:40], "large": content}.items():
        written = s3.put_object(Bucket="bucket", Key=key, Body=body)
        assert written["ServerSideEncryption"] == "AES256"
    server.kill()
    assert b"a secret that nobody" not in kept(data)
    assert (data / "master.key").stat().st_mode & 0o777 == 0o600

    elsewhere = tmp_path / "elsewhere.key"
    elsewhere.write_text(base64.b64encode(secrets.token_bytes(32)).decode())
    environment = harness.clean_environment()
    command = [harness.binary(), "kms", "rekey", "--data", data]
    run([*command, "--new-master-key-file", elsewhere], env=environment)
    assert not (data / "master.key").exists()
    for check in ("fsck", "scrub"):
        command = [harness.binary(), check, "--data", data, "--master-key-file", elsewhere]
        run(command, env=environment)

    # Another key is told apart from damage, and from everything being well.
    wrong = tmp_path / "wrong.key"
    wrong.write_text(base64.b64encode(secrets.token_bytes(32)).decode())
    for check in ("fsck", "scrub"):
        command = [harness.binary(), check, "--data", data, "--master-key-file", wrong]
        refused = run(command, env=environment, check=False)
        assert refused.returncode == 1
        assert "does not open the keys of this store" in refused.stderr
        assert "damage" not in refused.stdout

    # A new key would have nowhere to be kept, and a tool makes none of its own.
    rekey = [harness.binary(), "kms", "rekey", "--data", data, "--master-key-file", elsewhere]
    refused = run(rekey, env=environment, check=False)
    assert refused.returncode == 2 and "--new-master-key-file" in refused.stderr
    create = [harness.binary(), "kms", "key", "create", "offline", "--data", data]
    assert run(create, env=environment, check=False).returncode == 1
    assert not (data / "master.key").exists()
    run([*create, "--master-key-file", elsewhere], env=environment)

    # Without the new key, what is encrypted is out of reach, and nothing else is.
    without = harness.Server(data)
    without.start()
    s3 = make_s3_client(without.path_connection())
    assert s3.head_object(Bucket="bucket", Key="large")["ContentLength"] == len(content)
    with pytest.raises(ClientError) as error:
        s3.get_object(Bucket="bucket", Key="large")
    assert error.value.response["ResponseMetadata"]["HTTPStatusCode"] == 503
    s3.put_object(Bucket="bucket", Key="plain", Body=b"x")
    without.stop()

    again = harness.Server(
        data, environment={"ONCILLA_MASTER_KEY_COMMAND": f"cat {elsewhere}"}
    ).start()
    s3 = make_s3_client(again.path_connection())
    assert body_of(s3, "bucket", "small") == content[:40]
    read = body_of(s3, "bucket", "large")
    assert hashlib.sha256(read).digest() == hashlib.sha256(content).digest()
    again.stop()
