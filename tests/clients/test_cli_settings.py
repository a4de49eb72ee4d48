"""What the command line sets of access, ownership and locks of buckets, and the JSON that it takes."""

import json

import pytest
import requests

import harness
from conftest import command_line, make_s3_client, new_bucket_name, run, tool
from harness import GENERAL, NOT_FOUND, USAGE

ALL_USERS = "http://acs.amazonaws.com/groups/global/AllUsers"


@pytest.fixture
def document(oncilla):
    """The answer of a command as JSON."""

    def call(*arguments):
        return json.loads(oncilla(*arguments, "--json").stdout)

    return call


def test_an_acl_is_set_and_taken_away(oncilla, document, admin_s3, bucket):
    url = f"s3://{bucket}"

    def permissions():
        grants = admin_s3.get_bucket_acl(Bucket=bucket)["Grants"]
        return sorted(grant["Permission"] for grant in grants)

    assert permissions() == ["FULL_CONTROL"]
    assert oncilla("bucket", "acl", url, "--canned", "public-read").stdout == f"set acl: {url}\n"
    assert permissions() == ["FULL_CONTROL", "READ"]
    shown = document("bucket", "acl", url)["Grants"]
    assert {"Type": "Group", "URI": ALL_USERS} in [grant["Grantee"] for grant in shown]

    printed = oncilla("bucket", "acl", url).stdout
    assert document("bucket", "acl", url, "--delete")["operation"] == "delete"
    assert permissions() == ["FULL_CONTROL"]
    oncilla("bucket", "acl", url, "--set", "-", input=printed)
    assert oncilla("bucket", "acl", url).stdout == printed
    refused = oncilla("bucket", "acl", url, "--canned", "private", "--delete", check=False)
    assert refused.returncode == USAGE
    refused = oncilla("bucket", "acl", url, "--canned", "no-such-acl", check=False)
    assert refused.returncode == GENERAL and "InvalidArgument" in refused.stderr


def test_ownership_and_public_access(oncilla, document, admin_s3, bucket):
    url = f"s3://{bucket}"
    oncilla("bucket", "ownership", url, "--object-ownership", "BucketOwnerEnforced")
    told = admin_s3.get_bucket_ownership_controls(Bucket=bucket)["OwnershipControls"]
    assert told["Rules"] == [{"ObjectOwnership": "BucketOwnerEnforced"}]
    refused = oncilla("bucket", "acl", url, "--canned", "public-read", check=False)
    assert refused.returncode == GENERAL and "AccessControlListNotSupported" in refused.stderr
    oncilla("bucket", "ownership", url, "--delete")
    assert oncilla("bucket", "ownership", url, check=False).returncode == NOT_FOUND

    def flags():
        return admin_s3.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"]

    oncilla("bucket", "public-access", url, "--all")
    assert set(flags().values()) == {True} and len(flags()) == 4
    refused = oncilla("bucket", "acl", url, "--canned", "public-read", check=False)
    assert refused.returncode == USAGE and "AccessDenied" in refused.stderr
    oncilla("bucket", "public-access", url, "--ignore-public-acls")
    assert [name for name, is_on in flags().items() if is_on] == ["IgnorePublicAcls"]
    shown = document("bucket", "public-access", url)["PublicAccessBlockConfiguration"]
    assert shown["IgnorePublicAcls"] is True and shown["BlockPublicAcls"] is False
    oncilla("bucket", "public-access", url, "--delete")
    assert oncilla("bucket", "public-access", url, check=False).returncode == NOT_FOUND


