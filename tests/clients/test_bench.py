"""`oncilla bench`: the load generator as people run it, against a real server and against broken ones."""

import json
import os
import signal
import socket
import subprocess
import threading
import time

import pytest
import requests

import harness
from conftest import new_bucket_name, run
from harness import GENERAL, INTERRUPTED, NETWORK, USAGE

# Small enough for a debug build on a loaded machine; every operation still happens many times.
SHAPE = ["--objects", "60", "--concurrency", "4", "--warmup", "100ms"]
SMALL = [*SHAPE, "--duration", "1s"]


def command(*arguments):
    return [str(part) for part in (harness.binary(), "bench", *arguments)]


@pytest.fixture
def bench(path_connection):
    """Runs the command with --json; returns its report, or the whole result with check=False."""

    def call(*arguments, check=True, environment=None):
        result = run(
            command(*arguments, "--json"),
            env=environment or path_connection.environment(),
            check=check,
        )
        return json.loads(result.stdout) if check else result

    return call


def keys_in(s3, bucket):
    return [entry["Key"] for entry in s3.list_objects_v2(Bucket=bucket).get("Contents", [])]


def assert_nothing_left(s3, bucket):
    assert keys_in(s3, bucket) == []
    assert s3.list_multipart_uploads(Bucket=bucket).get("Uploads", []) == []


OPERATIONS = {
    "get": ["--size", "1KiB..200KiB"],
    "put": ["--size", "1KiB:3,100KiB:1"],
    "stat": ["--size", "1KiB"],
    "list": ["--page-keys", "7"],
    "delete": [],
    "mixed": ["--size", "4KiB", "--mix", "get=4,stat=3,put=3,delete=2,list=1"],
    "range": ["--size", "3MiB", "--range-size", "5000"],
    "multipart": ["--size", "11MiB", "--part-size", "5MiB"],
}


# Those of which one alone may take longer than a second: so many are made, however long it takes.
COUNTED = {"multipart": 8}


@pytest.mark.parametrize("operation", OPERATIONS)
def test_every_operation_verified_and_cleaned_up(bench, admin_s3, bucket, operation):
    count = COUNTED.get(operation)
    load = [*SHAPE, "--operations", count] if count else SMALL
    report = bench(operation, *load, "--bucket", bucket, "--verify", *OPERATIONS[operation])
    assert report["operation"] == operation and report["format"] == 1
    total = report["targets"][0]["total"]
    assert total["errors"] == 0 and total["mismatches"] == 0, total
    assert total["operations"] == count if count else total["operations"] > 0
    latency = total["latency_ms"]
    assert 0 < latency["p50"] <= latency["p90"] <= latency["p99"] <= latency["max"]
    assert total["operations_per_s"] == pytest.approx(total["operations"] / total["elapsed_s"])
    moves_data = operation not in ("stat", "delete")
    assert (total["bytes"] > 0) == moves_data
    kinds = set(total["by_operation"])
    if operation == "mixed":
        assert kinds >= {"get", "stat", "put"}
    else:
        assert kinds == {operation}
    assert_nothing_left(admin_s3, bucket)


@pytest.mark.parametrize("payload", ["signed", "streaming"])
def test_other_ways_to_sign_bodies(bench, admin_s3, bucket, payload):
    report = bench(
        "put", *SMALL, "--bucket", bucket, "--verify", "--payload", payload, "--size", "0:1,200KiB:3"
    )
    assert report["targets"][0]["total"]["errors"] == 0
    assert_nothing_left(admin_s3, bucket)


def test_a_bucket_that_was_made_is_removed_and_one_that_was_there_stays(bench, admin_s3, bucket):
    made = new_bucket_name("bench")
    bench("stat", *SMALL, "--bucket", made, "--size", "10")
    names = [entry["Name"] for entry in admin_s3.list_buckets()["Buckets"]]
    assert made not in names and bucket in names


