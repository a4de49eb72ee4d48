"""Analytics: pyarrow, s3fs, polars and DuckDB read and write tables in buckets."""

import duckdb
import duckdb_extensions
import polars
import pyarrow
import pyarrow.dataset
import pyarrow.fs
import pyarrow.parquet
import pytest
import requests
import s3fs

from conftest import MIB, new_bucket_name, random_bytes


@pytest.fixture
def table():
    count = 50_000
    return pyarrow.table(
        {
            "id": range(count),
            "group": [f"g{number % 4}" for number in range(count)],
            "value": [number * 0.5 for number in range(count)],
        }
    )


class TestPyarrow:
    @pytest.fixture
    def filesystem(self, connection):
        return pyarrow.fs.S3FileSystem(
            access_key=connection.access_key,
            secret_key=connection.secret_key,
            region=connection.region,
            scheme="https" if connection.secure else "http",
            endpoint_override=connection.host_and_port,
            force_virtual_addressing=not connection.path_style,
            allow_bucket_creation=True,
            allow_bucket_deletion=True,
            **({"tls_ca_file_path": connection.ca_file} if connection.ca_file else {}),
        )

    def test_dataset(self, filesystem, bucket, table):
        root = f"{bucket}/sales"
        pyarrow.dataset.write_dataset(
            table,
            root,
            filesystem=filesystem,
            format="parquet",
            partitioning=pyarrow.dataset.partitioning(
                pyarrow.schema([("group", pyarrow.string())]), flavor="hive"
            ),
        )
        dataset = pyarrow.dataset.dataset(root, filesystem=filesystem, partitioning="hive")
        assert len(dataset.files) == 4
        assert dataset.count_rows() == table.num_rows
        chosen = dataset.to_table(
            columns=["id", "value"], filter=pyarrow.dataset.field("group") == "g2"
        )
        assert chosen["id"].to_pylist() == list(range(2, table.num_rows, 4))

    def test_files(self, filesystem, bucket):
        content = random_bytes(23 * MIB)
        with filesystem.open_output_stream(f"{bucket}/dir/big") as stream:
            for begin in range(0, len(content), MIB):
                stream.write(content[begin : begin + MIB])
        with filesystem.open_input_file(f"{bucket}/dir/big") as file:
            assert file.size() == len(content)
            file.seek(12_345_678)
            assert file.read(1000) == content[12_345_678 : 12_345_678 + 1000]
        with filesystem.open_input_stream(f"{bucket}/dir/big") as stream:
            assert stream.read() == content
        filesystem.copy_file(f"{bucket}/dir/big", f"{bucket}/dir/copy")
        filesystem.move(f"{bucket}/dir/copy", f"{bucket}/moved")
        selector = pyarrow.fs.FileSelector(bucket, recursive=True)
        found = {info.path for info in filesystem.get_file_info(selector) if info.is_file}
        assert found == {f"{bucket}/dir/big", f"{bucket}/moved"}
        filesystem.delete_dir_contents(bucket)
        assert filesystem.get_file_info(f"{bucket}/moved").type == pyarrow.fs.FileType.NotFound

    def test_buckets(self, filesystem):
        name = new_bucket_name("arrow")
        filesystem.create_dir(name)
        assert filesystem.get_file_info(name).type == pyarrow.fs.FileType.Directory
        filesystem.delete_dir(name)
        assert filesystem.get_file_info(name).type == pyarrow.fs.FileType.NotFound


