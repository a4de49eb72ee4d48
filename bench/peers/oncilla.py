"""Oncilla: the release build of this tree, with its defaults unless the name says otherwise."""

from __future__ import annotations

import pathlib

from peers.process import Server, clean_environment, free_port

ACCESS_KEY_ID = "tid_benchbenchbenchbench"
SECRET_ACCESS_KEY = "tsec_" + "bench" * 8

DURABILITY = {
    "oncilla": "`--durability sync`, the default: body and record are synced to the device before the answer",
    "oncilla-os": "`--durability os`: written to the operating system before the answer, synced later, as Garage's default",
}


class Oncilla:
    region = "auto"
    credentials = {"AWS_ACCESS_KEY_ID": ACCESS_KEY_ID, "AWS_SECRET_ACCESS_KEY": SECRET_ACCESS_KEY}

    def __init__(self, binary: pathlib.Path, directory: pathlib.Path, name: str = "oncilla"):
        directory.mkdir(parents=True, exist_ok=True)
        self.name = name
        data, port, tls_port = directory / "data", free_port(), free_port()
        durability = "os" if name == "oncilla-os" else "sync"
        command = [
            str(binary), "server", "--data", str(data), "--durability", durability, "--log-level", "warn",
            "--listen", f"127.0.0.1:{port}", "--tls", "self-signed", "--listen-tls", f"127.0.0.1:{tls_port}",
        ]  # fmt: skip
        environment = clean_environment(
            ONCILLA_ROOT_ACCESS_KEY_ID=ACCESS_KEY_ID, ONCILLA_ROOT_SECRET_ACCESS_KEY=SECRET_ACCESS_KEY
        )
        self.server = Server(command, port, directory / "log", environment)
        self.url, self.tls_url = f"http://127.0.0.1:{port}", f"https://localhost:{tls_port}"
        self.tls_directory = data / "tls"
        self.ca_file = self.tls_directory / "ca.pem"
        self.options = ["path-style"]