def test_keys_of_others_are_neither_overwritten_nor_removed(bench, admin_s3, bucket):
    admin_s3.put_object(Bucket=bucket, Key="mine/00000001", Body=b"precious")
    refused = bench("put", *SMALL, "--bucket", bucket, "--prefix", "mine/", check=False)
    assert refused.returncode == USAGE and "mine/" in refused.stderr
    bench("put", *SMALL, "--bucket", bucket, "--prefix", "bench/", "--size", "100", "--overwrite")
    assert keys_in(admin_s3, bucket) == ["mine/00000001"]
    body = admin_s3.get_object(Bucket=bucket, Key="mine/00000001")["Body"].read()
    assert body == b"precious"


def test_kept_objects_can_be_measured_again_and_damage_is_seen(bench, admin_s3, bucket):
    shape = ["--bucket", bucket, "--size", "4KiB..64KiB", "--seed", "7", *SMALL]
    bench("get", *shape, "--prefix", "kept/", "--keep")
    assert len(keys_in(admin_s3, bucket)) == 60
    again = ["get", *shape, "--no-prepare", "--keys", "kept/{n:08}", "--verify"]
    assert bench(*again)["targets"][0]["total"]["errors"] == 0
    body = bytearray(admin_s3.get_object(Bucket=bucket, Key="kept/00000003")["Body"].read())
    body[-1] ^= 1
    admin_s3.put_object(Bucket=bucket, Key="kept/00000003", Body=bytes(body))
    damaged = bench(*again, check=False)
    assert damaged.returncode == GENERAL
    total = json.loads(damaged.stdout)["targets"][0]["total"]
    assert total["mismatches"] > 0
    [error] = total["errors_by_code"]
    assert error["code"] == "BodyMismatch" and "kept/00000003" in error["first_message"]
    assert len(keys_in(admin_s3, bucket)) == 60


def test_compare_two_endpoints(bench, path_connection, admin_s3, bucket, tmp_path):
    credentials = tmp_path / "credentials"
    credentials.write_text(
        f"[b]\naws_access_key_id={path_connection.access_key}\n"
        f"aws_secret_access_key={path_connection.secret_key}\n"
    )
    url = path_connection.endpoint_url
    report = bench(
        "get", "--compare", "--rounds", "3", "--objects", "20", "--size", "4KiB",
        "--duration", "300ms", "--warmup", "50ms", "--concurrency", "2",
        "--endpoint", f"a={url},bucket={bucket}",
        "--endpoint", f"b={url},profile=b,bucket={new_bucket_name('bench')}",
        environment=path_connection.environment(AWS_SHARED_CREDENTIALS_FILE=str(credentials)),
    )
    assert [target["name"] for target in report["targets"]] == ["a", "b"]
    assert all(len(target["rounds"]) == 3 for target in report["targets"])
    assert report["comparison"]["baseline"] == "a"
    metrics = {metric["metric"]: metric["targets"] for metric in report["comparison"]["metrics"]}
    first, second = metrics["operations_per_s"]
    assert first["ratios"] == [1, 1, 1]
    expected = [
        b["operations_per_s"] / a["operations_per_s"]
        for a, b in zip(*(target["rounds"] for target in report["targets"]))
    ]
    assert second["ratios"] == pytest.approx(expected)
    assert second["ratio_min"] <= second["ratio"] <= second["ratio_max"]
    assert second["ratio"] == sorted(second["ratios"])[1]
    assert_nothing_left(admin_s3, bucket)


def test_a_server_is_compared_with_itself(bench, path_connection, admin_s3):
    url, name = path_connection.endpoint_url, new_bucket_name("bench")
    report = bench(
        "get", "--compare", "--rounds", "2", "--objects", "20", "--size", "4KiB", "--bucket", name,
        "--duration", "200ms", "--warmup", "50ms", "--concurrency", "2",
        "--endpoint", f"a={url}", "--endpoint", f"b={url}",
    )
    assert [target["total"]["errors"] for target in report["targets"]] == [0, 0]
    assert name not in [found["Name"] for found in admin_s3.list_buckets()["Buckets"]]


