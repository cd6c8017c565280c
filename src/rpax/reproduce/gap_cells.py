"""Cells of rationality gaps: one agent of one training, bounded by a trained best response."""

from collections.abc import Mapping
from typing import Any

from rpax.reproduce.cells import Cells
from rpax.reproduce.study import Population, Value, gap_of
from rpax.runs.certify import certify

#: Only the first seed's agents are certified: every one takes a training.
_SEED = 0


def gap_values(cells: Cells, *, make: bool) -> dict[tuple[str, str], Value]:
    """For every certified agent, (U(BR, mixture) − U(agent, mixture)) / U(BR, mixture), at least 0.

    The mixture holds all that the agent plays with in training, also those that it is pushed away from. Where the best
    response gets nothing there is no share.
    """
    values = {}
    for population in cells.study.populations:
        for agent in population.certified:
            name = f"gap-{population.slug}-seed-{_SEED}-{agent}"

            def made(population: Population = population, agent: str = agent) -> dict[str, Any]:
                return _make(cells, population, agent)

            settings = {**cells.settings_of(population), "partners": "all"}
            cell = cells.cell(name, settings, made if make and cells.wants(population) else None)
            share = None if cell is None else share_of(cell)
            if share is not None:
                values[population.label, gap_of(agent)] = share
    return values


def share_of(cell: Mapping[str, Any]) -> Value | None:
    """The gap as a share of the best response's return; ``None`` where that is nothing, and tells nothing."""
    best, half = cell["best_response_return"]["mean"], cell["half_width"]
    if best <= 0:
        return None
    share, low, high = (max(0.0, (cell["difference"] + end) / best) for end in (0.0, -half, half))
    return Value(share, low, high, cell["episodes"], "episodes of one seed")


def _make(cells: Cells, population: Population, agent: str) -> dict[str, Any]:
    run = cells.run(population, _SEED)
    title = f"{cells.study.case}: {population.label}, seed {_SEED}"
    found = certify(
        run,
        method="trained",
        agent=agent,
        partners="all",
        updates=run.config.updates,
        episodes=run.config.evaluation_episodes,
        phase=cells.phases(title),
    )
    return found.certificates[0].to_dict()
