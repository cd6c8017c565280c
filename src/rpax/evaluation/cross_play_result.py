"""What came out of a cross-play: every cell, and for each group the metrics with their intervals."""

import dataclasses
import functools
import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from rpax.environments.protocol import Environment
from rpax.errors import InputError, suggestion
from rpax.evaluation import cross_play_statistics as statistics
from rpax.evaluation.cross_play import Cell, Entrant
from rpax.evaluation.statistics import Estimate, episode_half_width, over_seeds

_BOTH = 2


class Named(NamedTuple):
    """An agent without its networks.

    Attributes:
        name: ``run:seed:agent``.
        group: the agents it is reported with.
        seed: which training it comes from.
    """

    name: str
    group: str
    seed: str


@dataclasses.dataclass(frozen=True)
class GroupMetrics:
    """The metrics of one group of agents; ``None`` where the group has no such cells.

    Returns are means over both seats.

    Attributes:
        agents: how many.
        seeds: how many trainings they come from.
        self_play: agents with themselves, seed by seed.
        within_seed: different agents that were trained together.
        strict_metric: agents of different seeds only, with the interval that new seeds would give.
        paper_metric: the paper's way: all pairs of different agents as if independent.
        gap: self-play minus cross-play of different seeds.
    """

    agents: int
    seeds: int
    self_play: Estimate | None
    within_seed: Estimate | None
    strict_metric: Estimate | None
    paper_metric: Estimate | None
    gap: Estimate | None

    def shown(self) -> dict[str, tuple[float, float, float] | None]:
        """What tables show: mean and interval of each metric, and the interquartile mean of the strict one."""
        strict = self.strict_metric
        named = {
            "self-play": self.self_play and self.self_play.interval,
            "within a seed": self.within_seed and self.within_seed.interval,
            "different seeds": strict and strict.interval,
            "different seeds, IQM": strict and strict.iqm,
            "the paper's way": self.paper_metric and self.paper_metric.interval,
            "gap": self.gap and self.gap.interval,
        }
        return {name: None if found is None else (found.mean, found.low, found.high) for name, found in named.items()}