def test_the_default_of_object_lock(oncilla, document, admin_s3, bucket):
    url = f"s3://{bucket}"
    # Nothing is there to be taken away, and Object Lock is not enabled by that.
    oncilla("bucket", "object-lock", url, "--delete")
    assert oncilla("bucket", "object-lock", url, check=False).returncode == NOT_FOUND
    refused = oncilla("bucket", "object-lock", url, "--enable", check=False)
    assert refused.returncode == GENERAL and "InvalidBucketState" in refused.stderr
    oncilla("bucket", "versioning", url, "enable")
    oncilla("bucket", "object-lock", url, "--enable")
    assert document("bucket", "object-lock", url) == {
        "ObjectLockConfiguration": {"ObjectLockEnabled": "Enabled"}
    }
    oncilla("bucket", "object-lock", url, "--mode", "governance", "--days", "2")
    told = admin_s3.get_object_lock_configuration(Bucket=bucket)["ObjectLockConfiguration"]
    assert told["Rule"]["DefaultRetention"] == {"Mode": "GOVERNANCE", "Days": 2}
    oncilla("bucket", "object-lock", url, "--delete")
    told = admin_s3.get_object_lock_configuration(Bucket=bucket)["ObjectLockConfiguration"]
    assert told == {"ObjectLockEnabled": "Enabled"}
    for wrong in (["--mode", "governance"], ["--days", "2"], ["--enable", "--delete"]):
        assert oncilla("bucket", "object-lock", url, *wrong, check=False).returncode == USAGE


def test_an_empty_document_sets_nothing(oncilla, bucket):
    for name, root in (("logging", "BucketLoggingStatus"), ("notification", "NotificationConfiguration")):
        oncilla("bucket", name, f"s3://{bucket}", "--set", "-", input=f"<{root}/>")
        absent = oncilla("bucket", name, f"s3://{bucket}", "--json", check=False)
        assert absent.returncode == NOT_FOUND and not absent.stdout
        assert f"has no {name} configuration" in absent.stderr
        oncilla("bucket", name, f"s3://{bucket}", "--set", "-", input="{}")
        oncilla("bucket", name, f"s3://{bucket}", "--delete")


LIFECYCLE = {
    "Rules": [
        {
            "ID": "a & b",
            "Status": "Enabled",
            "Filter": {
                "And": {
                    "Prefix": "logs/",
                    "Tags": [{"Key": "k", "Value": "v"}, {"Key": "l", "Value": "w"}],
                }
            },
            "Expiration": {"Days": 30},
        },
        {
            "ID": "versions",
            "Status": "Disabled",
            "Filter": {"Prefix": ""},
            "NoncurrentVersionExpiration": {"NoncurrentDays": 60, "NewerNoncurrentVersions": 2},
            "NoncurrentVersionTransitions": [{"NoncurrentDays": 30, "StorageClass": "GLACIER"}],
            "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 7},
        },
    ]
}

CORS = {
    "CORSRules": [
        {
            "AllowedHeaders": ["*"],
            "AllowedMethods": ["GET", "PUT"],
            "AllowedOrigins": ["https://a.example", "https://b.example"],
            "ExposeHeaders": ["ETag"],
            "MaxAgeSeconds": 60,
        },
        {"AllowedMethods": ["HEAD"], "AllowedOrigins": ["*"]},
    ]
}

WEBSITE = {
    "IndexDocument": {"Suffix": "index.html"},
    "ErrorDocument": {"Key": "404.html"},
    "RoutingRules": [
        {"Condition": {"KeyPrefixEquals": "old/"}, "Redirect": {"ReplaceKeyPrefixWith": "new/"}}
    ],
}

ENCRYPTION = {
    "Rules": [
        {
            "ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms"},
            "BucketKeyEnabled": True,
        }
    ]
}

LOGGING = {
    "LoggingEnabled": {
        "TargetBucket": "BUCKET",
        "TargetPrefix": "logs/",
        "TargetObjectKeyFormat": {"PartitionedPrefix": {"PartitionDateSource": "EventTime"}},
    }
}

OWNERSHIP = {"Rules": [{"ObjectOwnership": "ObjectWriter"}]}

PUBLIC_ACCESS = {
    "BlockPublicAcls": True,
    "IgnorePublicAcls": False,
    "BlockPublicPolicy": True,
    "RestrictPublicBuckets": False,
}

OBJECT_LOCK = {
    "ObjectLockEnabled": "Enabled",
    "Rule": {"DefaultRetention": {"Mode": "GOVERNANCE", "Days": 2}},
}


