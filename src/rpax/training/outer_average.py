"""A running average of the outer gradients u = ∇_θ′ J^O(θ′), which are what the manipulators' gradients are noisy with.

A manipulator's gradient is linear in u, and multiplies its noise by that of the lookahead's batch. Base agents move
little from one update to the next, so the average of recent u hardly differs in the mean from the newest one and has
far less noise: about (1 + κ) / (1 − κ) times as many samples. ``docs/environments.md`` shows what that is worth.
"""

import jax
import jax.numpy as jnp

from rpax.policies.agent import Parameters
from rpax.training.problem import Problem, TrainState


def first_averages(problem: Problem, base: dict[str, Parameters]) -> dict[str, Parameters]:
    """The averages before the first update; empty with κ = 0."""
    if not problem.numbers.outer_average:
        return {}
    return {name: jax.tree.map(jnp.zeros_like, base[problem.shaped_by(name)]) for name in problem.manipulators}


def average(
    problem: Problem, state: TrainState, found: dict[str, Parameters]
) -> tuple[dict[str, Parameters], dict[str, Parameters]]:
    """m ← κ m + (1 − κ) u for every manipulator.

    Returns:
        The averages to carry on, and what to use in the place of u: m / (1 − κⁿ) after n updates, so that the zeros
        that it started from have no weight. With κ = 0, nothing and u itself.
    """
    decay = problem.numbers.outer_average
    if not decay:
        return {}, found
    carried = {
        name: jax.tree.map(lambda m, new: decay * m + (1 - decay) * new, state.outer_gradients[name], u)
        for name, u in found.items()
    }
    weight = 1 - decay ** (state.update + 1).astype(jnp.result_type(float))
    return carried, jax.tree.map(lambda m: m / weight, carried)
