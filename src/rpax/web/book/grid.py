"""The cross-play of the runs of one environment, cell by cell as it is played."""

import pathlib
import shlex
import threading
from collections.abc import Generator, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from rpax.errors import InputError
from rpax.evaluation.statistics import episode_half_width
from rpax.web.book.labels import Whose, labels_of
from rpax.web.book.run_page import RunPage
from rpax.web.book.text import name_text, number, plain_text

if TYPE_CHECKING:
    from rpax.environments.protocol import Environment
    from rpax.evaluation.cross_play import Cell, Entrant
    from rpax.evaluation.cross_play_result import CrossPlay

#: Agents of a grid that can still be read.
MOST_AGENTS = 150
_SEATS = ("0", "1", "both")
_METRICS = ("self_play", "strict_metric", "paper_metric", "gap")


class PlaySettings(NamedTuple):
    """How cells are played.

    Attributes:
        episodes: of each cell.
        seed: of all chance.
        greedy: agents take their likeliest action.
    """

    episodes: int = 100
    seed: int = 0
    greedy: bool = False


class Player(NamedTuple):
    """Who plays a row and a column.

    Attributes:
        page: the run.
        seed: which of its seeds.
        agent: the agent's name there.
    """

    page: RunPage
    seed: int
    agent: str


class Grid:
    """Runs of one environment that meet.

    Args:
        pages: the runs that may take part; more may come.
        settings: how cells are played.
        cells: a folder that keeps cells.
        commands: whether to tell, with the paths of this computer, how to play with an agent.

    Attributes:
        version: counts changes.
        problem: why nothing is played, in a line.
        left_out: runs that cannot take part, and why.
        game: where they play, once that is made.
        entrants: who plays, and ``players`` where they come from.
    """

    def __init__(
        self, pages: Sequence[RunPage], settings: PlaySettings, cells: pathlib.Path | None, *, commands: bool = True
    ) -> None:
        self.pages, self.settings, self.cells_folder = list(pages), settings, cells
        self._commands = commands
        self.version = 0
        self.problem: str | None = None
        self.left_out: dict[str, str] = {}
        self.game: Environment | None = None
        self.entrants: Sequence[Entrant] = ()
        self.players: Sequence[Player] = ()
        self.total = 0
        self._lock = threading.RLock()
        self._cells: dict[tuple[int, int], Cell] = {}
        # Of all that take part or did, as they were last, so that nothing is played twice when a run comes or goes.
        self._known: dict[tuple[str, str], Cell] = {}
        self._marks: dict[Player, str] = {}
        # Who has which number first, so that an address goes on to mean the same.
        self._numbers: dict[Player, int] = {}
        self._result: tuple[int, CrossPlay] | None = None

    def play(self) -> Iterator[None]:
        """Find who takes part, and play every cell: a step each. What goes wrong is told by the page."""
        try:
            yield from self._play()
        except InputError as error:
            self._stop(str(error))
        except Exception as error:  # an agent's file or a game of the user's may bring about anything
            self._stop(f"{type(error).__name__}: {error}")

    def _stop(self, problem: str) -> None:
        self.problem = plain_text(problem)
        self.version += 1

    def _play(self) -> Iterator[None]:
        from rpax.evaluation.cross_play import play_cells
        from rpax.runs.cell_store import CellStore
        from rpax.runs.compilation_cache import use_compilation_cache
        from rpax.runs.cross_play import cell_settings

        use_compilation_cache()
        game, pages, found = yield from self._gather()
        players, entrants = self._numbered(_players_of(pages), found)
        store = None if self.cells_folder is None else CellStore(self.cells_folder)
        kept: Mapping[tuple[int, int], Cell] = {}
        if store is not None:
            store.open(cell_settings(game, *self.settings))
            kept = store.read(entrants)
        missing = self._begin(game, players, entrants, kept)
        yield
        marks = [entrant.fingerprint for entrant in entrants]
        for pair, cell in play_cells(game, entrants, missing, **self.settings._asdict()):
            with self._lock:
                self._cells[pair] = self._known[marks[pair[0]], marks[pair[1]]] = cell
                self.version += 1
            if store is not None:
                store.add(entrants[pair[0]], entrants[pair[1]], cell)
            yield

    def _numbered(
        self, players: Sequence[Player], entrants: "Sequence[Entrant]"
    ) -> "tuple[list[Player], list[Entrant]]":
        """Those that took part before in the order that they had, then the new ones."""
        for player in players:
            self._numbers.setdefault(player, len(self._numbers))
        both = sorted(zip(players, entrants, strict=True), key=lambda pair: self._numbers[pair[0]])
        return [player for player, _ in both], [entrant for _, entrant in both]

    def _begin(
        self,
        game: "Environment",
        players: Sequence[Player],
        entrants: "Sequence[Entrant]",
        kept: "Mapping[tuple[int, int], Cell]",
    ) -> list[tuple[int, int]]:
        """Show who takes part, with the cells that are known, all at once; the others are returned."""
        from rpax.evaluation.cross_play import cells_of

        every = cells_of(entrants)
        marks = [entrant.fingerprint for entrant in entrants]
        known = {pair: kept.get(pair) or self._known.get((marks[pair[0]], marks[pair[1]])) for pair in every}
        with self._lock:
            self.game, self.entrants, self.players = game, entrants, players
            self._cells = {pair: cell for pair, cell in known.items() if cell is not None}
            self._known |= {(marks[i], marks[j]): cell for (i, j), cell in self._cells.items()}
            self._marks |= zip(players, marks, strict=True)
            last = {*self._marks.values()}
            self._known = {pair: cell for pair, cell in self._known.items() if last.issuperset(pair)}
            self.total, self.problem = len(every), None
            self.version += 1
        if not every:
            raise InputError("no agent can play seat 0 with another in seat 1; add runs with agents for both seats")
        # Agents with themselves first: with them every other cell is compared.
        return sorted((pair for pair in every if known[pair] is None), key=lambda pair: pair[0] != pair[1])

    def _gather(self) -> "Generator[None, None, tuple[Environment, list[RunPage], list[Entrant]]]":
        """The environment, the runs that can take part, and their agents."""
        from rpax.runs.roster import entrants_of
        from rpax.runs.session import make_environment

        pages = [page for page in self.pages if page.run is not None]
        count = len(_players_of(pages))
        if count > MOST_AGENTS:
            raise InputError(f"{count} agents are too many for a grid; give runs with at most {MOST_AGENTS}")
        run = pages[0].run
        assert run is not None, "grids are made of runs that can be read"
        game = self.game or make_environment(run.config)
        yield

        def together(those: Sequence[RunPage]) -> "list[Entrant]":
            return entrants_of([(None, page.run) for page in those], game, manipulators=False)  # type: ignore[misc]

        left_out: dict[str, str] = {}
        try:
            entrants = together(pages)
        except InputError:
            # One that is damaged, or twice the same: the others play.
            fitting: list[RunPage] = []
            entrants = []
            for page in pages:
                try:
                    entrants = together([*fitting, page])
                    fitting.append(page)
                except InputError as error:
                    left_out[page.name] = plain_text(error)
                yield
            pages = fitting
        self.left_out = left_out
        return game, pages, entrants

    @property
    def done(self) -> int:
        """How many cells are played."""
        return len(self._cells)

    def summary(self) -> dict[str, Any]:
        """The grid's line on the first page."""
        page = self.pages[0]
        assert page.run is not None, "grids are made of runs that can be read"
        return {
            "environment": name_text(page.run.config.environment),
            "about": f"{self.settings.episodes} episode{'s' * (self.settings.episodes != 1)} a cell, "
            + ("most likely actions" if self.settings.greedy else "sampled actions"),
            "agents": len(self.players),
            "done": self.done,
            "total": self.total,
            "version": self.version,
            "problem": self.problem,
        }

    def result(self) -> "CrossPlay | None":
        """What is known so far; ``None`` without a single cell."""
        from rpax.evaluation.cross_play_result import CrossPlay

        with self._lock:
            if not self._cells or self.game is None:
                return None
            if self._result is None or self._result[0] != self.version:
                found = CrossPlay.of(self.game, self.entrants, self._cells, **self.settings._asdict())
                self._result = (self.version, found)
            return self._result[1]

    def document(self) -> dict[str, Any]:
        """Everything about the grid: see :meth:`rpax.evaluation.cross_play_result.CrossPlay.to_dict`, and more.

        Returns:
            ``agents`` (who they are, their gaps, and the command that plays with them), ``order`` and ``values``: for
            seat 0, seat 1 and both the matrices ``mean``, ``low``, ``high``; once all is played the ``metrics`` of
            every group.
        """
        with self._lock:
            return self._document()

    def _document(self) -> dict[str, Any]:
        found = self.summary() | {"left_out": [{"run": name_text(n), "reason": r} for n, r in self.left_out.items()]}
        result = self.result()
        if result is None:
            return found | {"agents": [], "order": [], "values": None, "metrics": None}
        values = {seat: _values(result, seat) for seat in _SEATS}
        complete = self.done >= self.total
        return found | {
            "agents": self._agents(),
            "order": result.order_by_group(),
            "values": values,
            "metrics": _metrics(result) if complete else None,
        }

    def _agents(self) -> list[dict[str, Any]]:
        """Everybody; ``short`` names an agent within its group, ``called`` in the grid, ``mark`` its parameters."""
        both = list(zip(self.entrants, self.players, strict=True))
        short = labels_of([Whose(entrant.group, its.page.name, its.seed, its.agent) for entrant, its in both])
        several = len({entrant.group for entrant in self.entrants}) > 1
        return [
            {
                "name": name_text(entrant.name),
                "mark": entrant.fingerprint[:16],
                "seats": sorted(entrant.seats),
                "short": name_text(name),
                "called": name_text(f"{entrant.group} {name}" if several else name),
                "group": name_text(entrant.group),
                "run": player.page.name,
                "seed": player.seed,
                "agent": name_text(player.agent),
                "gaps": gaps_of_agent(player),
                "command": _command(player) if self._commands else None,
            }
            for (entrant, player), name in zip(both, short, strict=True)
        ]


