"""The best, the median and the worst episode of a cell: candidates are played without a picture, three are recorded."""

import collections
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from rpax.errors import InputError
from rpax.web.book.grid import Grid
from rpax.web.book.text import numbers

if TYPE_CHECKING:
    from rpax.evaluation.cross_play import Entrant
    from rpax.evaluation.episodes import Player
    from rpax.runs.agent import Agent

PICKS = ("best", "median", "worst")
#: Episodes that are played to choose from, and cells whose recordings stay in memory.
CANDIDATES, _MOST_KEPT = 32, 600
_KEY = 0xE915


class Episodes:
    """The recordings of a grid's cells, made when they are asked for. Used by one thread at a time.

    Args:
        grid: whose.
    """

    def __init__(self, grid: Grid) -> None:
        self._grid = grid
        self._player: Player | None = None
        self._chosen: collections.OrderedDict[tuple[str, str], dict[str, Any]] = collections.OrderedDict()

    def recording(self, row: int, column: int, pick: str) -> Mapping[str, Any]:
        """One of a cell's episodes.

        Episodes are ordered by the mean return of both seats, those that are equal by that of seat 0.

        Args:
            row: who sits in seat 0.
            column: who sits in seat 1.
            pick: one of ``PICKS``.

        Returns:
            ``pick``, ``values`` (the mean returns of the candidates, ascending), ``place`` (which of them it is), and
            the ``recording``.

        Raises:
            InputError: the two cannot play.
        """
        grid = self._grid
        if max(row, column) >= len(grid.entrants):
            raise InputError("the grid has changed; look at it again")
        pair = (grid.entrants[row], grid.entrants[column])
        if 0 not in pair[0].seats or 1 not in pair[1].seats:
            raise InputError(f"'{pair[0].name}' in seat 0 and '{pair[1].name}' in seat 1 cannot play")
        mark = (pair[0].fingerprint, pair[1].fingerprint)
        if mark not in self._chosen:
            self._chosen[mark] = self._choose(pair)
            if len(self._chosen) > _MOST_KEPT:
                self._chosen.popitem(last=False)
        self._chosen.move_to_end(mark)
        chosen = self._chosen[mark]
        if pick not in chosen["recordings"]:
            chosen["recordings"][pick] = self._record(pair, chosen["keys"][pick])
        values = chosen["values"]
        return {
            "pick": pick,
            "values": values,
            "place": _place(pick, len(values)),
            "recording": chosen["recordings"][pick],
        }

    def _choose(self, pair: "tuple[Entrant, Entrant]") -> dict[str, Any]:
        import jax
        import numpy as np

        key = jax.random.fold_in(jax.random.key(self._grid.settings.seed), _KEY)
        for entrant in pair:
            key = jax.random.fold_in(key, int(entrant.fingerprint[:8], 16))
        keys = jax.random.split(key, CANDIDATES)
        returns = self._playing().returns(_agents(pair), keys)
        together = returns.mean(axis=1)
        order = np.lexsort((returns[:, 0], together))
        places = {pick: int(order[_place(pick, len(order))]) for pick in PICKS}
        values = numbers(together[order].tolist())
        return {"values": values, "keys": {pick: keys[place] for pick, place in places.items()}, "recordings": {}}

    def _record(self, pair: "tuple[Entrant, Entrant]", key: Any) -> dict[str, Any]:
        from rpax.recordings.recording import record_episode

        names = (pair[0].name, pair[1].name)
        return record_episode(self._playing(), _agents(pair), key, names).to_dict()

    def _playing(self) -> "Player":
        from rpax.evaluation.episodes import Player

        game = self._grid.game
        assert game is not None, "there are entrants, so there is a game"
        if self._player is None:
            self._player = Player(game, greedy=self._grid.settings.greedy)
        return self._player


def _agents(pair: "tuple[Entrant, Entrant]") -> "tuple[Agent, Agent]":
    from rpax.runs.agent import Agent

    first, second = (Agent(entrant.name, entrant.policy, entrant.parameters) for entrant in pair)
    return first, second


def _place(pick: str, count: int) -> int:
    """Where in ascending order it stands."""
    return {"worst": 0, "median": (count - 1) // 2, "best": count - 1}[pick]
