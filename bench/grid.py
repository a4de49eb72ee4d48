"""What is measured: the cells, who takes part in each, what is left out and why, and the yardsticks."""

from __future__ import annotations

import dataclasses

KIB, MIB = 1 << 10, 1 << 20
SIZES = [4 * KIB, 64 * KIB, 1 * MIB, 16 * MIB, 256 * MIB]
CONNECTIONS = [1, 16, 64]
HUGE = 256 * MIB
PART_SIZE = 16 * MIB
RANGE_SIZE = 64 * KIB
PAGE_KEYS = 1000
# Enough for every round of the fastest cell to take part of a second, and quick to load before each round.
DELETE_OBJECTS = 5000
# How many objects of each size are read: together 1.1 GB per server, so that all stay in the page cache.
OBJECTS_READ = {4 * KIB: 1000, 64 * KIB: 1000, 1 * MIB: 256, 16 * MIB: 16, 256 * MIB: 2}
# Beyond this many bytes under way at once a round of PUT is a number of whole operations: within a
# fixed time the slower server might not finish a single one, and what is unfinished is not stored.
# (Bytes of a GET count as they come.)
IN_FLIGHT_BY_TIME_BYTES = 64 * MIB
# What such a round writes at least, so that it does not fit the caches of a disk.
ROUND_BYTES_MIN = 1024 * MIB

LEFT_OUT = [
    ("PUT of 256 MiB in one request", "clients send such objects in parts; PUT 256 MiB here is a multipart upload in parts of 16 MiB"),
    ("range, LIST, HEAD and DELETE for every size", "their cost does not follow the object's size: ranges are 64 KiB of 256 MiB; LIST is of 1 KiB, HEAD and DELETE of 4 KiB objects"),
    ("nginx for PUT, LIST and DELETE", "it has no such operations on objects"),
    ("Garage over TLS", "it has no TLS of its own"),
    ("TLS for PUT, LIST and DELETE", "there is no peer to compare with; what TLS costs shows in GET"),
]  # fmt: skip


def size_name(size: int) -> str:
    return f"{size // MIB} MiB" if size >= MIB else f"{size // KIB} KiB"