@dataclasses.dataclass(frozen=True)
class CrossPlay:
    """A finished cross-play.

    Attributes:
        environment: its name.
        entrants: who took part, in the order of rows and columns.
        cells: (row, column) to what the pair got; pairs that cannot play are missing.
        episodes: of each cell.
        seed: of all chance.
        greedy: whether agents took their most likely action.
    """

    environment: str
    entrants: tuple[Named, ...]
    cells: Mapping[tuple[int, int], Cell]
    episodes: int
    seed: int
    greedy: bool

    @classmethod
    def of(
        cls,
        environment: Environment,
        entrants: Sequence[Entrant],
        cells: Mapping[tuple[int, int], Cell],
        *,
        episodes: int,
        seed: int,
        greedy: bool,
    ) -> "CrossPlay":
        """The result of cells that were played."""
        named = tuple(Named(entrant.name, entrant.group, entrant.seed) for entrant in entrants)
        return cls(environment.name, named, dict(cells), episodes, seed, greedy)

    def __repr__(self) -> str:
        """How many agents of which groups: one line."""
        return f"<CrossPlay: {len(self.entrants)} agents of {', '.join(self.groups)} in {self.environment}>"

    @property
    def about(self) -> str:
        """How it was played, in words."""
        actions = "most likely actions" if self.greedy else "sampled actions"
        return f"{len(self.entrants)} agents, {self.episodes} episodes a cell, {actions}"

    @property
    def names(self) -> tuple[str, ...]:
        """Of the agents, in order."""
        return tuple(entrant.name for entrant in self.entrants)

    @property
    def groups(self) -> tuple[str, ...]:
        """The groups, in the order in which they come first."""
        return tuple(dict.fromkeys(entrant.group for entrant in self.entrants))

    @functools.cached_property
    def returns(self) -> Float[np.ndarray, "agents agents 2"]:
        """The mean return of each seat; row = seat 0, NaN where a pair cannot play."""
        return self._matrix(lambda cell: cell.mean[:_BOTH])

    @property
    def mean(self) -> Float[np.ndarray, "agents agents"]:
        """The mean return of seat 0."""
        return self.returns[..., 0]

    @functools.cached_property
    def half_width(self) -> Float[np.ndarray, "agents agents 2"]:
        """Half the width of the 95 % interval of each mean return, over episodes."""
        return episode_half_width(self._matrix(lambda cell: cell.std[:_BOTH]), self.episodes)

    def interval_of(self, row: int, column: int, seat: int) -> tuple[float, float]:
        """The interval of one mean return."""
        mean, half = self.returns[row, column, seat], self.half_width[row, column, seat]
        return float(mean - half), float(mean + half)

    @functools.cached_property
    def metrics(self) -> dict[str, GroupMetrics]:
        """The metrics of every group."""
        return {group: self._metrics_of(group) for group in self.groups}

    def group(self, name: str) -> GroupMetrics:
        """The metrics of one group.

        Raises:
            InputError: there is no such group.
        """
        if name not in self.metrics:
            raise InputError(f"cross-play has no group '{name}'; {suggestion(name, self.metrics)}")
        return self.metrics[name]

    @property
    def between(self) -> dict[str, dict[str, float | None]]:
        """The mean return of both seats in cells of two groups, agents of the first in seat 0; no agent with itself."""
        both = self._matrix(lambda cell: cell.mean[_BOTH:])[..., 0]
        np.fill_diagonal(both, np.nan)
        member = {g: [n for n, entrant in enumerate(self.entrants) if entrant.group == g] for g in self.groups}
        return {a: {b: _mean_of_known(both[np.ix_(member[a], member[b])]) for b in self.groups} for a in self.groups}

    @property
    def per_seat(self) -> list[dict[str, Any]]:
        """Each agent's own mean return in seat 0 and in seat 1, with agents of its group from other seeds."""
        found = []
        for number, entrant in enumerate(self.entrants):
            others = [
                n
                for n, other in enumerate(self.entrants)
                if other.group == entrant.group and other.seed != entrant.seed
            ]
            seats = [_mean_of_known(self.returns[number, others, 0]), _mean_of_known(self.returns[others, number, 1])]
            found.append({"agent": entrant.name, "seat_0": seats[0], "seat_1": seats[1]})
        return found

    def order_by_group(self) -> list[int]:
        """The agents' numbers with those of a group side by side."""
        return [n for group in self.groups for n, entrant in enumerate(self.entrants) if entrant.group == group]

    def to_dict(self) -> dict[str, Any]:
        """Plain data, as `rpax cross-play --json` prints it; ``None`` for what is not known."""
        metrics = {
            name: {group: _plain(getattr(found, name)) for group, found in self.metrics.items()}
            for name in ("paper_metric", "strict_metric", "self_play", "within_seed", "gap")
        }
        ends = {
            "mean": self.returns,
            "ci_low": self.returns - self.half_width,
            "ci_high": self.returns + self.half_width,
        }
        by_seat = [{name: _plain(values[..., seat]) for name, values in ends.items()} for seat in (0, 1)]
        return {
            "environment": self.environment,
            "agents": list(self.names),
            "groups": [entrant.group for entrant in self.entrants],
            "seeds": [entrant.seed for entrant in self.entrants],
            "episodes": self.episodes,
            "seed": self.seed,
            "greedy": self.greedy,
            **by_seat[0],
            "seat_1": by_seat[1],
            **metrics,
            "between": self.between,
            "per_seat": self.per_seat,
        }

    def _matrix(self, entry: Any) -> Float[np.ndarray, "agents agents _"]:
        """Some entries of every cell, NaN where there is none."""
        size = len(self.entrants)
        width = len(entry(next(iter(self.cells.values()))))
        matrix = np.full((size, size, width), np.nan)
        for (row, column), cell in self.cells.items():
            matrix[row, column] = entry(cell)
        return matrix

    def _metrics_of(self, group: str) -> GroupMetrics:
        members = [number for number, entrant in enumerate(self.entrants) if entrant.group == group]
        seeds = [self.entrants[number].seed for number in members]
        square = np.ix_(members, members)
        returns = self._matrix(lambda cell: cell.mean[_BOTH:])[..., 0][square]
        errors = self._matrix(lambda cell: cell.std[_BOTH:])[..., 0][square] / math.sqrt(self.episodes)
        if np.isnan(returns).any():
            return _metrics_of_roles(returns, errors, seeds)
        return GroupMetrics(
            agents=len(members),
            seeds=len(set(seeds)),
            self_play=statistics.self_play(returns, errors, seeds),
            within_seed=statistics.within_seed(returns, errors, seeds),
            strict_metric=statistics.strict_metric(returns, errors, seeds),
            paper_metric=statistics.paper_metric(returns, seeds),
            gap=statistics.gap(returns, errors, seeds),
        )


def _metrics_of_roles(
    returns: Float[np.ndarray, "agents agents"], errors: Float[np.ndarray, "agents agents"], seeds: Sequence[str]
) -> GroupMetrics:
    """The metrics of agents that play one seat only: of the pairs that can play, the mean of each two seeds'.

    Nobody meets itself, so there is no self-play, and the paper's way has nothing to say.
    """
    labels = list(dict.fromkeys(seeds))
    size = len(labels)
    means, noise = np.full((size, size), np.nan), np.zeros((size, size))
    place = np.array([labels.index(seed) for seed in seeds])
    for row, column in np.ndindex(size, size):
        block = np.ix_(place == row, place == column)
        played = np.isfinite(returns[block])
        if played.any():
            means[row, column] = returns[block][played].mean()
            noise[row, column] = math.sqrt((errors[block][played] ** 2).sum()) / played.sum()
    apart = ~np.eye(size, dtype=bool)
    complete = np.isfinite(means[apart]).all()
    together, its_noise = means.diagonal(), noise.diagonal()
    return GroupMetrics(
        agents=len(seeds),
        seeds=size,
        self_play=None,
        within_seed=over_seeds(together, its_noise) if np.isfinite(together).all() else None,
        strict_metric=statistics.strict_metric(means, noise, labels) if complete else None,
        paper_metric=None,
        gap=None,
    )


def _mean_of_known(values: np.ndarray) -> float | None:
    known = values[np.isfinite(values)]
    return float(known.mean()) if known.size else None


def _plain(value: Any) -> Any:
    """An estimate or matrix as JSON holds it."""
    if isinstance(value, Estimate):
        return value.to_dict()
    if isinstance(value, np.ndarray):
        return [[None if math.isnan(number) else number for number in row] for row in value.tolist()]
    return value
