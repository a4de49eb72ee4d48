"""The server as an operator meets it: settings, refusals, probes, limits, shutdown."""

import concurrent.futures
import datetime
import hashlib
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time

import botocore.auth
import botocore.awsrequest
import botocore.credentials
import pytest
import requests
from botocore.exceptions import ClientError

import harness
from conftest import MIB, make_s3_client, new_bucket_name, random_bytes


def run_server(arguments, timeout=20, **environment):
    """Runs a server that is expected to end by itself."""
    return subprocess.run(
        [harness.binary(), "server", *[str(argument) for argument in arguments]],
        capture_output=True,
        text=True,
        timeout=timeout,
        env=harness.clean_environment(**environment),
    )


def signed(server, method, path, *, headers=None, body=b"", query="", **overrides):
    """Sends a request signed by hand, so that it can be wrong in one chosen way."""
    url = server.endpoint_url + path + (f"?{query}" if query else "")
    request = botocore.awsrequest.AWSRequest(method, url, data=body, headers=headers or {})
    request.headers["x-amz-content-sha256"] = hashlib.sha256(body).hexdigest()
    credentials = botocore.credentials.Credentials(
        overrides.get("access_key", harness.ROOT_ACCESS_KEY_ID),
        overrides.get("secret_key", harness.ROOT_SECRET_ACCESS_KEY),
    )
    signer = botocore.auth.S3SigV4Auth(credentials, "s3", "auto")
    if "time" in overrides:
        # botocore takes the moment from a module-level function.
        original = botocore.auth.get_current_datetime
        botocore.auth.get_current_datetime = lambda *_, **__: overrides["time"]
        try:
            signer.add_auth(request)
        finally:
            botocore.auth.get_current_datetime = original
    else:
        signer.add_auth(request)
    return requests.request(method, url, headers=dict(request.headers), data=body, timeout=30)


def error_code(answer) -> str:
    found = re.search("<Code>(.*?)</Code>", answer.text)
    assert found, answer.text
    return found.group(1)


@pytest.mark.parametrize(
    "setting,value",
    [
        ("--listen", "nowhere"),
        ("--listen", "127.0.0.1:99999"),
        ("--tls", "perhaps"),
        ("--durability", "sometimes"),
        ("--log-level", "chatty=="),
        ("--log-format", "xml"),
        ("--max-connections", "-1"),
        ("--idle-timeout", "soon"),
        ("--presign-expiry-max", "1 year"),
        ("--inline-threshold", "huge"),
        ("--domain", "*.example.com"),
        ("--config", "/does/not/exist.toml"),
    ],
)
def test_bad_settings(tmp_path, setting, value):
    result = run_server(["--data", tmp_path / "data", f"{setting}={value}"])
    assert result.returncode == 2, result
    lines = result.stderr.strip().splitlines()
    assert len(lines) == 1, result.stderr
    assert setting.lstrip("-") in lines[0], lines[0]
    assert not (tmp_path / "data").exists(), "a refused start has left something behind"


def test_bad_environment_and_file(tmp_path):
    result = run_server(["--data", tmp_path / "d"], ONCILLA_DURABILITY="sometimes")
    assert result.returncode == 2 and len(result.stderr.strip().splitlines()) == 1
    config = tmp_path / "oncilla.toml"
    config.write_text('durability = "sync"\nno_such_setting = 1\n')
    result = run_server(["--data", tmp_path / "d", "--config", config])
    assert result.returncode == 2 and "no_such_setting" in result.stderr
    half = run_server(["--data", tmp_path / "d"], ONCILLA_ROOT_ACCESS_KEY_ID="tid_x" + "0" * 20)
    assert half.returncode == 2 and len(half.stderr.strip().splitlines()) == 1


def test_every_path_of_a_website_is_the_buckets(own_server):
    server = own_server("--website-domain", "s3-website.example.com")
    for host, status in [
        ("s3-website.example.com", 200),
        ("other.example.com", 200),
        ("webb.s3-website.example.com", 404),
        ("webb.s3-website-eu-west-1.example.com", 404),
    ]:
        answer = requests.get(server.endpoint_url + "/-/health", headers={"Host": host}, timeout=5)
        assert answer.status_code == status, (host, answer.text)


