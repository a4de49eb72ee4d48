"""Makes the accounts that ceph/s3-tests wants and writes its configuration file."""

import argparse
import configparser
import json
import subprocess

import boto3

# (section, display name, e-mail, access key, secret key). The suite compares the
# display name and the canonical id with what the server reports as owner.
USERS = [
    ("s3 main", "M. Tester", "tester@example.com", "tid_S3TestsMain0000000000", "tsec_" + "m" * 40),
    ("s3 alt", "john.doe", "john@example.com", "tid_S3TestsAlt00000000000", "tsec_" + "a" * 40),
    ("s3 tenant", "tenanted", "tenant@example.com", "tid_S3TestsTenant00000000", "tsec_" + "t" * 40),
    ("iam", "iam", "iam@example.com", "tid_S3TestsIam00000000000", "tsec_" + "i" * 40),
    ("iam root", "iam root", "root@example.com", "tid_S3TestsIamRoot0000000", "tsec_" + "r" * 40),
    ("iam alt root", "iam alt", "alt@example.com", "tid_S3TestsIamAlt00000000", "tsec_" + "l" * 40),
]


def alternative_user(config, endpoint: str) -> dict[str, str]:
    """An IAM user that may do everything in S3, and its key."""
    iam = boto3.client(
        "iam",
        endpoint_url=endpoint,
        region_name="us-east-1",
        aws_access_key_id=config["iam"]["access_key"],
        aws_secret_access_key=config["iam"]["secret_key"],
    )
    name = "s3-tests-alt"
    iam.create_user(UserName=name)
    iam.attach_user_policy(
        UserName=name, PolicyArn="arn:aws:iam::aws:policy/AmazonS3FullAccess"
    )
    key = iam.create_access_key(UserName=name)["AccessKey"]
    return {
        "display_name": name,
        "user_id": name,
        "access_key": key["AccessKeyId"],
        "secret_key": key["SecretAccessKey"],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for option in ("--binary", "--data", "--port", "--day-s", "--output"):
        parser.add_argument(option, required=True)
    parser.add_argument(
        "--iam",
        action="store_true",
        help="make the alternative user an IAM user of the account of [iam], as the tests of user "
        "policies want it, and not the owner of an account",
    )
    options = parser.parse_args()

    def oncilla(*arguments: str):
        command = [options.binary, *arguments, "--data", options.data, "--json"]
        result = subprocess.run(command, capture_output=True, text=True, check=False)
        if result.returncode != 0:
            raise SystemExit(f"{command}: {result.returncode}\n{result.stdout}{result.stderr}")
        return json.loads(result.stdout)

    config = configparser.RawConfigParser()
    config["DEFAULT"] = {
        "host": "127.0.0.1",
        "port": options.port,
        "is_secure": "False",
        "ssl_verify": "False",
    }
    config["fixtures"] = {
        "bucket prefix": "s3tests-{random}-",
        "iam name prefix": "s3-tests-",
        "iam path prefix": "/s3-tests/",
    }
    for section, name, email, access_key, secret_key in USERS:
        account = oncilla("account", "create", name, "--email", email)
        oncilla(
            *["key", "import", access_key, "--secret", secret_key],
            *["--account", account["id"], "--grant", "*=Admin"],
        )
        config[section] = {
            "display_name": name,
            "user_id": account["id"],
            "email": email,
            "access_key": access_key,
            "secret_key": secret_key,
        }
    if options.iam:
        config["s3 alt"].update(alternative_user(config, f"http://127.0.0.1:{options.port}"))
    for name in ("kms_keyid", "kms_keyid2"):
        key = oncilla("kms", "key", "create", f"s3tests-{name}")
        config["s3 main"][name] = key["id"]
    # Answers of GetBucketLocation are compared with this.
    config["s3 main"]["api_name"] = "auto"
    config["s3 main"]["lc_debug_interval"] = options.day_s
    config["s3 tenant"]["tenant"] = ""
    with open(options.output, "w", encoding="utf-8") as file:
        config.write(file)


if __name__ == "__main__":
    main()
