"""IAM and STS through boto3 and the AWS CLI: users, policies, roles, temporary credentials."""

import json

import boto3
import botocore.config
import pytest
import requests
from botocore.exceptions import ClientError

import harness
from conftest import run, tool


def client_of(connection, service, credentials=None):
    """A client for a service, with the root key or other credentials."""
    keys = credentials or {
        "AccessKeyId": connection.access_key,
        "SecretAccessKey": connection.secret_key,
    }
    return boto3.client(
        service,
        endpoint_url=connection.endpoint_url,
        region_name="us-east-1",
        aws_access_key_id=keys["AccessKeyId"],
        aws_secret_access_key=keys["SecretAccessKey"],
        aws_session_token=keys.get("SessionToken"),
        verify=connection.ca_file,
        config=botocore.config.Config(
            s3={"addressing_style": "path"},
            retries={"max_attempts": 1, "mode": "standard"},
            signature_version="s3v4" if service == "s3" else "v4",
        ),
    )


def policy(action, resource="*", effect="Allow", **more) -> str:
    statement = {"Effect": effect, "Action": action, "Resource": resource, **more}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def trust(principal) -> str:
    statement = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"AWS": principal}}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def code_of(error) -> str:
    return error.value.response["Error"]["Code"]


@pytest.fixture
def iam(path_connection):
    return client_of(path_connection, "iam")


@pytest.fixture
def name(request):
    """A name that no other test uses."""
    return request.node.name.replace("[", "-").replace("]", "")[:60]


@pytest.fixture
def user(iam, name):
    """A user with a key, removed afterwards with all that hangs on it."""
    iam.create_user(UserName=name, Path="/tests/")
    key = iam.create_access_key(UserName=name)["AccessKey"]
    yield {"UserName": name, "Arn": iam.get_user(UserName=name)["User"]["Arn"], **key}
    for policy_name in iam.list_user_policies(UserName=name)["PolicyNames"]:
        iam.delete_user_policy(UserName=name, PolicyName=policy_name)
    for attached in iam.list_attached_user_policies(UserName=name)["AttachedPolicies"]:
        iam.detach_user_policy(UserName=name, PolicyArn=attached["PolicyArn"])
    for group in iam.list_groups_for_user(UserName=name)["Groups"]:
        iam.remove_user_from_group(UserName=name, GroupName=group["GroupName"])
    for listed in iam.list_access_keys(UserName=name)["AccessKeyMetadata"]:
        iam.delete_access_key(UserName=name, AccessKeyId=listed["AccessKeyId"])
    iam.delete_user(UserName=name)


def test_policies_of_users_groups_and_their_versions_decide(iam, path_connection, user, bucket):
    s3 = client_of(path_connection, "s3", user)
    with pytest.raises(ClientError) as error:
        s3.list_objects_v2(Bucket=bucket)
    assert code_of(error) == "AccessDenied"

    document = policy("s3:ListBucket", f"arn:aws:s3:::{bucket}")
    iam.put_user_policy(UserName=user["UserName"], PolicyName="p", PolicyDocument=document)
    read = iam.get_user_policy(UserName=user["UserName"], PolicyName="p")
    assert read["PolicyDocument"] == json.loads(document)
    s3.list_objects_v2(Bucket=bucket)
    iam.delete_user_policy(UserName=user["UserName"], PolicyName="p")

    created = iam.create_policy(PolicyName=user["UserName"], PolicyDocument=document)["Policy"]
    group = user["UserName"] + "-group"
    iam.create_group(GroupName=group)
    iam.attach_group_policy(GroupName=group, PolicyArn=created["Arn"])
    iam.add_user_to_group(GroupName=group, UserName=user["UserName"])
    s3.list_objects_v2(Bucket=bucket)
    everything = policy("s3:*")
    version = iam.create_policy_version(
        PolicyArn=created["Arn"], PolicyDocument=everything, SetAsDefault=True
    )["PolicyVersion"]
    assert version["VersionId"] == "v2"
    s3.put_object(Bucket=bucket, Key="k", Body=b"otter")
    got = iam.get_policy_version(PolicyArn=created["Arn"], VersionId="v2")["PolicyVersion"]
    assert got["Document"] == json.loads(everything) and got["IsDefaultVersion"]
    with pytest.raises(iam.exceptions.DeleteConflictException):
        iam.delete_policy(PolicyArn=created["Arn"])
    iam.remove_user_from_group(GroupName=group, UserName=user["UserName"])
    with pytest.raises(ClientError) as error:
        s3.get_object(Bucket=bucket, Key="k")
    assert code_of(error) == "AccessDenied"
    iam.detach_group_policy(GroupName=group, PolicyArn=created["Arn"])
    iam.delete_group(GroupName=group)
    iam.delete_policy_version(PolicyArn=created["Arn"], VersionId="v1")
    iam.delete_policy(PolicyArn=created["Arn"])


