"""s3cmd: the oldest of the command-line clients, and the strictest about ETags."""

import pytest

from conftest import MIB, md5, new_bucket_name, random_bytes, run, tool


@pytest.fixture
def s3cmd(connection, tmp_path):
    host = connection.host_and_port
    config = tmp_path / "s3cfg"
    config.write_text(
        "[default]\n"
        f"access_key = {connection.access_key}\n"
        f"secret_key = {connection.secret_key}\n"
        f"host_base = {host}\n"
        f"host_bucket = {host if connection.path_style else '%(bucket)s.' + host}\n"
        # s3cmd takes no region `auto` from a server: it signs with this one.
        f"bucket_location = {connection.region}\n"
        f"use_https = {connection.secure}\n"
        "signature_v2 = False\n"
        "multipart_chunk_size_mb = 5\n"
        + (f"ca_certs_file = {connection.ca_file}\n" if connection.ca_file else "")
    )

    def call(*arguments, check=True):
        command = [tool("s3cmd"), "--config", config, "--no-progress", *arguments]
        return run(command, env=connection.environment(), check=check)

    return call


def test_everyday_commands(s3cmd, admin_s3, tmp_path, connection):
    bucket = new_bucket_name("s3cmd")
    s3cmd("mb", f"s3://{bucket}")
    assert f"s3://{bucket}" in s3cmd("ls").stdout
    content = random_bytes(12 * MIB + 1)
    source = tmp_path / "file name.bin"
    source.write_bytes(content)
    small = tmp_path / "small"
    small.write_bytes(b"small")

    s3cmd("put", source, small, f"s3://{bucket}/dir/")
    assert admin_s3.head_object(Bucket=bucket, Key="dir/file name.bin")["ETag"].endswith('-3"')
    listing = s3cmd("ls", "--recursive", f"s3://{bucket}").stdout
    assert f"s3://{bucket}/dir/file name.bin" in listing and str(len(content)) in listing
    assert "DIR" in s3cmd("ls", f"s3://{bucket}").stdout
    info = s3cmd("info", f"s3://{bucket}/dir/small").stdout
    assert md5(b"small") in info
    s3cmd("get", f"s3://{bucket}/dir/file name.bin", tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == content

    s3cmd("cp", f"s3://{bucket}/dir/small", f"s3://{bucket}/copy")
    s3cmd("mv", f"s3://{bucket}/copy", f"s3://{bucket}/moved")
    keys = [entry["Key"] for entry in admin_s3.list_objects_v2(Bucket=bucket)["Contents"]]
    assert keys == ["dir/file name.bin", "dir/small", "moved"]
    assert admin_s3.get_object(Bucket=bucket, Key="moved")["Body"].read() == b"small"

    url = s3cmd("signurl", f"s3://{bucket}/moved", "+60").stdout.strip()
    if connection.secure:
        url = url.replace("http://", "https://", 1)
    # s3cmd signs links by signature version 2 only, which is refused with a reason.
    refused = run(["curl", "-s", url], env=connection.environment()).stdout
    assert "Please use AWS4-HMAC-SHA256" in refused

    s3cmd("del", f"s3://{bucket}/moved")
    s3cmd("del", "--recursive", "--force", f"s3://{bucket}/")
    assert admin_s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 0
    s3cmd("rb", f"s3://{bucket}")


def test_sync_both_ways(s3cmd, admin_s3, bucket, tree, tmp_path):
    s3cmd("sync", f"{tree.root}/", f"s3://{bucket}/backup/")
    tree.assert_in_bucket(admin_s3, bucket, "backup/")
    (tree.root / "readme.txt").write_bytes(b"changed")
    (tree.root / "empty").unlink()
    again = s3cmd("sync", "--delete-removed", f"{tree.root}/", f"s3://{bucket}/backup/").stdout
    assert "readme.txt" in again and "small.bin" not in again
    tree.files["readme.txt"] = b"changed"
    del tree.files["empty"]
    tree.assert_in_bucket(admin_s3, bucket, "backup/")
    (tmp_path / "restored").mkdir()
    s3cmd("sync", f"s3://{bucket}/backup/", f"{tmp_path / 'restored'}/")
    tree.assert_in_directory(tmp_path / "restored")


def test_multipart_uploads_are_listed_and_aborted(s3cmd, admin_s3, bucket):
    upload = admin_s3.create_multipart_upload(Bucket=bucket, Key="left")["UploadId"]
    assert upload in s3cmd("multipart", f"s3://{bucket}").stdout
    s3cmd("abortmp", f"s3://{bucket}/left", upload)
    assert "Uploads" not in admin_s3.list_multipart_uploads(Bucket=bucket)