def test_a_configuration_file_that_is_not_there(tmp_path):
    missing = tmp_path / "nofile"
    result = run_server(["--data", tmp_path / "d", "--config", missing])
    assert result.returncode == 2, result
    expected = f"cannot read the configuration file {missing}: No such file or directory"
    assert expected in result.stderr, result.stderr


def test_flags_win_over_environment_and_file(tmp_path):
    config = tmp_path / "oncilla.toml"
    file_port, environment_port = harness.free_port(), harness.free_port()
    config.write_text(f'listen = ["127.0.0.1:{file_port}"]\n')
    server = harness.Server(
        tmp_path / "data",
        arguments=["--config", str(config)],
        environment={"ONCILLA_LISTEN": f"127.0.0.1:{environment_port}"},
    )
    with server:
        for port in (file_port, environment_port):
            with pytest.raises(OSError):
                socket.create_connection(("127.0.0.1", port), timeout=1).close()


def test_data_directory_in_use(server, own_server):
    running = own_server()
    second = run_server(["--data", running.data, "--listen", f"127.0.0.1:{harness.free_port()}"])
    assert second.returncode not in (0, 101), second
    assert "in use" in second.stderr
    assert requests.get(running.endpoint_url + "/-/ready", timeout=5).status_code == 200


def test_newer_and_damaged_data_directories_are_refused(tmp_path):
    server = harness.Server(tmp_path / "data")
    with server:
        s3 = make_s3_client(server.path_connection())
        s3.create_bucket(Bucket="kept")
        s3.put_object(Bucket="kept", Key="k", Body=b"v")
    marker = server.data / "oncilla.json"
    good = marker.read_text()

    content = json.loads(good)
    content["format"] = 9999
    for damage in (json.dumps(content), "{", ""):
        marker.write_text(damage)
        result = run_server(["--data", server.data, "--listen", f"127.0.0.1:{server.port}"])
        assert result.returncode not in (0, 101), result
        assert marker.read_text() == damage, "the marker was written again"
    marker.unlink()
    result = run_server(["--data", server.data, "--listen", f"127.0.0.1:{server.port}"])
    assert result.returncode not in (0, 101) and not marker.exists()

    marker.write_text(good)
    with server:
        assert s3.get_object(Bucket="kept", Key="k")["Body"].read() == b"v"


def test_lost_metadata_is_not_created_anew(tmp_path):
    server = harness.Server(tmp_path / "data")
    with server:
        make_s3_client(server.path_connection()).create_bucket(Bucket="kept")
    (server.data / "meta").rename(tmp_path / "meta-aside")
    result = run_server(["--data", server.data, "--listen", f"127.0.0.1:{server.port}"])
    assert result.returncode not in (0, 101), "a store without its records has started"
    (server.data / "meta").exists() and (server.data / "meta").rmdir()
    (tmp_path / "meta-aside").rename(server.data / "meta")
    with server:
        make_s3_client(server.path_connection()).head_bucket(Bucket="kept")


def test_first_start_prints_credentials_once(tmp_path):
    data, port = tmp_path / "data", harness.free_port()
    outputs = []
    for _ in range(2):
        process = subprocess.Popen(
            [harness.binary(), "server", "--data", data, "--listen", f"127.0.0.1:{port}"],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=harness.clean_environment(),
        )
        try:
            deadline = time.monotonic() + harness.START_TIMEOUT_SECONDS
            while True:
                try:
                    if requests.get(f"http://127.0.0.1:{port}/-/ready", timeout=1).ok:
                        break
                except requests.RequestException:
                    assert time.monotonic() < deadline and process.poll() is None
                    time.sleep(0.05)
        finally:
            process.send_signal(signal.SIGTERM)
        outputs.append(process.communicate(timeout=40)[0])
        assert process.returncode == 0
    first, second = outputs
    key = re.search(r"AWS_ACCESS_KEY_ID\W+(tid_[A-Za-z0-9]{20,})", first)
    assert key, first
    assert re.search(r"AWS_SECRET_ACCESS_KEY\W+tsec_[A-Za-z0-9]{40,}", first)
    assert re.search(r"AWS_REGION\W+auto", first)
    assert f"http://127.0.0.1:{port}" in first and f"http://127.0.0.1:{port}" in second
    assert "tsec_" not in second