@pytest.mark.parametrize(
    "name, operation, member, given",
    [
        ("lifecycle", "bucket_lifecycle_configuration", None, LIFECYCLE),
        ("cors", "bucket_cors", None, CORS),
        ("website", "bucket_website", None, WEBSITE),
        ("encryption", "bucket_encryption", "ServerSideEncryptionConfiguration", ENCRYPTION),
        ("logging", "bucket_logging", None, LOGGING),
        ("ownership", "bucket_ownership_controls", "OwnershipControls", OWNERSHIP),
        ("public-access", "public_access_block", "PublicAccessBlockConfiguration", PUBLIC_ACCESS),
        ("object-lock", "object_lock_configuration", "ObjectLockConfiguration", OBJECT_LOCK),
    ],
)
def test_json_is_taken_as_the_aws_command_takes_it(
    oncilla, document, admin_s3, tmp_path, name, operation, member, given
):
    bucket = new_bucket_name()
    admin_s3.create_bucket(Bucket=bucket, ObjectLockEnabledForBucket=name == "object-lock")
    url = f"s3://{bucket}"
    given = json.loads(json.dumps(given).replace("BUCKET", bucket))

    def told():
        answer = getattr(admin_s3, f"get_{operation}")(Bucket=bucket)
        return answer[member] if member else {key: answer[key] for key in given}

    file = tmp_path / "configuration.json"
    file.write_text(json.dumps(given, indent=2))
    oncilla("bucket", name, url, "--set", file)
    assert told() == given
    # So is what the AWS CLI and this one print.
    printed = [{member: given}] if member else []
    printed.append(document("bucket", name, url))
    for form in printed:
        oncilla("bucket", name, url, "--delete")
        oncilla("bucket", name, url, "--set", "-", input=json.dumps(form))
        assert told() == given


def test_grants_are_taken_as_json(oncilla, document, admin_s3, bucket):
    owner = admin_s3.get_bucket_acl(Bucket=bucket)["Owner"]
    given = {
        "Owner": owner,
        "Grants": [
            {"Grantee": {"Type": "Group", "URI": ALL_USERS}, "Permission": "READ"},
            {"Grantee": {"Type": "CanonicalUser", **owner}, "Permission": "FULL_CONTROL"},
        ],
    }
    oncilla("bucket", "acl", f"s3://{bucket}", "--set", "-", input=json.dumps(given))

    def told():
        answer = admin_s3.get_bucket_acl(Bucket=bucket)
        return {"Owner": answer["Owner"], "Grants": answer["Grants"]}

    assert told() == given
    printed = document("bucket", "acl", f"s3://{bucket}")
    oncilla("bucket", "acl", f"s3://{bucket}", "--delete")
    oncilla("bucket", "acl", f"s3://{bucket}", "--set", "-", input=json.dumps(printed))
    assert told() == given


def test_the_smallest_object_of_a_transition_is_taken_from_json(oncilla, admin_s3, bucket):
    name, value = "TransitionDefaultMinimumObjectSize", "varies_by_storage_class"
    text = json.dumps({**LIFECYCLE, name: value})
    oncilla("bucket", "lifecycle", f"s3://{bucket}", "--set", "-", input=text)
    told = admin_s3.get_bucket_lifecycle_configuration(Bucket=bucket)
    assert told[name] == value and told["Rules"] == LIFECYCLE["Rules"]

    # A document that does not say it leaves it as it is.
    url = f"s3://{bucket}"
    xml = oncilla("bucket", "lifecycle", url).stdout
    for text in (xml, oncilla("bucket", "lifecycle", url, "--json").stdout, json.dumps(LIFECYCLE)):
        oncilla("bucket", "lifecycle", url, "--set", "-", input=text)
        assert admin_s3.get_bucket_lifecycle_configuration(Bucket=bucket)[name] == value
    other = "all_storage_classes_128K"
    oncilla("bucket", "lifecycle", url, "--set", "-", input=json.dumps({**LIFECYCLE, name: other}))
    assert admin_s3.get_bucket_lifecycle_configuration(Bucket=bucket)[name] == other


