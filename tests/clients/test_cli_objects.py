"""What the command line does with objects: keys of one's own, tags, and names that are not to be trusted."""

import base64
import http.server
import json
import os
import secrets
import signal
import subprocess
import threading
import time

import pytest

import harness
from conftest import MIB, random_bytes, run
from harness import GENERAL, INTERRUPTED, NOT_FOUND, USAGE

ALGORITHM = "x-amz-server-side-encryption-customer-algorithm"


@pytest.fixture
def keys(tmp_path):
    """Two files with a key: its bytes, and their base64."""
    one, other = tmp_path / "one.key", tmp_path / "other.key"
    one.write_bytes(secrets.token_bytes(32))
    other.write_text(base64.b64encode(secrets.token_bytes(32)).decode() + "\n")
    return [["--sse-c-key-file", file] for file in (one, other)]


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "large").write_bytes(random_bytes(17 * MIB + 5))
    (folder / "small").write_bytes(b"small")
    return folder


def test_objects_under_a_key_of_ones_own(oncilla, bucket, folder, keys, tmp_path):
    one, other = keys
    url = f"s3://{bucket}"
    large = (folder / "large").read_bytes()
    oncilla("cp", "-r", folder, f"{url}/one/", *one)
    for name in ("large", "small"):
        shown = oncilla("stat", f"{url}/one/{name}", "--json", *one)
        assert json.loads(shown.stdout)["headers"][ALGORITHM] == "AES256"
        for wrong in ([], other):
            refused = oncilla("cp", f"{url}/one/{name}", tmp_path / "no", *wrong, check=False)
            assert refused.returncode != 0 and not (tmp_path / "no").exists()
        assert "--sse-c-key-file" in oncilla("stat", f"{url}/one/{name}", check=False).stderr
    oncilla("cp", f"{url}/one/large", tmp_path / "back", *one)
    assert (tmp_path / "back").read_bytes() == large
    assert oncilla("cat", f"{url}/one/large", *one, text=False).stdout == large
    assert oncilla("cat", f"{url}/one/large", "--range", "3-9", *one, text=False).stdout == large[3:10]

    # The server copies from one key to another, to none, and to one where there was none.
    source = ["--sse-c-source-key-file", one[1]]
    oncilla("cp", "-r", f"{url}/one/", f"{url}/other/", *other, *source)
    assert oncilla("cat", f"{url}/other/large", *other, text=False).stdout == large
    oncilla("cp", f"{url}/other/large", f"{url}/none", "--sse-c-source-key-file", other[1])
    assert oncilla("cat", f"{url}/none", text=False).stdout == large
    oncilla("cp", f"{url}/none", f"{url}/none", *one)
    assert oncilla("cat", f"{url}/none", *one, text=False).stdout == large
    oncilla("mv", f"{url}/none", f"{url}/moved", *source, *other)
    assert oncilla("cat", f"{url}/moved", *other, text=False).stdout == large

    # A folder that is there already is found equal by its contents.
    assert oncilla("sync", "--checksum", folder, f"{url}/one/", *one).stdout == ""
    assert oncilla("sync", "--checksum", f"{url}/one/", folder, *one).stdout == ""
    both = oncilla("sync", "--checksum", f"{url}/one/", f"{url}/other/", *source, *other)
    assert both.stdout == ""


def test_streams_and_resumed_uploads_have_keys_too(oncilla, bucket, folder, keys):
    one, _ = keys
    large = (folder / "large").read_bytes()
    for content, name in ((large, "streamed"), (b"tiny", "tiny")):
        oncilla("cp", "-", f"s3://{bucket}/{name}", *one, input=content, text=False)
        assert oncilla("cat", f"s3://{bucket}/{name}", *one, text=False).stdout == content
    oncilla("cp", "--resume", folder / "large", f"s3://{bucket}/resumed", *one)
    assert oncilla("cat", f"s3://{bucket}/resumed", *one, text=False).stdout == large


