"""What the store must hold after a crash, told from the acknowledgements alone.

Every worker owns the keys it writes, so that the order of operations on one key
is known. An operation is *in doubt* when it was sent and no answer came: the
store may then show the state before or after it, and nothing else. A read after
the restart settles the doubt for good.
"""

from __future__ import annotations

import dataclasses
import hashlib
import threading


@dataclasses.dataclass(frozen=True)
class Body:
    """A body by its size and digest; None stands for "no such object"."""

    size: int
    sha256: str

    @classmethod
    def of(cls, content: bytes) -> "Body":
        return cls(len(content), hashlib.sha256(content).hexdigest())


class Ledger:
    """For every key the states in which it may be found."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._possible: dict[str, list[Body | None]] = {}
        self.acknowledged = 0
        self.in_doubt = 0

    def state(self, key: str) -> Body | None:
        """The state of a key that is not in doubt."""
        with self._lock:
            states = self._possible.get(key, [None])
        assert len(states) == 1, f"{key} is in doubt"
        return states[0]

    def sent(self, key: str, outcome: Body | None) -> None:
        with self._lock:
            states = self._possible.setdefault(key, [None])
            if outcome not in states:
                states.append(outcome)

    def acknowledge(self, key: str, outcome: Body | None) -> None:
        with self._lock:
            self._possible[key] = [outcome]
            self.acknowledged += 1

    def settle(self, key: str, found: Body | None) -> str | None:
        """Takes what the store shows; returns what is wrong with it, if anything."""
        with self._lock:
            states = self._possible.get(key, [None])
            if found not in states:
                return f"{key}: found {found}, possible were {states}"
            if len(states) > 1:
                self.in_doubt += 1
            self._possible[key] = [found]
            return None

    def keys(self) -> list[str]:
        with self._lock:
            return sorted(self._possible)

    def present(self) -> dict[str, int]:
        """Keys that exist, with sizes; only when nothing is in doubt."""
        return {key: body.size for key in self.keys() if (body := self.state(key)) is not None}