class TestS3fs:
    @pytest.fixture
    def filesystem(self, connection):
        return s3fs.S3FileSystem(
            key=connection.access_key,
            secret=connection.secret_key,
            endpoint_url=connection.endpoint_url,
            client_kwargs={
                "region_name": connection.region,
                **({"verify": connection.ca_file} if connection.ca_file else {}),
            },
            config_kwargs={
                "s3": {"addressing_style": "path" if connection.path_style else "virtual"}
            },
            default_block_size=5 * MIB,
            skip_instance_cache=True,
        )

    def test_files(self, filesystem, bucket, tmp_path):
        content = random_bytes(17 * MIB)
        with filesystem.open(f"{bucket}/dir/big", "wb") as file:
            for begin in range(0, len(content), 3 * MIB):
                file.write(content[begin : begin + 3 * MIB])
        assert filesystem.size(f"{bucket}/dir/big") == len(content)
        with filesystem.open(f"{bucket}/dir/big", "rb") as file:
            file.seek(6 * MIB)
            assert file.read(100) == content[6 * MIB : 6 * MIB + 100]
            file.seek(-10, 2)
            assert file.read() == content[-10:]
        with filesystem.open(f"{bucket}/dir/notes.txt", "w", encoding="utf-8") as file:
            file.write("one\ntwo\n")
        with filesystem.open(f"{bucket}/dir/notes.txt", "r", encoding="utf-8") as file:
            assert list(file) == ["one\n", "two\n"]

        filesystem.pipe({f"{bucket}/many/{n}.csv": f"{n}".encode() for n in range(12)})
        assert filesystem.glob(f"{bucket}/many/1*.csv") == [
            f"{bucket}/many/{n}.csv" for n in (1, 10, 11)
        ]
        assert len(filesystem.find(bucket)) == 14
        assert filesystem.cat(f"{bucket}/many/7.csv") == b"7"
        filesystem.copy(f"{bucket}/dir/big", f"{bucket}/dir/copy")
        filesystem.mv(f"{bucket}/dir/copy", f"{bucket}/moved")
        filesystem.get(f"{bucket}/moved", str(tmp_path / "moved"))
        assert (tmp_path / "moved").read_bytes() == content
        filesystem.put(str(tmp_path / "moved"), f"{bucket}/again")
        assert filesystem.checksum(f"{bucket}/again") is not None
        assert filesystem.exists(f"{bucket}/again")
        filesystem.rm(f"{bucket}/many", recursive=True)
        assert not filesystem.exists(f"{bucket}/many/1.csv")
        assert filesystem.ls(bucket, refresh=True)

    def test_presigned(self, filesystem, bucket, connection):
        filesystem.pipe(f"{bucket}/k", b"signed")
        url = filesystem.sign(f"{bucket}/k", expiration=60)
        assert requests.get(url, verify=connection.ca_file or True).content == b"signed"


class TestPolars:
    @pytest.fixture
    def storage_options(self, connection):
        return {
            "aws_access_key_id": connection.access_key,
            "aws_secret_access_key": connection.secret_key,
            "aws_region": connection.region,
            # object_store takes the endpoint of virtual-hosted requests with the bucket in it.
            "aws_endpoint_url": connection.endpoint_url,
            "aws_virtual_hosted_style_request": "false",
            "aws_allow_http": "true",
        }

    @pytest.fixture
    def options_for(self, storage_options, connection):
        def options(bucket):
            if connection.path_style:
                return storage_options
            return storage_options | {
                "aws_endpoint_url": connection.endpoint_url.replace("://", f"://{bucket}."),
                "aws_virtual_hosted_style_request": "true",
            }

        return options

    def test_write_and_scan(self, options_for, bucket, connection, monkeypatch, table):
        if connection.ca_file:
            monkeypatch.setenv("SSL_CERT_FILE", connection.ca_file)
        options = options_for(bucket)
        frame = polars.from_arrow(table)
        for part in range(3):
            frame.with_columns(part=polars.lit(part)).write_parquet(
                f"s3://{bucket}/frames/part-{part}.parquet", storage_options=options
            )
        lazy = polars.scan_parquet(f"s3://{bucket}/frames/*.parquet", storage_options=options)
        counted = (
            lazy.filter(polars.col("group") == "g1")
            .group_by("part")
            .agg(polars.len())
            .sort("part")
            .collect()
        )
        assert counted.rows() == [(0, 12_500), (1, 12_500), (2, 12_500)]
        lazy.filter(polars.col("part") == 1).sink_parquet(
            f"s3://{bucket}/one.parquet", storage_options=options
        )
        one = polars.read_parquet(f"s3://{bucket}/one.parquet", storage_options=options)
        assert one.drop("part").equals(frame)
        frame.head(10).write_csv(f"s3://{bucket}/head.csv", storage_options=options)
        csv = polars.scan_csv(f"s3://{bucket}/head.csv", storage_options=options).collect()
        assert csv.height == 10