def _command(player: Player) -> str:
    """What a shell understands, whatever the run is called."""
    words = ["rpax", "play", str(player.page.path), "--agent", player.agent, "--run-seed", str(player.seed)]
    return shlex.join(words)


def _players_of(pages: Sequence[RunPage]) -> list[Player]:
    """Everybody in the order of :func:`rpax.runs.roster.entrants_of`."""
    return [
        Player(page, seed, agent)
        for page in pages
        if page.run is not None
        for seed in page.run.config.seed_list
        for agent in page.run.objective.bases
    ]


def gaps_of_agent(player: Player) -> dict[str, Any]:
    """The rationality gap by seat: exact, or the bound that `rpax certify` found; empty where neither is known."""
    from rpax.web.book.run_parts import certificates_of

    run = player.page.run
    result = next((its for its in (run.results if run else ()) if its.seed == player.seed), None)
    exact = result.gaps.get(player.agent, {}) if result is not None else {}
    if exact:
        return {str(seat): {"gap": number(float(gap)), "exact": True} for seat, gap in exact.items()}
    certified = certificates_of(player.page.path) or {"certificates": []}
    return {
        str(seat): {"gap": its["gap"], "exact": False}
        for its in certified["certificates"]
        if (its["agent"], its["seed"]) == (player.agent, player.seed)
        for seat in its["seats"]
    }


def _values(result: "CrossPlay", seat: str) -> dict[str, Any]:
    """The mean return of a seat, or the mean of both, in every cell, with its 95 % interval."""
    size, index = len(result.entrants), _SEATS.index(seat)
    mean, std = np.full((size, size), np.nan), np.full((size, size), np.nan)
    for pair, cell in result.cells.items():
        mean[pair], std[pair] = cell.mean[index], cell.std[index]
    half = episode_half_width(std, result.episodes)
    named = {"mean": mean, "low": mean - half, "high": mean + half}
    return {name: [[number(value) for value in row] for row in matrix.tolist()] for name, matrix in named.items()}


def _metrics(result: "CrossPlay") -> list[dict[str, Any]]:
    """The metrics of every group."""
    found = []
    for group, its in result.metrics.items():
        one: dict[str, Any] = {"group": name_text(group), "agents": its.agents, "seeds": its.seeds}
        for name in _METRICS:
            estimate = getattr(its, name)
            interval = None if estimate is None else estimate.interval
            one[name] = (
                None if interval is None else [number(interval.mean), number(interval.low), number(interval.high)]
            )
        found.append(one)
    return found
