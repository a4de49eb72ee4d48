"""What the command line says and changes of buckets, versions, tags, encryption, keys and readiness."""

import json
import os
import re

import boto3
import pytest
import requests

import harness
from conftest import MIB, make_s3_client, new_bucket_name, random_bytes, run
from harness import GENERAL, NOT_FOUND, USAGE


@pytest.fixture
def documents(oncilla):
    """The answer of a command as JSON: one document, or one a line."""

    def call(*arguments):
        text = oncilla(*arguments, "--json").stdout
        try:
            return json.loads(text)
        except json.JSONDecodeError:
            return [json.loads(line) for line in text.splitlines()]

    return call


@pytest.fixture
def local(server):
    def call(*arguments):
        command = [harness.binary(), *arguments, "--data", server.data]
        return run(command, env=harness.clean_environment()).stdout

    return call


def test_versioning_and_versions(oncilla, documents, admin_s3, bucket, tmp_path):
    url = f"s3://{bucket}"
    assert oncilla("bucket", "versioning", url).stdout == "off\n"
    assert oncilla("bucket", "versioning", url, "enable").stdout == "enabled\n"
    assert admin_s3.get_bucket_versioning(Bucket=bucket)["Status"] == "Enabled"
    versions = []
    for body in (b"first", b"the second"):
        written = admin_s3.put_object(Bucket=bucket, Key="dir/k", Body=body)
        versions.append(written["VersionId"])
    first, second = versions
    oncilla("rm", f"{url}/dir/k")

    listed = documents("ls", "--versions", f"{url}/dir/")
    assert [entry["type"] for entry in listed] == ["delete_marker", "version", "version"]
    assert [entry["is_latest"] for entry in listed] == [True, False, False]
    assert [entry["version_id"] for entry in listed[1:]] == [second, first]
    assert [entry["size"] for entry in listed] == [None, 10, 5]
    lines = oncilla("ls", "--versions", f"{url}/dir/").stdout.splitlines()
    assert re.search(r" DELETED \S+ +latest k$", lines[0]), lines
    assert re.search(rf" 10 {re.escape(second)} +k$", lines[1]), lines
    assert oncilla("ls", "--versions", url).stdout.split() == ["PRE", "dir/"]

    old = ["--version-id", first]
    assert oncilla("cat", f"{url}/dir/k", *old).stdout == "first"
    assert documents("stat", f"{url}/dir/k", *old)["size"] == 5
    oncilla("cp", f"{url}/dir/k", tmp_path / "k", *old)
    assert (tmp_path / "k").read_bytes() == b"first"
    # Copied over the delete marker, the old version is the object again.
    oncilla("cp", f"{url}/dir/k", f"{url}/dir/k", *old)
    assert oncilla("cat", f"{url}/dir/k").stdout == "first"
    link = oncilla("presign", f"{url}/dir/k", "--version-id", second).stdout.strip()
    assert requests.get(link, timeout=5).content == b"the second"
    removed = documents("rm", f"{url}/dir/k", "--version-id", second)
    assert removed["version_id"] == second
    assert second not in json.dumps(documents("ls", "--versions", "-r", url))
    refused = oncilla("cp", tmp_path / "k", f"{url}/x", *old, check=False)
    assert refused.returncode == USAGE and "--version-id" in refused.stderr

    dry = oncilla("rm", "-r", "--versions", "--dry-run", f"{url}/dir/").stdout.splitlines()
    assert len(dry) == 3 and all(line.startswith("(dry run) delete: ") for line in dry)
    oncilla("rm", "-r", "--versions", f"{url}/dir/")
    assert oncilla("ls", "--versions", "-r", url).stdout == ""

    assert oncilla("bucket", "versioning", url, "suspend").stdout == "suspended\n"
    assert documents("bucket", "versioning", url) == {"Status": "Suspended"}


def test_a_versioned_bucket_is_removed_by_force(oncilla, admin_s3, bucket):
    oncilla("bucket", "versioning", f"s3://{bucket}", "enable")
    for _ in range(3):
        admin_s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    admin_s3.delete_object(Bucket=bucket, Key="k")
    oncilla("rb", "--force", f"s3://{bucket}")
    assert oncilla("stat", f"s3://{bucket}", check=False).returncode == NOT_FOUND


