"""Train an experiment's cases and lay the outcome beside the paper: table, picture, JSON."""

import importlib
import json
import math
import pathlib
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from rpax.environments.registry import make
from rpax.errors import InputError, suggestion
from rpax.reproduce import EXPERIMENTS
from rpax.reproduce.experiment import Case, CaseResult, Experiment, Mode, NetworkKind, Outcome
from rpax.runs.run import train
from rpax.runs.writing import write_text, writing_out

Progress = Callable[[str, int, int, Sequence[Any]], None]


def find_experiments(name: str) -> tuple[Experiment, ...]:
    """The experiments behind a name of `rpax reproduce`.

    Raises:
        InputError: there is no such experiment.
    """
    if name not in EXPERIMENTS:
        raise InputError(f"experiment '{name}' is unknown; {suggestion(name, EXPERIMENTS)}")
    return tuple(importlib.import_module(f"rpax.reproduce.{module}").EXPERIMENT for module in EXPERIMENTS[name][1])


def run_experiment(
    experiment: Experiment,
    *,
    modes: Iterable[Mode],
    networks: Iterable[NetworkKind],
    seeds: Sequence[int],
    progress: Progress,
) -> Iterator[CaseResult]:
    """Train every case of an experiment, one after the other, all seeds of a case at once."""
    for network in networks:
        for mode in modes:
            for case in experiment.cases(mode, network):
                yield run_case(experiment, case, mode, network, seeds, progress)


def run_case(
    experiment: Experiment, case: Case, mode: Mode, network: NetworkKind, seeds: Sequence[int], progress: Progress
) -> CaseResult:
    """Train one case over all seeds."""
    title = f"{case.label}, {mode}, {network}"
    start = time.monotonic()
    run = train(
        case.algorithm,
        experiment.environment,
        seeds=tuple(seeds),
        progress=lambda update, until, rows: progress(title, update, until, rows),
        **case.settings,
    )
    outcomes = [Outcome(result, [row for row in run.rows if row["seed"] == result.seed]) for result in run.results]
    return CaseResult(case, mode, network, tuple(outcomes), time.monotonic() - start)


def table_rows(results: Iterable[CaseResult]) -> list[tuple[str, ...]]:
    """Case, paper, measured (first seed), gaps of the first seed (unrounded), and in how many seeds the claim holds."""
    rows = []
    for result in results:
        first = result.outcomes[0]
        held = f"{result.held} of {len(result.outcomes)}" + ("" if result.case.expected else "\n(not expected)")
        case = f"{result.case.label}\n{result.mode}, {result.network}"
        rows.append((case, result.case.paper, result.case.measure(first), rational_cell(first), held))
    return rows


def rational_cell(outcome: Outcome) -> str:
    """Each base agent's gap, unrounded, with a verdict."""
    lines = []
    for agent, by_seat in outcome.result.gaps.items():
        for seat, gap in by_seat.items():
            verdict = "yes" if gap < 1e-9 else ("nearly" if gap < 0.02 else "no")
            lines.append(f"{agent}[{seat}] {verdict}, gap {gap!r}")
    return "\n".join(lines)


def write_results(experiment: Experiment, results: Sequence[CaseResult], folder: pathlib.Path) -> list[pathlib.Path]:
    """Write ``<experiment>.json`` and ``<experiment>.png`` into ``folder``."""
    document = write_document(experiment, results, folder)
    picture = folder / f"{experiment.name}.png"
    draw_experiment(experiment, results, picture)
    return [document, picture]


def write_document(experiment: Experiment, results: Sequence[CaseResult], folder: pathlib.Path) -> pathlib.Path:
    """Write ``<experiment>.json`` into ``folder``, over an earlier one.

    Raises:
        InputError: it cannot be written; what was there stays.
    """
    document = folder / f"{experiment.name}.json"
    with writing_out(document, str(document)):
        write_text(document, json.dumps(experiment_to_dict(experiment, results), indent=1) + "\n")
    return document


def experiment_to_dict(experiment: Experiment, results: Sequence[CaseResult]) -> dict[str, Any]:
    """Plain data."""
    return {
        "experiment": experiment.name,
        "environment": experiment.environment,
        "cases": [result.to_dict() for result in results],
    }


def draw_experiment(experiment: Experiment, results: Sequence[CaseResult], path: pathlib.Path) -> None:
    """One panel a case: returns over training, or the agents' policies over training, with a band over seeds."""
    from rpax.reports.case_panels import Panel, draw_panels

    game = make(experiment.environment)
    panels = []
    for result in results:
        title = f"{result.case.label} ({result.mode}, {result.network})"
        updates = np.array([row["update"] for row in result.outcomes[0].rows])
        curves = _return_curve(result) if experiment.picture == "returns" else _policy_curves(result, game)
        panels.append(Panel(title, updates, curves))
    y_label = "return of the victim" if experiment.picture == "returns" else "probability"
    title = f"{experiment.name}: {experiment.summary}"
    draw_panels(path, panels, title=title, y_label=y_label, columns=min(4, len(panels)))


def _return_curve(result: CaseResult) -> dict[str, np.ndarray]:
    values = [[row["returns"]["victim vs adversary"][0] for row in outcome.rows] for outcome in result.outcomes]
    return {"return": np.array(values)}


def _policy_curves(result: CaseResult, game: Any) -> dict[str, np.ndarray]:
    """The first seed's policies, one curve an action of each base agent and seat (seeds may differ in convention)."""
    outcome = result.outcomes[0]
    curves = {}
    for agent, by_seat in outcome.result.policies.items():
        if outcome.result.agents[agent].role != "base":
            continue
        for seat in by_seat:
            values = np.array([row["policies"][agent][str(seat)] for row in outcome.rows])
            for action in range(values.shape[1]):
                curves[f"{agent}[{seat}] {game.spaces[seat].name_of(action)}"] = values[None, :, action]
    return curves


def all_claims_hold(results: Iterable[CaseResult], share: float = 0.8) -> bool:
    """Whether each case that is expected to comes out as the paper says in at least ``share`` of its seeds."""
    claimed = [result for result in results if result.case.expected]
    return all(result.held >= math.ceil(share * len(result.outcomes) - 1e-9) for result in claimed)
