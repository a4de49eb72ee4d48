"""SelectObjectContent through boto3, which checks the framing and the CRCs of every event."""

import bz2
import gzip
import json

import pytest
from botocore.exceptions import ClientError, EventStreamError

LINES = 20_000


@pytest.fixture(scope="module")
def rows():
    return [(n, f"name {n % 100}", n * 1.5) for n in range(LINES)]


def select(s3, bucket, key, expression, source, **settings):
    """The records and the statistics; everything that has to be there is."""
    answer = s3.select_object_content(
        Bucket=bucket,
        Key=key,
        Expression=expression,
        ExpressionType="SQL",
        InputSerialization=source,
        OutputSerialization=settings.pop("output", {"CSV": {}}),
        **settings,
    )
    records, stats, ended = b"", None, False
    for event in answer["Payload"]:
        if "Records" in event:
            records += event["Records"]["Payload"]
        elif "Stats" in event:
            stats = event["Stats"]["Details"]
        elif "End" in event:
            ended = True
    assert ended, "the stream is not complete"
    assert stats["BytesReturned"] == len(records)
    return records.decode(), stats


def test_csv_in_every_compression(s3, bucket, rows):
    text = "n,name,price\n" + "".join(f"{n},{name},{price}\n" for n, name, price in rows)
    objects = {"NONE": text.encode(), "GZIP": gzip.compress(text.encode()), "BZIP2": bz2.compress(text.encode())}
    wanted = [f"{name},{price}" for n, name, price in rows if n >= 15_000 and name == "name 7"]
    for compression, body in objects.items():
        s3.put_object(Bucket=bucket, Key=compression, Body=body)
        source = {"CSV": {"FileHeaderInfo": "USE"}, "CompressionType": compression}
        records, stats = select(
            s3, bucket, compression,
            "SELECT s.name, s.price FROM S3Object s WHERE CAST(s.n AS INT) >= 15000 AND s.name = 'name 7'",
            source,
        )
        assert records.split("\n")[:-1] == wanted
        assert stats["BytesScanned"] == len(body)
        assert stats["BytesProcessed"] == len(text)
        records, _ = select(
            s3, bucket, compression, "SELECT COUNT(*), SUM(CAST(n AS INT)), MAX(CAST(price AS FLOAT)) FROM S3Object", source
        )
        assert records == f"{LINES},{sum(n for n, *_ in rows)},{rows[-1][2]}\n"


def test_json_documents_and_lines(s3, bucket, rows):
    objects = [{"n": n, "who": {"name": name}, "tags": ["a", n % 3]} for n, name, _ in rows]
    s3.put_object(Bucket=bucket, Key="document", Body=json.dumps({"rows": objects}))
    s3.put_object(Bucket=bucket, Key="lines", Body="\n".join(map(json.dumps, objects)))
    wanted = [{"n": each["n"], "name": each["who"]["name"]} for each in objects if each["tags"][1] == 2]
    for key, kind, source in (("document", "DOCUMENT", "S3Object[*].rows[*]"), ("lines", "LINES", "S3Object[*]")):
        records, _ = select(
            s3, bucket, key,
            f"SELECT r.n, r.who.name FROM {source} r WHERE r.tags[1] = 2",
            {"JSON": {"Type": kind}},
            output={"JSON": {"RecordDelimiter": "\n"}},
        )
        assert [json.loads(line) for line in records.splitlines()] == wanted


def test_scan_ranges_together_give_every_record_once(s3, bucket, rows):
    text = "".join(f"{n};{name}\n" for n, name, _ in rows)
    s3.put_object(Bucket=bucket, Key="k", Body=text)
    found = ""
    step = len(text) // 7 + 1
    for start in range(0, len(text), step):
        records, stats = select(
            s3, bucket, "k", "SELECT _1 FROM S3Object", {"CSV": {"FieldDelimiter": ";"}},
            ScanRange={"Start": start, "End": start + step - 1},
        )
        found += records
        assert stats["BytesScanned"] < len(text)
    assert found == "".join(f"{n}\n" for n, *_ in rows)


def test_errors_before_and_within_the_stream(s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body="1\n" * 100_000 + "x\n")
    for expression, code in (
        ("SELECT", "ParseExpectedExpression"),
        ("SELECT nosuch(_1) FROM S3Object", "UnsupportedFunction"),
        ("SELECT CAST(_1 AS TIMESTAMP) FROM S3Object", "CastFailed"),
    ):
        with pytest.raises(ClientError) as error:
            select(s3, bucket, "k", expression, {"CSV": {}})
        assert error.value.response["Error"]["Code"] == code
    with pytest.raises(EventStreamError, match="CastFailed"):
        select(s3, bucket, "k", "SELECT CAST(_1 AS INT) FROM S3Object", {"CSV": {}})
    with pytest.raises(ClientError) as error:
        select(s3, bucket, "k", "SELECT * FROM S3Object", {"Parquet": {}})
    assert error.value.response["ResponseMetadata"]["HTTPStatusCode"] == 501
    with pytest.raises(ClientError) as error:
        select(s3, bucket, "k", "SELECT * FROM S3Object", {"CSV": {}, "CompressionType": "GZIP"})
    assert error.value.response["Error"]["Code"] == "TruncatedInput"


def test_progress_is_told(s3, bucket):
    body = "1,2\n" * 500_000
    s3.put_object(Bucket=bucket, Key="k", Body=body)
    answer = s3.select_object_content(
        Bucket=bucket, Key="k", Expression="SELECT COUNT(*) FROM S3Object", ExpressionType="SQL",
        InputSerialization={"CSV": {}}, OutputSerialization={"CSV": {}}, RequestProgress={"Enabled": True},
    )
    events = list(answer["Payload"])
    scanned = [event["Progress"]["Details"]["BytesScanned"] for event in events if "Progress" in event]
    assert scanned and scanned == sorted(scanned) and scanned[-1] == len(body)
