"""What somebody who means harm would try, and what it must come to."""

import base64
import concurrent.futures
import contextlib
import hashlib
import pathlib
import re
import socket
import time
import zlib

import botocore.auth
import botocore.awsrequest
import botocore.credentials
import pytest
import requests
from botocore.exceptions import ClientError

import harness
from conftest import make_s3_client, new_bucket_name


@pytest.fixture
def plain(path_connection):
    """Host and port of the plain HTTP listener."""
    host, port = path_connection.host_and_port.split(":")
    return host, int(port)


def exchange(plain, target, headers, method="GET", body=b"") -> tuple[int, bytes]:
    """Sends one request exactly as given: no HTTP library rewrites target or headers."""
    lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in headers)]
    lines += [f"Content-Length: {len(body)}", "Connection: close", "", ""]
    with socket.create_connection(plain, timeout=30) as connection:
        connection.sendall("\r\n".join(lines).encode() + body)
        answer = b""
        while piece := connection.recv(65536):
            answer += piece
    head, _, content = answer.partition(b"\r\n\r\n")
    return int(head.split()[1]), content


def signed_headers(method, url, headers, payload):
    """The headers of a request signed in the Authorization header."""
    request = botocore.awsrequest.AWSRequest(method, url, headers=headers)
    request.headers["x-amz-content-sha256"] = payload
    credentials = botocore.credentials.Credentials(
        harness.ROOT_ACCESS_KEY_ID, harness.ROOT_SECRET_ACCESS_KEY
    )
    signer = botocore.auth.S3SigV4Auth(credentials, "s3", harness.REGION)
    # botocore would put the digest of the body here.
    signer.payload = lambda _: payload
    signer.add_auth(request)
    return dict(request.headers)


def presigned_query(method, url) -> str:
    request = botocore.awsrequest.AWSRequest(method, url)
    credentials = botocore.credentials.Credentials(
        harness.ROOT_ACCESS_KEY_ID, harness.ROOT_SECRET_ACCESS_KEY
    )
    signer = botocore.auth.S3SigV4QueryAuth(credentials, "s3", harness.REGION, expires=300)
    signer.add_auth(request)
    return request.url.split("?", 1)[1]


def exists(s3, bucket, key) -> bool:
    try:
        s3.head_object(Bucket=bucket, Key=key)
    except ClientError as error:
        assert error.response["ResponseMetadata"]["HTTPStatusCode"] == 404
        return False
    return True


def test_presigned_url_of_one_bucket_does_not_open_another(admin_s3, plain):
    own, other = new_bucket_name("own"), new_bucket_name("other")
    for name in (own, other):
        admin_s3.create_bucket(Bucket=name)
        admin_s3.put_object(Bucket=name, Key="k", Body=name.encode())
    host, other_host = (f"{name}.localhost:{plain[1]}" for name in (own, other))
    query = presigned_query("GET", f"http://{host}/k")

    assert exchange(plain, f"/k?{query}", [("Host", host)]) == (200, own.encode())
    # A proxy's form of the target is the same request.
    absolute = f"http://{host}/k?{query}"
    assert exchange(plain, absolute, [("Host", other_host)]) == (200, own.encode())
    for target, hosts in [
        (f"http://{other_host}/k?{query}", [host]),
        (f"http://{other_host}/k?{query}", [host, other_host]),
        (f"/k?{query}", [other_host]),
        (f"/k?{query}", [host, other_host]),
        (f"/k?{query}", [other_host, host]),
    ]:
        status, content = exchange(plain, target, [("Host", name) for name in hosts])
        assert status in (400, 403), (target, hosts)
        assert content != other.encode()


@pytest.mark.parametrize("value", ["", " "])
def test_empty_authorization_is_no_anonymous_request(admin_s3, bucket, plain, value):
    admin_s3.put_bucket_acl(Bucket=bucket, ACL="public-read-write")
    headers = [("Host", f"127.0.0.1:{plain[1]}"), ("Authorization", value)]
    status, content = exchange(plain, f"/{bucket}/k", headers, "PUT", b"x")
    assert status == 403 and b"<Code>AccessDenied</Code>" in content
    assert not exists(admin_s3, bucket, "k")


CRC32_OF_BODY = base64.b64encode(zlib.crc32(b"body").to_bytes(4, "big")).decode()


@pytest.mark.parametrize(
    "announced,trailers,accepted",
    [
        (True, [CRC32_OF_BODY], True),
        (True, ["AAAAAA=="], False),
        (True, [CRC32_OF_BODY, "AAAAAA=="], False),
        (True, ["AAAAAA==", CRC32_OF_BODY], False),
        (True, [], False),
        (False, ["AAAAAA=="], False),
        (False, [], True),
    ],
)
def test_no_trailing_checksum_is_passed_over(
    admin_s3, bucket, plain, announced, trailers, accepted
):
    url = f"http://127.0.0.1:{plain[1]}/{bucket}/k"
    headers = {"x-amz-decoded-content-length": "4"}
    if announced:
        headers["x-amz-trailer"] = "x-amz-checksum-crc32"
    signed = signed_headers("PUT", url, headers, "STREAMING-UNSIGNED-PAYLOAD-TRAILER")
    lines = "".join(f"x-amz-checksum-crc32:{value}\r\n" for value in trailers)
    body = f"4\r\nbody\r\n0\r\n{lines}\r\n".encode()
    headers = [("Host", f"127.0.0.1:{plain[1]}"), *signed.items()]
    status, content = exchange(plain, f"/{bucket}/k", headers, "PUT", body)
    assert (status == 200) is accepted, content
    assert exists(admin_s3, bucket, "k") is accepted


