"""Ratios of rounds measured in turn, and what the yardsticks make of them."""

from __future__ import annotations

import dataclasses
import statistics

import grid


@dataclasses.dataclass(frozen=True)
class Ratio:
    """The median of the ratios of neighbouring rounds, and the lowest and highest of them."""

    median: float
    lowest: float
    highest: float

    def __str__(self) -> str:
        return f"{number(self.median)} × ({number(self.lowest)} to {number(self.highest)})"


def number(value: float) -> str:
    """With digits that say something."""
    return f"{value:.{2 if value < 10 else 1 if value < 100 else 0}f}"


def throughput(cell: dict, contestant: str) -> list[float]:
    """Per round. Bytes where both have them, since the limit counts no operations."""
    rounds = cell["contestants"][contestant]["rounds"]
    return rounds["bytes_per_s"] if cell["by_bytes"] else rounds["operations_per_s"]


def ratio(ours: list[float], theirs: list[float]) -> Ratio | None:
    """None where a round of theirs measured nothing: there is no number for that."""
    if len(ours) != len(theirs) or not ours or min(theirs) <= 0:
        return None
    each = [a / b for a, b in zip(ours, theirs, strict=True)]
    return Ratio(statistics.median(each), min(each), max(each))


def ratio_to(cell: dict, peer: str, ours: str = "oncilla") -> Ratio | None:
    if ours not in cell["contestants"] or peer not in cell["contestants"]:
        return None
    return ratio(throughput(cell, ours), throughput(cell, peer))


@dataclasses.dataclass(frozen=True)
class Verdict:
    text: str
    target: str
    seen: str
    met: bool | None  # None: not measured in this run


def verdicts(cells: dict[str, dict]) -> list[Verdict]:
    """Every yardstick, judged by measured cells (name to record of results.json)."""
    by_name = {cell.name: cell for cell in grid.cells()}
    judged = []
    for yardstick in grid.YARDSTICKS:
        target = f"{'at most' if yardstick.at_most else 'at least'} {yardstick.target:g} ×"
        record = next((r for name, r in cells.items() if name in by_name and yardstick.concerns(by_name[name])), None)
        seen, met = ("not measured", None) if record is None else _judge(yardstick, record)
        judged.append(Verdict(yardstick.text, target, seen, met))
    return [*judged, _memory(cells)]


def _judge(yardstick: grid.Yardstick, record: dict) -> tuple[str, bool | None]:
    if yardstick.measure == "p99/p50":
        rounds = record["contestants"]["oncilla"]["rounds"]
        found = ratio(rounds["p99_ms"], rounds["p50_ms"])
    else:
        found = ratio_to(record, yardstick.measure)
    if found is None:
        return "not measured", None
    met = found.median <= yardstick.target if yardstick.at_most else found.median >= yardstick.target
    return str(found), met


def _memory(cells: dict[str, dict]) -> Verdict:
    peaks = [
        (contestants["oncilla"]["memory_mb"]["peak"], name)
        for name, record in cells.items()
        if "oncilla" in (contestants := record["contestants"])
    ]
    target = f"below {grid.MEMORY_MAX_MB} MB"
    if not peaks:
        return Verdict("Resident memory, highest of all cells", target, "not measured", None)
    peak, where = max(peaks)
    return Verdict(f"Resident memory, highest of {len(peaks)} cells", target, f"{peak:.0f} MB ({where})", peak < grid.MEMORY_MAX_MB)