def test_an_upload_is_resumed_with_the_same_flags_alone(
    path_connection, admin_s3, bucket, folder, tmp_path
):
    environment = path_connection.environment(XDG_STATE_HOME=str(tmp_path / "state"))
    records = tmp_path / "state" / "oncilla" / "uploads"
    url = f"s3://{bucket}/k"
    huge = tmp_path / "huge"
    with huge.open("wb") as file:
        file.truncate(8 << 30)

    def oncilla(*arguments):
        return run([harness.binary(), "cp", *arguments], env=environment)

    def uploads():
        return [upload["UploadId"] for upload in admin_s3.list_multipart_uploads(Bucket=bucket).get("Uploads", [])]

    def interrupt(*flags):
        before = set(records.glob("*"))
        command = [harness.binary(), "cp", huge, url, "--resume", "--concurrency", "1", *flags]
        with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE) as process:
            deadline = time.monotonic() + 60
            while set(records.glob("*")) <= before:
                assert process.poll() is None and time.monotonic() < deadline
                time.sleep(0.01)
            process.send_signal(signal.SIGINT)
            process.wait(60)
        assert process.returncode == INTERRUPTED

    interrupt("--acl", "public-read", "--tags", "r=1")
    [first] = uploads()
    flags = ["--acl", "private", "--sse", "AES256", "--tags", "r=2", "--metadata", "a=b"]
    done = oncilla(folder / "large", url, "--resume", *flags)
    assert first in done.stderr and "other flags" in done.stderr
    assert uploads() == [] and list(records.glob("*")) == []
    told = admin_s3.head_object(Bucket=bucket, Key="k")
    assert told["Metadata"] == {"a": "b"} and told["ServerSideEncryption"] == "AES256"
    assert admin_s3.get_object_tagging(Bucket=bucket, Key="k")["TagSet"] == [{"Key": "r", "Value": "2"}]
    assert len(admin_s3.get_object_acl(Bucket=bucket, Key="k")["Grants"]) == 1

    # The same flags go on with the upload, whatever the file has become.
    interrupt(*flags)
    [second] = uploads()
    done = oncilla(folder / "large", url, "--resume", "--verbose", *flags)
    assert "other flags" not in done.stderr and second in done.stderr
    assert uploads() == []
    admin_s3.download_file(bucket, "k", str(tmp_path / "back"))
    assert (tmp_path / "back").read_bytes() == (folder / "large").read_bytes()

    # What somebody else began is neither resumed nor taken away.
    foreign = admin_s3.create_multipart_upload(Bucket=bucket, Key="k", ACL="public-read")["UploadId"]
    done = oncilla(folder / "large", url, "--resume")
    assert foreign in done.stderr and uploads() == [foreign]
    assert len(admin_s3.get_object_acl(Bucket=bucket, Key="k")["Grants"]) == 1


def test_a_copy_within_s3_keeps_what_is_not_named(oncilla, admin_s3, bucket):
    admin_s3.put_object(
        Bucket=bucket,
        Key="a",
        Body=b"x",
        ContentType="application/x-own",
        ContentLanguage="fr",
        Metadata={"kept": "1", "changed": "old"},
        StorageClass="STANDARD_IA",
        Tagging="t=1",
    )
    url = f"s3://{bucket}/a"
    oncilla("cp", url, url, "--cache-control", "max-age=9", "--metadata", "changed=new")
    oncilla("cp", url, f"{url}.png")
    for key in ("a", "a.png"):
        told = admin_s3.head_object(Bucket=bucket, Key=key)
        assert told["Metadata"] == {"kept": "1", "changed": "new"}
        assert told["CacheControl"] == "max-age=9" and told["ContentLanguage"] == "fr"
        assert told["ContentType"] == "application/x-own"
        assert told["StorageClass"] == "STANDARD_IA"
        assert admin_s3.get_object_tagging(Bucket=bucket, Key=key)["TagSet"]
    oncilla("cp", url, url, "--storage-class", "STANDARD")
    assert "StorageClass" not in admin_s3.head_object(Bucket=bucket, Key="a")


