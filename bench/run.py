#!/usr/bin/env python3
"""Measures Oncilla against its peers and writes RESULTS.md, results.svg and results.json.

    bench/run.py                        the whole grid, about 45 minutes
    bench/run.py --quick                the cells that a yardstick is about, about 8 minutes; results in target/bench-quick
    bench/run.py --only 'GET 4 KiB'     the cells whose name contains it; other results stay
    bench/run.py --resume               the cells that have no result yet

Each cell is measured in rounds that alternate between the servers (A B A B), and what counts is
the median of the ratios of neighbouring rounds: absolute figures of shared machines mean little.
Before a round of writing the disk is left to finish what was written before, so that a server
which syncs does not pay for one which does not. See bench/README.md.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import grid
import machine
import ratios
import report
from lab import Lab
from load import ROUND_FIELDS, LoadFailed
from peers import garage, nginx
from peers.process import Memory

HERE = pathlib.Path(__file__).resolve().parent
REPOSITORY = HERE.parent
THROWN_AWAY_SECONDS = 0.5
# The large PUT cells and what the servers keep for reading need so much at the same time.
FREE_DISK_BYTES_MIN = 25_000_000_000


def say(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')}  {text}", flush=True)


def rounded(value: float | None) -> float | None:
    """Four digits: more would be noise."""
    if value is None or value == 0:
        return value
    return round(value, max(0, 3 - math.floor(math.log10(abs(value)))))


class Record:
    """The rounds of one contestant in one cell."""

    def __init__(self) -> None:
        self.rounds: dict[str, list] = {field: [] for field in ROUND_FIELDS}
        self.memory = Memory()

    def add(self, measured: dict, memory: Memory | None = None) -> None:
        for field in ROUND_FIELDS:
            self.rounds[field].append(rounded(measured.get(field)))
        if memory:
            self.memory.raise_to(memory)

    def as_json(self) -> dict:
        return {"rounds": self.rounds, "memory_mb": {name: round(value, 1) for name, value in vars(self.memory).items()}}


class Run:
    def __init__(self, options: argparse.Namespace, lab: Lab):
        self.options, self.lab = options, lab
        self.put_limit = REPOSITORY / "target/release/examples/put_limit"

    def measure(self, cell: grid.Cell) -> dict[str, Record]:
        records = {name: Record() for name in cell.contestants}
        if cell.reads:
            self.lab.start_read(self.options.objects, self.options.load_seconds, say)
        else:
            self.lab.stop_read()
        with contextlib.ExitStack() as stack:
            servers = {}
            if cell.reads:
                servers = self.lab.read
            elif not cell.fresh_each_round:
                servers = {name: stack.enter_context(self.lab.fresh(name)) for name in cell.contestants}
            # What prepares a DELETE warms up as well.
            if servers and cell.operation != "DELETE":
                for name in cell.contestants:
                    self._round(cell, servers[name], min(THROWN_AWAY_SECONDS, self.options.seconds), 0, Record())
            for number in range(1, self.options.rounds + 1):
                for name in cell.contestants:
                    if not cell.reads:
                        os.sync()
                    if name == "limit":
                        records[name].add({"bytes_per_s": self.lab.put_limit(self.put_limit, cell)})
                    elif name in servers:
                        self._round(cell, servers[name], self.options.seconds, number, records[name])
                    else:
                        with self.lab.fresh(name) as server:
                            self._round(cell, server, self.options.seconds, number, records[name])
        return records

    def _round(self, cell: grid.Cell, server, seconds: float, number: int, record: Record) -> None:
        listed = self.lab.loaded.get(server.name, {}).get("listed", 0)
        with server.server.watched_memory() as memory:
            measured = self.lab.generator.round(server, cell, seconds, number, listed)
        record.add(measured, memory)


def outcome(record: dict) -> str:
    """One line for the terminal."""
    parts = []
    for name in record["contestants"]:
        found = ratios.ratio_to(record, name)
        against = "" if name == "oncilla" or found is None else f" ({found.median:.2f} ×)"
        parts.append(f"{name} {report.throughput_text(record, name)}{against}")
    parts += [f"{errors} ERRORS of {name}" for name, errors in report.errors_of(record).items() if errors]
    return "  ".join(parts)


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="only the cells that a yardstick is about")
    parser.add_argument("--only", metavar="TEXT", help="only cells whose name contains TEXT; keeps the other results")
    parser.add_argument("--resume", action="store_true", help="only cells without a result; keeps the other results")
    parser.add_argument("--list", action="store_true", help="print the names of the chosen cells and end")
    parser.add_argument("--rounds", type=int, default=5, help="per contestant and cell [5]")
    parser.add_argument("--seconds", type=float, default=2.0, help="length of a round [2]")
    parser.add_argument("--objects", type=int, default=1_000_000, help="objects in the bucket that is listed [1000000]")
    parser.add_argument(
        "--load-seconds", type=int,
        help="about how long loading them may take, per server; a slower server lists fewer [300, with --quick 90]",
    )  # fmt: skip
    parser.add_argument("--keep", type=pathlib.Path, metavar="DIR", help="keep loaded servers in DIR, and use what it holds")
    parser.add_argument(
        "--results", type=pathlib.Path, metavar="DIR", help="where the results go [bench/, with --quick target/bench-quick/]"
    )
    parser.add_argument("--bin", type=pathlib.Path, default=REPOSITORY / "target/release/oncilla", help="Oncilla's release build")
    parser.add_argument("--garage", type=pathlib.Path, default=REPOSITORY / ".tools/bench/bin/garage", help="Garage's binary")
    options = parser.parse_args()
    options.load_seconds = options.load_seconds or (90 if options.quick else 300)
    options.results = options.results or (REPOSITORY / "target/bench-quick" if options.quick else HERE)
    return options


def versions(options: argparse.Namespace) -> dict[str, str]:
    commit = machine.first_line("git", "-C", str(REPOSITORY), "describe", "--always", "--dirty")
    return {
        "Oncilla": f"{machine.first_line(str(options.bin), '--version')} ({commit})",
        "Garage": machine.first_line(str(options.garage), "--version"),
        "nginx": machine.first_line(nginx.find(), "-v"),
        "Rust": machine.first_line("rustc", "--version"),
    }


def check_requirements(options: argparse.Namespace, directory: pathlib.Path) -> None:
    missing = [str(path) for path in (options.bin, options.garage) if not path.is_file()]
    if not nginx.find():
        missing.append("nginx")
    if missing:
        sys.exit(f"missing: {', '.join(missing)}: `make bench` builds and installs what is needed")
    if garage.VERSION not in machine.first_line(str(options.garage), "--version"):
        sys.exit(f"{options.garage} is not Garage {garage.VERSION}")
    if shutil.disk_usage(directory).free < FREE_DISK_BYTES_MIN:
        sys.exit(f"{directory} needs {FREE_DISK_BYTES_MIN / 1e9:.0f} GB of free space")


def main() -> int:
    options = parse_options()
    cells = [c for c in (grid.quick_cells() if options.quick else grid.cells()) if (options.only or "") in c.name]
    results_file = options.results / "results.json"
    results = {"cells": {}}
    if results_file.exists() and (options.only or options.resume):
        results = json.loads(results_file.read_text())
    if options.resume:
        cells = [cell for cell in cells if cell.name not in results["cells"]]
    if options.list:
        print("\n".join(cell.name for cell in cells))
        return 0
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    options.results.mkdir(parents=True, exist_ok=True)

    with work_directory(options) as directory:
        check_requirements(options, directory)
        results |= {"machine": machine.describe(directory), "versions": versions(options)}
        lab = Lab(installed(options.bin, directory), installed(options.garage, directory), directory)
        failures = measure_all(options, cells, lab, results)
    report.write(results, options.results)
    print(f"\n{report.yardstick_lines(ratios.verdicts(results['cells']))}\n\nResults: {options.results / 'RESULTS.md'}")
    if failures:
        print(f"failed or with errors: {'; '.join(failures)}", file=sys.stderr)
    return 1 if failures else 0


def installed(binary: pathlib.Path, directory: pathlib.Path) -> pathlib.Path:
    """A copy, as an installation makes it: code that is still as the linker wrote it runs up to a quarter slower
    (docs/performance.md)."""
    copy = directory / "bin" / binary.name
    copy.parent.mkdir(exist_ok=True)
    shutil.copy2(binary, copy)
    return copy


@contextlib.contextmanager
def work_directory(options: argparse.Namespace):
    """On the file system of this tree, and gone at the end, unless another is to be kept."""
    if options.keep:
        options.keep.mkdir(parents=True, exist_ok=True)
        yield options.keep.resolve()
        return
    (REPOSITORY / "target").mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="bench-", dir=REPOSITORY / "target", ignore_cleanup_errors=True) as name:
        yield pathlib.Path(name)


def measure_all(options: argparse.Namespace, cells: list[grid.Cell], lab: Lab, results: dict) -> list[str]:
    """Measures the cells into `results`, saving each, and returns the names of those that failed or had errors."""
    run, failures = Run(options, lab), []
    try:
        for index, cell in enumerate(cells, 1):
            try:
                records = run.measure(cell)
            except (LoadFailed, subprocess.SubprocessError, RuntimeError) as failure:
                failures.append(cell.name)
                say(f"[{index}/{len(cells)}] {cell.name}: FAILED: {failure}")
                continue
            record = {
                "by_bytes": cell.by_bytes,
                "seconds": options.seconds,
                "version": results["versions"]["Oncilla"],
                "contestants": {name: each.as_json() for name, each in records.items()},
            }
            results["cells"][cell.name] = record
            results["loaded"] = lab.loaded or results.get("loaded", {})
            report.save(results, options.results / "results.json")
            if any(report.errors_of(record).values()):
                failures.append(cell.name)
            say(f"[{index}/{len(cells)}] {cell.name}: {outcome(record)}")
    except KeyboardInterrupt:
        say("interrupted: --resume measures what is missing")
        sys.exit(130)
    finally:
        lab.stop_read()
    return failures


if __name__ == "__main__":
    sys.exit(main())