def test_documents_are_taken_as_other_tools_write_them(oncilla, admin_s3, bucket):
    url = f"s3://{bucket}"
    policy = {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Deny",
                "Principal": "*",
                "Action": "s3:PutObject",
                "Resource": f"arn:aws:s3:::{bucket}/closed/*",
            }
        ],
    }
    text = json.dumps(policy)
    for form in (text, json.dumps({"Policy": text}), json.dumps(text), "\ufeff" + text):
        oncilla("bucket", "policy", url, "--delete")
        oncilla("bucket", "policy", url, "--set", "-", input=form)
        assert json.loads(admin_s3.get_bucket_policy(Bucket=bucket)["Policy"]) == policy

    form = {"Bucket": bucket, "ChecksumAlgorithm": "CRC32", "LifecycleConfiguration": LIFECYCLE}
    for mark in ("", "\ufeff"):
        oncilla("bucket", "lifecycle", url, "--delete")
        oncilla("bucket", "lifecycle", url, "--set", "-", input=mark + json.dumps(form))
        told = admin_s3.get_bucket_lifecycle_configuration(Bucket=bucket)
        assert told["Rules"] == LIFECYCLE["Rules"]
    for empty in ("", "\n", "\ufeff"):
        refused = oncilla("bucket", "lifecycle", url, "--set", "-", check=False, input=empty)
        assert refused.returncode == USAGE and "standard input is empty" in refused.stderr


def test_json_has_booleans_and_numbers(document, oncilla, bucket):
    url = f"s3://{bucket}"
    oncilla("bucket", "lifecycle", url, "--set", "-", input=json.dumps(LIFECYCLE))
    rules = document("bucket", "lifecycle", url)["Rules"]
    assert rules[0]["Expiration"] == {"Days": 30}
    assert rules[1]["AbortIncompleteMultipartUpload"] == {"DaysAfterInitiation": 7}


def test_json_that_cannot_be_put_is_refused(oncilla, bucket):
    for text in ("{", '{"Rules": [[1]]}', '{"a b": 1}'):
        refused = oncilla("bucket", "cors", f"s3://{bucket}", "--set", "-", check=False, input=text)
        assert refused.returncode == USAGE and refused.stderr.startswith("oncilla: -: "), refused
    refused = oncilla("bucket", "cors", f"s3://{bucket}", "--set", "-", check=False, input="{}")
    assert refused.returncode == GENERAL and "MalformedXML" in refused.stderr


def test_a_public_bucket_is_shut(oncilla, admin_s3, server, bucket):
    oncilla("bucket", "acl", f"s3://{bucket}", "--canned", "public-read")
    listing = f"{server.endpoint_url}/{bucket}"
    assert requests.get(listing, timeout=5).status_code == 200
    oncilla("bucket", "public-access", f"s3://{bucket}", "--all")
    assert requests.get(listing, timeout=5).status_code == 403


@pytest.fixture
def s3api(path_connection):
    """The AWS CLI's commands for single requests; the answer is what it prints."""
    environment = path_connection.environment(
        AWS_PAGER="", AWS_ENDPOINT_URL=path_connection.endpoint_url
    )

    def call(*arguments):
        return run([tool("aws"), "s3api", *arguments, "--output", "json"], env=environment).stdout

    return call


