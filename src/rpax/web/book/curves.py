"""Learning curves from ``metrics.jsonl``, read on as the file grows, thinned to what a page can show."""

import os
import pathlib
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from rpax.reports.figure_style import seed_band
from rpax.runs.sinks import row_of
from rpax.web.book.text import name_text, numbers

#: Points of a curve, curves of a run, and numbers of all of them together.
MOST_POINTS, MOST_LINES, MOST_NUMBERS = 400, 400, 150_000
#: Bytes of a line, and of what is read at once.
MOST_LINE, MOST_READ = 4 * 10**6, 8 * 10**6
_FEWEST_POINTS = 40
_BOTH = 2
#: Groups of returns, and how their curves' kind is called.
_RETURNS = {"returns": "exact", "lookahead_episode_return": "lookahead", "outer_episode_return": "outer"}
_MEASURES = ("entropy", "base_gradient_norm", "manipulator_gradient_norm", "influence", "critic_loss")


class Line(NamedTuple):
    """What one curve shows.

    Attributes:
        kind: ``exact``, ``lookahead``, ``outer``, ``policies``, or a measure like ``entropy``.
        name: a pairing, or an agent.
        part: a seat, or an agent's seat and action; ``None`` for a measure.
    """

    kind: str
    name: str
    part: tuple[int, ...] | None


class MetricsFile:
    """The thinned content of a ``metrics.jsonl`` that may grow, shrink, or vanish.

    Args:
        path: the file.
    """

    def __init__(self, path: pathlib.Path) -> None:
        self.path = path
        self._forget()

    def _forget(self) -> None:
        self._offset, self._inode, self._stride, self._count = 0, -1, 1, 0
        self._lines: dict[Line, None] = {}
        # By update, then by seed; ``_last`` is the update that came last, kept or not.
        self._kept: dict[int, dict[int, dict[Line, float]]] = {}
        self._last: tuple[int, dict[int, dict[Line, float]]] | None = None

    @property
    def last_update(self) -> int:
        """The update that was logged last; 0 without any."""
        return 0 if self._last is None else self._last[0]

    @property
    def stride(self) -> int:
        """Every how manyth logged update is shown."""
        return self._stride

    def read_on(self) -> bool:
        """Read some of what is new; whether there was anything. A file that was cut or replaced is read anew."""
        try:
            found = os.stat(self.path)
            if found.st_ino != self._inode or found.st_size < self._offset:
                had = self._last is not None
                self._forget()
                self._inode = found.st_ino
                if not found.st_size:
                    return had
            if found.st_size == self._offset:
                return False
            with self.path.open("rb") as file:
                file.seek(self._offset)
                content = file.read(MOST_READ)
        except OSError:
            had = self._last is not None
            self._forget()
            return had
        end = content.rfind(b"\n") + 1
        if not end and len(content) >= MOST_LINE:
            # A line without end is no line.
            end = len(content)
        for line in content[:end].splitlines(keepends=True):
            row = row_of(line) if len(line) <= MOST_LINE else None
            if row is not None:
                self._add(row)
        self._offset += end
        return end > 0

    def _add(self, row: Mapping[str, Any]) -> None:
        update, values = row["update"], dict(_values_of(row))
        for line in values:
            if len(self._lines) < MOST_LINES:
                self._lines.setdefault(line)
        if self._last is None or self._last[0] != update:
            self._last = (update, {})
            if self._count % self._stride == 0:
                self._kept[update] = self._last[1]
            self._count += 1
            if len(self._kept) > MOST_POINTS - 1:
                self._stride *= 2
                self._kept = dict(list(self._kept.items())[::2])
        self._last[1][row["seed"]] = values

    def curves(self) -> dict[str, Any]:
        """What a page shows: the updates, and for each curve the mean over seeds, the band and each seed.

        Returns:
            ``updates``, ``seeds``, ``every`` and ``lines``, each with ``kind``, ``name``, ``part`` and values at every
            update, ``None`` where there is none. A pairing's two seats are one curve where they always got the same.
        """
        kept = dict(self._kept)
        if self._last is not None:
            kept.setdefault(*self._last)
        updates = sorted(kept)
        seeds = sorted({seed for by_seed in kept.values() for seed in by_seed})
        if not updates or not self._lines:
            return {"updates": [], "seeds": [], "every": self._stride, "lines": []}
        several = len(seeds) > 1
        room = MOST_NUMBERS // (len(self._lines) * (3 + len(seeds) if several else 1))
        step = -(-len(updates) // max(_FEWEST_POINTS, min(MOST_POINTS, room)))
        # The last update is always among them.
        updates = updates[::-1][::step][::-1]
        shown = []
        for line in self._lines:
            values = [[kept[u].get(seed, {}).get(line, np.nan) for u in updates] for seed in seeds]
            shown.append((line, np.array(values, float)))
        lines = [_document(line, values, seeds if several else []) for line, values in _merged(shown)]
        return {"updates": updates, "seeds": seeds, "every": self._stride * step, "lines": lines}


def _values_of(row: Mapping[str, Any]) -> Iterator[tuple[Line, float]]:
    """The numbers of a row that become curves; whatever has another form is passed over."""
    for group, kind in _RETURNS.items():
        for name, value in _items(row.get(group)):
            if isinstance(value, list) and len(value) == _BOTH:
                yield from ((Line(kind, name, (seat,)), _real(value[seat])) for seat in range(_BOTH))
    for agent, by_seat in _items(row.get("policies")):
        for seat, policy in _items(by_seat):
            if seat in ("0", "1") and isinstance(policy, list):
                yield from ((Line("policies", agent, (int(seat), a)), _real(p)) for a, p in enumerate(policy[:64]))
    for kind in _MEASURES:
        found = row.get(kind)
        named = _items(found) if isinstance(found, Mapping) else [("", found)] if found is not None else []
        yield from ((Line(kind, name, None), _real(value)) for name, value in named)


def _items(found: object) -> list[tuple[str, Any]]:
    return [(str(name), value) for name, value in found.items()][:MOST_LINES] if isinstance(found, Mapping) else []


def _real(value: object) -> float:
    known = isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e300
    return float(value) if known else float("nan")  # type: ignore[arg-type]


def _merged(shown: list[tuple[Line, np.ndarray]]) -> Iterator[tuple[Line, np.ndarray]]:
    """Without the curves of seat 1 of pairings whose seats always got the same; those of seat 0 are then of both."""
    by_line = dict(shown)
    for line, values in shown:
        if line.kind not in _RETURNS.values() or line.part is None:
            yield line, values
            continue
        other = by_line.get(line._replace(part=(1 - line.part[0],)))
        if other is None or not np.array_equal(values, other, equal_nan=True):
            yield line, values
        elif line.part == (0,):
            yield line._replace(part=None), values


def _document(line: Line, values: np.ndarray, seeds: list[int]) -> dict[str, Any]:
    about = {"kind": line.kind, "name": name_text(line.name), "part": None if line.part is None else list(line.part)}
    mean, low, high = (numbers(part.tolist()) for part in seed_band(values))
    if not seeds:
        return {**about, "mean": mean}
    each = {str(seed): numbers(its.tolist()) for seed, its in zip(seeds, values, strict=True)}
    return {**about, "mean": mean, "low": low, "high": high, "seeds": each}
