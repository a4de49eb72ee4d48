#!/usr/bin/env python3
"""RESULTS.md and results.svg from results.json. Runs by itself too: bench/report.py [DIR]."""

from __future__ import annotations

import json
import os
import pathlib
import statistics
import sys

import chart
import grid
import ratios
from peers import garage, nginx, oncilla

HEADINGS = [
    ("GET", "GET"),
    ("TLS", "GET over TLS"),
    ("RANGE", "Ranges of 64 KiB at random places of 256 MiB objects"),
    ("HEAD", "HEAD"),
    ("LIST", "LIST, pages of 1,000 keys at random places"),
    ("PUT", "PUT"),
    ("DELETE", "DELETE"),
]
DURABILITY = oncilla.DURABILITY | garage.DURABILITY | nginx.DURABILITY
WORDS = "---|"
# The pairs that promise the same about an acknowledged write.
EQUAL_DURABILITY = [("oncilla", "garage-fsync"), ("oncilla-os", "garage")]


# ---- words for numbers ----


def median(values: list[float | None]) -> float | None:
    present = [value for value in values if value is not None]
    return statistics.median(present) if present else None


def throughput_text(record: dict, contestant: str) -> str:
    value = median(ratios.throughput(record, contestant))
    if value is None:
        return ""
    if not record["by_bytes"]:
        return f"{value:,.0f}/s" if value >= 100 else f"{value:.1f}/s"
    return f"{value / 1e9:.2f} GB/s" if value >= 1e9 else f"{value / 1e6:,.0f} MB/s"


def ratio_text(found: ratios.Ratio | None) -> str:
    return str(found) if found else ""


def latency_text(record: dict, contestant: str) -> str:
    rounds = record["contestants"].get(contestant, {}).get("rounds", {})
    p50, p99 = median(rounds.get("p50_ms", [])), median(rounds.get("p99_ms", []))
    return f"{p50:.3g} / {p99:.3g}" if p50 is not None and p99 is not None else ""


def cpu_text(record: dict, contestant: str) -> str:
    value = median(record["contestants"].get(contestant, {}).get("rounds", {}).get("cpu_us_per_operation", []))
    return f"{value:,.0f}" if value is not None else ""


def memory_text(record: dict, contestant: str) -> str:
    memory = record["contestants"].get(contestant, {}).get("memory_mb")
    return f"{memory['peak']:.0f} ({memory['anonymous']:.0f} + {memory['file']:.0f})" if memory and memory["peak"] else ""


def errors_of(record: dict) -> dict[str, int]:
    """Requests that failed, per contestant."""
    return {name: sum(filter(None, each["rounds"]["errors"])) for name, each in record["contestants"].items()}


def table(header: list[str], rows: list[list[str]], alignment: str = "--:|") -> str:
    """A name in the first column, numbers in the others unless `alignment` says that they are words."""
    lines = ["| " + " | ".join(header) + " |", "|---|" + alignment * (len(header) - 1)]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows])


def yardstick_lines(verdicts: list[ratios.Verdict]) -> str:
    """For the terminal."""
    rows = [("Yardstick", "Target", "Seen", "Met")] + [(v.text, v.target, v.seen, met_text(v)) for v in verdicts]
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows)


def met_text(verdict: ratios.Verdict) -> str:
    return {True: "yes", False: "NO", None: "?"}[verdict.met]


# ---- which cells ----


def groups(results: dict) -> list[tuple[str, list[tuple[grid.Cell, dict]]]]:
    """The measured cells of the grid in its order, by heading."""
    measured = [(cell, results["cells"][cell.name]) for cell in grid.cells() if cell.name in results["cells"]]
    found = []
    for kind, heading in HEADINGS:
        members = [pair for pair in measured if kind == ("TLS" if pair[0].tls else pair[0].operation)]
        if members:
            found.append((heading, members))
    return found


# ---- the document ----


