"""The parts of the benchmark that need no server: run by `make clients`, so that they cannot rot."""

from __future__ import annotations

import json
import pathlib
import sys
import xml.etree.ElementTree

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

import chart
import grid
import load
import machine
import ratios
import report
from peers.process import parse_cpu_ticks, parse_status


def record_of(cell: grid.Cell, rates: dict[str, list[float]], peak: float = 100.0) -> dict:
    """A cell of results.json in which each contestant reached these rates, in the cell's unit."""
    contestants = {}
    for name in cell.contestants:
        values = rates[name]
        contestants[name] = {
            "rounds": {field: list(values) for field in load.ROUND_FIELDS}
            | {"p50_ms": [1.0] * len(values), "p99_ms": [4.0] * len(values), "errors": [0] * len(values)},
            "memory_mb": {"rss": peak, "peak": peak, "anonymous": peak / 2, "file": peak / 2},
        }
    return {"by_bytes": cell.by_bytes, "seconds": 2.0, "version": "oncilla 0", "contestants": contestants}


def results_of(cells: list[grid.Cell]) -> dict:
    rates = {"oncilla": [600.0, 660.0, 500.0], "garage": [100.0, 100.0, 100.0], "nginx": [1000.0] * 3, "limit": [700.0] * 3}
    rates |= {"garage-fsync": [50.0] * 3, "oncilla-os": [800.0] * 3}
    return {
        "cells": {cell.name: record_of(cell, rates) for cell in cells},
        "loaded": {"oncilla": {"listed": 1000, "seconds": 3, "peak_mb": 90}},
        "versions": {"Oncilla": "oncilla 0"},
        "machine": {
            "measured": "2026-01-01 00:00 UTC", "cpu": {"model": "A < B", "flags": []}, "cores": 2, "memory_gb": 8.0,
            "kernel": "6", "file_system": "ext4 (rw)",
            "disk": {"write_mb_per_s": 1, "fsync_p50_ms": 1.0, "fsync_p99_ms": 2.0},
        },
    }  # fmt: skip


def test_ratio_is_the_median_of_neighbouring_rounds():
    # The medians of each side alone would give 20 / 10; the machine was slow in the third round.
    assert ratios.ratio([20.0, 30.0, 4.0], [10.0, 10.0, 1.0]) == ratios.Ratio(3.0, 2.0, 4.0)


def test_there_is_no_ratio_to_nothing():
    assert ratios.ratio([1.0, 1.0], [1.0, 0.0]) is None
    assert ratios.ratio([], []) is None
    assert ratios.ratio([1.0], [1.0, 2.0]) is None


def test_names_of_cells_are_unique_and_every_yardstick_has_one_cell():
    names = [cell.name for cell in grid.cells()]
    assert len(names) == len(set(names))
    for yardstick in grid.YARDSTICKS:
        concerned = [cell for cell in grid.cells() if yardstick.concerns(cell)]
        assert len(concerned) == 1, yardstick.text
        assert yardstick.measure in (*concerned[0].contestants, "p99/p50")


def test_quick_has_what_every_yardstick_needs():
    results = results_of(grid.quick_cells())
    assert all(verdict.met is not None for verdict in ratios.verdicts(results["cells"]))


def test_connections_of_multipart_are_uploads_times_parts():
    for cell in grid.cells():
        parts = cell.part_concurrency if cell.multipart else 1
        assert cell.concurrency * parts == cell.connections, cell.name


def test_verdicts_compare_with_the_target():
    cells = results_of(grid.cells())["cells"]
    by_text = {verdict.text: verdict for verdict in ratios.verdicts(cells)}
    assert by_text["HEAD, 16 connections, to Garage"].met is True  # 6 ×, at least 5
    assert by_text["HEAD, 16 connections, to Garage"].seen == "6.00 × (5.00 to 6.60)"
    assert by_text["GET 1 MiB, 16 connections, to nginx"].met is False  # 0.6 ×, at least 0.9
    assert by_text["GET 4 KiB, 64 connections, p99 to p50"].met is True  # 4 ×, at most 5
    assert all(verdict.met is None for verdict in ratios.verdicts({}))


