"""What the server delivers: event notifications, access logs, inventories, with boto3 and a web hook."""

import csv
import gzip
import http.server
import io
import json
import shlex
import threading
import time

import pytest
from botocore.exceptions import ClientError

import harness
from conftest import make_s3_client

ARN = "arn:oncilla:sqs::hook:webhook"

# Retries begin after a second and double; a loaded machine is slow besides.
PATIENCE_SECONDS = 60


class Hook:
    """A web hook that can be away: it keeps its port and is deaf until it listens."""

    def __init__(self):
        self.port = harness.free_port()
        self.messages = []
        self.server = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook"

    def listen(self) -> None:
        messages = self.messages

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                length = int(self.headers["Content-Length"])
                headers = {name.lower(): value for name, value in self.headers.items()}
                messages.append((headers, json.loads(self.rfile.read(length))))
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_arguments):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self) -> None:
        if self.server:
            self.server.shutdown()
            self.server.server_close()

    def records(self) -> list[dict]:
        return [record for _, body in self.messages for record in body.get("Records", [])]

    def until(self, ready) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not ready():
            assert time.monotonic() < deadline, self.messages
            time.sleep(0.05)


@pytest.fixture
def hook():
    hook = Hook()
    yield hook
    hook.close()


@pytest.fixture
def deliverer(tmp_path, hook):
    """A server of its own with a target and short intervals."""
    config = tmp_path / "oncilla.toml"
    config.write_text(
        f'bucket_log_interval = "1s"\n[notification.targets.hook]\nurl = "{hook.url}"\n'
        'authorization = "Bearer of-the-test"\n'
    )
    server = harness.Server(tmp_path / "data", arguments=["--config", str(config)]).start()
    yield server
    server.stop()
    assert "of-the-test" not in server.log()


def client(server):
    return make_s3_client(server.path_connection())


def notify(s3, bucket: str, events: list[str]) -> None:
    s3.put_bucket_notification_configuration(
        Bucket=bucket,
        NotificationConfiguration={
            "QueueConfigurations": [{"Id": "q", "QueueArn": ARN, "Events": events}]
        },
    )


def test_events_survive_a_crash_between_the_write_and_their_delivery(deliverer, hook):
    s3 = client(deliverer)
    s3.create_bucket(Bucket="events")
    notify(s3, "events", ["s3:ObjectCreated:*", "s3:ObjectRemoved:*"])
    told = s3.get_bucket_notification_configuration(Bucket="events")
    assert told["QueueConfigurations"][0]["QueueArn"] == ARN
    for number in range(20):
        s3.put_object(Bucket="events", Key=f"key {number % 4}", Body=b"x" * number)
    s3.delete_object(Bucket="events", Key="key 0")
    deliverer.kill()
    hook.listen()
    deliverer.start()
    hook.until(lambda: len(hook.records()) >= 21)
    records = hook.records()
    created = {
        (record["s3"]["object"]["key"], record["s3"]["object"]["size"])
        for record in records
        if record["eventName"] == "ObjectCreated:Put"
    }
    assert created == {(f"key+{number % 4}", number) for number in range(20)}
    for number in range(4):
        of_key = [
            record["s3"]["object"]["sequencer"]
            for record in records
            if record["s3"]["object"]["key"] == f"key+{number}"
        ]
        assert of_key == sorted(of_key)
    assert any(record["eventName"] == "ObjectRemoved:Delete" for record in records)
    assert any(body.get("Event") == "s3:TestEvent" for _, body in hook.messages)
    assert all(headers["authorization"] == "Bearer of-the-test" for headers, _ in hook.messages)


def test_unknown_destinations_are_refused(deliverer):
    s3 = client(deliverer)
    s3.create_bucket(Bucket="events")
    for arn in ("arn:aws:sqs:us-east-1:123456789012:none", "http://127.0.0.1:1/"):
        configuration = {
            "QueueConfigurations": [{"QueueArn": arn, "Events": ["s3:ObjectCreated:*"]}]
        }
        with pytest.raises(ClientError) as error:
            s3.put_bucket_notification_configuration(
                Bucket="events", NotificationConfiguration=configuration
            )
        assert error.value.response["Error"]["Code"] == "InvalidArgument"
    assert "QueueConfigurations" not in s3.get_bucket_notification_configuration(Bucket="events")