def test_keys_that_make_no_sense_are_refused(oncilla, bucket, folder, keys, tmp_path):
    one, _ = keys
    small, url = folder / "small", f"s3://{bucket}/k"
    source = ["--sse-c-source-key-file", one[1]]
    wrong = tmp_path / "wrong.key"
    wrong.write_text("hello")
    for arguments, problem in (
        ([small, url, *one, "--sse", "AES256"], "cannot be used with"),
        ([small, url, *one, "--sse-kms-key-id", "alias/a"], "cannot be used with"),
        ([small, url, *source], "within S3"),
        ([url, tmp_path / "back", *source], "within S3"),
        ([small, url, "--sse-c-key-file", wrong], "holds no key"),
        ([small, url, *one, "--endpoint-url", "http://192.0.2.1:9000"], "clear text"),
        ([url, tmp_path / "back", "--tags", "a=b"], "--tags is for what is written to S3"),
        ([url, "-", "--storage-class", "GLACIER"], "--storage-class is for what is written"),
        ([url, tmp_path / "back", "--no-overwrite"], "--no-overwrite is for what is written to S3"),
        ([small, url, "--tags", "a"], "KEY=VALUE"),
    ):
        refused = oncilla("cp", *arguments, check=False)
        assert refused.returncode == USAGE and problem in refused.stderr, refused
    missing = oncilla("cp", small, url, "--sse-c-key-file", tmp_path / "absent", check=False)
    assert missing.returncode == GENERAL and "absent" in missing.stderr


def test_tags_come_with_what_is_written(oncilla, admin_s3, bucket, folder):
    url = f"s3://{bucket}"

    def tags(key):
        found = admin_s3.get_object_tagging(Bucket=bucket, Key=key)["TagSet"]
        return {tag["Key"]: tag["Value"] for tag in found}

    given = {"team": "sea otters", "stage": "a=b+c"}
    flags = ["--tags", "team=sea otters", "--tags", "stage=a=b+c"]
    oncilla("sync", folder, f"{url}/folder/", *flags)
    assert tags("folder/large") == tags("folder/small") == given
    oncilla("cp", "-", f"{url}/streamed", "--tags", "a=1,b=2", input="x")
    assert tags("streamed") == {"a": "1", "b": "2"}
    # A copy keeps its tags and metadata, or gets others without losing the metadata.
    oncilla("cp", folder / "small", f"{url}/told", *flags, "--metadata", "kind=note", "--acl", "public-read")
    oncilla("cp", f"{url}/told", f"{url}/kept")
    oncilla("cp", f"{url}/told", f"{url}/changed", "--tags", "a=1")
    assert tags("kept") == given and tags("changed") == {"a": "1"}
    for key in ("kept", "changed"):
        assert admin_s3.head_object(Bucket=bucket, Key=key)["Metadata"] == {"kind": "note"}
    many = [f"--tags=k{number}=v" for number in range(11)]
    refused = oncilla("cp", folder / "small", f"{url}/x", *many, check=False)
    assert refused.returncode == GENERAL and "10" in refused.stderr


NAME = "real\n2026-01-01 00:00:00         10 faked\t\x1b[31m\u202e"
SHOWN = "real\\n2026-01-01 00:00:00         10 faked\\t\\x1b[31m\\u{202e}"