def test_nothing_set_says_how_to_set_it(oncilla, bucket):
    names = "lifecycle policy cors encryption website notification logging ownership public-access object-lock"
    for name in names.split():
        answer = oncilla("bucket", name, f"s3://{bucket}", check=False)
        assert answer.returncode == NOT_FOUND, answer
        assert f"s3://{bucket} has no {name} configuration" in answer.stderr
        assert "hint: --" in answer.stderr, answer.stderr
        assert not answer.stdout
    absent = oncilla("bucket", "cors", f"s3://{new_bucket_name()}", check=False)
    assert absent.returncode == NOT_FOUND and "NoSuchBucket" in absent.stderr
    key = oncilla("bucket", "cors", f"s3://{bucket}/key", check=False)
    assert key.returncode == USAGE and f"use s3://{bucket}" in key.stderr


def test_lifecycle_rules_are_added(oncilla, documents, admin_s3, bucket):
    url = f"s3://{bucket}"
    said = oncilla("bucket", "lifecycle", url, "--expire-days", "30", "--prefix", "tmp/")
    assert said.stdout == f"set lifecycle: {url}\n"
    oncilla("bucket", "lifecycle", url, "--abort-uploads-days", "7", "--expire-noncurrent-days", "9")
    oncilla("bucket", "lifecycle", url, "--expire-days", "5", "--prefix", "tmp/")
    rules = admin_s3.get_bucket_lifecycle_configuration(Bucket=bucket)["Rules"]
    found = {rule["ID"]: rule for rule in rules}
    assert len(rules) == 2
    assert found["oncilla:tmp/"]["Expiration"] == {"Days": 5}
    assert found["oncilla:tmp/"]["Filter"] == {"Prefix": "tmp/"}
    assert found["oncilla:"]["NoncurrentVersionExpiration"] == {"NoncurrentDays": 9}
    assert found["oncilla:"]["AbortIncompleteMultipartUpload"] == {"DaysAfterInitiation": 7}
    listed = documents("bucket", "lifecycle", url)["Rules"]
    assert {rule["ID"] for rule in listed} == set(found)
    refused = oncilla("bucket", "lifecycle", url, "--expire-days", "5", "--delete", check=False)
    assert refused.returncode == USAGE
    lonely = oncilla("bucket", "lifecycle", url, "--prefix", "x/", check=False)
    assert lonely.returncode == USAGE and "--expire-days" in lonely.stderr


@pytest.mark.parametrize(
    "name, flags, inside",
    [
        ("lifecycle", ["--expire-days", "3"], "<Days>3</Days>"),
        ("cors", ["--allow-origin", "https://example.com"], "<AllowedMethod>HEAD</AllowedMethod>"),
        ("encryption", ["--sse", "AES256"], "<SSEAlgorithm>AES256</SSEAlgorithm>"),
        ("website", ["--index", "index.html", "--error", "404.html"], "<Suffix>index.html</Suffix>"),
    ],
)
def test_what_is_printed_can_be_put_back(oncilla, documents, bucket, tmp_path, name, flags, inside):
    url = f"s3://{bucket}"
    oncilla("bucket", name, url, *flags)
    printed = oncilla("bucket", name, url).stdout
    assert inside in printed and len(printed.splitlines()) > 3, printed
    as_json = documents("bucket", name, url)
    deleted = documents("bucket", name, url, "--delete")
    assert deleted == {"operation": "delete", "configuration": name, "bucket": bucket}
    assert oncilla("bucket", name, url, check=False).returncode == NOT_FOUND
    file = tmp_path / "document"
    file.write_text(printed)
    oncilla("bucket", name, url, "--set", file)
    assert oncilla("bucket", name, url).stdout == printed
    oncilla("bucket", name, url, "--set", "-", input=printed)
    assert documents("bucket", name, url) == as_json


