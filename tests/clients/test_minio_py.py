"""minio-py: a client with a signer and an XML reader of its own."""

import datetime
import io

import minio
import minio.commonconfig
import minio.deleteobjects
import pytest
import requests
import urllib3

from conftest import MIB, new_bucket_name, random_bytes


@pytest.fixture
def client(connection):
    pool = urllib3.PoolManager(ca_certs=connection.ca_file, retries=False)
    client = minio.Minio(
        endpoint=connection.host_and_port,
        access_key=connection.access_key,
        secret_key=connection.secret_key,
        secure=connection.secure,
        region=connection.region,
        http_client=pool,
    )
    if not connection.path_style:
        client.enable_virtual_style_endpoint()
    return client


def test_working_with_objects(client, tmp_path, connection):
    bucket = new_bucket_name("minio")
    assert not client.bucket_exists(bucket_name=bucket)
    client.make_bucket(bucket_name=bucket)
    assert client.bucket_exists(bucket_name=bucket)
    assert bucket in [entry.name for entry in client.list_buckets()]

    content = random_bytes(12 * MIB)
    source = tmp_path / "source"
    source.write_bytes(content)
    client.fput_object(
        bucket_name=bucket,
        object_name="dir/large ü.bin",
        file_path=str(source),
        part_size=5 * MIB,
        metadata={"author": "minio"},
    )
    stat = client.stat_object(bucket_name=bucket, object_name="dir/large ü.bin")
    assert stat.size == len(content) and stat.metadata["x-amz-meta-author"] == "minio"
    client.fget_object(
        bucket_name=bucket, object_name="dir/large ü.bin", file_path=str(tmp_path / "back")
    )
    assert (tmp_path / "back").read_bytes() == content
    # A stream of unknown length.
    client.put_object(
        bucket_name=bucket,
        object_name="stream",
        data=io.BytesIO(content[: 7 * MIB]),
        length=-1,
        part_size=5 * MIB,
    )
    answer = client.get_object(
        bucket_name=bucket, object_name="stream", offset=5 * MIB - 2, length=4
    )
    try:
        assert answer.read() == content[5 * MIB - 2 : 5 * MIB + 2]
    finally:
        answer.close()
        answer.release_conn()

    flat = [o.object_name for o in client.list_objects(bucket_name=bucket, recursive=True)]
    assert flat == ["dir/large ü.bin", "stream"]
    grouped = [o.object_name for o in client.list_objects(bucket_name=bucket)]
    assert sorted(grouped) == ["dir/", "stream"]

    client.copy_object(
        bucket_name=bucket,
        object_name="copy",
        source=minio.commonconfig.CopySource(bucket_name=bucket, object_name="stream"),
    )
    client.compose_object(
        bucket_name=bucket,
        object_name="composed",
        sources=[
            minio.commonconfig.ComposeSource(bucket_name=bucket, object_name="dir/large ü.bin"),
            minio.commonconfig.ComposeSource(bucket_name=bucket, object_name="copy"),
        ],
    )
    composed = client.get_object(bucket_name=bucket, object_name="composed")
    assert composed.read() == content + content[: 7 * MIB]
    composed.release_conn()

    verify = connection.ca_file or True
    minute = datetime.timedelta(minutes=1)
    url = client.presigned_put_object(bucket_name=bucket, object_name="p", expires=minute)
    assert requests.put(url, data=b"presigned", verify=verify).status_code == 200
    url = client.presigned_get_object(bucket_name=bucket, object_name="p", expires=minute)
    assert requests.get(url, verify=verify).content == b"presigned"

    names = [o.object_name for o in client.list_objects(bucket_name=bucket, recursive=True)]
    errors = client.remove_objects(
        bucket_name=bucket,
        delete_object_list=[minio.deleteobjects.DeleteObject(name) for name in names],
    )
    assert list(errors) == []
    with pytest.raises(minio.error.S3Error) as error:
        client.stat_object(bucket_name=bucket, object_name="p")
    assert error.value.code == "NoSuchKey"
    client.remove_bucket(bucket_name=bucket)
    assert not client.bucket_exists(bucket_name=bucket)