def test_probes_and_metrics(server, s3, bucket):
    assert requests.get(server.endpoint_url + "/-/health", timeout=5).status_code == 200
    assert requests.get(server.endpoint_url + "/-/ready", timeout=5).status_code == 200
    s3.put_object(Bucket=bucket, Key="k", Body=b"v")
    s3.get_object(Bucket=bucket, Key="k")["Body"].read()
    text = requests.get(server.endpoint_url + "/-/metrics", timeout=5).text
    sample = re.compile(
        r'^[a-zA-Z_:][a-zA-Z0-9_:]*(\{([a-zA-Z_]\w*="([^"\\]|\\.)*",?)*\})? '
        r"(NaN|[+-]?(Inf|[0-9.]+([eE][+-]?[0-9]+)?))( .*)?$"
    )
    samples = [line for line in text.splitlines() if line and not line.startswith("#")]
    for line in samples:
        assert sample.match(line), line
    assert any(line.startswith("oncilla_http_request_duration_seconds_bucket") for line in samples)
    assert any('operation="GetObject"' in line for line in samples)
    assert any('operation="PutObject"' in line for line in samples)
    # Prometheus refuses a page that repeats a sample.
    names = [line.rsplit(" ", 1)[0] for line in samples]
    assert len(names) == len(set(names))
    assert requests.get(server.endpoint_url + "/-/nothing", timeout=5).status_code == 404


def test_request_ids(server, s3, bucket):
    seen = set()
    for _ in range(3):
        answer = s3.list_buckets()["ResponseMetadata"]["HTTPHeaders"]
        assert answer["x-amz-request-id"]
        seen.add(answer["x-amz-request-id"])
    assert len(seen) == 3
    refused = requests.get(f"{server.endpoint_url}/{bucket}", timeout=5)
    assert f"<RequestId>{refused.headers['x-amz-request-id']}</RequestId>" in refused.text
    assert refused.headers["x-amz-request-id"] in server.log()


def test_anonymous_requests_are_refused(server, s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"v")
    for method, path in [
        ("GET", "/"),
        ("GET", f"/{bucket}"),
        ("GET", f"/{bucket}/k"),
        ("GET", f"/{bucket}/absent"),
        ("PUT", f"/{bucket}/new"),
        ("DELETE", f"/{bucket}/k"),
        ("DELETE", f"/{bucket}"),
        ("PUT", "/" + new_bucket_name()),
    ]:
        answer = requests.request(method, server.endpoint_url + path, timeout=5)
        assert (answer.status_code, error_code(answer)) == (403, "AccessDenied"), (method, path)
    assert requests.head(f"{server.endpoint_url}/{bucket}/k", timeout=5).status_code == 403
    assert [e["Key"] for e in s3.list_objects_v2(Bucket=bucket)["Contents"]] == ["k"]


def test_public_bucket_can_be_read_and_not_written(server, s3):
    name = new_bucket_name("public")
    s3.create_bucket(Bucket=name)
    s3.put_object(Bucket=name, Key="page.html", Body=b"<p>", ContentType="text/html", ACL="public-read")
    url = f"{server.endpoint_url}/{name}/page.html"
    answer = requests.get(url, timeout=5)
    assert (answer.status_code, answer.content) == (200, b"<p>")
    assert answer.headers["content-type"] == "text/html"
    assert requests.put(url, data=b"x", timeout=5).status_code == 403
    assert requests.delete(url, timeout=5).status_code == 403


