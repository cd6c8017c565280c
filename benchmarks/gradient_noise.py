"""How much signal gradients carry: AD-RPG on STORM, with each update's own outer gradient and with an average of many.

Usage: python benchmarks/gradient_noise.py [--update N]      (about five minutes on one core)

Trains for a while, then freezes everything and draws independent batches of the same size. Of a gradient with the mean
μ and the covariance Σ over batches, it prints ‖μ‖, the noise √tr Σ, and the squared signal-to-noise ratio ‖μ‖² / tr Σ
of one update, estimated without bias (so that no signal at all can come out slightly negative). About 1 / ratio updates
have to be averaged before signal and noise are equal.
"""

import argparse
import dataclasses
import functools
import json
import pathlib
import sys
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from rpax.runs.config import config_from_dict
from rpax.runs.prepare import prepare
from rpax.runs.session import make_environment, make_trainer
from rpax.training.lookahead import look_ahead
from rpax.training.manipulator_update import closed_form_influences
from rpax.training.problem import Problem, TrainState
from rpax.training.setup import make_problem
from rpax.training.step import outer_gradients_of, roll_out_manipulator_pairings

RESULT = pathlib.Path(__file__).parents[1] / "docs" / "results" / "gradient-noise-storm.json"
DECAYS = (0.0, 0.5, 0.9, 0.99)
BATCHES_OF_AVERAGE, BATCHES = 128, 48


def flat(tree: Any) -> jax.Array:
    """All numbers of a tree in one vector."""
    return jnp.concatenate([jnp.ravel(leaf) for leaf in jax.tree.leaves(tree)])


def draw(problem: Problem, state: TrainState, key: jax.Array) -> tuple[Any, Any]:
    """One batch: the recorded lookahead, and the outer gradients found under it."""
    problem = problem.at(state.update)
    key_lookahead, key_outer = jax.random.split(key)
    ahead, trace = look_ahead(problem, key_lookahead, state)
    outer = roll_out_manipulator_pairings(problem, key_outer, ahead, state)
    return trace, outer_gradients_of(problem, ahead, outer)


def gradients(problem: Problem, state: TrainState, average: Any, key: jax.Array) -> dict[str, jax.Array]:
    """The first manipulator's gradient on one batch, for each λ of Loaded DiCE, steered by u and by an average of u."""
    name = problem.manipulators[0]
    trace, found = draw(problem, state, key)
    results = {}
    for decay in DECAYS:
        # Without the entropy bonus, which is no estimate of the influence.
        numbers = dataclasses.replace(problem.numbers, dice_decay=decay, manipulator_entropy=0.0)
        with_decay = dataclasses.replace(problem, numbers=numbers)
        for kind, u in (("own", found[name]), ("averaged", average)):
            influence = closed_form_influences(with_decay, state.manipulators, trace, {name: u})[name]
            results[f"manipulator, {kind} u, λ = {decay}"] = flat(influence.gradient)
    return results


def signal(samples: list[jax.Array]) -> dict[str, float]:
    """Norm of the mean, noise, and squared signal-to-noise ratio of one update."""
    stacked = np.stack([np.asarray(sample, np.float64) for sample in samples])
    mean = stacked.mean(axis=0)
    noise = ((stacked - mean) ** 2).sum() / (len(stacked) - 1)
    squared = (mean**2).sum() - noise / len(stacked)
    return {
        "signal": float(f"{max(squared, 0.0) ** 0.5:.2e}"),
        "noise": float(f"{noise**0.5:.2e}"),
        "squared_ratio": round(float(squared / noise), 4),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--update", type=int, default=400, help="after how many updates gradients are drawn")
    options = parser.parse_args()
    config, objective = prepare(config_from_dict({"algorithm": "ad-rpg", "environment": "storm", "seeds": (0,)}))
    problem = make_problem(config, objective, make_environment(config))
    trainer = make_trainer(config, problem)
    states, _ = trainer.advance(trainer.init(), options.update)
    state = jax.tree.map(lambda leaf: leaf[0], states)
    base, name = problem.bases[0], problem.manipulators[0]

    drawing = jax.jit(functools.partial(draw, problem))
    found = []
    for number in range(BATCHES_OF_AVERAGE):
        trace, outer_gradients = drawing(state, jax.random.key_data(jax.random.key(1000 + number)))
        found.append((flat(outer_gradients[name]), flat(trace.gradient[base]), outer_gradients[name]))
        print(f"\rbatch {number + 1} of {BATCHES_OF_AVERAGE}", end="", file=sys.stderr, flush=True)
    average = jax.tree.map(lambda *leaves: sum(leaves) / len(leaves), *[u for *_, u in found])
    table = {"outer u": signal([u for u, *_ in found]), "base g": signal([g for _, g, _ in found])}

    drawing = jax.jit(functools.partial(gradients, problem))
    samples: dict[str, list[jax.Array]] = {}
    for number in range(BATCHES):
        for kind, vector in drawing(state, average, jax.random.key_data(jax.random.key(number))).items():
            samples.setdefault(kind, []).append(vector)
        print(f"\rbatch {number + 1} of {BATCHES}    ", end="", file=sys.stderr, flush=True)
    table |= {kind: signal(vectors) for kind, vectors in samples.items()}
    for kind, numbers in table.items():
        print(kind, numbers)
    RESULT.write_text(json.dumps({"update": options.update, "envs": config.envs, "gradients": table}, indent=1) + "\n")


if __name__ == "__main__":
    main()
