"""The product's own command line, from first bucket to a server that is down."""

import json
import re
import subprocess

import pytest
import requests

import harness
from conftest import MIB, command_line, make_s3_client, new_bucket_name, random_bytes, run
from harness import AUTHENTICATION, GENERAL, NETWORK, NOT_FOUND


@pytest.fixture
def oncilla(connection):
    """By both ways in, where one does for the other tests."""
    return command_line(connection)


@pytest.fixture
def local(server):
    """Commands of the operator on the server's own machine, through its data directory."""

    def call(*arguments, check=True):
        result = run(
            [harness.binary(), *arguments, "--data", server.data, "--json"],
            env=harness.clean_environment(),
            check=check,
        )
        if not check or not result.stdout.strip():
            return result
        # One document, or one line of JSON per item of a listing.
        try:
            return json.loads(result.stdout)
        except json.JSONDecodeError:
            return [json.loads(line) for line in result.stdout.splitlines()]

    return call


def keys_in(s3, bucket, prefix=""):
    answer = s3.list_objects_v2(Bucket=bucket, Prefix=prefix)
    return [entry["Key"] for entry in answer.get("Contents", [])]


def test_files_and_buckets(oncilla, admin_s3, tmp_path):
    bucket = new_bucket_name("cli")
    oncilla("mb", f"s3://{bucket}")
    buckets = [json.loads(line) for line in oncilla("ls", "--json").stdout.splitlines()]
    assert bucket in json.dumps(buckets)
    content = random_bytes(21 * MIB + 1)
    source = tmp_path / "source.bin"
    source.write_bytes(content)
    oncilla("cp", source, f"s3://{bucket}/dir/large ü.bin")
    assert admin_s3.get_object(Bucket=bucket, Key="dir/large ü.bin")["Body"].read() == content
    assert "large ü.bin" in oncilla("ls", f"s3://{bucket}/dir/").stdout
    stat = json.loads(oncilla("stat", f"s3://{bucket}/dir/large ü.bin", "--json").stdout)
    assert stat["size"] == len(content)
    oncilla("cp", f"s3://{bucket}/dir/large ü.bin", tmp_path / "back.bin")
    assert (tmp_path / "back.bin").read_bytes() == content
    cat = oncilla("cat", f"s3://{bucket}/dir/large ü.bin", text=False)
    assert cat.stdout == content
    oncilla("cp", f"s3://{bucket}/dir/large ü.bin", f"s3://{bucket}/copy")
    oncilla("mv", f"s3://{bucket}/copy", f"s3://{bucket}/moved")
    assert keys_in(admin_s3, bucket) == ["dir/large ü.bin", "moved"]
    assert admin_s3.get_object(Bucket=bucket, Key="moved")["Body"].read() == content
    refused = oncilla("rb", f"s3://{bucket}", check=False)
    assert refused.returncode == GENERAL and refused.stderr
    oncilla("rm", f"s3://{bucket}/moved")
    oncilla("rm", "--recursive", f"s3://{bucket}/dir/")
    assert keys_in(admin_s3, bucket) == []
    oncilla("rb", f"s3://{bucket}")


def test_sync(oncilla, admin_s3, bucket, tree, tmp_path):
    oncilla("sync", tree.root, f"s3://{bucket}/backup/")
    tree.assert_in_bucket(admin_s3, bucket, "backup/")
    before = {
        entry["Key"]: entry["LastModified"]
        for entry in admin_s3.list_objects_v2(Bucket=bucket)["Contents"]
    }
    oncilla("sync", tree.root, f"s3://{bucket}/backup/")
    after = {
        entry["Key"]: entry["LastModified"]
        for entry in admin_s3.list_objects_v2(Bucket=bucket)["Contents"]
    }
    assert after == before, "an unchanged file was sent again"
    (tree.root / "readme.txt").write_bytes(b"changed contents")
    (tree.root / "empty").unlink()
    oncilla("sync", "--delete", tree.root, f"s3://{bucket}/backup/")
    tree.files["readme.txt"] = b"changed contents"
    del tree.files["empty"]
    tree.assert_in_bucket(admin_s3, bucket, "backup/")
    oncilla("sync", f"s3://{bucket}/backup/", tmp_path / "restored")
    tree.assert_in_directory(tmp_path / "restored")