def test_memory_is_judged_by_the_worst_cell():
    results = results_of(grid.cells())
    worst = grid.cells()[3]
    results["cells"][worst.name] = record_of(worst, {name: [1.0] for name in worst.contestants}, peak=301.0)
    memory = ratios.verdicts(results["cells"])[-1]
    assert memory.met is False and worst.name in memory.seen


def test_the_document_holds_every_cell_and_every_contestants_durability():
    text = report.document(results_of(grid.cells()))
    for cell in grid.cells():
        assert f"| {cell.name} |" in text
        assert all(name in report.DURABILITY for name in cell.contestants if name != "limit")
    for line in report.DURABILITY.values():
        assert line in text
    assert "oncilla-os: 800/s" in text and "garage-fsync: 50.0/s" in text


def test_the_chart_is_xml_with_a_bar_per_ratio():
    results = results_of(grid.cells())
    root = xml.etree.ElementTree.fromstring(report.picture(results))
    bars = [element for element in root.iter("{http://www.w3.org/2000/svg}rect") if len(element)]
    compared = sum(peer in cell.contestants for cell in grid.cells() for peer in ("garage", "nginx"))
    assert len(bars) == compared
    width = float(root.get("width"))
    for element in bars:
        assert 0 <= float(element.get("x")) and float(element.get("x")) + float(element.get("width")) <= width


def test_the_axis_holds_every_ratio_and_one():
    scale = chart.Scale([0.3, 40.0])
    ticks = scale.ticks()
    assert ticks[0] <= 0.3 and ticks[-1] >= 40 and 1 in ticks
    assert scale.x(ticks[0]) == chart.LABEL_WIDTH
    assert scale.x(1) < scale.x(2) < scale.x(40.0) <= chart.WIDTH - chart.VALUE_WIDTH


def test_extremes_are_clipped():
    scale = chart.Scale([0.0001, 1696.0])
    assert scale.ticks()[-1] == 64
    assert scale.x(1696.0) == scale.x(64.0) and scale.x(0.0001) == scale.x(1 / 64)


@pytest.mark.parametrize("cells", [[], grid.cells()])
def test_results_survive_being_saved(tmp_path, cells):
    file = tmp_path / "results.json"
    report.save(results_of(cells), file)
    assert json.loads(file.read_text()) == results_of(cells)
    report.write(json.loads(file.read_text()), tmp_path)
    assert (tmp_path / "RESULTS.md").exists() and (tmp_path / "results.svg").exists()


def test_rounds_are_bounded_by_time_or_by_operations():
    for cell in grid.cells():
        operation, arguments = load.arguments_of(cell, 2.0, 1, 1000)
        assert operation in {"get", "put", "stat", "list", "delete", "multipart", "range"}
        assert "--duration" in arguments
        if cell.operations is not None:
            assert cell.operation == "PUT" and cell.operations >= cell.concurrency, cell.name
            assert cell.operations * cell.size >= grid.ROUND_BYTES_MIN, cell.name
        if "limit" in cell.contestants:
            assert cell.operations is not None, "the limit is that of as many objects"


def test_memory_of_a_process():
    memory = parse_status("Name:\tx\nVmHWM:\t    4000 kB\nVmRSS:\t    3000 kB\nRssAnon:\t 1000 kB\nRssFile:\t 2000 kB\n")
    assert (memory.rss, memory.peak, memory.anonymous, memory.file) == (3.072, 4.096, 1.024, 2.048)


def test_processor_time_of_a_process_with_an_odd_name():
    assert parse_cpu_ticks("7 (a b) c) S 1 1 1 0 -1 0 0 0 0 0 120 30 0 0 20 0 1 0 5\n") == 150


def test_processor_and_file_system():
    assert machine.parse_cpuinfo("model name\t: X 1\nflags\t\t: fpu avx2 foo sha_ni\n") == {"model": "X 1", "flags": ["avx2", "sha_ni"]}
    mounts = "1 0 8:1 / / rw - ext4 /dev/a rw\n2 1 8:2 / /data rw,noatime shared:1 - xfs /dev/b rw\n"
    assert machine.parse_file_system(mounts, "/data/x") == "xfs (rw,noatime)"
    assert machine.parse_file_system(mounts, "/database") == "ext4 (rw)"