def test_a_wrong_secret_is_said_and_not_measured(bench, path_connection, bucket):
    wrong = path_connection.environment(AWS_SECRET_ACCESS_KEY="tsec_" + "w" * 44)
    result = bench("get", *SMALL, "--bucket", bucket, check=False, environment=wrong)
    assert result.returncode == USAGE and result.stdout == ""
    assert len(result.stderr.strip().splitlines()) <= 2
    # Without preparing, every operation is refused, and counted.
    result = bench(
        "get", *SMALL, "--bucket", bucket, "--no-prepare", "--keys", "x{n}",
        check=False, environment=wrong,
    )
    assert result.returncode == GENERAL
    total = json.loads(result.stdout)["targets"][0]["total"]
    assert total["operations"] == 0 and total["latency_ms"] is None
    assert [error["code"] for error in total["errors_by_code"]] == ["SignatureDoesNotMatch"]


def test_nobody_listens(bench, path_connection, bucket):
    url = f"http://127.0.0.1:{harness.free_port()}"
    environment = path_connection.environment(AWS_ENDPOINT_URL_S3=url, AWS_MAX_ATTEMPTS="1")
    assert bench("get", *SMALL, check=False, environment=environment).returncode == NETWORK
    result = bench(
        "get", *SMALL, "--no-prepare", "--keys", "x{n}", check=False, environment=environment
    )
    assert result.returncode == GENERAL
    [error] = json.loads(result.stdout)["targets"][0]["total"]["errors_by_code"]
    assert error["code"] == "ConnectionRefused"


class Scripted:
    """A server that gives every request the same bytes, and then perhaps silence."""

    def __init__(self, answer: bytes, silent: bool = False):
        self.answer, self.silent = answer, silent
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.open = []
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.open.append(connection)
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection):
        received = b""
        try:
            while piece := connection.recv(65536):
                received += piece
                if b"\r\n\r\n" in received:
                    received = b""
                    connection.sendall(self.answer)
                    if not self.silent and b"keep" not in self.answer:
                        connection.close()
                        return
        except OSError:
            pass


SLOW_DOWN = b"<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>"
BROKEN = {
    "SlowDown": b"HTTP/1.1 503 x\r\nx: keep\r\ncontent-length: %d\r\n\r\n" % len(SLOW_DOWN) + SLOW_DOWN,
    "HTTP 502": b"HTTP/1.1 502 x\r\nx: keep\r\ncontent-length: 0\r\n\r\n",
    "MalformedResponse": b"SSH-2.0-x\r\n\r\n",
    "ConnectionClosed": b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nshort",
    "UnexpectedStatus": b"HTTP/1.1 200 OK\r\nx: keep\r\ncontent-length: 10\r\n\r\n0123456789",
}


@pytest.mark.parametrize("code", BROKEN)
def test_broken_answers_are_counted(bench, code):
    server = Scripted(BROKEN[code])
    result = bench(
        "range", "--unsigned", "--no-prepare", "--keys", "{n}", "--size", "1000",
        "--range-size", "10", "--concurrency", "2", "--duration", "500ms", "--warmup", "0s",
        "--endpoint-url", f"http://127.0.0.1:{server.port}", check=False,
    )
    server.listener.close()
    assert result.returncode == GENERAL, result
    total = json.loads(result.stdout)["targets"][0]["total"]
    assert total["operations"] == 0
    assert total["errors_by_code"][0]["code"] == code, total


def test_a_wrong_length_is_an_error(bench):
    answer = b"HTTP/1.1 200 OK\r\nx: keep\r\ncontent-length: 10\r\n\r\n0123456789"
    server = Scripted(answer)
    result = bench(
        "get", "--unsigned", "--no-prepare", "--keys", "{n}", "--size", "11", "--verify",
        "--concurrency", "1", "--operations", "3", "--warmup", "0s",
        "--endpoint-url", f"http://127.0.0.1:{server.port}", check=False,
    )
    server.listener.close()
    total = json.loads(result.stdout)["targets"][0]["total"]
    assert result.returncode == GENERAL and total["errors"] == 3
    assert total["errors_by_code"][0]["code"] == "UnexpectedLength"


