"""Episodes that people played, as they lie in a run's folder ``plays``."""

import pathlib
from collections.abc import Mapping
from typing import Any

from rpax.web.book.text import name_text, number, numbers, plain_text

#: Episodes of a run that are listed.
MOST_EPISODES = 300
_SUFFIX = ".rpax.json"


class PlayedEpisodes:
    """The recordings in a folder, read when they come.

    Args:
        folder: where they are written; it need not exist.

    Attributes:
        entries: a line each: who played, what they got; or why a file cannot be read.
        version: counts changes.
    """

    def __init__(self, folder: pathlib.Path) -> None:
        self._folder = folder
        self._files: list[pathlib.Path] = []
        self._known: dict[tuple[str, int, int], dict[str, Any]] = {}
        self.entries: list[dict[str, Any]] = []
        self.version = 0

    def refresh(self) -> None:
        """Look what is there."""
        try:
            files = sorted(path for path in self._folder.iterdir() if path.name.endswith(_SUFFIX))[:MOST_EPISODES]
            marks = [(path.name, (found := path.stat()).st_mtime_ns, found.st_size) for path in files]
        except OSError:
            files, marks = [], []
        if marks == list(self._known):
            return
        self._files = files
        self._known = {mark: self._known.get(mark) or _entry(path) for mark, path in zip(marks, files, strict=True)}
        self.entries = [{"id": place, **entry} for place, entry in enumerate(self._known.values())]
        self.version += 1

    def document(self, place: int) -> Mapping[str, Any]:
        """A recording as the page shows it.

        Raises:
            InputError: it is damaged.
        """
        from rpax.recordings.recording import Recording

        return Recording.load(self._files[place]).to_dict()


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