@pytest.mark.parametrize(
    "name, operation, flag, given",
    [
        ("lifecycle", "bucket-lifecycle-configuration", "lifecycle-configuration", LIFECYCLE),
        ("cors", "bucket-cors", "cors-configuration", CORS),
        ("website", "bucket-website", "website-configuration", WEBSITE),
        ("encryption", "bucket-encryption", "server-side-encryption-configuration", ENCRYPTION),
        ("logging", "bucket-logging", "bucket-logging-status", LOGGING),
        ("ownership", "bucket-ownership-controls", "ownership-controls", OWNERSHIP),
        (
            "public-access",
            "public-access-block",
            "public-access-block-configuration",
            PUBLIC_ACCESS,
        ),
        ("object-lock", "object-lock-configuration", "object-lock-configuration", OBJECT_LOCK),
        ("acl", "bucket-acl", "access-control-policy", None),
    ],
)
def test_json_is_printed_as_the_aws_command_prints_it(
    oncilla, document, admin_s3, s3api, tmp_path, name, operation, flag, given
):
    bucket = new_bucket_name()
    admin_s3.create_bucket(Bucket=bucket, ObjectLockEnabledForBucket=name == "object-lock")
    url = f"s3://{bucket}"
    if given is None:
        oncilla("bucket", name, url, "--canned", "public-read")
    else:
        text = json.dumps(given).replace("BUCKET", bucket)
        oncilla("bucket", name, url, "--set", "-", input=text)

    def told():
        answer = json.loads(s3api(f"get-{operation}", "--bucket", bucket))
        # What S3 has in a header; its CLI does not take it within the document either.
        answer.pop("TransitionDefaultMinimumObjectSize", None)
        return answer

    printed = document("bucket", name, url)
    assert printed == told()
    oncilla("bucket", name, url, "--delete")
    oncilla("bucket", name, url, "--set", "-", input=json.dumps(printed))
    assert document("bucket", name, url) == printed
    # The AWS CLI takes it back too: without the root, where it prints one.
    roots = ("ServerSideEncryptionConfiguration", "OwnershipControls")
    roots += ("PublicAccessBlockConfiguration", "ObjectLockConfiguration")
    inner = next((printed[root] for root in roots if root in printed), printed)
    file = tmp_path / "back.json"
    file.write_text(json.dumps(inner))
    oncilla("bucket", name, url, "--delete")
    s3api(f"put-{operation}", "--bucket", bucket, f"--{flag}", f"file://{file}")
    assert document("bucket", name, url) == printed


def test_notifications_are_printed_as_the_aws_command_prints_them(tmp_path):
    config = tmp_path / "oncilla.toml"
    config.write_text('[notification.targets.hook]\nurl = "http://127.0.0.1:9/"\n')
    given = {
        "QueueConfigurations": [
            {
                "Id": "q",
                "QueueArn": "arn:oncilla:sqs::hook:webhook",
                "Events": ["s3:ObjectCreated:*"],
                "Filter": {"Key": {"FilterRules": [{"Name": "prefix", "Value": "p/"}]}},
            }
        ]
    }
    with harness.Server(tmp_path / "data", arguments=["--config", str(config)]) as server:
        connection = server.path_connection()
        oncilla, s3 = command_line(connection), make_s3_client(connection)
        s3.create_bucket(Bucket="events")
        s3.put_bucket_notification_configuration(
            Bucket="events", NotificationConfiguration=given
        )
        printed = json.loads(oncilla("bucket", "notification", "s3://events", "--json").stdout)
        told = s3.get_bucket_notification_configuration(Bucket="events")
        assert printed == {key: told[key] for key in printed}
        [queue] = printed["QueueConfigurations"]
        assert queue["Events"] == ["s3:ObjectCreated:*"]
        assert queue["QueueArn"] == given["QueueConfigurations"][0]["QueueArn"]
        oncilla("bucket", "notification", "s3://events", "--delete")
        text = json.dumps(printed)
        oncilla("bucket", "notification", "s3://events", "--set", "-", input=text)
        again = oncilla("bucket", "notification", "s3://events", "--json").stdout
        assert json.loads(again) == printed


def test_versioning_is_printed_as_the_aws_command_prints_it(oncilla, document, s3api, bucket):
    url = f"s3://{bucket}"
    assert document("bucket", "versioning", url) == {}
    assert document("bucket", "versioning", url, "enable") == {"Status": "Enabled"}
    oncilla("bucket", "versioning", url, "suspend")
    told = json.loads(s3api("get-bucket-versioning", "--bucket", bucket))
    assert document("bucket", "versioning", url) == told


def test_a_policy_that_is_refused_is_told_with_what_is_wrong(oncilla, bucket, tmp_path):
    policy = {
        "Version": "2012-10-17",
        "Statement": {
            "Effect": "Allow",
            "Principal": {"AWS": "123456789012"},
            "Action": "s3:GetObjekt",
            "Resource": f"arn:aws:s3:::{bucket}/*",
        },
    }
    file = tmp_path / "policy.json"
    file.write_text(json.dumps(policy))
    refused = oncilla("bucket", "policy", f"s3://{bucket}", "--set", file, check=False)
    assert refused.returncode == GENERAL
    assert "Policy has invalid action: s3:GetObjekt (status 400" in refused.stderr