def test_presign(oncilla, admin_s3, bucket, connection):
    admin_s3.put_object(Bucket=bucket, Key="a b", Body=b"linked")
    url = oncilla("presign", f"s3://{bucket}/a b").stdout.strip()
    assert requests.get(url, verify=connection.ca_file or True).content == b"linked"


def test_exit_codes(oncilla, bucket, connection, tmp_path):
    missing = oncilla("cat", f"s3://{bucket}/absent", check=False)
    assert missing.returncode == NOT_FOUND, missing
    assert len(missing.stderr.strip().splitlines()) == 1
    assert oncilla("ls", f"s3://{new_bucket_name()}", check=False).returncode == NOT_FOUND
    wrong = connection.environment(AWS_SECRET_ACCESS_KEY="tsec_" + "w" * 44)
    refused = oncilla("ls", f"s3://{bucket}", check=False, environment=wrong)
    assert refused.returncode == AUTHENTICATION, refused
    nowhere = connection.environment(
        AWS_ENDPOINT_URL_S3=f"http://127.0.0.1:{harness.free_port()}"
    )
    down = oncilla("ls", f"s3://{bucket}", check=False, environment=nowhere)
    assert down.returncode == NETWORK, down
    absent = oncilla("cp", tmp_path / "absent", f"s3://{bucket}/k", check=False)
    assert absent.returncode in (GENERAL, NOT_FOUND)
    assert oncilla("no-such-command", check=False).returncode not in (0, 101)


def environment_block(text: str) -> dict[str, str]:
    """The block of seed 001, as `NAME: value` or `NAME=value`."""
    found = re.findall(r"^\s*(?:export )?(AWS_\w+|BUCKET_NAME)\s*[:=]\s*\"?([^\s\"]+)", text, re.M)
    return dict(found)


def test_storage_create_gives_a_key_for_its_bucket_alone(local, server, bucket):
    created = run(
        [harness.binary(), "storage", "create", "--data", server.data],
        env=harness.clean_environment(),
    )
    block = environment_block(created.stdout)
    assert list(block) == [
        "AWS_ACCESS_KEY_ID",
        "AWS_ENDPOINT_URL_S3",
        "AWS_REGION",
        "AWS_SECRET_ACCESS_KEY",
        "BUCKET_NAME",
    ], created.stdout
    assert re.fullmatch(r"[a-z]+-[a-z]+-\d{4}", block["BUCKET_NAME"])
    assert block["AWS_REGION"] == "auto"
    s3 = make_s3_client(
        harness.Connection(
            "created",
            server.endpoint_url,
            path_style=True,
            access_key=block["AWS_ACCESS_KEY_ID"],
            secret_key=block["AWS_SECRET_ACCESS_KEY"],
        )
    )
    s3.put_object(Bucket=block["BUCKET_NAME"], Key="k", Body=b"mine")
    assert s3.get_object(Bucket=block["BUCKET_NAME"], Key="k")["Body"].read() == b"mine"
    with pytest.raises(s3.exceptions.ClientError) as error:
        s3.list_objects_v2(Bucket=bucket)
    assert error.value.response["Error"]["Code"] == "AccessDenied"


