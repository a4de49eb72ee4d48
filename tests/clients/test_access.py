"""Policies, ACLs and blocks through boto3: what is opened to the world, and shut again."""

import json
import urllib.error
import urllib.request

import pytest
from botocore.exceptions import ClientError


def code_of(error) -> str:
    return error.value.response["Error"]["Code"]


def anonymous(connection, bucket: str, key: str) -> int:
    """The status of a GET without a signature."""
    url = f"{connection.endpoint_url}/{bucket}/{key}"
    try:
        with urllib.request.urlopen(url) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code


def statement(effect: str, action: str, resource: str, **more) -> dict:
    return {
        "Effect": effect,
        "Principal": "*",
        "Action": action,
        "Resource": f"arn:aws:s3:::{resource}",
        **more,
    }


def policy_of(*statements: dict) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def test_a_policy_opens_a_prefix_and_closes_it_again(s3, bucket, path_connection):
    for key in ("public/a", "private/a"):
        s3.put_object(Bucket=bucket, Key=key, Body=b"body")
    with pytest.raises(ClientError) as error:
        s3.get_bucket_policy(Bucket=bucket)
    assert code_of(error) == "NoSuchBucketPolicy"
    policy = policy_of(statement("Allow", "s3:GetObject", f"{bucket}/public/*"))
    s3.put_bucket_policy(Bucket=bucket, Policy=policy)
    assert s3.get_bucket_policy(Bucket=bucket)["Policy"] == policy
    assert s3.get_bucket_policy_status(Bucket=bucket)["PolicyStatus"]["IsPublic"] is True
    assert anonymous(path_connection, bucket, "public/a") == 200
    assert anonymous(path_connection, bucket, "private/a") == 403
    # Who may not list is not told what is absent.
    assert anonymous(path_connection, bucket, "public/none") == 403
    s3.delete_bucket_policy(Bucket=bucket)
    assert anonymous(path_connection, bucket, "public/a") == 403


def test_a_policy_that_denies_holds_for_its_owner(s3, bucket):
    s3.put_object(Bucket=bucket, Key="kept", Body=b"body")
    s3.put_bucket_policy(
        Bucket=bucket, Policy=policy_of(statement("Deny", "s3:DeleteObject*", f"{bucket}/kept"))
    )
    with pytest.raises(ClientError) as error:
        s3.delete_object(Bucket=bucket, Key="kept")
    assert code_of(error) == "AccessDenied"
    listed = {"Objects": [{"Key": "kept"}, {"Key": "other"}]}
    answer = s3.delete_objects(Bucket=bucket, Delete=listed)
    assert [entry["Key"] for entry in answer["Deleted"]] == ["other"]
    assert [(entry["Key"], entry["Code"]) for entry in answer["Errors"]] == [
        ("kept", "AccessDenied")
    ]
    assert s3.get_object(Bucket=bucket, Key="kept")["Body"].read() == b"body"


def test_a_policy_that_is_none_is_refused(s3, bucket):
    elsewhere = policy_of(statement("Allow", "s3:GetObject", "another-bucket/*"))
    unheard = policy_of(statement("Allow", "s3:Unheard", f"{bucket}/*"))
    for policy in (elsewhere, unheard, "{}", "nothing"):
        with pytest.raises(ClientError) as error:
            s3.put_bucket_policy(Bucket=bucket, Policy=policy)
        assert code_of(error) == "MalformedPolicy"


def test_acls_are_read_changed_and_written_back(s3, bucket, path_connection):
    s3.put_object(Bucket=bucket, Key="k", Body=b"body", ACL="public-read")
    assert anonymous(path_connection, bucket, "k") == 200
    acl = s3.get_object_acl(Bucket=bucket, Key="k")
    owner = acl["Owner"]
    assert {grant["Permission"] for grant in acl["Grants"]} == {"READ", "FULL_CONTROL"}
    own = [grant for grant in acl["Grants"] if grant["Grantee"]["Type"] == "CanonicalUser"]
    s3.put_object_acl(
        Bucket=bucket, Key="k", AccessControlPolicy={"Owner": owner, "Grants": own}
    )
    assert anonymous(path_connection, bucket, "k") == 403
    group = "http://acs.amazonaws.com/groups/global/AllUsers"
    s3.put_object_acl(Bucket=bucket, Key="k", GrantRead=f'uri="{group}"')
    assert anonymous(path_connection, bucket, "k") == 200


def test_the_public_access_block_shuts_what_was_open(s3, bucket, path_connection):
    s3.put_object(Bucket=bucket, Key="k", Body=b"body", ACL="public-read")
    s3.put_public_access_block(
        Bucket=bucket,
        PublicAccessBlockConfiguration={
            flag: True
            for flag in (
                *("BlockPublicAcls", "IgnorePublicAcls"),
                *("BlockPublicPolicy", "RestrictPublicBuckets"),
            )
        },
    )
    assert anonymous(path_connection, bucket, "k") == 403
    with pytest.raises(ClientError) as error:
        s3.put_object(Bucket=bucket, Key="k", Body=b"body", ACL="public-read")
    assert code_of(error) == "AccessDenied"
    with pytest.raises(ClientError) as error:
        s3.put_bucket_policy(
            Bucket=bucket, Policy=policy_of(statement("Allow", "s3:GetObject", f"{bucket}/*"))
        )
    assert code_of(error) == "AccessDenied"
    s3.delete_public_access_block(Bucket=bucket)
    assert anonymous(path_connection, bucket, "k") == 200


def test_ownership_switches_acls_off(s3, bucket):
    controls = {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]}
    s3.put_bucket_ownership_controls(Bucket=bucket, OwnershipControls=controls)
    assert s3.get_bucket_ownership_controls(Bucket=bucket)["OwnershipControls"] == controls
    with pytest.raises(ClientError) as error:
        s3.put_object(Bucket=bucket, Key="k", Body=b"body", ACL="public-read")
    assert code_of(error) == "AccessControlListNotSupported"
    s3.put_object(Bucket=bucket, Key="k", Body=b"body", ACL="bucket-owner-full-control")
    s3.delete_bucket_ownership_controls(Bucket=bucket)


def test_a_client_that_expects_another_owner_is_refused(s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"body")
    owner = s3.get_bucket_acl(Bucket=bucket)["Owner"]["ID"]
    s3.get_object(Bucket=bucket, Key="k", ExpectedBucketOwner=owner)
    source = {"Bucket": bucket, "Key": "k"}
    for call in (
        lambda: s3.get_object(Bucket=bucket, Key="k", ExpectedBucketOwner="0" * 64),
        lambda: s3.get_bucket_acl(Bucket=bucket, ExpectedBucketOwner="0" * 64),
        lambda: s3.copy_object(
            Bucket=bucket, Key="copy", CopySource=source, ExpectedSourceBucketOwner="0" * 64
        ),
    ):
        with pytest.raises(ClientError) as error:
            call()
        assert code_of(error) == "AccessDenied"
