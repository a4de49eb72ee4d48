"""What this ran on: processor, memory, kernel, file system, and what the disk does."""

from __future__ import annotations

import datetime
import os
import pathlib
import platform
import re
import statistics
import subprocess
import time

# The instructions that hashing, encryption and copying depend on.
FLAGS_OF_NOTE = ("avx2", "avx512f", "avx512bw", "avx512vl", "sha_ni", "aes", "vaes", "vpclmulqdq", "erms", "fsrm")
WRITE_BYTES = 1 << 30
WRITE_BLOCK_BYTES = 4 << 20
SYNCS = 300


def parse_cpuinfo(text: str) -> dict:
    model = re.search(r"^model name\s*: (.*)$", text, re.M)
    flags = re.search(r"^(?:flags|Features)\s*: (.*)$", text, re.M)
    have = set(flags[1].split()) if flags else set()
    return {
        "model": model[1].strip() if model else platform.machine(),
        "flags": [flag for flag in FLAGS_OF_NOTE if flag in have],
    }


def parse_file_system(mountinfo: str, path: str) -> str:
    """The type and options of the mount that holds `path`, from /proc/self/mountinfo."""
    best, found = "", "unknown"
    for line in mountinfo.splitlines():
        before, _, after = line.partition(" - ")
        point, options = before.split()[4:6]
        holds = path == point or path.startswith(point.rstrip("/") + "/")
        if holds and len(point) >= len(best):
            best, found = point, f"{after.split()[0]} ({options})"
    return found


def disk(directory: pathlib.Path) -> dict:
    """Writing 1 GiB with one sync at its end, and 4 KiB with a sync each."""
    file = directory / "disk-probe"
    block = os.urandom(WRITE_BLOCK_BYTES)
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        os.sync()
        began = time.monotonic()
        for _ in range(WRITE_BYTES // WRITE_BLOCK_BYTES):
            os.write(descriptor, block)
        os.fdatasync(descriptor)
        write_seconds = time.monotonic() - began
        latencies = []
        for _ in range(SYNCS):
            began = time.monotonic()
            os.write(descriptor, block[:4096])
            os.fdatasync(descriptor)
            latencies.append((time.monotonic() - began) * 1e3)
    finally:
        os.close(descriptor)
        file.unlink()
    return {
        "write_mb_per_s": round(WRITE_BYTES / 1e6 / write_seconds),
        "fsync_p50_ms": round(statistics.median(latencies), 3),
        "fsync_p99_ms": round(statistics.quantiles(latencies, n=100)[98], 3),
    }


def first_line(*command: str) -> str:
    """What a program says about its version; some say it on standard error."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=30)
    except OSError:
        return "not found"
    return (done.stdout + done.stderr).strip().split("\n")[0]


def describe(directory: pathlib.Path) -> dict:
    memory = re.search(r"MemTotal:\s+(\d+)", pathlib.Path("/proc/meminfo").read_text())
    return {
        "measured": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "cpu": parse_cpuinfo(pathlib.Path("/proc/cpuinfo").read_text()),
        "cores": os.cpu_count(),
        "memory_gb": round(int(memory[1]) * 1024 / 1e9, 1) if memory else None,
        "kernel": platform.release(),
        "file_system": parse_file_system(pathlib.Path("/proc/self/mountinfo").read_text(), str(directory.resolve())),
        "disk": disk(directory),
    }