def test_a_role_is_assumed_and_its_session_limited(iam, path_connection, user, bucket, name):
    role = iam.create_role(
        RoleName=name + "-r", AssumeRolePolicyDocument=trust(user["Arn"]), Description="for tests"
    )["Role"]
    assert role["AssumeRolePolicyDocument"] == json.loads(trust(user["Arn"]))
    iam.attach_role_policy(
        RoleName=role["RoleName"], PolicyArn="arn:aws:iam::aws:policy/AmazonS3FullAccess"
    )
    sts = client_of(path_connection, "sts", user)
    assert sts.get_caller_identity()["Arn"] == user["Arn"]
    limit = policy("s3:GetObject", f"arn:aws:s3:::{bucket}/open/*")
    assumed = sts.assume_role(RoleArn=role["Arn"], RoleSessionName="session", DurationSeconds=900)
    limited = sts.assume_role(RoleArn=role["Arn"], RoleSessionName="limited", Policy=limit)
    s3 = client_of(path_connection, "s3", assumed["Credentials"])
    s3.put_object(Bucket=bucket, Key="open/a", Body=b"otter")
    s3.put_object(Bucket=bucket, Key="b", Body=b"otter")
    limited_s3 = client_of(path_connection, "s3", limited["Credentials"])
    assert limited_s3.get_object(Bucket=bucket, Key="open/a")["Body"].read() == b"otter"
    with pytest.raises(ClientError) as error:
        limited_s3.get_object(Bucket=bucket, Key="b")
    assert code_of(error) == "AccessDenied"
    identity = client_of(path_connection, "sts", assumed["Credentials"]).get_caller_identity()
    assert identity["Arn"] == assumed["AssumedRoleUser"]["Arn"]
    assert identity["UserId"] == f"{role['RoleId']}:session"

    iam.detach_role_policy(
        RoleName=role["RoleName"], PolicyArn="arn:aws:iam::aws:policy/AmazonS3FullAccess"
    )
    iam.delete_role(RoleName=role["RoleName"])
    with pytest.raises(ClientError) as error:
        s3.get_object(Bucket=bucket, Key="b")
    assert code_of(error) == "InvalidAccessKeyId"


def test_presigned_urls_of_a_session_work(iam, path_connection, user, bucket, name):
    iam.attach_user_policy(
        UserName=user["UserName"], PolicyArn="arn:aws:iam::aws:policy/AmazonS3FullAccess"
    )
    session = client_of(path_connection, "sts", user).get_session_token(DurationSeconds=900)
    s3 = client_of(path_connection, "s3", session["Credentials"])
    s3.put_object(Bucket=bucket, Key="k", Body=b"otter")
    url = s3.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": "k"})
    assert "X-Amz-Security-Token=" in url
    assert requests.get(url, timeout=30, verify=path_connection.ca_file).content == b"otter"
    without = url.split("&X-Amz-Security-Token=")[0]
    rest = url.split("&X-Amz-Security-Token=")[1].split("&", 1)[1]
    refused = requests.get(f"{without}&{rest}", timeout=30, verify=path_connection.ca_file)
    assert refused.status_code == 403