def test_storage_formats(server):
    def create(name, form, *extra):
        command = [harness.binary(), "storage", "create", name, "--format", form, *extra]
        return run([*command, "--data", server.data], env=harness.clean_environment()).stdout

    names = {form: new_bucket_name("fmt") for form in ("json", "windmill", "s3cmd", "rclone")}
    plain = json.loads(create(names["json"], "json"))
    assert plain["BUCKET_NAME"] == names["json"]
    windmill = json.loads(create(names["windmill"], "windmill"))
    assert windmill.keys() == {
        "bucket",
        "region",
        "useSSL",
        "endPoint",
        "accessKey",
        "secretKey",
        "pathStyle",
    }
    assert windmill["bucket"] == names["windmill"] and windmill["region"] == "auto"
    assert windmill["accessKey"].startswith("tid_")
    assert windmill["secretKey"].startswith("tsec_")
    # The bucket's name cannot stand before the printed localhost; it does before a real domain.
    assert windmill["pathStyle"] is True and windmill["endPoint"].startswith("localhost:")
    assert "access_key" in create(names["s3cmd"], "s3cmd")
    assert "type = s3" in create(names["rclone"], "rclone")
    profile = create(new_bucket_name("fmt"), "aws-profile")
    assert "aws_access_key_id" in profile and "endpoint_url" in profile


def test_public_storage_list_and_destroy(local, server, admin_s3):
    name = new_bucket_name("pub")
    local("storage", "create", name, "--public")
    admin_s3.put_object(Bucket=name, Key="k", Body=b"for all")
    assert requests.get(f"{server.endpoint_url}/{name}/k", timeout=5).content == b"for all"
    assert name in json.dumps(local("storage", "list"))
    admin_s3.delete_object(Bucket=name, Key="k")
    local("storage", "destroy", name, "--yes")
    assert name not in json.dumps(local("storage", "list"))


def test_life_of_a_key(local, server, bucket):
    account = local("account", "create", "key-owner", "--email", f"{new_bucket_name()}@example.com")

    def client(key, secret=None):
        return make_s3_client(
            harness.Connection(
                "key",
                server.endpoint_url,
                path_style=True,
                access_key=key["id"],
                secret_key=secret or key["secret"],
            )
        )

    def error_of(s3):
        with pytest.raises(s3.exceptions.ClientError) as error:
            s3.list_buckets()
        return error.value.response["Error"]["Code"]

    key = local("key", "create", "--account", account["id"], "--grant", "*=Editor")
    assert re.fullmatch(r"tid_[A-Za-z0-9]{20,}", key["id"])
    assert re.fullmatch(r"tsec_[A-Za-z0-9]{40,}", key["secret"])
    own = new_bucket_name("own")
    client(key).create_bucket(Bucket=own)
    client(key).put_object(Bucket=own, Key="k", Body=b"v")
    listed = json.dumps(local("key", "list", "--account", account["id"]))
    assert key["id"] in listed and key["secret"] not in listed

    reader = local(
        *["key", "create", "--account", account["id"], "--grant", f"{own}=ReadOnly"]
    )
    assert client(reader).get_object(Bucket=own, Key="k")["Body"].read() == b"v"
    with pytest.raises(Exception) as error:
        client(reader).put_object(Bucket=own, Key="k", Body=b"w")
    assert error.value.response["Error"]["Code"] == "AccessDenied"

    rotated = local("key", "rotate", key["id"])
    assert error_of(client(key)) == "SignatureDoesNotMatch"
    client(key, rotated["secret"]).list_buckets()
    local("key", "disable", key["id"])
    assert error_of(client(key, rotated["secret"])) in (
        "InvalidAccessKeyId",
        "AccessDenied",
    )
    local("key", "delete", key["id"])
    assert error_of(client(key, rotated["secret"])) == "InvalidAccessKeyId"

    identifier, secret = "AKIAIMPORTEDFROMELSEWHERE", "an/imported+secret" + "x" * 30
    imported = local(
        *["key", "import", identifier, "--account", account["id"], "--grant", "*=Editor"],
        *["--secret", secret],
    )
    assert imported["id"] == identifier
    assert client({"id": identifier}, secret).list_buckets()["Buckets"]