class TestDuckdb:
    @pytest.fixture
    def database(self, connection):
        # The extension as a pinned package: nothing is downloaded while testing.
        duckdb_extensions.import_extension("httpfs")
        database = duckdb.connect()
        database.execute("LOAD httpfs")
        if connection.ca_file:
            database.execute(f"SET ca_cert_file = '{connection.ca_file}'")
            database.execute("SET enable_server_cert_verification = true")
        database.execute(
            f"""CREATE SECRET store (
                TYPE s3,
                KEY_ID '{connection.access_key}',
                SECRET '{connection.secret_key}',
                REGION '{connection.region}',
                ENDPOINT '{connection.host_and_port}',
                URL_STYLE '{"path" if connection.path_style else "vhost"}',
                USE_SSL {str(connection.secure).lower()}
            )"""
        )
        yield database
        database.close()

    def test_tables(self, database, bucket):
        database.execute(
            f"""COPY (SELECT i AS id, i % 4 AS grp, random() AS value FROM range(400000) t(i))
                TO 's3://{bucket}/numbers.parquet' (FORMAT parquet)"""
        )
        source = f"read_parquet('s3://{bucket}/numbers.parquet')"
        counted = database.execute(f"SELECT grp, count(*) FROM {source} GROUP BY 1 ORDER BY 1")
        assert counted.fetchall() == [(group, 100_000) for group in range(4)]
        database.execute(
            f"""COPY (SELECT * FROM {source} WHERE id < 1000) TO 's3://{bucket}/parts'
                (FORMAT parquet, PARTITION_BY (grp))"""
        )
        globbed = f"read_parquet('s3://{bucket}/parts/*/*.parquet', hive_partitioning = true)"
        chosen = database.execute(f"SELECT sum(id) FROM {globbed} WHERE grp = 3").fetchone()
        assert chosen == (sum(range(3, 1000, 4)),)
        names = database.execute(f"SELECT file FROM glob('s3://{bucket}/**')").fetchall()
        assert len(names) == 5
        database.execute(f"COPY (SELECT 42 AS answer) TO 's3://{bucket}/a b+ü.csv' (HEADER)")
        read = database.execute(f"SELECT answer FROM 's3://{bucket}/a b+ü.csv'").fetchone()
        assert read == (42,)

    def test_settings_of_older_scripts(self, connection, bucket, admin_s3):
        """`SET s3_…` instead of a secret."""
        admin_s3.put_object(Bucket=bucket, Key="t.csv", Body=b"a,b\n1,2\n3,4\n")
        duckdb_extensions.import_extension("httpfs")
        database = duckdb.connect()
        database.execute("LOAD httpfs")
        if connection.ca_file:
            database.execute(f"SET ca_cert_file = '{connection.ca_file}'")
        database.execute(f"SET s3_endpoint = '{connection.host_and_port}'")
        database.execute(f"SET s3_access_key_id = '{connection.access_key}'")
        database.execute(f"SET s3_secret_access_key = '{connection.secret_key}'")
        database.execute(f"SET s3_region = '{connection.region}'")
        database.execute(f"SET s3_use_ssl = {str(connection.secure).lower()}")
        style = "path" if connection.path_style else "vhost"
        database.execute(f"SET s3_url_style = '{style}'")
        query = f"SELECT sum(a), sum(b) FROM 's3://{bucket}/t.csv'"
        assert database.execute(query).fetchone() == (4, 6)
        database.close()
