#!/usr/bin/env python3
"""A first look at speed: a release build of the server on loopback, signed requests.

    bench/first_look.py [--bin target/release/oncilla] [--seconds 8]

Needs wrk and boto3. The load generator shares the cores with the server, so the figures are
lower bounds of what the server does. Absolute figures of shared machines mean little: compare
two builds by running this in turn (`--bin` old, `--bin` new, old, new, ...).
"""
import argparse, concurrent.futures, os, pathlib, re, shutil, socket, subprocess, sys, tempfile, time

import boto3
from botocore.config import Config

KEY, SECRET = "tid_benchbenchbenchbench", "tsec_" + "bench" * 8
HERE = pathlib.Path(__file__).parent


class Server:
    def __init__(self, binary, data):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        environment = dict(os.environ, ONCILLA_ROOT_ACCESS_KEY_ID=KEY, ONCILLA_ROOT_SECRET_ACCESS_KEY=SECRET)
        command = [binary, "server", "--data", str(data), "--listen", f"127.0.0.1:{self.port}", "--log-level", "warn"]
        started = time.monotonic()
        self.process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                break
            except OSError:
                if self.process.poll() is not None:
                    sys.exit("the server ended")
                time.sleep(0.005)
        self.startup_seconds = time.monotonic() - started

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def client(self, connections=64):
        config = Config(max_pool_connections=connections, s3={"addressing_style": "path"},
                        request_checksum_calculation="when_required", response_checksum_validation="when_required")
        return boto3.client("s3", endpoint_url=self.url, aws_access_key_id=KEY, aws_secret_access_key=SECRET,
                            region_name="auto", config=config)

    def memory_mb(self, which="VmRSS"):
        text = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(which + r":\s+(\d+)", text)[1]) / 1024

    def stop(self):
        self.process.terminate()
        self.process.wait(60)


def wrk(url, requests, connections, seconds, threads=1):
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        for method, target, size in requests:
            file.write(f"{method} {target} {size}\n")
        file.flush()
        command = ["wrk", f"-t{threads}", f"-c{connections}", f"-d{seconds}s", "--timeout", "120s", "-s", str(HERE / "requests.lua"), url, "--", file.name]
        output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    requests, microseconds, errors, p50, p99, size = map(int, re.search(r"RESULT (.*)", output)[1].split())
    rate = requests / (microseconds / 1e6)
    return {"rate": rate, "errors": errors, "p50_ms": p50 / 1000, "p99_ms": p99 / 1000, "gb_s": size / (microseconds / 1e6) / 1e9}


def presigned(client, operation, **parameters):
    url = client.generate_presigned_url(operation, Params=parameters, ExpiresIn=3600)
    return url.split("/", 3)[3]


def show(name, result, target):
    print(f"{name:<44} {result:<52} {target}", flush=True)


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--bin", default=str(HERE.parent / "target/release/oncilla"))
    arguments.add_argument("--seconds", type=int, default=8)
    arguments.add_argument("--data", help="directory for the data; a temporary one by default")
    options = arguments.parse_args()
    data = pathlib.Path(options.data or tempfile.mkdtemp(prefix="oncilla-bench-"))
    server = Server(options.bin, data)
    try:
        show("start, empty store", f"{server.startup_seconds * 1000:.0f} ms", "under 1000 ms")
        client = server.client()
        client.create_bucket(Bucket="bench")
        small, large = b"x" * 4096, b"x" * (1 << 20)
        with concurrent.futures.ThreadPoolExecutor(16) as pool:
            list(pool.map(lambda n: client.put_object(Bucket="bench", Key=f"small/{n}", Body=small), range(256)))
            list(pool.map(lambda n: client.put_object(Bucket="bench", Key=f"large/{n}", Body=large), range(64)))

        gets = [("GET", "/" + presigned(client, "get_object", Bucket="bench", Key=f"small/{n}"), 0) for n in range(256)]
        result = wrk(server.url, gets, 16, options.seconds)
        show("GET 4 KiB, signed, 16 connections", f"{result['rate']:,.0f}/s p50 {result['p50_ms']:.2f} p99 {result['p99_ms']:.2f} ms, {result['errors']} errors", "30,000/s")

        puts = [("PUT", "/" + presigned(client, "put_object", Bucket="bench", Key=f"put/{n}"), 4096) for n in range(4096)]
        result = wrk(server.url, puts, 64, options.seconds)
        show("PUT 4 KiB, durable, 64 connections", f"{result['rate']:,.0f}/s p50 {result['p50_ms']:.2f} p99 {result['p99_ms']:.2f} ms, {result['errors']} errors", "6,000/s")

        gets = [("GET", "/" + presigned(client, "get_object", Bucket="bench", Key=f"large/{n}"), 0) for n in range(64)]
        result = wrk(server.url, gets, 4, options.seconds)
        show("GET 1 MiB, 4 connections", f"{result['gb_s']:.2f} GB/s p50 {result['p50_ms']:.2f} p99 {result['p99_ms']:.2f} ms, {result['errors']} errors", "1.5 GB/s")

        puts = [("PUT", "/" + presigned(client, "put_object", Bucket="bench", Key=f"mem/{n}"), 64 << 20) for n in range(64)]
        before = server.memory_mb()
        result = wrk(server.url, puts, 64, max(20, options.seconds))
        peak = server.memory_mb("VmHWM")
        show("64 clients PUT 64 MiB each", f"{result['gb_s']:.2f} GB/s back, {result['rate']:.1f}/s, RSS {before:.0f} MB before, peak {peak:.0f} MB, {result['errors']} errors", "peak under 300 MB")
    finally:
        server.stop()
        if not options.data:
            shutil.rmtree(data, ignore_errors=True)


if __name__ == "__main__":
    main()