def test_pages_and_errors_as_boto_reads_them(iam, path_connection, name):
    names = [f"{name[:50]}-{number}" for number in range(5)]
    for each in names:
        iam.create_user(UserName=each, Path="/paging/")
    pages = iam.get_paginator("list_users").paginate(
        PathPrefix="/paging/", PaginationConfig={"PageSize": 2}
    )
    assert [user["UserName"] for page in pages for user in page["Users"]] == names
    with pytest.raises(iam.exceptions.EntityAlreadyExistsException):
        iam.create_user(UserName=names[0].upper())
    with pytest.raises(iam.exceptions.MalformedPolicyDocumentException):
        iam.put_user_policy(UserName=names[0], PolicyName="p", PolicyDocument="{}")
    for each in names:
        iam.delete_user(UserName=each)
    with pytest.raises(iam.exceptions.NoSuchEntityException):
        iam.get_user(UserName=names[0])
    strange = client_of(
        path_connection, "sts", {"AccessKeyId": "tid_nobody", "SecretAccessKey": "tsec_nothing"}
    )
    with pytest.raises(ClientError) as error:
        strange.get_caller_identity()
    assert code_of(error) == "InvalidClientTokenId"


def test_another_service_is_refused_as_its_clients_read_it(path_connection):
    for service, call, names_command in (("kms", "list_keys", True), ("dynamodb", "list_tables", False)):
        with pytest.raises(ClientError) as error:
            getattr(client_of(path_connection, service), call)()
        assert code_of(error) == "NotImplemented"
        assert error.value.response["ResponseMetadata"]["HTTPStatusCode"] == 501
        message = error.value.response["Error"]["Message"]
        assert "no request to S3, IAM or STS" in message
        assert ("`oncilla kms`" in message) is names_command


def test_a_policy_of_a_bucket_that_is_refused_names_what_is_wrong(path_connection, admin_s3, bucket):
    document = policy("s3:GetObject", f"arn:aws:s3:::{bucket}/*", Principal={"AWS": "123456789012"})
    with pytest.raises(ClientError) as error:
        admin_s3.put_bucket_policy(Bucket=bucket, Policy=document)
    refused = error.value.response["Error"]
    assert (refused["Code"], refused["Message"]) == ("MalformedPolicy", "Invalid principal in policy")
    assert "arn:aws:iam::123456789012:root" in refused["Detail"]
    assert "64 hexadecimal digits" in refused["Detail"]


def aws(connection, *arguments, credentials=None):
    """Runs the AWS CLI and reads its answer."""
    keys = credentials or {
        "AccessKeyId": connection.access_key,
        "SecretAccessKey": connection.secret_key,
    }
    environment = harness.clean_environment(
        AWS_ACCESS_KEY_ID=keys["AccessKeyId"],
        AWS_SECRET_ACCESS_KEY=keys["SecretAccessKey"],
        AWS_REGION="us-east-1",
        AWS_DEFAULT_REGION="us-east-1",
        AWS_ENDPOINT_URL=connection.endpoint_url,
        AWS_PAGER="",
    )
    if "SessionToken" in keys:
        environment["AWS_SESSION_TOKEN"] = keys["SessionToken"]
    answer = run([tool("aws"), *arguments, "--output", "json"], env=environment).stdout
    return json.loads(answer) if answer.startswith("{") else answer


def test_the_aws_cli_makes_a_user_and_assumes_a_role(path_connection, bucket, name, tmp_path):
    def call(*arguments, **settings):
        return aws(path_connection, *arguments, **settings)

    user = call("iam", "create-user", "--user-name", name)["User"]
    key = call("iam", "create-access-key", "--user-name", name)["AccessKey"]
    document = tmp_path / "trust.json"
    document.write_text(trust(user["Arn"]))
    role = call(
        *["iam", "create-role", "--role-name", name],
        *["--assume-role-policy-document", f"file://{document}"],
    )["Role"]
    document.write_text(policy("s3:*"))
    call(
        *["iam", "put-role-policy", "--role-name", name, "--policy-name", "p"],
        *["--policy-document", f"file://{document}"],
    )
    assumed = call(
        *["sts", "assume-role", "--role-arn", role["Arn"], "--role-session-name", "cli"],
        credentials=key,
    )
    source = tmp_path / "otter"
    source.write_text("otter")
    session = assumed["Credentials"]
    call("s3", "cp", str(source), f"s3://{bucket}/otter", credentials=session)
    assert "otter" in call("s3", "ls", f"s3://{bucket}/", credentials=session)
    call("iam", "delete-role-policy", "--role-name", name, "--policy-name", "p")
    call("iam", "delete-role", "--role-name", name)
    call(
        *["iam", "delete-access-key", "--user-name", name],
        *["--access-key-id", key["AccessKeyId"]],
    )
    call("iam", "delete-user", "--user-name", name)
