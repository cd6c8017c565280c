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
from rpax.training.rollout import start_streams
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


def make(
    objective: Objective, lookahead: int, *, envs: int = 1, exact: bool = False, sampling: str = "uniform"
) -> Problem:
    """SGD, no normalisation and no entropy bonus; chunks of one step, so that an advantage is a reward minus V = 0."""
    config = TrainConfig(
        "at-rpg",
        "matrix/figure-2",
        network="tabular",
        exact=exact,
        envs=envs,
        sampling=sampling,
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


@functools.cache
def start(*, exact: bool):
    """A fresh state with policies well inside the simplex but far from uniform: no part of the gradient vanishes."""
    state = initial_state(make(OBJECTIVE, 1, exact=exact), key_data(0), exact=exact)
    rng = np.random.default_rng(0)
    drawn = jax.tree.map(lambda leaf: jnp.asarray(rng.normal(size=leaf.shape)), (state.base, state.manipulators))
    return state._replace(base=drawn[0], manipulators=drawn[1])


def table(gradient):
    return gradient["seat_0"]["params"]["table"][0]


@functools.cache
def sampled_gradients(lookahead: int, envs: int, sampling: str):
    """A function from payoffs and keys to one sampled gradient a key, compiled once; checks that V is 0."""
    problem = make(as_means(OBJECTIVE), lookahead, envs=envs, sampling=sampling)

    @jax.jit
    def compiled(payoffs, state, keys):
        playing, plan = on_game(problem, payoffs), problem.plan
        streams = [  # the game has one state, so that the key of its resets does not matter
            start_streams(playing.environment, key_data(0), len(pairings), problem.numbers.envs)
            for pairings in (plan.lookahead_pairings, plan.outer_pairings)
        ]
        state = state._replace(lookahead_streams=streams[0], outer_streams=streams[1])

        def one(key):
            key_lookahead, key_outer = jax.random.split(key)
            ahead, trace = look_ahead(playing, key_lookahead, state)
            outer = step.roll_out_manipulator_pairings(playing, key_outer, ahead, state)
            steering = step.outer_gradients_of(playing, ahead, outer)
            influence = step.manipulator_gradients(playing, state, trace, steering)["manipulator"]
            return table(influence.gradient), jnp.abs(trace.targets - trace.chunk.rewards).max()

        return jax.lax.map(one, keys)

    def gradients(payoffs, keys):
        found, value = compiled(payoffs, start(exact=False), keys)
        assert np.all(np.asarray(value) == 0), "the critics' targets A + V must be the rewards"
        return np.asarray(found)

    return gradients


@functools.cache
def exact_gradient(lookahead: int):
    problem = make(OBJECTIVE, lookahead, exact=True)

    @jax.jit
    def compiled(payoffs, state):
        return table(exact_manipulator_gradient(on_game(problem, payoffs), state, "manipulator"))

    return lambda payoffs: np.asarray(compiled(payoffs, start(exact=True)))


@pytest.mark.parametrize(
    ("game", "lookahead", "sampling"),
    [
        ("matrix/figure-2", 1, "uniform"),
        pytest.param("matrix/figure-2", 2, "uniform", marks=pytest.mark.slow),
        *[pytest.param("matrix/figure-14", n, "uniform", marks=pytest.mark.slow) for n in (1, 2)],
        ("matrix/figure-2", 1, "weighted"),
        pytest.param("matrix/figure-2", 2, "weighted", marks=pytest.mark.slow),
    ],
)
def test_sampled_gradients_approach_the_exact_one_with_the_root_of_the_batch(game, lookahead, sampling):
    """log RMSE falls with slope −½ in log n, and the mean over keys meets the exact gradient.

    The gradient is a smooth function of means over n environments: its error has a standard deviation ∝ 1/√n and a
    bias ∝ 1/n (θ′ itself is sampled). At n = 16,384 the bias is below a hundredth of the deviation, while the mean over
    the keys has a tenth of it, so the confidence bound (5 standard errors) does not see the bias.
    """
    payoffs = jnp.asarray(rpax.make(game).payoffs)
    exact = exact_gradient(lookahead)(payoffs)
    errors = {}
    for number, envs in enumerate(ENVS):
        keys = jax.vmap(jax.random.key_data)(jax.random.split(jax.random.key(number), KEYS))
        errors[envs] = sampled_gradients(lookahead, envs, sampling)(payoffs, keys) - exact
    rmse = [np.sqrt(np.mean(np.sum(errors[envs] ** 2, axis=-1))) for envs in ENVS]
    slope, _ = np.polyfit(np.log(ENVS), np.log(rmse), 1)
    assert -0.6 < slope < -0.4

    largest = errors[ENVS[-1]]
    bound = 5 * largest.std(axis=0) / np.sqrt(KEYS)
    assert np.all(np.abs(largest.mean(axis=0)) < bound)
    assert np.linalg.norm(bound) < 0.1 * np.linalg.norm(exact), "too wide to show anything"