def test_ambiguous_deletion_deletes_nothing(admin_s3, bucket, plain):
    for key in ("a", "b"):
        admin_s3.put_object(Bucket=bucket, Key=key, Body=b"x")
    document = b"<Delete><Object><Key>a</Key><Key>b</Key></Object></Delete>"
    url = f"http://127.0.0.1:{plain[1]}/{bucket}?delete"
    signed = signed_headers("POST", url, {}, hashlib.sha256(document).hexdigest())
    headers = [("Host", f"127.0.0.1:{plain[1]}"), *signed.items()]
    status, content = exchange(plain, f"/{bucket}?delete", headers, "POST", document)
    assert status == 400 and b"<Code>MalformedXML</Code>" in content
    assert exists(admin_s3, bucket, "a") and exists(admin_s3, bucket, "b")


def test_regions_that_strangers_make_up_are_not_kept(server, plain):
    """An access key id is no secret (every presigned URL shows it); memory must not grow by it."""
    if server is None:
        pytest.skip("needs the server's process")
    requests, region_bytes = 3000, 25_000

    def resident_bytes() -> int:
        status = pathlib.Path(f"/proc/{server.process.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+) kB", status).group(1)) * 1024

    def send(connection, number):
        now = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        scope = f"{now[:8]}/r{number}{'x' * region_bytes}/s3/aws4_request"
        connection.sendall(
            f"HEAD /none/k HTTP/1.1\r\nHost: a\r\nx-amz-date: {now}\r\n"
            "x-amz-content-sha256: UNSIGNED-PAYLOAD\r\n"
            f"Authorization: AWS4-HMAC-SHA256 Credential={harness.ROOT_ACCESS_KEY_ID}/{scope},"
            "SignedHeaders=host;x-amz-content-sha256;x-amz-date,"
            f"Signature={'0' * 64}\r\n\r\n".encode()
        )
        answer = b""
        while not answer.endswith(b"\r\n\r\n"):
            piece = connection.recv(65536)
            assert piece, "the server closed the connection"
            answer += piece
        assert answer.startswith(b"HTTP/1.1 403 ")

    with socket.create_connection(plain, timeout=30) as connection:
        for number in range(100):
            send(connection, number)
        before = resident_bytes()
        for number in range(requests):
            send(connection, number)
    assert resident_bytes() - before < requests * region_bytes / 3


def test_refused_uploads_do_not_pile_up(plain):
    """Their bodies are read for a while, so that clients find the answer, but of a few at a time."""
    head = f"PUT /{new_bucket_name('absent')}/k HTTP/1.1\r\nHost: {plain[0]}\r\nContent-Length: 2000000\r\n\r\n"
    connections = []
    for _ in range(300):
        connection = socket.create_connection(plain, timeout=30)
        # It may be refused and closed while this is sent.
        with contextlib.suppress(ConnectionError):
            connection.sendall(head.encode() + bytes(100_000))
        connections.append(connection)
    for connection in connections:
        try:
            answer = connection.recv(65536)
        except ConnectionResetError:
            # Its body was not read, and what the client sent met a closed connection.
            continue
        assert answer.startswith(b"HTTP/1.1 404"), answer
    # All at once: a body that nobody sends on with is given up after a while.
    time.sleep(0.5)
    still_open = 0
    for connection in connections:
        connection.setblocking(False)
        try:
            while connection.recv(65536):
                pass
        except BlockingIOError:
            still_open += 1
        except ConnectionResetError:
            pass
        connection.close()
    assert 0 < still_open <= 128


def test_readers_that_stall_give_way(own_server):
    """Long listings hold memory, which whoever does not read them loses when others need it."""
    server = own_server("--memory-limit", "16MiB")
    s3 = make_s3_client(server.path_connection())
    s3.create_bucket(Bucket="long", ObjectOwnership="ObjectWriter")
    s3.delete_public_access_block(Bucket="long")
    s3.put_bucket_acl(Bucket="long", ACL="public-read")
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        keys = [f"{number:04}{'&' * 1020}" for number in range(1000)]
        list(pool.map(lambda key: s3.put_object(Bucket="long", Key=key, Body=b""), keys))
    stalled = []
    for _ in range(5):
        connection = socket.socket()
        # Little is swallowed on the way.
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.connect(("127.0.0.1", server.port))
        connection.sendall(b"GET /long HTTP/1.1\r\nHost: localhost\r\n\r\n")
        stalled.append(connection)
    time.sleep(6)
    assert server.metric("oncilla_request_memory_reserved_bytes") > 12_000_000
    # Each of these needs several MiB for its page. A refusal would not be repeated.
    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        url = f"{server.endpoint_url}/long"
        answers = list(pool.map(lambda _: requests.get(url, timeout=30), range(3)))
    assert [answer.status_code for answer in answers] == [200] * 3
    for connection in stalled:
        connection.close()