def test_access_logs_are_delivered_while_the_server_runs_and_when_it_ends(deliverer):
    s3 = client(deliverer)
    for bucket in ("source", "logs"):
        s3.create_bucket(Bucket=bucket)
    s3.put_bucket_logging(
        Bucket="source",
        BucketLoggingStatus={"LoggingEnabled": {"TargetBucket": "logs", "TargetPrefix": "l/"}},
    )
    s3.put_object(Bucket="source", Key="a b", Body=b"123")

    def lines() -> list[list[str]]:
        found = []
        for entry in s3.list_objects_v2(Bucket="logs").get("Contents", []):
            text = s3.get_object(Bucket="logs", Key=entry["Key"])["Body"].read().decode()
            # As ceph/s3-tests reads them.
            found += [
                shlex.split(line.replace("[", '"').replace("]", '"')) for line in text.splitlines()
            ]
        return found

    deadline = time.monotonic() + PATIENCE_SECONDS
    while not lines():
        assert time.monotonic() < deadline
        time.sleep(0.2)
    (line,) = lines()
    assert len(line) == 26
    assert (line[1], line[3], line[6], line[7]) == (
        "source",
        "127.0.0.1",
        "REST.PUT.OBJECT",
        "a%20b",
    )
    assert line[8] == "PUT /source/a%20b HTTP/1.1"
    assert line[9:13] == ["200", "-", "-", "3"]
    s3.delete_object(Bucket="source", Key="a b")
    deliverer.stop()
    deliverer.start()
    # Two files of one second are in no order.
    assert sorted(line[6] for line in lines()) == ["REST.DELETE.OBJECT", "REST.PUT.OBJECT"]


def test_an_inventory_is_made_with_its_manifest(deliverer):
    s3 = client(deliverer)
    for bucket in ("source", "reports"):
        s3.create_bucket(Bucket=bucket)
    for key in ("a", "b,\"c\"", "d/é"):
        s3.put_object(Bucket="source", Key=key, Body=key.encode())
    configuration = {
        "Id": "daily",
        "IsEnabled": True,
        "IncludedObjectVersions": "Current",
        "OptionalFields": ["Size", "ETag"],
        "Schedule": {"Frequency": "Daily"},
        "Destination": {"S3BucketDestination": {"Bucket": "arn:aws:s3:::reports", "Format": "CSV"}},
    }
    s3.put_bucket_inventory_configuration(
        Bucket="source", Id="daily", InventoryConfiguration=configuration
    )
    listed = s3.list_bucket_inventory_configurations(Bucket="source")
    assert listed["InventoryConfigurationList"] == [configuration]
    # The server looks for inventories that are due when it starts.
    deliverer.stop()
    deliverer.start()

    def manifests() -> list[str]:
        entries = s3.list_objects_v2(Bucket="reports").get("Contents", [])
        return [entry["Key"] for entry in entries if entry["Key"].endswith("manifest.checksum")]

    deadline = time.monotonic() + PATIENCE_SECONDS
    while not manifests():
        assert time.monotonic() < deadline
        time.sleep(0.1)
    key = manifests()[0].replace("checksum", "json")
    manifest = json.loads(s3.get_object(Bucket="reports", Key=key)["Body"].read())
    assert manifest["fileSchema"] == "Bucket, Key, Size, ETag"
    (file,) = manifest["files"]
    packed = s3.get_object(Bucket="reports", Key=file["key"])["Body"].read()
    rows = list(csv.reader(io.StringIO(gzip.decompress(packed).decode())))
    assert [row[:3] for row in rows] == [
        ["source", "a", "1"],
        ["source", "b%2C%22c%22", "5"],
        ["source", "d/%C3%A9", "4"],
    ]
