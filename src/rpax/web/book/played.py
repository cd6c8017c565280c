"""Episodes that people played, as they lie in a run's folder ``plays``."""

import pathlib
from collections.abc import Mapping
from typing import Any, NamedTuple

from rpax.web.book.text import name_text, number, numbers, plain_text

#: Episodes of a run that are listed, the newest.
MOST_EPISODES = 300
_SUFFIX = ".rpax.json"


class _File(NamedTuple):
    """A file as it is now; one that cannot be looked at is as old as can be."""

    name: str
    changed: int
    size: int


class PlayedEpisodes:
    """The recordings in a folder, read when they come.

    Args:
        folder: where they are written; it need not exist.

    Attributes:
        entries: a line each, by file name: who played, what they got, or why a file cannot be read. ``id`` is a number
            that no other file of the folder gets, ``mark`` changes with the file.
        left_out: how many older ones are not listed.
        version: counts changes.
    """

    def __init__(self, folder: pathlib.Path) -> None:
        self._folder = folder
        self._numbers: dict[str, int] = {}
        self._known: dict[_File, dict[str, Any]] = {}
        self.entries: list[dict[str, Any]] = []
        self.left_out = 0
        self.version = 0

    def refresh(self) -> None:
        """Look what is there."""
        try:
            found = [_file(path) for path in self._folder.iterdir() if path.name.endswith(_SUFFIX)]
        except OSError:
            found = []
        newest = sorted(found, key=lambda file: file.changed, reverse=True)[:MOST_EPISODES]
        files, left_out = sorted(newest), len(found) - len(newest)
        if (files, left_out) == (list(self._known), self.left_out):
            return
        self._known = {file: self._known.get(file) or _entry(self._folder / file.name) for file in files}
        self.left_out = left_out
        self.entries = [
            {"id": self._number(file.name), "mark": f"{file.changed} {file.size}", **entry}
            for file, entry in self._known.items()
        ]
        self.version += 1

    def _number(self, name: str) -> int:
        """A file's number: of the first that were seen the first."""
        return self._numbers.setdefault(name, len(self._numbers))

    def document(self, number: int) -> Mapping[str, Any] | None:
        """A recording as the page shows it; ``None`` where none has this number.

        Raises:
            InputError: it is damaged.
        """
        from rpax.recordings.recording import Recording

        name = next((file.name for file in self._known if self._numbers[file.name] == number), None)
        return None if name is None else Recording.load(self._folder / name).to_dict()


def _file(path: pathlib.Path) -> _File:
    try:
        found = path.stat()
    except OSError:
        return _File(path.name, 0, 0)
    return _File(path.name, found.st_mtime_ns, found.st_size)


def _entry(path: pathlib.Path) -> dict[str, Any]:
    from rpax.recordings.recording import Recording

    found: dict[str, Any] = {"name": name_text(path.name.removesuffix(_SUFFIX))}
    try:
        recording = Recording.load(path)
    except Exception as error:  # one that is damaged in a way nobody thought of leaves the others alone
        return found | {"reason": plain_text(error) or type(error).__name__}
    return found | {
        "players": [{"name": name_text(player.name), "kind": player.kind} for player in recording.players],
        "returns": numbers(recording.returns),
        "length": number(recording.length),
    }
