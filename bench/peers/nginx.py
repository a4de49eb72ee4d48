"""nginx: the reference for GET, HEAD and ranges. It serves the same bytes from files, unsigned."""

from __future__ import annotations

import os
import pathlib
import shutil

from peers.process import Server, free_port

DURABILITY = {"nginx": "reads only"}

CONFIGURATION = """\
daemon off;
{user}
worker_processes {workers};
pid {directory}/pid;
error_log {directory}/log warn;
events {{ worker_connections 4096; }}
http {{
    client_body_temp_path {directory}/temporary;
    proxy_temp_path {directory}/temporary;
    fastcgi_temp_path {directory}/temporary;
    uwsgi_temp_path {directory}/temporary;
    scgi_temp_path {directory}/temporary;
    default_type application/octet-stream;
    access_log off;
    sendfile on;
    tcp_nopush on;
    keepalive_requests 1000000000;
    keepalive_timeout 1h;
    open_file_cache max=100000 inactive=1h;
    open_file_cache_valid 1h;
    server {{
        listen 127.0.0.1:{port} reuseport;
        listen 127.0.0.1:{tls_port} ssl reuseport;
        ssl_certificate {tls}/{certificate};
        ssl_certificate_key {tls}/{key};
        ssl_protocols TLSv1.3;
        root {root};
        # Ranges that begin anywhere end in a short segment, which `tcp_nopush` leaves waiting for a
        # delayed acknowledgement: 44 ms instead of 0.015 ms, and without gain for large bodies.
        location {ranges} {{ tcp_nopush off; }}
    }}
}}
"""


def find() -> str:
    """nginx lies in /usr/sbin, which is not in everybody's PATH."""
    return shutil.which("nginx", path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin") or ""


class Nginx:
    name = "nginx"
    region = "auto"
    credentials: dict[str, str] = {}
    options = ["path-style", "unsigned"]

    def __init__(self, directory: pathlib.Path, root: pathlib.Path, ranges: str, tls: pathlib.Path):
        """Serves the files below `root`, of which ranges are read below `ranges`, with Oncilla's certificate in `tls`."""
        directory.mkdir(parents=True, exist_ok=True)
        port, tls_port = free_port(), free_port()
        configuration = directory / "nginx.conf"
        configuration.write_text(
            CONFIGURATION.format(
                directory=directory, root=root, ranges=ranges, tls=tls, port=port, tls_port=tls_port,
                certificate="certificate.pem", key="key.pem", workers=os.cpu_count(),
                user="user root;" if os.geteuid() == 0 else "",
            )  # fmt: skip
        )
        self.server = Server([find(), "-c", str(configuration)], port, directory / "log")
        self.url, self.tls_url = f"http://127.0.0.1:{port}", f"https://localhost:{tls_port}"
        self.ca_file = tls / "ca.pem"
