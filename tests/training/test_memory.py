"""Recurrent policies: what is carried through rollouts, and forgotten when an episode ends."""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import Array, Int
from numpy.testing import assert_allclose

import rpax
from rpax.environments.protocol import Environment, SeatSpace, Transition
from rpax.policies import categorical
from rpax.runs.config import TrainConfig
from rpax.runs.prepare import prepare
from rpax.training.initial import initial_state
from rpax.training.parts import Part, views
from rpax.training.problem import key_data
from rpax.training.recorded import take_envs
from rpax.training.rollout import draw_chance, roll_out
from rpax.training.setup import make_problem
from rpax.training.slots import actor_slots
from rpax.training.trainer import Trainer

STEPS, ENVS = 8, 5


class Recall(NamedTuple):
    """The hidden bit, and how many steps have been made."""

    bit: Array
    time: Array


class Remember(Environment):
    """Both seats see the bit (as ±1) in the first step only, and are paid for saying it in the last."""

    def __init__(self, steps: int = 3) -> None:
        self.name = "test/remember"
        self.horizon = steps
        self.spaces = (SeatSpace((2,), 2, jnp.int8), SeatSpace((2,), 2, jnp.int8))

    def reset(self, key) -> Recall:
        return Recall(jax.random.bernoulli(key).astype(jnp.int8), jnp.zeros((), jnp.int32))

    def step(self, key, state: Recall, actions: Int[Array, "2"]) -> Transition:
        done = state.time == self.horizon - 1
        right = (actions == state.bit).all()
        return Transition(state._replace(time=state.time + 1), jnp.full(2, 1.0) * (done & right), done)

    def observe(self, state: Recall) -> tuple[Array, Array]:
        shown = jnp.where(state.time == 0, 2 * state.bit - 1, 0)
        seen = jnp.stack([shown, state.time]).astype(jnp.int8)
        return seen, seen


def problem_with_memory(algorithm="ad-rpg", **settings):
    defaults = {"network": "gru", "hidden_sizes": (6,), "memory_units": 4, "envs": ENVS, "steps": STEPS, "lookahead": 1}
    config = TrainConfig(algorithm, "test/remember", **(defaults | settings)).complete(tabular=False)
    return make_problem(config, rpax.algorithm(algorithm), Remember())


@pytest.fixture(scope="module")
def recorded():
    """A problem, its parameters, and the second of two consecutive chunks, which starts in the middle of episodes."""
    problem = problem_with_memory()
    state = initial_state(problem, key_data(0), exact=False)
    parameters = {**state.base, **state.manipulators}
    play = functools.partial(roll_out, problem.environment, problem.policies, parameters, steps=STEPS)
    pairings = problem.plan.lookahead_pairings
    _, streams = play(pairings=pairings, key=key_data(1), streams=state.lookahead_streams)
    chunk, _ = play(pairings=pairings, key=key_data(2), streams=streams)
    return problem, parameters, chunk


def test_a_recorded_chunk_is_evaluated_with_the_probabilities_it_was_played_with(recorded):
    """Step by step in plain Python from the memory at the chunk's start; episodes of three steps end inside it."""
    problem, parameters, chunk = recorded
    assert np.asarray(chunk.first)[1:].any()
    assert not np.asarray(chunk.first)[0].any()
    for name in problem.bases:
        policy, slots = problem.policies[name], actor_slots(problem.plan.base_terms[name])
        log_prob, entropy = policy.evaluate(parameters[name], views(chunk, Part.of(policy, slots)))
        for column, (seat, pairing) in enumerate(slots):
            memory = chunk.memory[seat][pairing]
            for t in range(STEPS):
                memory = jnp.where(chunk.first[t, pairing, :, None], 0.0, memory)
                seen = chunk.observations[seat][t, pairing]
                logits, memory = policy.networks["shared"].apply(parameters[name]["shared"], seen, memory)
                expected = categorical.log_prob(logits, chunk.actions[t, pairing, :, seat])
                assert_allclose(np.exp(log_prob[t, column] - expected), 1, rtol=0, atol=1e-6)
                assert_allclose(entropy[t, column], categorical.entropy(logits), atol=1e-6)


