"""The AWS SDKs for JavaScript, Go and Rust: one program each, run against a fresh bucket.

Each program prints a line per check ("ok …") and ends with a non-zero code at
the first that fails. EXPECTED_CHECKS guards against a program that stops early
without an error.
"""

import pytest

import harness
from conftest import TOOLS, run, tool

EXPECTED_CHECKS = 8


def exercise(command, connection, bucket, **environment):
    result = run(
        command,
        env=connection.environment(
            BUCKET_NAME=bucket,
            PATH_STYLE=str(connection.path_style).lower(),
            **environment,
        ),
    )
    checks = [line for line in result.stdout.splitlines() if line.startswith("ok ")]
    assert len(checks) == EXPECTED_CHECKS, result.stdout + result.stderr


def built(path, how):
    if not path.is_file():
        pytest.fail(f"{path} is missing: run `make {how}`", pytrace=False)
    return path


def test_javascript(connection, bucket):
    directory = harness.REPOSITORY / "tests" / "clients" / "js"
    built(directory / "node_modules" / "@aws-sdk" / "client-s3" / "package.json", "tools")
    exercise([tool("node"), directory / "main.js"], connection, bucket)


def test_go(connection, bucket):
    exercise([built(TOOLS / "go-client", "tools")], connection, bucket)


def test_rust(connection, bucket):
    program = harness.REPOSITORY / "target/client-rust/debug/oncilla-client-test-rust"
    exercise([built(program, "tools")], connection, bucket)