def test_a_policy_is_json(oncilla, documents, admin_s3, bucket, server, tmp_path):
    policy = {
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": f"arn:aws:s3:::{bucket}/*"}
        ],
    }
    file = tmp_path / "policy.json"
    file.write_text(json.dumps(policy))
    oncilla("bucket", "policy", f"s3://{bucket}", "--set", file)
    admin_s3.put_object(Bucket=bucket, Key="k", Body=b"for all")
    assert requests.get(f"{server.endpoint_url}/{bucket}/k", timeout=5).content == b"for all"
    assert json.loads(oncilla("bucket", "policy", f"s3://{bucket}").stdout) == policy
    assert documents("bucket", "policy", f"s3://{bucket}") == policy
    file.write_text("<Policy/>")
    refused = oncilla("bucket", "policy", f"s3://{bucket}", "--set", file, check=False)
    assert refused.returncode == USAGE and "a policy is JSON" in refused.stderr
    refused = oncilla("bucket", "cors", f"s3://{bucket}", "--set", "-", check=False, input="cors")
    assert refused.returncode == USAGE and "XML" in refused.stderr
    oncilla("bucket", "policy", f"s3://{bucket}", "--delete")
    assert requests.get(f"{server.endpoint_url}/{bucket}/k", timeout=5).status_code == 403


def test_logging_is_set_and_taken_away(oncilla, documents, admin_s3, bucket):
    target = new_bucket_name("logs")
    admin_s3.create_bucket(Bucket=target)
    oncilla("bucket", "logging", f"s3://{bucket}", "--target", f"s3://{target}/{bucket}/")
    told = admin_s3.get_bucket_logging(Bucket=bucket)["LoggingEnabled"]
    assert (told["TargetBucket"], told["TargetPrefix"]) == (target, f"{bucket}/")
    shown = documents("bucket", "logging", f"s3://{bucket}")["LoggingEnabled"]
    assert shown["TargetBucket"] == target
    oncilla("bucket", "logging", f"s3://{bucket}", "--delete")
    assert "LoggingEnabled" not in admin_s3.get_bucket_logging(Bucket=bucket)
    assert oncilla("bucket", "logging", f"s3://{bucket}", check=False).returncode == NOT_FOUND


def test_tags(oncilla, documents, admin_s3, bucket):
    admin_s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    for url in (f"s3://{bucket}", f"s3://{bucket}/k"):
        assert oncilla("tag", url).stdout == ""
        assert oncilla("tag", url, "team=otters", "stage=a=b").stdout == "stage=a=b\nteam=otters\n"
        assert oncilla("tag", url, "team=cats", "--remove", "stage").stdout == "team=cats\n"
        assert documents("tag", url)["tags"] == {"team": "cats"}
    assert admin_s3.get_bucket_tagging(Bucket=bucket)["TagSet"] == [{"Key": "team", "Value": "cats"}]
    assert oncilla("tag", f"s3://{bucket}", "--delete").stdout == ""
    assert documents("tag", f"s3://{bucket}")["tags"] == {}
    assert admin_s3.get_object_tagging(Bucket=bucket, Key="k")["TagSet"]
    assert oncilla("tag", f"s3://{bucket}/absent", "a=1", check=False).returncode == NOT_FOUND
    assert oncilla("tag", f"s3://{bucket}/k", "a", check=False).returncode == USAGE


def test_encryption_of_what_is_copied(oncilla, documents, local, admin_s3, bucket, tmp_path):
    made = json.loads(local("kms", "key", "create", "--alias", f"key-{bucket}", "--json"))
    content = random_bytes(17 * MIB)
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder/large").write_bytes(content)
    (tmp_path / "folder/small").write_bytes(b"small")
    kms = ["--sse-kms-key-id", f"alias/key-{bucket}"]

    def encryption(key):
        head = admin_s3.head_object(Bucket=bucket, Key=key)
        return head.get("ServerSideEncryption")

    oncilla("cp", tmp_path / "folder/small", f"s3://{bucket}/s3", "--sse", "AES256")
    oncilla("sync", tmp_path / "folder", f"s3://{bucket}/kms/", *kms)
    assert encryption("s3") == "AES256"
    assert {encryption("kms/small"), encryption("kms/large")} == {"aws:kms"}
    oncilla("cp", f"s3://{bucket}/kms/large", tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == content
    # A copy keeps its metadata, and one onto itself encrypts what is there.
    oncilla("cp", tmp_path / "folder/small", f"s3://{bucket}/plain.txt", "--metadata", "team=otters")
    oncilla("cp", f"s3://{bucket}/plain.txt", f"s3://{bucket}/plain.txt", *kms)
    head = admin_s3.head_object(Bucket=bucket, Key="plain.txt")
    assert head["ServerSideEncryption"] == "aws:kms" and head["Metadata"] == {"team": "otters"}
    oncilla("mv", f"s3://{bucket}/plain.txt", f"s3://{bucket}/moved", "--sse", "AES256")
    assert encryption("moved") == "AES256"
    oncilla("cp", f"s3://{bucket}/moved", f"s3://{bucket}/cold", "--storage-class", "STANDARD_IA")
    assert admin_s3.head_object(Bucket=bucket, Key="cold")["StorageClass"] == "STANDARD_IA"
    refused = oncilla("cp", tmp_path / "back", f"s3://{bucket}/x", "--sse", "AES256", *kms, check=False)
    assert refused.returncode == USAGE

    oncilla("bucket", "encryption", f"s3://{bucket}", "--kms-key", made["arn"])
    oncilla("cp", tmp_path / "folder/small", f"s3://{bucket}/default")
    assert encryption("default") == "aws:kms"


def test_who_pays(oncilla, local, path_connection, admin_s3, bucket):
    admin_s3.put_object(Bucket=bucket, Key="k", Body=b"dear")
    admin_s3.put_bucket_request_payment(Bucket=bucket, RequestPaymentConfiguration={"Payer": "Requester"})
    policy = {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": "*",
                "Action": ["s3:GetObject", "s3:ListBucket"],
                "Resource": [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"],
            }
        ],
    }
    admin_s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps(policy))
    account = json.loads(local("account", "create", new_bucket_name("payer"), "--json"))
    key = json.loads(local("key", "create", "--account", account["id"], "--grant", "*=Editor", "--json"))
    environment = path_connection.environment(
        AWS_ACCESS_KEY_ID=key["id"], AWS_SECRET_ACCESS_KEY=key["secret"]
    )
    url = f"s3://{bucket}/k"
    refused = oncilla("cat", url, environment=environment, check=False)
    assert refused.returncode == USAGE and "--request-payer" in refused.stderr
    assert oncilla("cat", "--request-payer", url, environment=environment).stdout == "dear"
    for command in (["stat", url], ["ls", f"s3://{bucket}"], ["cp", url, "-"]):
        oncilla(*command, "--request-payer", environment=environment)
    link = oncilla("presign", "--request-payer", url, environment=environment).stdout.strip()
    assert requests.get(link, timeout=5).content == b"dear"


def test_kms_keys_are_told_by_arn(local):
    name = new_bucket_name("alias")
    made = json.loads(local("kms", "key", "create", "--alias", name, "--json"))
    assert re.fullmatch(rf"arn:aws:kms:auto:[0-9a-f]{{64}}:key/{made['id']}", made["arn"])
    line = next(line for line in local("kms", "key", "list").splitlines() if name in line)
    assert line.endswith(f"{made['id']} alias/{name} {made['arn']}"), line
    rotated = json.loads(local("kms", "key", "rotate", made["id"], "--json"))
    assert rotated["arn"] == made["arn"]


def make_iam_client(connection):
    return boto3.client(
        "iam",
        endpoint_url=connection.endpoint_url,
        region_name="us-east-1",
        aws_access_key_id=connection.access_key,
        aws_secret_access_key=connection.secret_key,
    )


def test_a_stopped_server_tells_the_same_of_its_keys(tmp_path):
    server = harness.Server(tmp_path / "data")

    def told():
        lists = [["key", "list"], ["kms", "key", "list"]]
        commands = [[harness.binary(), *words, "--data", server.data, "--json"] for words in lists]
        return [run(command, env=harness.clean_environment()).stdout for command in commands]

    with server:
        iam = make_iam_client(server.path_connection())
        iam.create_user(UserName="ada")
        iam.create_access_key(UserName="ada")
        command = [harness.binary(), "kms", "key", "create", "one", "--data", server.data]
        run(command, env=harness.clean_environment())
        running = told()
    assert '"name":"ada"' in running[0] and "arn:aws:kms:auto:" in running[1]
    assert told() == running


def test_keys_of_users_name_them_and_their_policies(local, path_connection):
    iam = make_iam_client(path_connection)
    name = new_bucket_name("user")
    iam.create_user(UserName=name)
    group = iam.create_group(GroupName=f"{name}-group")["Group"]
    iam.add_user_to_group(UserName=name, GroupName=group["GroupName"])
    document = json.dumps(
        {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]}
    )
    policy = iam.create_policy(PolicyName=f"{name}-policy", PolicyDocument=document)["Policy"]["Arn"]
    iam.attach_user_policy(UserName=name, PolicyArn=policy)
    iam.put_user_policy(UserName=name, PolicyName="own", PolicyDocument=document)
    key = iam.create_access_key(UserName=name)["AccessKey"]["AccessKeyId"]

    shown = json.loads(local("key", "show", key, "--json"))
    assert shown["user"] == {
        "name": name,
        "arn": iam.get_user(UserName=name)["User"]["Arn"],
        "policies": [policy],
        "inline_policies": ["own"],
        "groups": [group["GroupName"]],
    }
    lines = local("key", "show", key).splitlines()
    assert f" user {name}" in lines[0]
    assert f"    policy {policy}" in lines and "    inline policy own" in lines
    listed = next(line for line in local("key", "list").splitlines() if key in line)
    assert f" user {name}" in listed


def test_environment_formats_are_for_the_shell(local, server, tmp_path):
    def variables(text, before=""):
        file = tmp_path / "env"
        file.write_text(text)
        # What a program has that is run by the shell.
        script = f"{before} . {file}; env"
        lines = run(["env", "-i", "sh", "-c", script]).stdout.splitlines()
        return dict(line.split("=", 1) for line in lines)

    bucket = new_bucket_name("env")
    found = variables(local("storage", "create", bucket, "--format", "env"))
    assert found["BUCKET_NAME"] == bucket and found["AWS_REGION"] == found["AWS_DEFAULT_REGION"] == "auto"
    environment = harness.clean_environment(**{k: v for k, v in found.items() if k.startswith("AWS_")})
    environment["AWS_ENDPOINT_URL_S3"] = server.endpoint_url
    run([harness.binary(), "ls", f"s3://{bucket}"], env=environment)
    text = local("key", "create", "--grant", "*=ReadOnly", "--format", "env")
    names = ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"]
    assert [line.split("=")[0] for line in text.splitlines()] == [f"export {name}" for name in names]
    key = variables(text)["AWS_ACCESS_KEY_ID"]
    assert local("key", "rotate", key, "--format", "env").startswith(f"export AWS_ACCESS_KEY_ID={key}\n")
    # An environment file is for docker and systemd, which know no `export`.
    text = local("key", "rotate", key, "--format", "env-no-export")
    assert text.startswith(f"AWS_ACCESS_KEY_ID={key}\n") and "export" not in text
    assert variables(text, before="set -a;")["AWS_ACCESS_KEY_ID"] == key
    other = new_bucket_name("env")
    text = local("storage", "create", other, "--format", "env-no-export")
    assert "export" not in text and f"\nBUCKET_NAME={other}\n" in text and "\nAWS_DEFAULT_REGION=auto\n" in text
    # Without a format the block is for people, as ever.
    assert local("key", "rotate", key).startswith(f"AWS_ACCESS_KEY_ID: {key}\n")


def test_readiness_tells_of_a_wrong_master_key(tmp_path):
    data = tmp_path / "data"
    server = harness.Server(data, arguments=["--encrypt-at-rest", "true"])
    with server:
        s3 = make_s3_client(server.path_connection())
        s3.create_bucket(Bucket="bucket")
        s3.put_object(Bucket="bucket", Key="k", Body=b"secret")
        ready = requests.get(server.endpoint_url + "/-/ready", timeout=5)
        assert ready.status_code == 200 and ready.json()["degraded"] is False
    os.rename(data / "master.key", tmp_path / "kept")
    with harness.Server(data) as without:
        answer = requests.get(without.endpoint_url + "/-/ready", timeout=5)
        # Everything else is served, so that clients are not sent away.
        assert answer.status_code == 200
        report = answer.json()
        assert (report["ready"], report["degraded"]) == (True, True)
        check = next(check for check in report["checks"] if check["name"] == "master_key")
        assert check["ok"] is False and check["advisory"] is True
        assert "the master key is missing" in check["detail"] and "1 KMS key" in check["detail"]


def test_unfinished_uploads_are_listed_and_given_up(oncilla, documents, admin_s3, bucket):
    url = f"s3://{bucket}"

    def begin(key):
        return admin_s3.create_multipart_upload(Bucket=bucket, Key=key)["UploadId"]

    def left():
        uploads = admin_s3.list_multipart_uploads(Bucket=bucket).get("Uploads", [])
        return {upload["UploadId"] for upload in uploads}

    assert oncilla("ls", "--uploads", url).stdout == ""
    assert oncilla("ls", "--uploads", f"{url}/none", check=False).returncode == GENERAL
    ids = {key: begin(key) for key in ("dir/a b", "dir/sub/c", "directory", "top")}
    listed = documents("ls", "--uploads", url)
    assert [entry["key"] for entry in listed] == sorted(ids)
    assert {entry["key"]: entry["upload_id"] for entry in listed} == ids
    for entry in listed:
        assert entry["type"] == "upload" and re.match(r"20\d\d-\d\d-\d\dT", entry["initiated"])
    lines = oncilla("ls", "--uploads", f"{url}/dir/").stdout.splitlines()
    assert len(lines) == 2
    pattern = rf"20\d\d-\d\d-\d\d \d\d:\d\d:\d\d {re.escape(ids['dir/a b'])} +dir/a b"
    assert re.fullmatch(pattern, lines[0]), lines
    for wrong in (["--versions", url], ["--summarize", url], []):
        assert oncilla("ls", "--uploads", *wrong, check=False).returncode == USAGE

    one = ["abort", f"{url}/top", "--upload-id", ids["top"]]
    line = f"abort: {url}/top upload {ids['top']}\n"
    assert oncilla(*one, "--dry-run").stdout == f"(dry run) {line}"
    assert ids["top"] in left()
    assert oncilla(*one).stdout == line
    assert left() == set(ids.values()) - {ids["top"]}
    again = oncilla(*one, check=False)
    assert again.returncode == NOT_FOUND and f"ls --uploads {url}/top" in again.stderr
    assert again.stdout == ""

    young = oncilla("abort", "-r", url, "--older-than", "1h")
    assert young.stdout == "" and len(left()) == 3
    dry = documents("abort", "--recursive", f"{url}/dir", "--dry-run")
    assert [entry["upload_id"] for entry in dry] == [ids["dir/a b"], ids["dir/sub/c"]]
    assert dry[0] == {
        "operation": "abort",
        "source": f"{url}/dir/a b",
        "upload_id": ids["dir/a b"],
        "dry_run": True,
    }
    assert len(left()) == 3
    assert len(oncilla("abort", "--recursive", f"{url}/dir").stdout.splitlines()) == 2
    assert left() == {ids["directory"]}
    begin("directory")
    assert len(left()) == 2
    assert oncilla("abort", "-r", "--quiet", f"{url}/directory").stdout == ""
    assert left() == set()
    for wrong in ([f"{url}/k"], [url, "--upload-id", "x"], [f"{url}/k", "-r", "--upload-id", "x"]):
        assert oncilla("abort", *wrong, check=False).returncode == USAGE
    absent = oncilla("abort", "-r", f"s3://{new_bucket_name()}", check=False)
    assert absent.returncode == NOT_FOUND and "NoSuchBucket" in absent.stderr


def test_a_bucket_that_is_ones_own_already(oncilla, documents, local, path_connection):
    name = new_bucket_name("own")
    url = f"s3://{name}"
    oncilla("mb", url, "--acl", "public-read")
    refused = oncilla("mb", url, check=False)
    assert refused.returncode == GENERAL and "BucketAlreadyExists" in refused.stderr, refused
    assert documents("mb", url, "--exists-ok") == {"bucket": name, "created": False}
    account = json.loads(local("account", "create", new_bucket_name("other"), "--json"))
    key = json.loads(local("key", "create", "--account", account["id"], "--grant", "*=Editor", "--json"))
    environment = path_connection.environment(
        AWS_ACCESS_KEY_ID=key["id"], AWS_SECRET_ACCESS_KEY=key["secret"]
    )
    refused = oncilla("mb", url, "--exists-ok", environment=environment, check=False)
    assert refused.returncode == GENERAL and "BucketAlreadyExists" in refused.stderr, refused
