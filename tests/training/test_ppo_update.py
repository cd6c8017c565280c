"""PPO as the base agents' real step: where it equals the plain step, and what clipping does."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import rpax
from rpax.runs.config import TrainConfig
from rpax.runs.prepare import prepare
from rpax.training.base_update import base_gradients, base_parts
from rpax.training.critic_update import minibatches
from rpax.training.initial import initial_state
from rpax.training.lookahead import first_step, look_ahead
from rpax.training.ppo_update import clipped_steps
from rpax.training.problem import key_data
from rpax.training.setup import make_problem
from rpax.training.step import step, update_bases


@pytest.fixture(autouse=True)
def double_precision():
    with jax.enable_x64(True):
        yield


def ppo_problem(**settings):
    defaults = {
        "base_update": "ppo",
        "envs": 4,
        "steps": 6,
        "lookahead": 1,
        "entropy": 0.03,
        "base_rate": 0.1,
        "precision": "float64",
    }
    config = TrainConfig("at-rpg", "extensive/g3", **(defaults | settings)).complete()
    return make_problem(config, rpax.algorithm("at-rpg", partner_play=0.1), rpax.make("extensive/g3"))


def recorded(problem):
    def record(key):
        state = initial_state(problem, key, exact=False)
        return state, first_step(look_ahead(problem, key_data(1), state)[1])

    return jax.jit(record)(key_data(0))


def steps_of(problem, state, first, name):
    arguments = (state.base[name], state.base_optimizer[name], first.advantage[name])
    return clipped_steps(problem, first.chunk, base_parts(problem)[name], key_data(2), *arguments)


def test_every_agent_makes_its_own_steps_with_its_own_key():
    """Agents that share a loop move as each does alone."""
    config = TrainConfig("ad-rpg", "matrix/figure-13", envs=4, steps=2, base_update="ppo", ppo_minibatches=2).complete()
    problem = make_problem(config, rpax.algorithm("ad-rpg"), rpax.make("matrix/figure-13"))
    state, first = recorded(problem)
    found = jax.jit(functools.partial(update_bases, problem))(key_data(4), state, first)
    for key, (name, part) in zip(jax.random.split(key_data(4), 2), base_parts(problem).items(), strict=True):
        alone = functools.partial(clipped_steps, problem, first.chunk, part)
        expected = jax.jit(alone)(key, state.base[name], state.base_optimizer[name], first.advantage[name])
        jax.tree.map(functools.partial(assert_allclose, rtol=1e-12), found[name], expected)


def test_one_epoch_of_one_minibatch_is_the_plain_step():
    """At θ_old every ratio is 1: the clipped objective has the plain gradient, and nothing is clipped."""
    problem = ppo_problem(ppo_epochs=1, ppo_minibatches=1)
    state, first = recorded(problem)
    for name in problem.bases:
        update = steps_of(problem, state, first, name)
        plain = base_gradients(problem, state.base, first.chunk, first.advantage)[name]
        expected = jax.tree.map(lambda p, g: p + 0.1 * g, state.base[name], plain.gradient)
        jax.tree.map(lambda found, wanted: assert_allclose(found, wanted, rtol=1e-12), update.parameters, expected)
        assert_allclose(update.entropy, plain.entropy, rtol=1e-12)
        assert update.clipped == 0


@pytest.mark.parametrize("clip", [0.1, 100.0])
def test_clipped_samples_stop_pulling(clip):
    """With an advantage of 1 for action 0 and 0 otherwise its probability rises, until its ratio is clipped.

    From there on its gradient is 0: however many steps follow, the ratio lies at most one step past 1 + c.
    """
    problem = ppo_problem(ppo_epochs=400, ppo_minibatches=1, entropy=0.0, ppo_clip=clip, base_rate=0.05)
    state, first = recorded(problem)
    name = problem.bases[0]
    advantage = jnp.where(first.chunk.actions[..., 0][:, :1] == 0, 1.0, 0.0)
    advantage = jnp.broadcast_to(advantage, first.advantage[name].shape)
    update = steps_of(problem, state, first._replace(advantage={**first.advantage, name: advantage}), name)
    states, policy = rpax.make("extensive/g3").all_observations(), problem.policies[name]
    before, after = (np.asarray(policy.table(p, 0, states)) for p in (state.base[name], update.parameters))
    ratio = (after[:, 0] / before[:, 0]).max()
    if clip == 0.1:
        assert 1.1 < ratio < 1.1 + 0.05
        assert 0 < update.clipped < 1
    else:
        assert ratio > 1.3
        assert update.clipped == 0


def test_minibatches_go_through_all_environments_in_every_epoch():
    problem = ppo_problem(envs=6, ppo_epochs=3, ppo_minibatches=2)
    chosen = np.asarray(minibatches(problem, key_data(4)))
    assert chosen.shape == (6, 3)
    for epoch in range(3):
        assert_array_equal(np.sort(chosen[2 * epoch : 2 * epoch + 2].ravel()), np.arange(6))


def test_manipulators_differentiate_through_the_plain_step_whatever_the_real_one_is():
    with_ppo = ppo_problem()
    with_pg = dataclasses.replace(with_ppo, numbers=dataclasses.replace(with_ppo.numbers, base_update="pg"))
    state = initial_state(with_ppo, key_data(0), exact=False)
    after_ppo, metrics = jax.jit(functools.partial(step, with_ppo))(state)
    after_pg, plain_metrics = jax.jit(functools.partial(step, with_pg))(state)
    jax.tree.map(lambda a, b: assert_allclose(a, b, rtol=1e-12), after_ppo.manipulators, after_pg.manipulators)
    assert metrics.clipped.keys() == set(with_ppo.bases)
    assert plain_metrics.clipped == {}
    changed = jax.tree.map(np.array_equal, after_ppo.base, after_pg.base)
    assert not any(jax.tree.leaves(changed))


def test_minibatches_that_do_not_divide_the_environments_are_refused():
    with pytest.raises(rpax.InputError, match="ppo_minibatches 4 does not divide envs 6"):
        prepare(TrainConfig("sp", "storm", base_update="ppo", envs=6, ppo_minibatches=4))
    # The preset's own number gives way.
    assert prepare(TrainConfig("sp", "storm", base_update="ppo", envs=6))[0].ppo_minibatches == 2
