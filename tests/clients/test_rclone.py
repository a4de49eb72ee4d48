"""rclone: backups and mirrors, which compare what is stored with what they hold."""

import pytest

from conftest import MIB, new_bucket_name, random_bytes, run, tool


@pytest.fixture
def rclone(connection, tmp_path):
    config = tmp_path / "rclone.conf"
    config.write_text(
        "[store]\n"
        "type = s3\n"
        "provider = Other\n"
        f"access_key_id = {connection.access_key}\n"
        f"secret_access_key = {connection.secret_key}\n"
        f"region = {connection.region}\n"
        f"endpoint = {connection.endpoint_url}\n"
        f"force_path_style = {str(connection.path_style).lower()}\n"
        "chunk_size = 5Mi\n"
        "upload_cutoff = 10Mi\n"
    )
    environment = connection.environment()
    # rclone has its own option; the AWS SDK inside refuses the variable.
    environment.pop("AWS_CA_BUNDLE", None)
    options = ["--config", config, "--retries", "1", "--low-level-retries", "1"]
    if connection.ca_file:
        options += ["--ca-cert", connection.ca_file]

    def call(*arguments, check=True):
        return run([tool("rclone"), *options, *arguments], env=environment, check=check)

    return call


def test_copy_check_and_read(rclone, admin_s3, bucket, tree, tmp_path):
    rclone("copy", tree.root, f"store:{bucket}/tree")
    tree.assert_in_bucket(admin_s3, bucket, "tree/")
    rclone("check", tree.root, f"store:{bucket}/tree")
    rclone("check", "--download", tree.root, f"store:{bucket}/tree")
    listed = rclone("lsf", "--recursive", "--files-only", f"store:{bucket}/tree").stdout
    assert sorted(listed.splitlines()) == sorted(tree.files)
    assert rclone("lsf", f"store:{bucket}/tree").stdout.split() == [
        "data/",
        "docs/",
        "empty",
        "readme.txt",
    ]
    assert rclone("cat", f"store:{bucket}/tree/readme.txt").stdout == "hello\n"
    middle = rclone("cat", "--offset", "1", "--count", "3", f"store:{bucket}/tree/readme.txt")
    assert middle.stdout == "ell"
    rclone("copy", f"store:{bucket}/tree", tmp_path / "restored")
    tree.assert_in_directory(tmp_path / "restored")


def test_sync_keeps_modification_times(rclone, admin_s3, bucket, tree):
    rclone("sync", tree.root, f"store:{bucket}/mirror")
    second = rclone("sync", "--verbose", tree.root, f"store:{bucket}/mirror").stderr
    assert "There was nothing to transfer" in second
    (tree.root / "readme.txt").write_bytes(b"changed")
    (tree.root / "empty").unlink()
    rclone("sync", tree.root, f"store:{bucket}/mirror")
    tree.files["readme.txt"] = b"changed"
    del tree.files["empty"]
    tree.assert_in_bucket(admin_s3, bucket, "mirror/")


def test_server_side_copy_and_move(rclone, admin_s3, bucket, tree):
    other = new_bucket_name("rclone")
    rclone("mkdir", f"store:{other}")
    rclone("copy", tree.root, f"store:{bucket}")
    rclone("copy", f"store:{bucket}", f"store:{other}/copy")
    tree.assert_in_bucket(admin_s3, other, "copy/")
    rclone("moveto", f"store:{other}/copy/readme.txt", f"store:{other}/copy/renamed.txt")
    tree.files["renamed.txt"] = tree.files.pop("readme.txt")
    tree.assert_in_bucket(admin_s3, other, "copy/")
    rclone("deletefile", f"store:{other}/copy/renamed.txt")
    del tree.files["renamed.txt"]
    tree.assert_in_bucket(admin_s3, other, "copy/")
    rclone("purge", f"store:{other}")
    assert other not in [entry["Name"] for entry in admin_s3.list_buckets()["Buckets"]]


def test_large_multipart_and_unknown_size(rclone, admin_s3, bucket, tmp_path, connection):
    content = random_bytes(41 * MIB + 5)
    source = tmp_path / "large.bin"
    source.write_bytes(content)
    rclone("copyto", "--s3-upload-concurrency", "4", source, f"store:{bucket}/large")
    got = admin_s3.get_object(Bucket=bucket, Key="large")
    assert got["ETag"].endswith('-9"') and got["Body"].read() == content
    # From a pipe: the length is not known when the upload begins.
    rclone("lsf", f"store:{bucket}")
    rclone("hashsum", "md5", f"store:{bucket}/large")
