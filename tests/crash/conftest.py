"""Settings of the crash tests; the printed seed replays a run's decisions."""

import os
import pathlib
import random
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "clients"))

import boto3  # noqa: E402
import botocore.config  # noqa: E402

import harness  # noqa: E402
from faults import Faults  # noqa: E402

SECONDS = float(os.environ.get("ONCILLA_CRASH_SECONDS", "10"))
SEED = int(os.environ.get("ONCILLA_CRASH_SEED", random.SystemRandom().randrange(1 << 31)))


def pytest_report_header(config):
    return f"ONCILLA_CRASH_SEED={SEED} ONCILLA_CRASH_SECONDS={SECONDS:g}"


@pytest.fixture
def seed():
    print(f"replay with ONCILLA_CRASH_SEED={SEED}")
    return SEED


@pytest.fixture
def seconds():
    return SECONDS


def client_for(server):
    return boto3.client(
        "s3",
        endpoint_url=server.endpoint_url,
        region_name=harness.REGION,
        aws_access_key_id=harness.ROOT_ACCESS_KEY_ID,
        aws_secret_access_key=harness.ROOT_SECRET_ACCESS_KEY,
        config=botocore.config.Config(
            # One attempt: a repeated request would blur what was acknowledged.
            retries={"total_max_attempts": 1},
            s3={"addressing_style": "path"},
            connect_timeout=5,
            read_timeout=60,
        ),
    )


@pytest.fixture
def make_client():
    return client_for


@pytest.fixture
def faults(tmp_path, seed):
    faults = Faults(tmp_path, seed)
    yield faults
    faults.server.kill()