@pytest.mark.parametrize(
    "wrong,code",
    [
        ({"secret_key": "tsec_" + "w" * 50}, "SignatureDoesNotMatch"),
        ({"access_key": "tid_Unknown0000000000000"}, "InvalidAccessKeyId"),
        ({"time": datetime.datetime(2020, 1, 1)}, "RequestTimeTooSkewed"),
        (
            {"time": datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(hours=2)},
            "RequestTimeTooSkewed",
        ),
    ],
)
def test_wrong_signatures(server, bucket, wrong, code):
    assert signed(server, "GET", f"/{bucket}").status_code == 200
    answer = signed(server, "GET", f"/{bucket}", **wrong)
    assert (answer.status_code, error_code(answer)) == (403, code)


def test_small_clock_differences_are_accepted(server, bucket):
    now = datetime.datetime.now(datetime.timezone.utc)
    for minutes in (-14, 14):
        moment = now + datetime.timedelta(minutes=minutes)
        assert signed(server, "GET", f"/{bucket}", time=moment).status_code == 200


def test_body_must_match_its_signed_digest(server, s3, bucket):
    """The signature is right for another body than the one that arrives."""
    body = b"signed body"
    url = f"{server.endpoint_url}/{bucket}/k"
    request = botocore.awsrequest.AWSRequest("PUT", url, data=body)
    credentials = botocore.credentials.Credentials(
        harness.ROOT_ACCESS_KEY_ID, harness.ROOT_SECRET_ACCESS_KEY
    )
    botocore.auth.S3SigV4Auth(credentials, "s3", "auto").add_auth(request)
    headers = dict(request.headers) | {"x-amz-content-sha256": hashlib.sha256(body).hexdigest()}
    answer = requests.put(url, headers=headers, data=b"other bytes", timeout=5)
    assert answer.status_code in (400, 403)
    with pytest.raises(ClientError):
        s3.head_object(Bucket=bucket, Key="k")


def test_presigned_links_expire(admin_s3, bucket, path_connection, virtual_connection):
    admin_s3.put_object(Bucket=bucket, Key="k", Body=b"v")
    expired = []
    # Both ways in are tried before and after one wait.
    for connection in (path_connection, virtual_connection):
        verify = connection.ca_file or True
        s3 = make_s3_client(connection)

        def link(seconds):
            where = {"Bucket": bucket, "Key": "k"}
            return s3.generate_presigned_url("get_object", where, ExpiresIn=seconds)

        # The date in it has whole seconds: at least four of the five are left.
        url = link(5)
        assert requests.get(url, verify=verify).status_code == 200
        expired.append((url, verify))
        answer = requests.get(link(91 * 24 * 3600), verify=verify)
        assert answer.status_code in (400, 403)
        assert error_code(answer) == "AuthorizationQueryParametersError"
    time.sleep(6.1)
    for url, verify in expired:
        answer = requests.get(url, verify=verify)
        assert (answer.status_code, error_code(answer)) == (403, "AccessDenied")


UNIMPLEMENTED_ON_BUCKETS = "abac metadataConfiguration metadataTable replication session".split()
UNIMPLEMENTED_ON_OBJECTS = "torrent".split()


def test_unimplemented_operations_change_nothing(server, s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"kept")
    cases = [(f"/{bucket}", name) for name in UNIMPLEMENTED_ON_BUCKETS]
    cases += [(f"/{bucket}/k", name) for name in UNIMPLEMENTED_ON_OBJECTS]
    for path, name in cases:
        for method in ("GET", "PUT", "DELETE", "POST"):
            answer = signed(server, method, path, query=f"{name}=", body=b"<X/>")
            # 405 where S3 itself knows no such method on the sub-resource.
            assert answer.status_code in (501, 405), (method, path, name, answer.text)
            if answer.status_code == 501:
                assert error_code(answer) == "NotImplemented"
    assert signed(server, "DELETE", f"/{bucket}", query="replication=").status_code == 501
    assert signed(server, "DELETE", f"/{bucket}", query="policy=").status_code == 204
    s3.head_bucket(Bucket=bucket)
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"kept"
    assert [e["Key"] for e in s3.list_objects_v2(Bucket=bucket)["Contents"]] == ["k"]


