"""The servers of a run: those that are read stay for the run, those that are written begin empty."""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import shutil
import subprocess
import time

from grid import HUGE, OBJECTS_READ, Cell
from load import BUCKET, Generator, read_prefix
from peers.garage import Garage
from peers.nginx import Nginx
from peers.oncilla import Oncilla
from peers.process import clean_environment, die_with_parent


class Lab:
    def __init__(self, oncilla: pathlib.Path, garage: pathlib.Path, directory: pathlib.Path):
        self.oncilla, self.garage = oncilla, garage
        self.generator = Generator(oncilla)
        self.directory = directory
        self.loaded_file = directory / "loaded.json"
        # What the servers that are read hold: per server objects to list, seconds of loading, peak of memory.
        self.loaded: dict[str, dict] = {}
        self.read: dict[str, object] = {}

    def start(self, name: str, directory: pathlib.Path):
        if name.startswith("garage"):
            return Garage(self.garage, directory, name)
        return Oncilla(self.oncilla, directory, name)

    # ---- servers that are read ----

    def start_read(self, objects: int, seconds: int, say) -> None:
        """Starts all three, and loads them unless the directory holds loaded ones from an earlier run."""
        if self.read:
            return
        if self.loaded_file.exists():
            self.loaded = json.loads(self.loaded_file.read_text())
        else:
            # Remains of a run that was interrupted while loading are of no use.
            for name in ("oncilla", "garage", "nginx"):
                shutil.rmtree(self.directory / name, ignore_errors=True)
        for name in ("oncilla", "garage"):
            self.read[name] = self.start(name, self.directory / name)
            if name not in self.loaded:
                self._load(name, objects, seconds, say)
        oncilla = self.read["oncilla"]
        root = self.directory / "nginx" / "root"
        if not self.loaded_file.exists():
            self._copy_for_nginx(root)
            self.loaded_file.write_text(json.dumps(self.loaded))
        self.read["nginx"] = Nginx(self.directory / "nginx", root, f"/{BUCKET}/{read_prefix(HUGE)}", oncilla.tls_directory)
        os.sync()

    def _load(self, name: str, objects: int, seconds: int, say) -> None:
        server = self.read[name]
        for size, count in OBJECTS_READ.items():
            self.generator.prepare(server, read_prefix(size), size, count)
        began = time.monotonic()
        with server.server.watched_memory() as memory:
            listed = self.generator.fill(server, objects, seconds)
        took = time.monotonic() - began
        self.loaded[name] = {"listed": listed, "seconds": round(took), "peak_mb": round(memory.peak)}
        say(f"{name}: {listed:,} objects of 1 KiB loaded in {took:.0f} s, resident memory up to {memory.peak:.0f} MB")

    def _copy_for_nginx(self, root: pathlib.Path) -> None:
        """nginx serves what Oncilla holds, fetched with Oncilla's own client."""
        oncilla = self.read["oncilla"]
        environment = clean_environment(
            AWS_CONFIG_FILE=os.devnull, AWS_SHARED_CREDENTIALS_FILE=os.devnull, AWS_REGION="auto", **oncilla.credentials
        )
        subprocess.run(
            [str(self.oncilla), "sync", f"s3://{BUCKET}/read/", str(root / BUCKET / "read"), "--quiet",
             "--endpoint-url", oncilla.url, "--path-style"],
            env=environment, check=True, stdout=subprocess.DEVNULL, preexec_fn=die_with_parent,
        )  # fmt: skip

    def stop_read(self) -> None:
        for server in self.read.values():
            server.server.stop()
        self.read = {}

    # ---- servers that are written ----

    @contextlib.contextmanager
    def fresh(self, name: str):
        """An empty server, gone with its data at the end of the block."""
        directory = self.directory / f"written-{name}"
        shutil.rmtree(directory, ignore_errors=True)
        server = self.start(name, directory)
        try:
            yield server
        finally:
            server.server.stop()
            shutil.rmtree(directory, ignore_errors=True)

    # ---- the limit of a PUT ----

    def put_limit(self, program: pathlib.Path, cell: Cell) -> float:
        """Bytes per second that hashing in lanes with writing and syncing allows: no network, no store."""
        directory = self.directory / "written-limit"
        shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir()
        try:
            done = subprocess.run(
                [str(program), str(directory), str(cell.connections), str(cell.size), str(cell.operations)],
                check=True, capture_output=True, text=True, preexec_fn=die_with_parent,
            )  # fmt: skip
        finally:
            shutil.rmtree(directory, ignore_errors=True)
        return json.loads(done.stdout)["bytes_per_s"]