def document(results: dict) -> str:
    parts = [
        "# Results",
        "Made by `bench/run.py` (see [README.md](README.md)); do not edit by hand. "
        + rounds_sentence(results)
        + " A ratio is Oncilla's throughput divided by the peer's in the round beside it: the median, and in brackets the "
        "lowest and highest. Above 1 Oncilla is faster. The load generator shares the processor with the server it "
        "measures, so absolute figures are lower than what a server does alone.",
        "## Yardsticks",
        table(["Yardstick", "Target", "Seen", "Met"], [[v.text, v.target, v.seen, met_text(v)] for v in ratios.verdicts(results["cells"])]),
        "![Oncilla's throughput as a multiple of its peers', per cell](results.svg)",
        "## Who takes part, and what an acknowledged write means there",
        table(["Contestant", "Durability"], [[name, text] for name, text in DURABILITY.items()], WORDS),
        "The yardsticks hold Oncilla with everything synced against Garage with nothing synced; the pairs of equal "
        "durability are below. Garage is one node with `replication_factor = 1`, LMDB and its defaults (it compresses "
        "blocks; the bodies here do not compress). nginx serves the same bytes as files: one worker per core, `sendfile`, "
        "`tcp_nopush` (off where ranges are read, which it would make wait), `open_file_cache`, no access log; requests to "
        "it are not signed.",
        "Garage does not set `TCP_NODELAY` and sends the head and a small body apart, so that on a kept connection the body "
        "waits for the client's delayed acknowledgement: about 44 ms on Linux, with any client. That is what GET 4 KiB shows.",
        loaded_sentence(results),
        "## Machine",
        machine_list(results),
    ]
    for heading, members in groups(results):
        parts += [f"## {heading}", throughput_table(members), latency_table(members)]
        if equal := equal_durability_table(members):
            parts += ["With equal durability:", equal]
    parts += [
        errors_list(results),
        "## Memory and processor time",
        "Resident memory of the server in MB: the highest of the cell (anonymous + of files, which the kernel can take "
        "back). Processor time of the server in µs per operation.",
        resources_table([pair for _, members in groups(results) for pair in members]),
        "## Left out",
        table(["What", "Why"], [list(pair) for pair in grid.LEFT_OUT], WORDS),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def rounds_sentence(results: dict) -> str:
    counts = {len(record["contestants"]["oncilla"]["rounds"]["p50_ms"]) for record in results["cells"].values()}
    seconds = {record["seconds"] for record in results["cells"].values()}
    return (
        f"Each cell was measured in {span(counts)} round{'s' * (counts != {1})} per contestant, in turn (A B A B), of {span(seconds)} s each, "
        "or of a number of whole PUTs where a single one takes long."
    )


def span(values: set) -> str:
    ordered = sorted(values)
    return "no" if not ordered else f"{ordered[0]:g}" if len(ordered) == 1 else f"{ordered[0]:g} to {ordered[-1]:g}"


def loaded_sentence(results: dict) -> str:
    said = [
        f"{name.capitalize()} {each['listed']:,} (loaded by PUT in {each['seconds']} s, resident memory up to {each['peak_mb']} MB)"
        for name, each in results.get("loaded", {}).items()
    ]
    return f"Objects in the bucket that LIST cells list: {'; '.join(said)}." if said else ""


def errors_list(results: dict) -> str:
    lines = [
        f"- {cell}: {count} of {name}"
        for cell, record in results["cells"].items()
        for name, count in errors_of(record).items()
        if count
    ]
    return "\n".join(["## Requests that failed\n", *lines]) if lines else ""


def machine_list(results: dict) -> str:
    about, disk = results["machine"], results["machine"]["disk"]
    lines = [
        f"{about['cpu']['model']}, {about['cores']} cores, with {', '.join(about['cpu']['flags']) or 'none of the flags of note'}",
        f"{about['memory_gb']} GB of memory, Linux {about['kernel']}",
        f"{about['file_system']}: 1 GiB written and synced at {disk['write_mb_per_s']} MB/s; "
        f"4 KiB written and synced in {disk['fsync_p50_ms']} ms (p50), {disk['fsync_p99_ms']} ms (p99)",
        *(f"{name}: {version}" for name, version in results["versions"].items()),
        f"Measured {about['measured']}",
    ]
    builds = {record["version"] for record in results["cells"].values()}
    if len(builds) > 1:
        lines.append(f"Some cells are of other builds of Oncilla: {', '.join(sorted(builds))}")
    return "\n".join(f"- {line}" for line in lines)


def peers_of(members: list[tuple[grid.Cell, dict]]) -> list[str]:
    return [peer for peer in ("garage", "nginx", "limit") if any(peer in record["contestants"] for _, record in members)]


def throughput_table(members: list[tuple[grid.Cell, dict]]) -> str:
    peers = peers_of(members)
    header = ["Throughput", "oncilla"] + [column for peer in peers for column in (peer, f"ratio to {peer}")]
    rows = []
    for cell, record in members:
        row = [cell.name, throughput_text(record, "oncilla")]
        for peer in peers:
            here = peer in record["contestants"]
            row += [throughput_text(record, peer), ratio_text(ratios.ratio_to(record, peer))] if here else ["", ""]
        rows.append(row)
    return table(header, rows)


def latency_table(members: list[tuple[grid.Cell, dict]]) -> str:
    servers = ["oncilla", *(peer for peer in peers_of(members) if peer != "limit")]
    rows = [[cell.name, *(latency_text(record, server) for server in servers)] for cell, record in members]
    return table(["Latency, p50 / p99 in ms", *servers], rows)


def equal_durability_table(members: list[tuple[grid.Cell, dict]]) -> str:
    rows = []
    for cell, record in members:
        for ours, theirs in EQUAL_DURABILITY:
            if "garage-fsync" in record["contestants"]:
                found = ratios.ratio_to(record, theirs, ours)
                values = [f"{name}: {throughput_text(record, name)}" for name in (ours, theirs)]
                rows.append([cell.name, *values, ratio_text(found)])
    return table(["Cell", "Ours", "Theirs", "Ratio"], rows) if rows else ""


def resources_table(members: list[tuple[grid.Cell, dict]]) -> str:
    servers = ["oncilla", "garage", "nginx"]
    header = ["Cell"] + [f"{server}, MB" for server in servers] + [f"{server}, µs" for server in servers]
    rows = [
        [cell.name, *(memory_text(record, s) for s in servers), *(cpu_text(record, s) for s in servers)] for cell, record in members
    ]
    return table(header, rows)


def picture(results: dict) -> str:
    rows = []
    for heading, members in groups(results):
        rows.append(chart.Row(heading))
        for cell, record in members:
            rows.append(chart.Row(cell.name_below_heading, (ratios.ratio_to(record, "garage"), ratios.ratio_to(record, "nginx"))))
    return chart.draw(
        "Oncilla's throughput as a multiple of its peers'",
        "Median of rounds in turn; whiskers: lowest and highest. Right of 1 × Oncilla is faster. Oncilla syncs every write, Garage none.",
        ("Garage", "nginx"),
        rows,
    )


# ---- files ----


def save(results: dict, file: pathlib.Path) -> None:
    """Whole or not at all, with one cell on a line so that a difference can be read."""
    head = {name: value for name, value in results.items() if name != "cells"}
    cells = ",\n".join(f"  {json.dumps(name)}: {json.dumps(record)}" for name, record in results["cells"].items())
    text = json.dumps(head, indent=1).removesuffix("\n}") + ',\n "cells": {\n' + cells + "\n }\n}\n"
    if json.loads(text) != results:
        raise ValueError("results.json would not hold the results")
    temporary = file.with_suffix(".new")
    temporary.write_text(text)
    os.replace(temporary, file)


def write(results: dict, directory: pathlib.Path) -> None:
    (directory / "RESULTS.md").write_text(document(results))
    (directory / "results.svg").write_text(picture(results))


if __name__ == "__main__":
    place = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else pathlib.Path(__file__).resolve().parent
    write(json.loads((place / "results.json").read_text()), place)