def test_s3_prefix_is_an_alias(server, s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"v")
    assert signed(server, "GET", f"/s3/{bucket}/k").content == b"v"
    assert signed(server, "PUT", f"/s3/{bucket}/new", body=b"n").status_code == 200
    assert s3.get_object(Bucket=bucket, Key="new")["Body"].read() == b"n"


def test_huge_and_malformed_requests(server):
    def raw(data: bytes) -> bytes:
        with socket.create_connection(("127.0.0.1", server.port), timeout=15) as connection:
            try:
                connection.sendall(data)
                connection.shutdown(socket.SHUT_WR)
            except OSError:
                pass
            answer = b""
            try:
                while chunk := connection.recv(65536):
                    answer += chunk
            except OSError:
                pass
            return answer

    head = b"GET / HTTP/1.1\r\nHost: x\r\n"
    for request in [
        head + b"x-amz-meta-a: " + b"a" * (2 * MIB) + b"\r\n\r\n",
        head + b"".join(b"h%d: v\r\n" % n for n in range(20_000)) + b"\r\n",
        b"GET /" + b"a" * (2 * MIB) + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc",
        b"NONSENSE\r\n\r\n",
        b"PUT /b/k HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n",
        b"PUT /b/k HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
        b"GET /b/%zz%00 HTTP/1.1\r\nHost: x\r\n\r\n",
    ]:
        answer = raw(request)
        assert not answer.startswith(b"HTTP/1.1 2"), answer[:200]
        assert not answer.startswith(b"HTTP/1.1 500"), answer[:200]
    assert requests.get(server.endpoint_url + "/-/health", timeout=5).status_code == 200


def put_slowly(server, bucket, key, body, pause_seconds, pieces):
    """A PUT whose body trickles; returns the status line, or b"" when it was cut."""
    path = f"/{bucket}/{key}"
    url = server.endpoint_url + path
    request = botocore.awsrequest.AWSRequest("PUT", url, headers={"content-length": str(len(body))})
    request.headers["x-amz-content-sha256"] = "UNSIGNED-PAYLOAD"
    request.context["payload_signing_enabled"] = False
    credentials = botocore.credentials.Credentials(
        harness.ROOT_ACCESS_KEY_ID, harness.ROOT_SECRET_ACCESS_KEY
    )
    signer = botocore.auth.S3SigV4Auth(credentials, "s3", "auto")
    signer.payload = lambda _: "UNSIGNED-PAYLOAD"
    signer.add_auth(request)
    lines = [f"PUT {path} HTTP/1.1", f"Host: 127.0.0.1:{server.port}"]
    lines += [f"{name}: {value}" for name, value in request.headers.items() if name.lower() != "host"]
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as connection:
        try:
            connection.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
            size = len(body) // pieces
            for number in range(pieces):
                if number > 0:
                    time.sleep(pause_seconds)
                connection.sendall(body[number * size : (number + 1) * size])
            return connection.recv(65536).split(b"\r\n")[0]
        except OSError:
            return b""


def test_slow_clients(own_server):
    """A slow transfer that moves is served; one that stands still is cut and leaves nothing."""
    server = own_server("--idle-timeout", "6s")
    s3 = make_s3_client(server.path_connection())
    s3.create_bucket(Bucket="slow")
    body = random_bytes(60_000)
    # Heads that never end are cut too, and do not keep others out.
    idle = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(50)]
    for connection in idle:
        connection.sendall(b"GET / HTTP/1.1\r\nHost:")
    assert requests.get(server.endpoint_url + "/-/health", timeout=5).status_code == 200
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        # The pauses of the one that moves are together longer than the timeout, each far shorter.
        honest = pool.submit(put_slowly, server, "slow", "honest", body, 0.8, 12)
        stuck = pool.submit(put_slowly, server, "slow", "stuck", body, 10, 2)
        assert honest.result() == b"HTTP/1.1 200 OK"
        assert b" 200 " not in stuck.result()
    assert s3.get_object(Bucket="slow", Key="honest")["Body"].read() == body
    with pytest.raises(ClientError):
        s3.head_object(Bucket="slow", Key="stuck")
    for connection in idle:
        # A head may take 30 s; that is looked at every 30 s.
        connection.settimeout(90)
        while connection.recv(4096):
            pass
        connection.close()