@dataclasses.dataclass(frozen=True)
class Cell:
    operation: str  # PUT, GET, RANGE, HEAD, LIST or DELETE
    size: int
    connections: int
    contestants: tuple[str, ...]
    tls: bool = False

    @property
    def _subject(self) -> str:
        name = {
            "RANGE": "range 64 KiB of 256 MiB",
            "HEAD": "HEAD",
            "LIST": f"LIST {PAGE_KEYS:,}",
            "DELETE": "DELETE",
        }.get(self.operation, f"{self.operation} {size_name(self.size)}")
        multipart = " multipart" if self.multipart else ""
        return name + multipart + (" over TLS" if self.tls else "")

    @property
    def _connections_text(self) -> str:
        return f"{self.connections} connection{'s' * (self.connections > 1)}"

    @property
    def name(self) -> str:
        return f"{self._subject}, {self._connections_text}"

    @property
    def name_below_heading(self) -> str:
        """Without what a heading above it says: the operation, and TLS."""
        if self.operation in ("GET", "PUT"):
            return f"{size_name(self.size)}{' multipart' * self.multipart}, {self._connections_text}"
        return self._connections_text

    @property
    def multipart(self) -> bool:
        return self.operation == "PUT" and self.size == HUGE

    @property
    def reads(self) -> bool:
        return self.operation in ("GET", "RANGE", "HEAD", "LIST")

    @property
    def part_concurrency(self) -> int:
        return min(4, self.connections)

    @property
    def concurrency(self) -> int:
        """Operations under way at once; each multipart upload has several connections."""
        return self.connections // self.part_concurrency if self.multipart else self.connections

    @property
    def operations(self) -> int | None:
        """How many operations make a round, or None for as many as fit the time."""
        if self.operation != "PUT" or self.in_flight_bytes <= IN_FLIGHT_BY_TIME_BYTES:
            return None
        # Two of each connection, so that starting and ending weigh less; one is enough of gigabytes.
        waves = 2 if self.in_flight_bytes <= 2 * ROUND_BYTES_MIN else 1
        return max(waves * self.concurrency, ROUND_BYTES_MIN // self.size)

    @property
    def in_flight_bytes(self) -> int:
        """Bytes under way at once, of operations that move whole objects."""
        return self.concurrency * self.size if self.operation in ("PUT", "GET") else 0

    @property
    def fresh_each_round(self) -> bool:
        """Whether each round begins with an empty store, so that the data fits the disk."""
        return self.operation == "PUT" and self.size >= MIB

    @property
    def by_bytes(self) -> bool:
        """Whether the natural unit is bytes per second."""
        return self.operation in ("PUT", "GET") and self.size >= MIB


def cells() -> list[Cell]:
    """The whole grid."""
    readers = ("oncilla", "garage", "nginx")
    grid = []
    for size in SIZES:
        grid += [Cell("GET", size, connections, readers) for connections in CONNECTIONS]
    grid += [Cell("RANGE", HUGE, connections, readers) for connections in CONNECTIONS]
    grid += [Cell("HEAD", 4 * KIB, connections, readers) for connections in CONNECTIONS]
    grid += [Cell("LIST", KIB, connections, ("oncilla", "garage")) for connections in CONNECTIONS]
    for size in (4 * KIB, 64 * KIB, 1 * MIB, 16 * MIB):
        grid.append(Cell("GET", size, 16, ("oncilla", "nginx"), tls=True))
    for size in SIZES:
        for connections in CONNECTIONS:
            writers = ["oncilla", "garage"]
            if (connections == 16 and size != HUGE) or (size, connections) == (4 * KIB, 64):
                # The pairs of equal durability: both synced, and neither. Garage needs half a minute
                # for a synced round of the largest.
                writers += ["garage-fsync", "oncilla-os"]
            if (size, connections) == (16 * MIB, 16):
                writers.append("limit")
            grid.append(Cell("PUT", size, connections, tuple(writers)))
    grid += [Cell("DELETE", 4 * KIB, connections, ("oncilla", "garage")) for connections in CONNECTIONS]
    return grid


@dataclasses.dataclass(frozen=True)
class Yardstick:
    """A promise about one cell. `measure` is a peer's name for a ratio of throughputs, or "p99/p50"."""

    text: str
    operation: str
    size: int
    connections: int
    measure: str
    target: float
    at_most: bool = False

    def concerns(self, cell: Cell) -> bool:
        return not cell.tls and (cell.operation, cell.size, cell.connections) == (self.operation, self.size, self.connections)


YARDSTICKS = [
    Yardstick("GET 4 KiB, 16 connections, to nginx", "GET", 4 * KIB, 16, "nginx", 0.5),
    Yardstick("GET 1 MiB, 16 connections, to nginx", "GET", 1 * MIB, 16, "nginx", 0.9),
    Yardstick("GET 16 MiB, 16 connections, to nginx", "GET", 16 * MIB, 16, "nginx", 0.9),
    Yardstick("GET 256 MiB, 16 connections, to nginx", "GET", 256 * MIB, 16, "nginx", 0.9),
    Yardstick("PUT 4 KiB synced, 64 connections, to Garage unsynced", "PUT", 4 * KIB, 64, "garage", 5),
    Yardstick("PUT 1 MiB synced, 16 connections, to Garage unsynced", "PUT", 1 * MIB, 16, "garage", 3),
    Yardstick("PUT 16 MiB, 16 streams, to the limit of hashing and disk", "PUT", 16 * MIB, 16, "limit", 0.8),
    Yardstick("LIST 1,000, 16 connections, to Garage", "LIST", KIB, 16, "garage", 5),
    Yardstick("HEAD, 16 connections, to Garage", "HEAD", 4 * KIB, 16, "garage", 5),
    Yardstick("GET 4 KiB, 64 connections, p99 to p50", "GET", 4 * KIB, 64, "p99/p50", 5, at_most=True),
]
# In every cell of the grid, in units of 10^6 bytes.
MEMORY_MAX_MB = 300


def quick_cells() -> list[Cell]:
    """The cells that a yardstick is about, each with only the contestants that it needs."""
    chosen = []
    for cell in cells():
        needed = {yardstick.measure for yardstick in YARDSTICKS if yardstick.concerns(cell)}
        if needed:
            contestants = tuple(name for name in cell.contestants if name == "oncilla" or name in needed)
            chosen.append(dataclasses.replace(cell, contestants=contestants))
    return chosen