def test_administration_while_the_server_is_down(tmp_path):
    server = harness.Server(tmp_path / "data")
    with server:
        s3 = make_s3_client(server.path_connection())
        s3.create_bucket(Bucket="bbb")
        s3.put_object(Bucket="bbb", Key="k", Body=random_bytes(100_000))

    def local(*arguments):
        command = [harness.binary(), *arguments, "--data", server.data, "--json"]
        return json.loads(run(command, env=harness.clean_environment()).stdout)

    account = local("account", "create", "offline", "--email", "offline@example.com")
    key = local("key", "create", "--account", account["id"], "--grant", "*=Admin")
    local("fsck")
    local("scrub")
    with server:
        made = make_s3_client(
            harness.Connection(
                "offline",
                server.endpoint_url,
                path_style=True,
                access_key=key["id"],
                secret_key=key["secret"],
            )
        )
        made.list_buckets()
        assert s3.head_object(Bucket="bbb", Key="k")["ContentLength"] == 100_000


@pytest.mark.parametrize(
    "command", "server storage account key mb rb ls cp mv rm cat stat sync presign scrub fsck".split()
)
def test_help(command):
    text = run([harness.binary(), command, "--help"], env=harness.clean_environment()).stdout
    assert "Usage" in text and len(text.splitlines()) > 4


def test_command_reference_is_current():
    printed = subprocess.run([harness.binary(), "reference"], capture_output=True, text=True, check=True).stdout
    written = (harness.REPOSITORY / "docs/commands.md").read_text()
    assert printed == written, "run `target/debug/oncilla reference > docs/commands.md`"


def test_credentials_of_profiles(oncilla, path_connection, bucket, tmp_path):
    printed = {
        "Version": 1,
        "AccessKeyId": path_connection.access_key,
        "SecretAccessKey": path_connection.secret_key,
    }
    login = tmp_path / "log in"
    login.write_text(f"#!/bin/sh\necho logging $1 in >&2\necho '{json.dumps(printed)}'\n")
    login.chmod(0o755)
    config = tmp_path / "config"
    config.write_text(
        f"""
[profile command]
credential_process = "{login}" ada
[profile broken]
credential_process = "{login}" ada --json '
[profile reader]
role_arn = arn:aws:iam::123456789012:role/reader
source_profile = command
[profile bare]
region = auto
"""
    )
    environment = harness.clean_environment(
        AWS_CONFIG_FILE=str(config), AWS_ENDPOINT_URL_S3=path_connection.endpoint_url
    )

    def ls(profile):
        command = ["ls", "--verbose", "--profile", profile]
        result = oncilla(*command, environment=environment, check=False)
        assert path_connection.secret_key not in result.stdout + result.stderr
        return result

    listed = ls("command")
    assert listed.returncode == 0 and bucket in listed.stdout, listed
    assert "logging ada in" in listed.stderr
    for profile, told in (
        ("broken", 'profile "broken" has a credential_process that ends within quotes'),
        ("reader", 'profile "reader" takes its credentials from role_arn'),
        ("bare", 'profile "bare" has no credentials'),
    ):
        refused = ls(profile)
        assert refused.returncode == AUTHENTICATION and told in refused.stderr, refused
    assert "aws configure export-credentials --profile reader`" in ls("reader").stderr
    absent = ls("absent")
    assert absent.returncode == GENERAL and 'no profile "absent"' in absent.stderr


def test_the_other_protocol_is_advised(oncilla, server, path_connection):
    environment = path_connection.environment(AWS_MAX_ATTEMPTS="1")
    plain = path_connection.endpoint_url
    for url, other in (
        (f"http://127.0.0.1:{server.tls_port}", "https://"),
        (plain.replace("http://", "https://"), "http://"),
    ):
        command = ["ls", "--insecure", "--endpoint-url", url]
        refused = oncilla(*command, environment=environment, check=False)
        assert refused.returncode == NETWORK, refused
        hint = refused.stderr.splitlines()[-1]
        assert hint.startswith("  hint: ") and hint.endswith(f"with {other}"), refused
