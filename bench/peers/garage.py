"""Garage: one node, no replication, LMDB, and otherwise its defaults."""

from __future__ import annotations

import pathlib

from peers.process import Server, clean_environment, free_port

VERSION = "2.5.0"
BUCKET = "bench"
ACCESS_KEY_ID = "GK" + "be7c" * 6
SECRET_ACCESS_KEY = "be7c" * 16
RPC_SECRET = "be7c" * 16

DURABILITY = {
    "garage": "`metadata_fsync = false`, `data_fsync = false`, its defaults: nothing is synced before the answer",
    "garage-fsync": "`metadata_fsync = true`, `data_fsync = true`: both are synced before the answer, as in Oncilla's default",
}

CONFIGURATION = """\
metadata_dir = "{directory}/meta"
data_dir = "{directory}/data"
db_engine = "lmdb"
metadata_fsync = {fsync}
data_fsync = {fsync}
replication_factor = 1
rpc_bind_addr = "127.0.0.1:{rpc_port}"
rpc_public_addr = "127.0.0.1:{rpc_port}"
rpc_secret = "{rpc_secret}"

[s3_api]
s3_region = "garage"
api_bind_addr = "127.0.0.1:{port}"
"""


class Garage:
    region = "garage"
    credentials = {"AWS_ACCESS_KEY_ID": ACCESS_KEY_ID, "AWS_SECRET_ACCESS_KEY": SECRET_ACCESS_KEY}
    options = ["path-style", "region=garage"]

    def __init__(self, binary: pathlib.Path, directory: pathlib.Path, name: str = "garage"):
        directory.mkdir(parents=True, exist_ok=True)
        self.name = name
        port, rpc_port = free_port(), free_port()
        configuration = directory / "garage.toml"
        configuration.write_text(
            CONFIGURATION.format(
                directory=directory, port=port, rpc_port=rpc_port, rpc_secret=RPC_SECRET,
                fsync="true" if name == "garage-fsync" else "false",
            )  # fmt: skip
        )
        configuration.chmod(0o600)
        # `--single-node` assigns and applies a layout, `--default-bucket` imports the key,
        # creates the bucket and allows the key everything in it; all of it once.
        command = [str(binary), "-c", str(configuration), "server", "--single-node", "--default-bucket"]
        environment = clean_environment(
            GARAGE_DEFAULT_ACCESS_KEY=ACCESS_KEY_ID, GARAGE_DEFAULT_SECRET_KEY=SECRET_ACCESS_KEY,
            GARAGE_DEFAULT_BUCKET=BUCKET, RUST_LOG="garage=warn",
        )  # fmt: skip
        self.server = Server(command, port, directory / "log", environment)
        self.url = f"http://127.0.0.1:{port}"
