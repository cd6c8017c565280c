"""Cells of attacks: one victim of one seed under one attack."""

import pathlib
from collections.abc import Mapping
from typing import Any

from rpax.evaluation.statistics import over_seeds
from rpax.reproduce.cells import Cells, check_same, read_cell
from rpax.reproduce.study import BEFORE, Population, Value, best_partner, under
from rpax.runs.attack import DOCUMENT, attack, evaluate_attack
from rpax.runs.certify import Phase
from rpax.runs.run import load, resume


def attack_values(cells: Cells, *, make: bool) -> dict[tuple[str, str], Value]:
    """What every victim gets, before and under each attack; made victim by victim."""
    values = {}
    for population in cells.study.populations:
        found: dict[str, dict[int, Mapping[str, Any]]] = {}
        wanted = make and cells.wants(population)
        for seed in range(population.seeds[cells.budget]):
            if wanted:
                cells.train(population, seed)
            for algorithm in cells.study.attacks:
                cell = _cell(cells, population, seed, algorithm, make=wanted)
                for quantity, score in ({} if cell is None else _scores(cell, algorithm)).items():
                    # Each attack measures the victim before it anew; one measurement is enough.
                    found.setdefault(quantity, {}).setdefault(seed, score)
        values |= {(population.label, quantity): _value([*scores.values()]) for quantity, scores in found.items()}
    return values


def _scores(cell: Mapping[str, Any], algorithm: str) -> dict[str, Mapping[str, Any]]:
    victim, partner = cell["victim_return"], cell["best_partner"]
    scores = {BEFORE: victim["before"], under(algorithm): victim["under_attack"]}
    if partner is not None:
        scores[best_partner(algorithm)] = cell["partner_return"][partner]
    return {quantity: {**score, "episodes": cell["episodes"]} for quantity, score in scores.items() if score}


def _value(scores: list[Mapping[str, Any]]) -> Value:
    """Over seeds where there are several, over episodes of the only one."""
    if len(scores) == 1:
        mean, half = scores[0]["mean"], scores[0]["half_width"]
        return Value(mean, mean - half, mean + half, scores[0]["episodes"], "episodes of one seed")
    interval = over_seeds([score["mean"] for score in scores], resamples=0).interval
    return Value(interval.mean, interval.low, interval.high, len(scores), "seeds")


def _cell(cells: Cells, population: Population, seed: int, algorithm: str, *, make: bool) -> dict[str, Any] | None:
    name = f"attack-{population.slug}-seed-{seed}-{algorithm}"
    settings = cells.study.settings_of_attack(cells.budget, algorithm)
    made = (lambda: _make(cells, population, seed, algorithm, name)) if make else None
    return cells.cell(name, settings, made)


def _make(cells: Cells, population: Population, seed: int, algorithm: str, name: str) -> dict[str, Any]:
    """Attack, or go on with an attack that was stopped."""
    out = cells.folder / "runs" / name
    settings = cells.study.settings_of_attack(cells.budget, algorithm)
    phase = cells.phases(f"{cells.study.case}: {algorithm} on {population.label}, seed {seed}")
    if (out / "config.yaml").is_file():
        found = _finish(out, settings, phase)
    else:
        victim = cells.run(population, seed)
        assert victim.path is not None, "trainings of a study have directories"
        source = f"{victim.path}:{victim.config.seed_list[0]}:{population.victim}"
        # By default with a seed that no victim here was trained with.
        found = attack(source, None, algorithm, out=out, replays=0, phase=phase, **settings).to_dict()
    return {name: value for name, value in found.items() if name not in ("run_dir", "victim")}


def _finish(out: pathlib.Path, settings: Mapping[str, Any], phase: Phase) -> dict[str, Any]:
    """What came of an attack that is there, trained to its end and judged if it was not."""
    run = load(out)
    check_same(run, settings, f"attack {out}")
    if (out / DOCUMENT).is_file():
        return read_cell(out / DOCUMENT)
    if run.status != "finished":
        with phase("training") as progress:
            run = resume(out, progress=progress)
    return evaluate_attack(run, replays=0, phase=phase).to_dict()
