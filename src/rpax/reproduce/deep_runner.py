"""Reproduce a study: make the cells that are missing, then lay what they say beside the paper."""

import dataclasses
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from rpax.evaluation.statistics import Interval, over_seeds
from rpax.reproduce.cells import Cells, Progress
from rpax.reproduce.gap_cells import gap_values
from rpax.reproduce.study import (
    GREEDY,
    PAPERS,
    SELF_PLAY,
    STRICT,
    WITH_MANIPULATORS,
    WITHIN_SEED,
    Budget,
    Finding,
    Population,
    Row,
    Study,
    Value,
)

#: Quantity -> the entry of a cross-play that holds it, and what it is counted in.
_METRICS = {
    SELF_PLAY: ("self_play", "seeds"),
    WITHIN_SEED: ("within_seed", "seeds"),
    STRICT: ("strict_metric", "seeds"),
    PAPERS: ("paper_metric", "pairs"),
}


@dataclasses.dataclass(frozen=True)
class StudyResult:
    """What is known of a study.

    Attributes:
        study: which.
        budget: how much was done.
        values: (label, quantity) to what was measured.
        findings: what became of the claims.
    """

    study: Study
    budget: Budget
    values: Mapping[tuple[str, str], Value]
    findings: Sequence[Finding]

    @property
    def rows(self) -> list[Row]:
        """The table: everything that was published or measured."""
        keys = dict.fromkeys([*self.study.published, *self.values])
        order = {population.label: number for number, population in enumerate(self.study.populations)}
        return [
            Row(label, quantity, self.study.published.get((label, quantity)), self.values.get((label, quantity)))
            for label, quantity in sorted(keys, key=lambda key: order.get(key[0], len(order)))
        ]

    def to_dict(self) -> dict[str, Any]:
        """Plain data."""
        rows = [
            {**row._asdict(), "measured": None if row.measured is None else row.measured._asdict()} for row in self.rows
        ]
        claims = [finding._asdict() for finding in self.findings]
        return {"case": self.study.case, "environment": self.study.environment, "rows": rows, "claims": claims}


def run_study(
    study: Study,
    budget: Budget,
    folder: pathlib.Path,
    progress: Progress,
    *,
    make: bool = True,
    labels: Sequence[str] = (),
) -> StudyResult:
    """Make a study's missing cells, and read all of them.

    Args:
        study: which.
        budget: how much is done.
        folder: ``OUT/CASE``.
        progress: see :data:`rpax.reproduce.cells.Progress`.
        make: what is missing; else only what is there is read.
        labels: make cells of these populations only.
    """
    cells = Cells(study, budget, folder, progress, labels)
    if make and not study.attacks:
        for population, seed in cells.trainings():
            cells.train(population, seed)
    if study.attacks:
        from rpax.reproduce.attack_cells import attack_values

        values = attack_values(cells, make=make)
    else:
        values = _of_cross_play(cells, greedy=False, make=make) | _of_cross_play(cells, greedy=True, make=make)
    values |= _of_trainings(cells) | gap_values(cells, make=make)
    return StudyResult(study, budget, values, study.claims(values))


def _of_trainings(cells: Cells) -> dict[tuple[str, str], Value]:
    """What base agents earn with their manipulators, which takes no cross-play."""
    values = {}
    for population in cells.study.populations:
        means = []
        for seed in range(population.seeds[cells.budget]):
            cell = cells.train(population, seed, make=False)
            returns = [] if cell is None else _with_manipulators(cell["pairings"])
            means += [sum(returns) / len(returns)] if returns else []
        if means:
            interval = over_seeds(means, resamples=0).interval
            values[population.label, WITH_MANIPULATORS] = _value(interval, len(means), "seeds")
    return values


def _with_manipulators(pairings: Sequence[Mapping[str, Any]]) -> list[float]:
    manipulated = [p for p in pairings if any(p[seat].startswith("manipulator") for seat in ("seat_0", "seat_1"))]
    return [sum(pairing["returns"]) / 2 for pairing in manipulated]


def _of_cross_play(cells: Cells, *, greedy: bool, make: bool) -> dict[tuple[str, str], Value]:
    """Every population's metrics."""
    name = "cross-play-greedy" if greedy else "cross-play"
    populations = {its.label: [its.seeds[cells.budget], cells.settings_of(its)] for its in cells.study.populations}
    settings = {"populations": populations, "episodes": _episodes(cells), "greedy": greedy}
    made = (lambda: _play(cells, greedy=greedy)) if make and cells.wants_all else None
    # With more seeds than before only the new pairs are played, so it is cheap to make anew.
    cell = cells.cell(name, settings, made, renew=True)
    values: dict[tuple[str, str], Value] = {}
    for quantity, (entry, unit) in _METRICS.items():
        for label, found in ((cell or {}).get(entry) or {}).items():
            if found is not None:
                key = GREEDY + quantity if greedy else quantity
                number = found["seeds"] if unit == "seeds" else found["n"]
                values[label, key] = Value(found["mean"], found["ci_low"], found["ci_high"], number, unit)
    return values


def _play(cells: Cells, *, greedy: bool) -> dict[str, Any]:
    from rpax.runs.cross_play import cross_play

    def runs_of(population: Population) -> list[Any]:
        return [cells.run(population, seed) for seed in range(population.seeds[cells.budget])]

    title = f"{cells.study.case}: cross-play{', greedy' if greedy else ''}"
    result = cross_play(
        {population.label: runs_of(population) for population in cells.study.populations},
        episodes=_episodes(cells),
        greedy=greedy,
        out=cells.folder / "runs" / ("cross-play-greedy" if greedy else "cross-play"),
        progress=lambda done, total: cells.progress(title, done, total, ()),
    )
    return result.to_dict()


def _episodes(cells: Cells) -> int:
    return 4 if cells.budget == "smoke" else 1000


def _value(interval: Interval, number: int, unit: str) -> Value:
    low, high = (None if end is None or end != end else end for end in (interval.low, interval.high))
    return Value(interval.mean, low, high, number, unit)
