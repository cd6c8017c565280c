"""The sampled manipulator gradient converges to the exact one, at the rate of a mean of independent samples."""

import copy
import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import rpax
from rpax.objectives import Objective
from rpax.objectives.plan import make_plan
from rpax.runs.config import TrainConfig
from rpax.training import step
from rpax.training.exact_step import exact_manipulator_gradient
from rpax.training.initial import initial_state
from rpax.training.lookahead import look_ahead
from rpax.training.problem import Problem, key_data
from rpax.training.setup import make_problem

KEYS = 64
ENVS = (64, 1024, 16_384)


@pytest.fixture(autouse=True)
def double_precision():
    with jax.enable_x64(True):
        yield


def as_means(objective: Objective) -> Objective:
    """The objective whose *mean* over a learner's terms is the given objective's *sum*.

    Exact mode maximises Σ_e w_e U_e. Sampled mode maximises mean_e of w_e U_e, that is 1/E of it for a learner with E
    terms (edges × seats). So weights E · w_e make gradients, and with them learning rates, the same in both modes. For
    at-rpg with fixed seats E is 1 for the victim and the manipulator, and 2 for the adversary.
    """
    plan = make_plan(objective)
    terms = {name: len(its) for name, its in (plan.base_terms | plan.outer_terms).items()}
    edges = [dataclasses.replace(edge, weight=edge.weight * terms[edge.learner]) for edge in objective.edges]
    return Objective(objective.agents, edges, objective.name)


def make(objective: Objective, lookahead: int, *, envs: int = 1, exact: bool = False) -> Problem:
    """SGD, no normalisation and no entropy bonus; chunks of one step, so that an advantage is a reward minus V = 0."""
    config = TrainConfig(
        "at-rpg",
        "matrix/figure-2",
        network="tabular",
        exact=exact,
        envs=envs,
        steps=1,
        lookahead=lookahead,
        lookahead_rate=0.8,
        dice_decay=1.0,
        normalize=False,
        base_optimizer="sgd",
    )
    return make_problem(config.complete(), objective, rpax.make("matrix/figure-2"))


def on_game(problem: Problem, payoffs) -> Problem:
    """The problem on another game of the same shape, whose payoffs may be an argument of a compiled program."""
    game = copy.copy(problem.environment)
    game.payoffs = payoffs
    return dataclasses.replace(problem, environment=game)


OBJECTIVE = rpax.algorithm("at-rpg", sides="single", partner_play=0.2)


def random_policies():
    """(θ, φ) well inside the simplex but far from uniform, so that no part of the gradient vanishes."""
    state = initial_state(make(OBJECTIVE, 1, exact=True), key_data(0), exact=True)
    rng = np.random.default_rng(0)
    return jax.tree.map(lambda leaf: jnp.asarray(rng.normal(size=leaf.shape)), (state.base, state.manipulators))


def table(gradient):
    return gradient["seat_0"]["params"]["table"][0]


@functools.cache
def sampled_gradients(lookahead: int, envs: int):
    """A compiled function from payoffs, policies and keys to one sampled gradient a key, and the largest |V|."""
    problem = make(as_means(OBJECTIVE), lookahead, envs=envs)

    @jax.jit
    @functools.partial(jax.vmap, in_axes=(None, None, 0))
    def gradient(payoffs, policies, key):
        playing = on_game(problem, payoffs)
        key_start, key_lookahead, key_outer = jax.random.split(key, 3)
        start = initial_state(playing, key_start, exact=False)
        state = start._replace(base=policies[0], manipulators=policies[1])
        ahead, trace = look_ahead(playing, key_lookahead, state)
        outer = step.roll_out_manipulator_pairings(playing, key_outer, ahead, state)
        influence = step.manipulator_gradients(playing, ahead, state, trace, outer)["manipulator"]
        return table(influence.gradient), jnp.abs(trace.targets - trace.chunk.rewards).max()

    return gradient


@functools.cache
def exact_gradient(lookahead: int):
    problem = make(OBJECTIVE, lookahead, exact=True)

    @jax.jit
    def gradient(payoffs, policies):
        playing = on_game(problem, payoffs)
        start = initial_state(playing, key_data(0), exact=True)
        state = start._replace(base=policies[0], manipulators=policies[1])
        return table(exact_manipulator_gradient(playing, state, "manipulator"))

    return gradient


@pytest.mark.parametrize("lookahead", [1, 2])
@pytest.mark.parametrize("game", ["matrix/figure-2", "matrix/figure-14"])
def test_sampled_gradients_approach_the_exact_one_with_the_root_of_the_batch(game, lookahead):
    """log RMSE falls with slope −½ in log n, and the mean over keys meets the exact gradient.

    The gradient is a smooth function of means over n environments: its error has a standard deviation ∝ 1/√n and a
    bias ∝ 1/n (θ′ itself is sampled). At n = 16,384 the bias is below a hundredth of the deviation, while the mean over
    the keys has a tenth of it, so the confidence bound (5 standard errors) does not see the bias.
    """
    inputs = (jnp.asarray(rpax.make(game).payoffs), random_policies())
    exact = np.asarray(exact_gradient(lookahead)(*inputs))
    errors = {}
    for number, envs in enumerate(ENVS):
        sampled, value = sampled_gradients(lookahead, envs)(*inputs, jax.random.split(key_data(number), KEYS))
        assert np.all(np.asarray(value) == 0), "the critics' targets A + V must be the rewards"
        errors[envs] = np.asarray(sampled) - exact
    rmse = [np.sqrt(np.mean(np.sum(errors[envs] ** 2, axis=-1))) for envs in ENVS]
    slope, _ = np.polyfit(np.log(ENVS), np.log(rmse), 1)
    assert -0.6 < slope < -0.4

    largest = errors[ENVS[-1]]
    bound = 5 * largest.std(axis=0) / np.sqrt(KEYS)
    assert np.all(np.abs(largest.mean(axis=0)) < bound)
    assert np.linalg.norm(bound) < 0.1 * np.linalg.norm(exact), "too wide to show anything"