def test_what_was_played_is_what_the_evaluated_probabilities_draw(recorded):
    """The rollout's actions come out of its random numbers and the probabilities found by evaluating the chunk."""
    problem, parameters, chunk = recorded
    paired = len(problem.plan.lookahead_pairings)
    uniform = draw_chance(key_data(2), (STEPS, paired, ENVS)).uniform
    for name in problem.bases:
        policy, slots = problem.policies[name], actor_slots(problem.plan.base_terms[name])
        others = [chunk._replace(actions=jnp.full_like(chunk.actions, action)) for action in (0, 1)]
        log_probs = [policy.evaluate(parameters[name], views(one, Part.of(policy, slots)))[0] for one in others]
        drawn = categorical.invert(
            jnp.stack([uniform[:, pairing, :, seat] for seat, pairing in slots], axis=1), jnp.stack(log_probs, axis=-1)
        )
        played = np.stack([chunk.actions[:, pairing, :, seat] for seat, pairing in slots], axis=1)
        np.testing.assert_array_equal(drawn, played)
        assert 0.2 < played.mean() < 0.8


def test_what_was_seen_before_an_episode_started_changes_nothing(recorded):
    problem, parameters, chunk = recorded
    name = problem.bases[0]
    policy, slots = problem.policies[name], actor_slots(problem.plan.base_terms[name])
    other = chunk._replace(memory=jax.tree.map(lambda leaf: leaf + 1.0, chunk.memory))
    before, _ = policy.evaluate(parameters[name], views(chunk, Part.of(policy, slots)))
    after, _ = policy.evaluate(parameters[name], views(other, Part.of(policy, slots)))
    started = np.cumsum(np.stack([np.asarray(chunk.first)[:, pairing] for _, pairing in slots], axis=1), axis=0) > 0
    assert_allclose(np.where(started, before - after, 0), 0, atol=1e-7)
    assert np.abs(np.where(started, 0, before - after)).max() > 1e-4


def test_a_part_of_the_environments_keeps_its_memory(recorded):
    problem, parameters, chunk = recorded
    name, chosen = problem.bases[0], np.array([3, 1])
    policy, slots = problem.policies[name], actor_slots(problem.plan.base_terms[name])
    whole, _ = policy.evaluate(parameters[name], views(chunk, Part.of(policy, slots)))
    part, _ = policy.evaluate(parameters[name], views(take_envs(chunk, jnp.asarray(chosen)), Part.of(policy, slots)))
    assert_allclose(part, whole[..., chosen], atol=1e-6)


def test_memory_is_refused_where_every_state_is_seen():
    with pytest.raises(rpax.InputError, match=r"network 'gru' .* use 'tabular' or 'mlp'"):
        prepare(TrainConfig("sp", "matrix/figure-2", network="gru"))


@pytest.mark.slow
def test_only_with_memory_the_bit_is_told():
    returns = {}
    for network in ("gru", "mlp"):
        settings = {"hidden_sizes": (16,), "memory_units": 16, "envs": 64, "base_rate": 1e-2, "base_update": "ppo"}
        problem = problem_with_memory("sp", network=network, steps=9, entropy=0.0, **settings)
        trainer = Trainer(problem, (0,), exact=False, precision="float32")
        _, report = trainer.advance(trainer.advance(trainer.init(), 150)[0], 10)
        sums, episodes = report.metrics.episode_return_sum["lookahead"], report.metrics.episodes["lookahead"]
        returns[network] = float(sums[0, 0, 0] / episodes[0, 0])
    assert returns["gru"] > 0.95
    assert returns["mlp"] < 0.6
