"""The explorer's book: which runs and grids there are, and the document of each."""

import concurrent.futures
import hashlib
import json
import pathlib
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from rpax._version import __version__
from rpax.cli.output import say
from rpax.errors import InputError, shown
from rpax.untrusted import read_json
from rpax.web.book.episodes import PICKS, Episodes
from rpax.web.book.grid import Grid, PlaySettings
from rpax.web.book.played import PlayedEpisodes
from rpax.web.book.run_page import RunPage
from rpax.web.book.text import plain_text
from rpax.web.book.words import why
from rpax.web.book.worker import Worker

#: Seconds in which files are looked at no more than once.
_FRESH = 0.3
_MOST_STAGES = 200


class Missing(LookupError):
    """There is no such document."""


class Book:
    """Everything that the explorer shows of some runs.

    Args:
        paths: run directories.
        settings: how the cells of grids are played.
        cells: a folder that keeps cells: one that `rpax cross-play` wrote, or one with a folder for each grid.
        title: of the page.
        live: whether runs are followed while they change.
    """

    def __init__(
        self,
        paths: Sequence[pathlib.Path],
        *,
        settings: PlaySettings | None = None,
        cells: pathlib.Path | None = None,
        title: str = "rpax explorer",
        live: bool = True,
    ) -> None:
        if not paths:
            raise InputError("explore needs runs; give a run directory or more")
        self.settings, self.title, self.live = settings or PlaySettings(), plain_text(title, 120), live
        self.worker = Worker()
        self._cells = cells
        self._lock = threading.RLock()
        self._looked = -1e9
        paths = list({path.resolve(): path for path in paths}.values())
        self._pages = [RunPage(path, name) for path, name in zip(paths, _names(paths), strict=True)]
        self._parents: dict[int, int] = {}
        self._grids: list[Grid] = []
        self._playing: dict[int, tuple[Any, ...]] = {}
        self._episodes: dict[int, Episodes] = {}
        self._played = [PlayedEpisodes(page.path / "plays") for page in self._pages]

    def refresh(self) -> None:
        """Look at every run's files, and begin to play where there is something new; not too often."""
        with self._lock:
            if time.monotonic() - self._looked < _FRESH:
                return
            for page in self._pages:
                page.refresh(whole=not self.live)
            self._find_stages()
            self._find_grids()
            for played in self._played:
                played.refresh()
            self._looked = time.monotonic()

    def _find_stages(self) -> None:
        known = {page.path for page in self._pages}
        for number, page in enumerate(list(self._pages)):
            if number in self._parents:
                continue
            for path, about in page.stages():
                if path not in known and len(self._parents) < _MOST_STAGES:
                    stage = RunPage(path, f"{page.name}/{path.name}", about)
                    stage.refresh(whole=not self.live)
                    self._parents[len(self._pages)] = number
                    self._pages.append(stage)
                    self._played.append(PlayedEpisodes(path / "plays"))

    def _find_grids(self) -> None:
        """Put runs that can play together into a grid, and play anew where one has changed."""
        from rpax.runs.roster import can_meet, same_environment

        groups: list[list[RunPage]] = []
        for number, page in enumerate(self._pages):
            if number in self._parents or not page.plays or page.run is None:
                continue
            # Groups are never empty, and hold runs that can be read.
            group = next((g for g in groups if same_environment(g[0].run, page.run)), None)  # type: ignore[arg-type]
            if group is None:
                groups.append(group := [])
            group.append(page)
        for group in groups:
            runs = [page.run for page in group if page.run is not None]
            grid = next((grid for grid in self._grids if {*grid.pages} & {*group}), None)
            if grid is None:
                if not can_meet(runs):
                    continue
                grid = Grid(group, self.settings, self._cells_of(group[0]), commands=self.live)
                self._grids.append(grid)
            number = self._grids.index(grid)
            state = tuple((id(page), page.played_version) for page in group)
            if self._playing.get(number) != state:
                self._playing[number], grid.pages = state, group
                self._episodes.setdefault(number, Episodes(grid))
                if self.live:
                    self.worker.begin(("grid", number), grid.play())

    def _cells_of(self, page: RunPage) -> pathlib.Path | None:
        """The folder that keeps a grid's cells."""
        assert page.run is not None, "grids are made of runs that can be read"
        environment = page.run.config.environment
        if self._cells is None:
            return None
        if (self._cells / "settings.json").is_file():
            kept = known_settings(self._cells).get("environment")
            if kept == environment:
                return self._cells
            say(
                f"rpax: folder {self._cells} holds cells of {shown(kept)}; those of {environment} are played anew and "
                "not kept, give them a --cells of their own"
            )
            return None
        name = environment.rpartition(":")[2].replace("/", "-")
        taken = {grid.cells_folder for grid in self._grids}
        names = (name if number == 1 else f"{name}-{number}" for number in range(1, len(taken) + 2))
        return next(path for each in names if (path := self._cells / each) not in taken)

    @property
    def pages(self) -> Sequence[RunPage]:
        """The runs, by their numbers."""
        return self._pages

    @property
    def grids(self) -> Sequence[Grid]:
        """The grids, by their numbers."""
        return self._grids

    def overview(self) -> dict[str, Any]:
        """The runs and grids, a line each; ``version`` tells whether anything has changed."""
        with self._lock:
            runs = []
            for number, page in enumerate(self._pages):
                played = self._played[number]
                line = {"id": number, **page.summary(), "plays": len(played.entries), "plays_version": played.version}
                runs.append(line | ({"parent": self._parents[number]} if number in self._parents else {}))
            runs.sort(key=lambda run: (run.get("parent", run["id"]), run["id"]))
            grids = [{"id": number, **grid.summary()} for number, grid in enumerate(self._grids)]
        found = {
            "title": self.title,
            "live": self.live,
            "rpax": __version__,
            "picks": PICKS,
            "runs": runs,
            "grids": grids,
        }
        version = hashlib.sha256(json.dumps(found).encode()).hexdigest()[:16]
        return {"version": version, **found}

    def run(self, number: int) -> dict[str, Any]:
        """Everything about a run.

        Raises:
            Missing: there is none of this number.
        """
        with self._lock:
            page = _at(self._pages, number)
            others = [other for other in self._pages if other is not page and self._parents.get(number) is None]
            try:
                found = page.document(others)
            except Exception as error:  # whatever results that somebody changed by hand bring about
                found = page.summary() | {"reason": plain_text(f"{page.path} is damaged ({error})")}
            played = self._played[number]
            return {"id": number, **found, "plays": played.entries, "plays_left_out": played.left_out}

    def grid(self, number: int) -> dict[str, Any]:
        """Everything about a grid, whose cells are played before those of others from now on.

        Raises:
            Missing: there is none of this number.
        """
        grid = _at(self._grids, number)
        self.worker.prefer(("grid", number))
        return {"id": number, **grid.document()}

    def cell(self, number: int, row: int, column: int) -> dict[str, Any]:
        """What a cell's numbers say, in words.

        Raises:
            Missing: there is no such cell.
        """
        grid = _at(self._grids, number)
        _check_cell(grid, row, column)
        return {"row": row, "column": column, "why": [plain_text(sentence) for sentence in why(grid, row, column)]}

    def recording(
        self, number: int, row: int, column: int, pick: str
    ) -> "concurrent.futures.Future[Mapping[str, Any]]":
        """The best, median or worst episode of a cell, once it is played.

        Raises:
            Missing: there is no such cell.
            rpax.web.book.worker.Busy: too much is asked for at once.
        """
        self._check_pick(number, row, column, pick)
        return self.worker.ask(lambda: self.recording_now(number, row, column, pick))

    def recording_now(self, number: int, row: int, column: int, pick: str) -> Mapping[str, Any]:
        """The same, played in this thread; only one may do so at a time.

        Raises:
            Missing: there is no such cell.
        """
        self._check_pick(number, row, column, pick)
        return self._episodes[number].recording(row, column, pick)

    def _check_pick(self, number: int, row: int, column: int, pick: str) -> None:
        _check_cell(_at(self._grids, number), row, column)
        if pick not in PICKS:
            raise Missing

    def play(self, number: int, played: int) -> Mapping[str, Any]:
        """A recorded episode of a person.

        Raises:
            Missing: there is none of these numbers.
            InputError: its file is damaged.
        """
        found = _at(self._played, number).document(played)
        if found is None:
            raise Missing
        return found

    def finish_grids(self, progress: Callable[[int, int], None]) -> None:
        """Play all that is to be played, in this thread; for those who have no page to look at meanwhile."""
        for grid in self._grids:
            for _ in grid.play():
                if grid.total:
                    progress(grid.done, grid.total)

    def close(self) -> None:
        """End the worker."""
        self.worker.end()


def known_settings(cells: pathlib.Path) -> Mapping[str, Any]:
    """How the cells in a folder were played; empty for a folder that holds none yet.

    Raises:
        InputError: its file is damaged.
    """
    file = cells / "settings.json"
    if not file.is_file():
        return {}
    content = read_json(file, "choose another --cells", 10**6)
    if not isinstance(content, dict):
        raise InputError(f"{file} is damaged; choose another --cells")
    return content


def _names(paths: Sequence[pathlib.Path]) -> list[str]:
    """What runs are called: the directory's name, with a number where two have the same."""
    found: list[str] = []
    for path in paths:
        name = path.resolve().name or str(path)
        taken = sum(other == name or other.startswith(f"{name} (") for other in found)
        found.append(f"{name} ({taken + 1})" if taken else name)
    return found


def _at(entries: Sequence[Any], number: int) -> Any:
    if not 0 <= number < len(entries):
        raise Missing
    return entries[number]


def _check_cell(grid: Grid, row: int, column: int) -> None:
    count = len(grid.players)
    if not (0 <= row < count and 0 <= column < count):
        raise Missing