def test_a_name_does_not_pass_for_a_line(oncilla, admin_s3, bucket, tmp_path):
    admin_s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    url = f"s3://{bucket}"
    admin_s3.put_object(Bucket=bucket, Key=f"dir/{NAME}", Body=b"x")
    admin_s3.put_object(Bucket=bucket, Key=f"{NAME}/below", Body=b"x")

    def printed(*arguments):
        text = oncilla(*arguments).stdout
        assert "\x1b" not in text and "\u202e" not in text
        lines = text.splitlines()
        assert all(SHOWN in line for line in lines), lines
        return len(lines)

    assert printed("ls", f"{url}/dir/") == 1
    assert printed("ls", f"{url}/real") == 1
    assert printed("ls", "-r", url) == 2
    assert printed("ls", "--versions", f"{url}/dir/") == 1
    assert printed("cp", "-r", f"{url}/dir/", tmp_path / "copied") == 1
    assert (tmp_path / "copied" / NAME).read_bytes() == b"x"
    assert printed("sync", tmp_path / "copied", f"{url}/again/") == 1
    assert printed("cp", f"{url}/dir/{NAME}", f"{url}/dir/{NAME}2") == 1
    assert printed("rm", "--dry-run", "-r", f"{url}/dir/") == 2
    assert printed("rm", f"{url}/dir/{NAME}2") == 1

    # JSON has names as they are, without what a terminal would obey.
    text = oncilla("ls", "--json", f"{url}/dir/").stdout
    assert json.loads(text)["key"] == f"dir/{NAME}"
    assert len(text.splitlines()) == 1 and "\u202e" not in text

    stat = oncilla("stat", f"{url}/dir/{NAME}").stdout
    assert stat.splitlines()[0] == f"{url}/dir/{SHOWN}"
    absent = oncilla("cp", f"{url}/absent\nline", tmp_path / "absent", check=False)
    assert absent.returncode == NOT_FOUND and len(absent.stderr.splitlines()) == 2
    # Advice may name a key as well.
    advised = oncilla("stat", f"{url}/{NAME}", check=False).stderr
    assert advised.count(SHOWN) == 2 and len(advised.splitlines()) == 2, advised


class Refusing(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        said = "\x1b[2Jgone\noncilla: all is well".encode()
        self.send_response(403)
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)

    def log_message(self, *arguments):
        pass


def test_what_an_endpoint_says_does_nothing_to_a_terminal(oncilla):
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Refusing) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        endpoint = f"http://127.0.0.1:{server.server_port}"
        refused = oncilla("ls", "s3://bucket", "--endpoint-url", endpoint, check=False)
        server.shutdown()
    assert refused.returncode == USAGE
    assert "\\x1b[2Jgone\\noncilla: all is well" in refused.stderr
    assert "\x1b" not in refused.stderr
    # It says why, so there is no advice.
    assert [line[:8] for line in refused.stderr.splitlines()] == ["oncilla:"]


def keys_in(s3, bucket, prefix=""):
    answer = s3.list_objects_v2(Bucket=bucket, Prefix=prefix)
    return [entry["Key"] for entry in answer.get("Contents", [])]


@pytest.mark.parametrize("flags", [[], ["--versions"]])
def test_rm_recursive_is_of_a_folder(oncilla, admin_s3, bucket, flags):
    url = f"s3://{bucket}"
    for key in ("a", "a/", "a/1", "a/b/2", "a/kept", "ab/1", "abc"):
        admin_s3.put_object(Bucket=bucket, Key=key, Body=b"x")
    removal = ["rm", "-r", f"{url}/a", "--exclude", "kept", *flags]
    dry = oncilla(*removal, "--dry-run").stdout
    done = oncilla(*removal).stdout
    assert dry.replace("(dry run) ", "") == done
    assert [line.split()[1] for line in done.splitlines()] == [f"{url}/a/", f"{url}/a/1", f"{url}/a/b/2"]
    assert keys_in(admin_s3, bucket) == ["a", "a/kept", "ab/1", "abc"]
    oncilla("rm", "-r", f"{url}/a/", *flags)
    assert keys_in(admin_s3, bucket) == ["a", "ab/1", "abc"]
    oncilla("rm", "-r", url, *flags)
    assert keys_in(admin_s3, bucket) == []


@pytest.fixture
def unread(path_connection):
    """A command that has finished although nobody read its standard output."""

    def call(*arguments):
        reader, writer = os.pipe()
        os.close(reader)
        try:
            return subprocess.run(
                [str(part) for part in (harness.binary(), *arguments)],
                env=path_connection.environment(),
                stdout=writer,
                stderr=subprocess.PIPE,
                text=True,
                timeout=300,
            )
        finally:
            os.close(writer)

    return call


