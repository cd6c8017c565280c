"""Failure signatures that are told while a run goes on, each once."""

import logging
import time
from collections.abc import Callable, Sequence
from typing import Any

from rpax.evaluation.diagnosis import explodes, shaping_notes
from rpax.runs.sinks import Row

_log = logging.getLogger(__name__)

#: Seconds between two looks at what was logged, so that looking costs nothing.
_BETWEEN_LOOKS = 10.0
#: So many lines are needed before a signature is believed, and so many are looked at.
_FEWEST, _MOST = 10, 500


class Warnings:
    """Looks at lines of metrics, now and then, and warns through :mod:`logging`, which by default writes to stderr.

    Told are, beside the signatures of :mod:`rpax.evaluation.diagnosis` that are known in training: a base agent's
    gradient or the critics' loss that explodes, updates that were left out, and a seed of which none was made.

    Args:
        clock: seconds, injectable for tests.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock, self._next_look = clock, clock() + _BETWEEN_LOOKS
        self._rows: dict[int, list[Row]] = {}
        self._told: set[str] = set()
        self._update = 0

    def __call__(self, rows: Sequence[Row]) -> None:
        """Take the lines of one update, one a seed."""
        for row in rows:
            if row.get("skipped"):
                self._tell_skipped(row)
            self._rows.setdefault(row["seed"], []).append(row)
        self._update = rows[0]["update"]
        if self._clock() >= self._next_look:
            self._next_look = self._clock() + _BETWEEN_LOOKS
            self.look()

    def look(self) -> None:
        """Warn of what shows by now."""
        for seed, rows in self._rows.items():
            del rows[: -2 * _MOST : 2]
            if len(rows) >= _FEWEST:
                for note in (*_shaping(rows), *_diverging(rows)):
                    self._tell(f"seed {seed}: {note}")

    def _tell_skipped(self, row: Row) -> None:
        about = f"seed {row['seed']}: updates are left out as they were not finite"
        self._tell(f"{about}; the metrics count them as skipped")
        if row["skipped"] == row["update"] - self._update:
            self._tell(f"{about}, lately all of them; lower the learning rates or add a gradient limit")

    def _tell(self, text: str) -> None:
        if text not in self._told:
            self._told.add(text)
            _log.warning("rpax: %s", text)


def _shaping(rows: Sequence[Row]) -> list[str]:
    kinds = ("manipulator_gradient_norm", "influence")
    idle, wild = shaping_notes({kind: _by_agent(rows, kind) for kind in kinds})
    return idle + wild


def _diverging(rows: Sequence[Row]) -> list[str]:
    notes = [
        f"diverging: the gradient of {name} explodes; lower α3 or set base_max_norm"
        for name, norms in _by_agent(rows, "base_gradient_norm").items()
        if explodes(norms)
    ]
    losses = [row["critic_loss"] for row in rows if "critic_loss" in row]
    if losses and explodes(losses):
        notes.append("diverging: the critics' loss explodes; lower critic_rate")
    return notes


def _by_agent(rows: Sequence[Row], kind: str) -> dict[str, list[float]]:
    found: dict[str, list[Any]] = {}
    for row in rows:
        for name, value in row.get(kind, {}).items():
            found.setdefault(name, []).append(value)
    return found
