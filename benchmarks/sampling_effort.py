"""Uniform or weighted sampling effort: signal of the gradients an update makes, and what an update costs.

Usage: python benchmarks/sampling_effort.py [--environment NAME] [--updates N …]      (about ten minutes on one core)

Trains AD-RPG with uniform sampling, stops after each number of updates, and there draws independent batches with
``sampling`` ``uniform`` and ``weighted``. Of the gradients of all base agents and of all manipulators (steered by an
average of u over many batches), it prints the squared signal-to-noise ratio of one update (see gradient_noise.py), and
the processor's seconds of one update, both kinds timed in turn. Their quotient decides: how much signal a second buys.
"""

import argparse
import dataclasses
import functools
import json
import pathlib
import statistics
import sys
import time
from typing import Any

import jax
from gradient_noise import draw, flat, signal

from rpax.runs.config import config_from_dict
from rpax.runs.prepare import prepare
from rpax.runs.session import make_environment, make_trainer
from rpax.training.initial import initial_state
from rpax.training.manipulator_update import closed_form_influences
from rpax.training.problem import Problem, TrainState
from rpax.training.setup import make_problem
from rpax.training.trainer import Trainer

RESULTS = pathlib.Path(__file__).parents[1] / "docs" / "results"
KINDS = ("uniform", "weighted")
BATCHES, REPETITIONS = 96, 5


def trainer_of(environment: str, sampling: str) -> Trainer:
    settings = {"algorithm": "ad-rpg", "environment": environment, "sampling": sampling, "base_update": "pg"}
    config, objective = prepare(config_from_dict(settings))
    return make_trainer(config, make_problem(config, objective, make_environment(config)))


def with_fresh_streams(state: TrainState, problem: Problem) -> TrainState:
    """A state for another number of environments."""
    fresh = jax.jit(functools.partial(initial_state, problem, exact=False))(jax.random.key_data(jax.random.key(7)))
    return state._replace(lookahead_streams=fresh.lookahead_streams, outer_streams=fresh.outer_streams)


def ratios(problem: Problem, state: TrainState, label: str) -> dict[str, Any]:
    """Squared signal-to-noise ratios of the base agents' and of the manipulators' gradients, each all together."""

    # Without the entropy bonus, which is no estimate of the influence.
    numbers = dataclasses.replace(problem.numbers, manipulator_entropy=0.0)
    without_bonus = dataclasses.replace(problem, numbers=numbers)

    @jax.jit
    def batch(key: jax.Array) -> Any:
        trace, outer = draw(problem, state, key)
        return jax.tree.map(lambda leaf: leaf[0], trace.gradient), outer

    @jax.jit
    def manipulators(average: Any, key: jax.Array) -> jax.Array:
        trace, _ = draw(problem, state, key)
        found = closed_form_influences(without_bonus, state.manipulators, trace, average)
        return flat({name: influence.gradient for name, influence in found.items()})

    bases, outers, steered = [], [], []
    for number in range(BATCHES):
        base, outer = batch(jax.random.key_data(jax.random.key(1000 + number)))
        bases.append(flat(base))
        outers.append(outer)
        print(f"\r{label}: batch {number + 1} of {2 * BATCHES}   ", end="", file=sys.stderr, flush=True)
    average = jax.tree.map(lambda *leaves: sum(leaves) / len(leaves), *outers)
    for number in range(BATCHES):
        steered.append(manipulators(average, jax.random.key_data(jax.random.key(number))))
        print(f"\r{label}: batch {BATCHES + number + 1} of {2 * BATCHES}   ", end="", file=sys.stderr, flush=True)
    return {"base": signal(bases), "outer u": signal([flat(u) for u in outers]), "manipulator": signal(steered)}


def seconds_of_an_update(trainers: dict[str, Trainer]) -> dict[str, float]:
    """Medians of the processor's seconds, the kinds in turn."""
    states = {kind: trainer.advance(trainer.init(), 2)[0] for kind, trainer in trainers.items()}
    spent: dict[str, list[float]] = {kind: [] for kind in trainers}
    for _ in range(REPETITIONS):
        for kind, trainer in trainers.items():
            start = time.process_time()
            states[kind], _ = jax.block_until_ready(trainer.advance(states[kind], 4))
            spent[kind].append((time.process_time() - start) / 4)
    return {kind: statistics.median(times) for kind, times in spent.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--environment", default="storm")
    parser.add_argument("--updates", type=int, nargs="+", default=[100, 400])
    options = parser.parse_args()
    trainers = {kind: trainer_of(options.environment, kind) for kind in KINDS}
    seconds = seconds_of_an_update(trainers)
    updates = " ".join(map(str, options.updates))
    command = f"python benchmarks/sampling_effort.py --environment {options.environment} --updates {updates}"
    found: dict[str, Any] = {"command": command, "batches": BATCHES}
    found["processor_seconds_of_an_update"] = {kind: round(s, 3) for kind, s in seconds.items()}
    states, done = trainers["uniform"].init(), 0
    for update in sorted(options.updates):
        states, _ = trainers["uniform"].advance(states, update - done)
        done = update
        state = jax.tree.map(lambda leaf: leaf[0], states)
        found[f"after {update} updates"] = {
            kind: ratios(trainer.problem, with_fresh_streams(state, trainer.problem), f"{update} updates, {kind}")
            for kind, trainer in trainers.items()
        }
    print(json.dumps(found, indent=1))
    name = options.environment.replace("/", "-")
    (RESULTS / f"sampling-effort-{name}.json").write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