def test_work_is_done_whether_its_lines_are_read_or_not(unread, path_connection, admin_s3, bucket, tmp_path):
    url = f"s3://{bucket}"
    folder = tmp_path / "folder"
    folder.mkdir()
    names = [f"{number:02}" for number in range(20)]
    for name in names:
        (folder / name).write_bytes(b"x")

    def done(*arguments):
        result = unread(*arguments)
        assert (result.returncode, result.stderr) == (0, ""), result

    done("cp", "-r", folder, f"{url}/up/")
    assert keys_in(admin_s3, bucket, "up/") == [f"up/{name}" for name in names]
    done("mv", "-r", f"{url}/up/", f"{url}/moved/", "--json")
    assert keys_in(admin_s3, bucket, "up/") == []
    assert keys_in(admin_s3, bucket, "moved/") == [f"moved/{name}" for name in names]
    (folder / names[0]).unlink()
    done("sync", "--delete", folder, f"{url}/moved/")
    done("sync", folder, f"{url}/again/")
    for prefix in ("moved/", "again/"):
        assert keys_in(admin_s3, bucket, prefix) == [f"{prefix}{name}" for name in names[1:]]
    # What only prints ends with its reader.
    for command in (["ls", f"{url}/again/"], ["cat", f"{url}/again/01"], ["cp", f"{url}/again/01", "-"]):
        done(*command)
    done("rm", f"{url}/again/01")
    done("rm", "-r", f"{url}/again")
    done("rm", "-r", "--versions", f"{url}/moved")
    assert keys_in(admin_s3, bucket) == []

    # A full disk is another matter.
    with open("/dev/full", "w") as full:
        command = [str(part) for part in (harness.binary(), "cp", "-r", folder, f"{url}/full/")]
        environment = path_connection.environment()
        told = subprocess.run(command, env=environment, stdout=full, stderr=subprocess.PIPE, text=True, timeout=300)
    assert told.returncode == GENERAL and "cannot write to standard output" in told.stderr


def test_what_is_absent_is_told(oncilla, admin_s3, bucket, tmp_path):
    def told(*arguments):
        refused = oncilla(*arguments, check=False)
        assert refused.returncode == NOT_FOUND and not refused.stdout, refused
        return refused.stderr.splitlines()

    url, nowhere = f"s3://{bucket}/no", f"s3://{bucket}-no"
    absent = f"oncilla: there is no object {url}"
    assert told("stat", url) == [absent, f"  hint: if it is a folder, `oncilla ls {url}/` lists it"]
    for command in ("cp", "mv"):
        assert told(command, url, tmp_path / "no") == [absent, "  hint: if it is a folder, add --recursive"]
    for command in (["stat", nowhere], ["stat", f"{nowhere}/k"], ["cp", f"{nowhere}/k", tmp_path / "no"]):
        assert told(*command) == [f"oncilla: there is no bucket {bucket}-no"]
    admin_s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    version = admin_s3.put_object(Bucket=bucket, Key="k", Body=b"x")["VersionId"]
    admin_s3.delete_object(Bucket=bucket, Key="k", VersionId=version)
    gone = told("stat", f"s3://{bucket}/k", "--version-id", version)
    assert gone == [f"oncilla: there is no version {version} of s3://{bucket}/k"]


def test_copies_do_not_overwrite_either(oncilla, admin_s3, bucket):
    url = f"s3://{bucket}"
    for key in ("a", "b", "from/x", "from/y", "to/x"):
        admin_s3.put_object(Bucket=bucket, Key=key, Body=key.encode())

    def content(key):
        return admin_s3.get_object(Bucket=bucket, Key=key)["Body"].read().decode()

    for command in ("cp", "mv"):
        refused = oncilla(command, f"{url}/a", f"{url}/b", "--no-overwrite", check=False)
        assert refused.returncode == GENERAL and "PreconditionFailed" in refused.stderr, refused
        assert content("a") == "a" and content("b") == "b"
    oncilla("cp", f"{url}/a", f"{url}/c", "--no-overwrite")
    assert content("c") == "a"
    refused = oncilla("mv", "-r", f"{url}/from/", f"{url}/to/", "--no-overwrite", check=False)
    assert refused.returncode == GENERAL and "PreconditionFailed" in refused.stderr, refused
    # What was not copied is not removed either.
    assert keys_in(admin_s3, bucket, "from/") == ["from/x"]
    assert content("to/x") == "to/x" and content("to/y") == "from/y"
