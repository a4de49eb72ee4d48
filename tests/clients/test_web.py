"""What browsers do with a bucket: forms, preflights, websites; and clients of Signature Version 2."""

import boto3
import pytest
import requests
from botocore.config import Config

import harness
from conftest import MIB, new_bucket_name, random_bytes, run, tool

ORIGIN = "https://app.example.com"


def verify_of(connection):
    return connection.ca_file or True


def test_presigned_forms(s3, bucket, connection):
    content = random_bytes(MIB + 17)
    form = s3.generate_presigned_post(
        Bucket=bucket,
        Key="user/${filename}",
        Fields={"Content-Type": "image/png", "x-amz-meta-who": "otter"},
        Conditions=[
            ["starts-with", "$Content-Type", "image/"],
            {"x-amz-meta-who": "otter"},
            ["content-length-range", 1, 2 * MIB],
        ],
        ExpiresIn=60,
    )

    def send(fields, data=content):
        return requests.post(
            form["url"],
            data=fields,
            files={"file": ("photo.png", data)},
            verify=verify_of(connection),
            timeout=60,
        )

    assert send(form["fields"]).status_code == 204
    kept = s3.get_object(Bucket=bucket, Key="user/photo.png")
    assert kept["Body"].read() == content
    assert kept["ContentType"] == "image/png"
    assert kept["Metadata"] == {"who": "otter"}
    added = send({**form["fields"], "x-amz-storage-class": "STANDARD_IA"})
    assert added.status_code == 403 and "Extra input fields" in added.text
    changed = send({**form["fields"], "key": "another"})
    assert changed.status_code == 403 and "Policy Condition failed" in changed.text
    large = send(form["fields"], random_bytes(2 * MIB + 1))
    assert large.status_code == 400 and "EntityTooLarge" in large.text


def test_scripts_of_another_origin(s3, bucket, connection):
    s3.put_bucket_cors(
        Bucket=bucket,
        CORSConfiguration={
            "CORSRules": [
                {
                    "AllowedOrigins": ["https://*.example.com"],
                    "AllowedMethods": ["GET", "PUT"],
                    "AllowedHeaders": ["*"],
                    "ExposeHeaders": ["ETag"],
                    "MaxAgeSeconds": 600,
                }
            ]
        },
    )
    url = s3.generate_presigned_url("put_object", Params={"Bucket": bucket, "Key": "k"})
    preflight = requests.options(
        url,
        headers={
            "Origin": ORIGIN,
            "Access-Control-Request-Method": "PUT",
            "Access-Control-Request-Headers": "content-type",
        },
        verify=verify_of(connection),
        timeout=60,
    )
    assert preflight.status_code == 200
    assert preflight.headers["Access-Control-Allow-Origin"] == ORIGIN
    assert preflight.headers["Access-Control-Allow-Headers"] == "content-type"
    sent = requests.put(
        url, data=b"x", headers={"Origin": ORIGIN}, verify=verify_of(connection), timeout=60
    )
    assert sent.status_code == 200
    assert sent.headers["Access-Control-Expose-Headers"] == "ETag"
    denied = requests.get(
        url.split("?")[0], headers={"Origin": ORIGIN}, verify=verify_of(connection), timeout=60
    )
    assert denied.status_code == 403
    assert denied.headers["Access-Control-Allow-Origin"] == ORIGIN


def test_a_website(admin_s3, bucket, path_connection):
    admin_s3.put_bucket_website(
        Bucket=bucket,
        WebsiteConfiguration={
            "IndexDocument": {"Suffix": "index.html"},
            "ErrorDocument": {"Key": "error.html"},
        },
    )
    for key, body in (("index.html", b"home"), ("docs/index.html", b"docs"), ("error.html", b"no")):
        admin_s3.put_object(
            Bucket=bucket, Key=key, Body=body, ACL="public-read", ContentType="text/html"
        )
    host = f"{bucket}.s3-website.localhost"

    def visit(path):
        return requests.get(
            path_connection.endpoint_url + path,
            headers={"Host": host},
            allow_redirects=False,
            timeout=60,
        )

    assert visit("/").content == b"home"
    folder = visit("/docs")
    assert (folder.status_code, folder.headers["Location"]) == (302, "/docs/")
    assert visit("/docs/").content == b"docs"
    missing = visit("/missing")
    assert (missing.status_code, missing.content) == (403, b"no")


@pytest.fixture(scope="module")
def old_server(tmp_path_factory):
    server = harness.Server(
        tmp_path_factory.mktemp("old") / "data", arguments=["--sigv2", "true"]
    ).start()
    yield server
    server.stop()


def test_signature_version_2_by_boto3(old_server):
    connection = old_server.path_connection()
    client = boto3.client(
        "s3",
        endpoint_url=connection.endpoint_url,
        aws_access_key_id=connection.access_key,
        aws_secret_access_key=connection.secret_key,
        region_name=connection.region,
        config=Config(signature_version="s3", s3={"addressing_style": "path"}),
    )
    bucket = new_bucket_name("old")
    client.create_bucket(Bucket=bucket)
    client.put_object(Bucket=bucket, Key="a key+é", Body=b"old", Metadata={"a": "b"})
    assert client.get_object(Bucket=bucket, Key="a key+é")["Body"].read() == b"old"
    keys = [found["Key"] for found in client.list_objects_v2(Bucket=bucket)["Contents"]]
    assert keys == ["a key+é"]
    client.put_object_acl(Bucket=bucket, Key="a key+é", ACL="private")
    url = client.generate_presigned_url(
        "get_object",
        Params={"Bucket": bucket, "Key": "a key+é", "ResponseContentType": "text/x-old"},
    )
    assert "AWSAccessKeyId=" in url
    answer = requests.get(url, timeout=60)
    assert (answer.content, answer.headers["Content-Type"]) == (b"old", "text/x-old")
    assert requests.get(url.replace("text", "bent"), timeout=60).status_code == 403


def test_signature_version_2_by_s3cmd(old_server, tmp_path):
    connection = old_server.path_connection()
    host = connection.host_and_port
    config = tmp_path / "s3cfg"
    config.write_text(
        "[default]\n"
        f"access_key = {connection.access_key}\n"
        f"secret_key = {connection.secret_key}\n"
        f"host_base = {host}\nhost_bucket = {host}\n"
        "use_https = False\nsignature_v2 = True\n"
    )

    def s3cmd(*arguments):
        command = [tool("s3cmd"), "--config", config, "--no-progress", *arguments]
        return run(command, env=connection.environment())

    bucket = new_bucket_name("old")
    source = tmp_path / "source"
    source.write_bytes(b"by s3cmd")
    s3cmd("mb", f"s3://{bucket}")
    s3cmd("put", source, f"s3://{bucket}/dir/source")
    assert f"s3://{bucket}/dir/source" in s3cmd("ls", "--recursive", f"s3://{bucket}").stdout
    url = s3cmd("signurl", f"s3://{bucket}/dir/source", "+60").stdout.strip()
    assert requests.get(url, timeout=60).content == b"by s3cmd"
