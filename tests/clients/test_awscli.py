"""The aws command: `aws s3` and `aws s3api` as used in shells and scripts."""

import json

import pytest

from conftest import MIB, md5, new_bucket_name, random_bytes, run, tool


@pytest.fixture
def aws(connection, tmp_path):
    config = tmp_path / "aws-config"
    style = "path" if connection.path_style else "virtual"
    config.write_text(
        f"[default]\nregion = {connection.region}\n"
        f"s3 =\n    addressing_style = {style}\n    multipart_chunksize = 8MB\n"
    )
    environment = connection.environment(AWS_CONFIG_FILE=str(config), AWS_PAGER="")

    def call(*arguments, check=True):
        return run([tool("aws"), *arguments], env=environment, check=check)

    call.environment = environment
    return call


def test_everyday_commands(aws, admin_s3, tmp_path, connection):
    bucket = new_bucket_name("aws")
    aws("s3", "mb", f"s3://{bucket}")
    assert bucket in aws("s3", "ls").stdout
    content = random_bytes(20 * MIB + 3)
    source = tmp_path / "large.bin"
    source.write_bytes(content)

    aws("s3", "cp", source, f"s3://{bucket}/dir/large file.bin", "--no-progress")
    assert admin_s3.head_object(Bucket=bucket, Key="dir/large file.bin")["ETag"].endswith('-3"')
    listing = aws("s3", "ls", f"s3://{bucket}/dir/").stdout
    assert listing.split()[2:] == [str(len(content)), "large", "file.bin"]
    assert "PRE dir/" in aws("s3", "ls", f"s3://{bucket}").stdout
    aws("s3", "cp", f"s3://{bucket}/dir/large file.bin", tmp_path / "back.bin", "--no-progress")
    assert (tmp_path / "back.bin").read_bytes() == content

    aws("s3", "mv", f"s3://{bucket}/dir/large file.bin", f"s3://{bucket}/moved.bin")
    keys = [entry["Key"] for entry in admin_s3.list_objects_v2(Bucket=bucket)["Contents"]]
    assert keys == ["moved.bin"]
    assert admin_s3.get_object(Bucket=bucket, Key="moved.bin")["Body"].read() == content

    url = aws("s3", "presign", f"s3://{bucket}/moved.bin", "--expires-in", "60").stdout.strip()
    got = run(["curl", "--silent", "--fail", url], env=connection.environment(), text=False)
    assert got.stdout == content

    refused = aws("s3", "rb", f"s3://{bucket}", check=False)
    assert refused.returncode != 0 and "BucketNotEmpty" in refused.stderr
    aws("s3", "rb", f"s3://{bucket}", "--force")
    assert bucket not in aws("s3", "ls").stdout


def test_sync_both_ways(aws, admin_s3, bucket, tree, tmp_path):
    aws("s3", "sync", tree.root, f"s3://{bucket}/backup/", "--no-progress")
    tree.assert_in_bucket(admin_s3, bucket, "backup/")
    # Nothing has changed, so nothing is sent.
    assert aws("s3", "sync", tree.root, f"s3://{bucket}/backup/", "--no-progress").stdout == ""

    (tree.root / "readme.txt").write_bytes(b"changed contents\n")
    (tree.root / "empty").unlink()
    changed = aws("s3", "sync", tree.root, f"s3://{bucket}/backup/", "--delete").stdout
    assert "upload" in changed and "delete" in changed
    tree.files["readme.txt"] = b"changed contents\n"
    del tree.files["empty"]
    tree.assert_in_bucket(admin_s3, bucket, "backup/")

    aws("s3", "sync", f"s3://{bucket}/backup/", tmp_path / "restored", "--no-progress")
    tree.assert_in_directory(tmp_path / "restored")
    aws("s3", "sync", f"s3://{bucket}/backup/", f"s3://{bucket}/second/", "--no-progress")
    tree.assert_in_bucket(admin_s3, bucket, "second/")
    aws("s3", "rm", f"s3://{bucket}/backup/", "--recursive")
    assert admin_s3.list_objects_v2(Bucket=bucket, Prefix="backup/")["KeyCount"] == 0
    tree.assert_in_bucket(admin_s3, bucket, "second/")


def test_standard_input_and_output(aws, bucket):
    run(
        [tool("aws"), "s3", "cp", "-", f"s3://{bucket}/stream"],
        env=aws.environment,
        input="from a pipe",
    )
    assert aws("s3", "cp", f"s3://{bucket}/stream", "-").stdout == "from a pipe"


@pytest.mark.parametrize("algorithm", ["CRC32", "SHA1", "SHA256", "CRC64NVME", "CRC32C"])
def test_s3api_with_checksums(aws, bucket, tmp_path, algorithm):
    source = tmp_path / "source"
    source.write_bytes(random_bytes(100_000))
    put = json.loads(
        aws(
            *["s3api", "put-object", "--bucket", bucket, "--key", "k", "--body", source],
            *["--checksum-algorithm", algorithm, "--metadata", "a=1"],
        ).stdout
    )
    head = json.loads(
        aws(
            *["s3api", "head-object", "--bucket", bucket, "--key", "k"],
            *["--checksum-mode", "ENABLED"],
        ).stdout
    )
    assert put[f"Checksum{algorithm}"] == head[f"Checksum{algorithm}"]
    assert head["Metadata"] == {"a": "1"}
    got = aws(
        *["s3api", "get-object", "--bucket", bucket, "--key", "k"],
        *["--checksum-mode", "ENABLED", "--range", "bytes=5-9", tmp_path / "part"],
    )
    assert json.loads(got.stdout)["ContentLength"] == 5
    assert (tmp_path / "part").read_bytes() == source.read_bytes()[5:10]


def test_s3api_multipart_and_conditions(aws, bucket, tmp_path, admin_s3):
    contents = [random_bytes(5 * MIB), b"the end"]
    created = aws("s3api", "create-multipart-upload", "--bucket", bucket, "--key", "k").stdout
    upload = json.loads(created)["UploadId"]
    parts = []
    for number, content in enumerate(contents, 1):
        (tmp_path / "part").write_bytes(content)
        answer = aws(
            *["s3api", "upload-part", "--bucket", bucket, "--key", "k", "--upload-id", upload],
            *["--part-number", str(number), "--body", tmp_path / "part"],
        )
        etag = json.loads(answer.stdout)["ETag"]
        assert etag == f'"{md5(content)}"'
        parts.append({"PartNumber": number, "ETag": etag})
    (tmp_path / "parts.json").write_text(json.dumps({"Parts": parts}))
    aws(
        *["s3api", "complete-multipart-upload", "--bucket", bucket, "--key", "k"],
        *["--upload-id", upload, "--multipart-upload", f"file://{tmp_path / 'parts.json'}"],
    )
    assert admin_s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"".join(contents)
    refused = aws(
        *["s3api", "put-object", "--bucket", bucket, "--key", "k", "--if-none-match", "*"],
        check=False,
    )
    assert refused.returncode != 0 and "PreconditionFailed" in refused.stderr
    aws("s3api", "copy-object", "--bucket", bucket, "--key", "c", "--copy-source", f"{bucket}/k")
    listed = json.loads(aws("s3api", "list-objects-v2", "--bucket", bucket).stdout)
    assert [entry["Key"] for entry in listed["Contents"]] == ["c", "k"]
    aws(
        *["s3api", "delete-objects", "--bucket", bucket],
        *["--delete", json.dumps({"Objects": [{"Key": "c"}, {"Key": "k"}]})],
    )
    assert admin_s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 0