def test_silence_is_a_timeout_and_not_a_hang(bench):
    server = Scripted(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n", silent=True)
    begun = time.monotonic()
    result = bench(
        "get", "--unsigned", "--no-prepare", "--keys", "{n}", "--concurrency", "1",
        "--operations", "2", "--warmup", "0s", "--timeout", "500ms",
        "--endpoint-url", f"http://127.0.0.1:{server.port}", check=False,
    )
    server.listener.close()
    assert time.monotonic() - begun < 30
    [error] = json.loads(result.stdout)["targets"][0]["total"]["errors_by_code"]
    assert (result.returncode, error["code"], error["count"]) == (GENERAL, "Timeout", 2)


def test_a_server_that_goes_away_and_comes_back(own_server):
    server = own_server()
    environment = server.path_connection().environment()
    process = subprocess.Popen(
        command("get", "--size", "4KiB", "--objects", "20", "--concurrency", "4",
                "--duration", "10s", "--warmup", "0s", "--json"),
        env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )
    try:
        # A server that goes away while objects are prepared is another matter.
        deadline = time.monotonic() + 60
        metrics = server.endpoint_url + "/-/metrics"
        while 'operation="GetObject"' not in requests.get(metrics, timeout=10).text:
            assert time.monotonic() < deadline and process.poll() is None, "the load did not begin"
            time.sleep(0.05)
        server.kill()
        time.sleep(0.5)
        server.start()
        output, errors = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == GENERAL, errors
    total = json.loads(output)["targets"][0]["total"]
    assert total["operations"] > 0 and total["errors"] > 0 and total["reconnects"] > 0


def test_ctrl_c_prints_what_was_measured_and_cleans_up(path_connection, admin_s3, bucket):
    process = subprocess.Popen(
        command("put", "--size", "4KiB", "--bucket", bucket, "--duration", "60s",
                "--warmup", "0s", "--json"),
        env=path_connection.environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )
    deadline = time.monotonic() + 20
    while not keys_in(admin_s3, bucket) and time.monotonic() < deadline:
        time.sleep(0.1)
    os.kill(process.pid, signal.SIGINT)
    output, errors = process.communicate(timeout=60)
    assert process.returncode == INTERRUPTED, errors
    report = json.loads(output)
    assert report["interrupted"] is True
    assert report["targets"][0]["total"]["operations"] > 0
    assert_nothing_left(admin_s3, bucket)


def test_a_rate_is_kept(bench, bucket):
    report = bench(
        "stat", "--objects", "5", "--size", "1", "--bucket", bucket, "--concurrency", "4",
        "--rate", "50", "--duration", "6s", "--warmup", "200ms",
    )
    # 300: a second's worth may miss the window at its end, and the warm-up's may fall into it.
    assert 240 <= report["targets"][0]["total"]["operations"] <= 320


def test_operations_are_counted_exactly(bench, bucket):
    report = bench(
        "put", "--size", "1KiB", "--bucket", bucket, "--operations", "137", "--concurrency", "5"
    )
    assert report["targets"][0]["total"]["operations"] == 137


def test_over_tls(bench, virtual_connection, path_connection, admin_s3, bucket):
    port = virtual_connection.endpoint_url.rsplit(":", 1)[1]
    environment = path_connection.environment(
        AWS_ENDPOINT_URL_S3=f"https://localhost:{port}", AWS_CA_BUNDLE=virtual_connection.ca_file
    )
    report = bench(
        "get", *SMALL, "--size", "1KiB..300KiB", "--verify", "--bucket", bucket,
        environment=environment,
    )
    assert report["targets"][0]["total"]["errors"] == 0
    assert_nothing_left(admin_s3, bucket)


def test_text_for_people(path_connection, bucket):
    result = run(
        command("get", *SMALL, "--size", "4KiB", "--bucket", bucket),
        env=path_connection.environment(),
    )
    for word in ("operations", "throughput", "MB/s", "p99.9", "first byte", "errors      0"):
        assert word in result.stdout
    assert result.stderr == ""


@pytest.mark.parametrize(
    "arguments",
    [
        ["put", "--no-prepare"],
        ["get", "--overwrite"],
        ["range", "--size", "1KiB", "--range-size", "2KiB"],
        ["get", "--compare"],
        ["get", "--endpoint", "a=ftp://x"],
        ["mixed", "--mix", "put=1,delete=2"],
        ["get", "--keys", "x{n}"],
    ],
)
def test_flags_that_make_no_sense(bench, arguments):
    assert bench(*arguments, check=False).returncode == USAGE
