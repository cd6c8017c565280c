"""The folder of a cross-play: what was played, cell by cell, so that a second call plays only what is missing.

::

    settings.json   environment, episodes, seed, greedy: the same for all cells
    cells.jsonl     one line for each finished cell, by the fingerprints of its two policies
"""

import json
import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from rpax.errors import InputError, shown
from rpax.evaluation.cross_play import Cell, Entrant
from rpax.runs.writing import write_text, writing_out
from rpax.untrusted import MOST_DOCUMENT, NotStrictJSON, check_keys, parse_json, read_bounded, read_json

_Pair = tuple[str, str]
_CELL = {"row": str, "column": str, "mean": list, "std": list, "episodes": int}
#: What means and standard deviations lie between, so that their squares and sums are numbers too.
_BOUNDS = {"mean": (-1e300, 1e300), "std": (0.0, 1e150)}


class CellStore:
    """Finished cells on disk."""

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = pathlib.Path(folder)
        self._settings, self._cells = self.folder / "settings.json", self.folder / "cells.jsonl"

    def open(self, settings: Mapping[str, Any]) -> None:
        """Begin the folder, or go on with one that has the same settings.

        Raises:
            InputError: it holds something else, cells of other settings, or cannot be written.
        """
        with writing_out(self.folder, f"folder {self.folder}"):
            if self._settings.is_file():
                self._check_settings(settings)
            elif self.folder.exists() and (not self.folder.is_dir() or any(self.folder.iterdir())):
                raise InputError(f"folder {self.folder} holds something else than a cross-play; choose another --out")
            else:
                self.folder.mkdir(parents=True, exist_ok=True)
                write_text(self._settings, json.dumps(dict(settings), indent=1) + "\n")
            self._end_last_line()

    def _check_settings(self, settings: Mapping[str, Any]) -> None:
        known = read_json(self._settings, "choose another --out")
        try:
            differing = [name for name in settings if known[name] != json.loads(json.dumps(settings[name]))]
        except (LookupError, TypeError):
            raise InputError(f"{self._settings} is damaged, or of another version; choose another --out") from None
        if differing:
            name = differing[0]
            raise InputError(
                f"folder {self.folder} holds a cross-play with {name} {shown(known[name])}, not {settings[name]}; "
                "choose another --out"
            )

    def _end_last_line(self) -> None:
        """Make the file, and put an end to a line that was cut off, so that the next one begins anew."""
        with self._cells.open("ab+") as file:
            if file.tell():
                file.seek(-1, os.SEEK_END)
                if file.read(1) != b"\n":
                    file.write(b"\n")

    def read(self, entrants: Sequence[Entrant]) -> dict[tuple[int, int], Cell]:
        """The cells of these entrants that were played before. A line that was cut off counts as not played."""
        known: dict[_Pair, Cell] = {}
        content = read_bounded(self._cells, MOST_DOCUMENT, str(self._cells), "choose another --out")
        for line in content.decode("utf-8", errors="replace").splitlines():
            try:
                entry = check_keys(parse_json(line, finite=False), _CELL)
                known[entry["row"], entry["column"]] = _cell_of(entry)
            except NotStrictJSON:
                continue
        lasting = [(number, entrant.fingerprint) for number, entrant in enumerate(entrants) if entrant.lasts]
        pairs = {(i, j): known.get((row, column)) for i, row in lasting for j, column in lasting}
        return {pair: cell for pair, cell in pairs.items() if cell is not None}

    def add(self, row: Entrant, column: Entrant, cell: Cell) -> None:
        """Write a finished cell down, if both agents can be known again.

        Raises:
            InputError: it cannot be written.
        """
        if not (row.lasts and column.lasts):
            return
        entry = {"row": row.fingerprint, "column": column.fingerprint, **cell._asdict()}
        with writing_out(self._cells, str(self._cells)), self._cells.open("a", encoding="utf-8") as file:
            file.write(json.dumps(entry) + "\n")


def _cell_of(entry: Mapping[str, Any]) -> Cell:
    """A line of ``cells.jsonl``."""
    for name in _BOUNDS:
        if len(entry[name]) != 3 or not all(_is_number(value, *_BOUNDS[name]) for value in entry[name]):
            raise NotStrictJSON(f"has {shown(entry[name])} for '{name}'")
    if not 1 <= entry["episodes"] < 2**31:
        raise NotStrictJSON(f"has {shown(entry['episodes'])} for 'episodes'")
    return Cell(tuple(entry["mean"]), tuple(entry["std"]), entry["episodes"])


def _is_number(value: object, low: float, high: float) -> bool:
    """Whether ``value`` lies between these, which NaN does not."""
    return isinstance(value, float | int) and not isinstance(value, bool) and low <= value <= high