def test_aborted_uploads_leave_nothing(server, s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"old")
    body = random_bytes(4 * MIB)
    url = f"{server.endpoint_url}/{bucket}/k"
    request = botocore.awsrequest.AWSRequest("PUT", url, data=body)
    credentials = botocore.credentials.Credentials(
        harness.ROOT_ACCESS_KEY_ID, harness.ROOT_SECRET_ACCESS_KEY
    )
    botocore.auth.S3SigV4Auth(credentials, "s3", "auto").add_auth(request)
    head = f"PUT /{bucket}/k HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\n"
    head += "".join(f"{n}: {v}\r\n" for n, v in request.headers.items() if n.lower() != "host")
    head += f"content-length: {len(body)}\r\n\r\n"
    with socket.create_connection(("127.0.0.1", server.port)) as connection:
        connection.sendall(head.encode() + body[: len(body) // 2])
    time.sleep(0.5)
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"old"


def wait_for_requests_in_flight(server, count) -> None:
    """Waits until the server handles so many requests besides the one that asks."""
    deadline = time.monotonic() + 30
    # One connection, on which a question begins only when the one before it has ended.
    with requests.Session() as session:
        while True:
            others = server.metric("oncilla_http_requests_in_flight", session) - 1
            if others == count:
                return
            assert time.monotonic() < deadline, f"{others} in flight, waiting for {count}"
            time.sleep(0.02)


def test_graceful_shutdown_finishes_what_runs(own_server):
    server = own_server()
    s3 = make_s3_client(server.path_connection())
    s3.create_bucket(Bucket="bbb")
    body = random_bytes(100_000)
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        wait_for_requests_in_flight(server, 0)
        upload = pool.submit(put_slowly, server, "bbb", "k", body, 0.4, 10)
        wait_for_requests_in_flight(server, 1)
        stopper = threading.Thread(target=server.stop)
        stopper.start()
        assert upload.result() == b"HTTP/1.1 200 OK"
        stopper.join()
    with server:
        assert s3.get_object(Bucket="bbb", Key="k")["Body"].read() == body


def test_everything_is_there_after_a_restart(tmp_path):
    server = harness.Server(tmp_path / "data")
    contents = {f"k{n}": random_bytes(n * 30_001, n) for n in range(10)}
    with server:
        s3 = make_s3_client(server.path_connection())
        s3.create_bucket(Bucket="bbb")
        for key, content in contents.items():
            s3.put_object(Bucket="bbb", Key=key, Body=content, Metadata={"key": key})
        upload = s3.create_multipart_upload(Bucket="bbb", Key="m")["UploadId"]
        part = {"Bucket": "bbb", "Key": "m", "UploadId": upload, "PartNumber": 1}
        etag = s3.upload_part(**part, Body=b"part")["ETag"]
    with server:
        for key, content in contents.items():
            got = s3.get_object(Bucket="bbb", Key=key)
            assert got["Body"].read() == content and got["Metadata"] == {"key": key}
        s3.complete_multipart_upload(
            Bucket="bbb",
            Key="m",
            UploadId=upload,
            MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": etag}]},
        )
        assert s3.get_object(Bucket="bbb", Key="m")["Body"].read() == b"part"


def test_start_is_quick(tmp_path):
    """Start to first byte served: under a second with an empty store (a debug build: two)."""
    # What is meant is the program's own work: a first start syncs dozens of times in a row, which
    # costs nothing in memory. The best of three, because others use this machine too.
    memory = pathlib.Path("/dev/shm")
    has_room = os.access(memory, os.W_OK) and shutil.disk_usage(memory).free > 512 * MIB
    with tempfile.TemporaryDirectory(dir=memory if has_room else tmp_path) as directory:
        times = []
        for attempt in range(3):
            data = pathlib.Path(directory) / f"data{attempt}"
            server = harness.Server(data, log=tmp_path / f"{attempt}.log")
            try:
                server.spawn()
                times.append(server.wait_until_ready())
                server.stop()
            finally:
                server.kill()
    assert min(times) < 2, times
