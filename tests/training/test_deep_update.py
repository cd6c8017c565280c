"""Every gradient of an update on deep environments against an unoptimised reference.

Per pairing and term, without blocks, batches of agents and anything kept from play.
"""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import rpax
from rpax.estimators.loaded_dice import loaded_dice
from rpax.runs.config import TrainConfig
from rpax.runs.prepare import prepare
from rpax.training import blocks
from rpax.training.base_update import base_gradients
from rpax.training.critic_update import appraise
from rpax.training.initial import initial_state
from rpax.training.lookahead import first_step, look_ahead
from rpax.training.problem import key_data
from rpax.training.setup import make_problem
from rpax.training.step import manipulator_gradients, outer_gradients_of, roll_out_manipulator_pairings

CASES = {
    "overcooked/cramped_room": {"hidden_sizes": (8,), "environment_options": {"horizon": 5}},
    "storm": {"hidden_sizes": (8,), "environment_options": {"horizon": 5}},
    "hanabi/3x3": {"hidden_sizes": (8,), "activation": "relu"},
}


def a_problem(environment, **settings):
    sizes = {"envs": 2, "steps": 8, "lookahead": 1, "base_update": "pg", "entropy": 0.02, "partner_play": 0.1}
    sizes["manipulator_entropy"] = 0.03
    # With a small ε_root, the derivative of Adam's first step is a small difference of large numbers.
    sizes["base_epsilon_root"] = 1e-5
    config, objective = prepare(TrainConfig("ad-rpg", environment, **{**sizes, **CASES[environment], **settings}))
    game = rpax.make(environment, **config.environment_options)
    return make_problem(config, objective, game)


def reference_log_prob(problem, parameters, agent, chunk, term, seat):
    """log π(a | o) [time, envs] and entropies of one agent in one seat of one pairing, from plain probabilities."""
    policy = problem.policies[agent]
    head = policy.head_of_seat[seat]
    seen = chunk.observations[seat][:, term.pairing]
    if problem.encodings is not None:
        seen = problem.encodings[seat].decode(seen)
    logits = policy.networks[head].apply(parameters[head], seen.reshape(*seen.shape[:2], -1).astype(float))
    legal = jnp.ones(logits.shape, bool) if chunk.legal is None else chunk.legal[seat][:, term.pairing]
    log_pi = jax.nn.log_softmax(jnp.where(legal, logits, -1e30))
    action = chunk.actions[:, term.pairing, :, seat]
    entropy = -jnp.sum(jnp.where(legal, jnp.exp(log_pi) * log_pi, 0.0), axis=-1)
    return jnp.take_along_axis(log_pi, action[..., None], axis=-1)[..., 0], entropy


def reference_base_objective(problem, base, theta, manipulators, record):
    """J_base: one Loaded DiCE surrogate per term, added up one after the other."""
    terms, total, entropy = problem.plan.base_terms[base], 0.0, 0.0
    for number, term in enumerate(terms):
        log_prob, entropies = reference_log_prob(problem, theta, base, record.chunk, term, term.actor_seat)
        if term.other in manipulators:
            its = manipulators[term.other]
            log_prob = (
                log_prob + reference_log_prob(problem, its, term.other, record.chunk, term, 1 - term.actor_seat)[0]
            )
        first = record.chunk.first[:, term.pairing]
        advantage = record.advantage[base][:, number]
        total += loaded_dice(log_prob, advantage, first, problem.numbers.dice_decay).mean() / len(terms)
        entropy += entropies.mean() / len(terms)
    return total + problem.numbers.entropy * entropy


def reference_manipulator_gradient(problem, manipulator, state, record, outer):
    """∇_φ [ ⟨u, θ′(φ)⟩ + β_φ H(φ) ] by differentiating twice; u and H by loops over terms."""
    base = problem.shaped_by(manipulator)
    terms = problem.plan.outer_terms[manipulator]
    advantage = jnp.stack([t.weight * outer.appraisal.advantage[:, t.pairing, :, t.beneficiary_seat] for t in terms])
    advantage = (advantage - advantage.mean()) / (advantage.std() + 1e-8)

    def ahead_of(phi):
        gradient = jax.grad(lambda theta: reference_base_objective(problem, base, theta, {manipulator: phi}, record))
        return problem.base_optimizer.look_ahead(
            gradient(state.base[base]), state.base_optimizer[base], state.base[base], problem.numbers.lookahead_rate
        )[0]

    def outer_objective(theta):
        parts = [reference_log_prob(problem, theta, base, outer.chunk, term, term.actor_seat)[0] for term in terms]
        return jnp.mean(advantage * jnp.stack(parts))

    def bonus(phi):
        shared = [term for term in problem.plan.base_terms[base] if term.other == manipulator]
        parts = [reference_log_prob(problem, phi, manipulator, record.chunk, t, 1 - t.actor_seat)[1] for t in shared]
        return problem.numbers.manipulator_entropy * jnp.mean(jnp.stack(parts))

    phi = state.manipulators[manipulator]
    ahead, pull_back = jax.vjp(ahead_of, phi)
    (influence,) = pull_back(jax.grad(outer_objective)(ahead))
    return jax.tree.map(jnp.add, influence, jax.grad(bonus)(phi))


def reference_critic_gradient(problem, state, pairings, chunk):
    """Of the mean ½ (V − target)² of each pairing, added up; targets A + V from GAE, one step after the other."""
    everyone, numbers = problem.plan.all_pairings, problem.numbers

    def joint(row):
        both = []
        for seat, (seen, last) in enumerate(zip(chunk.observations, chunk.last, strict=True)):
            seen = jnp.concatenate([seen[:, row], last[None, row]])
            seen = seen if problem.encodings is None else problem.encodings[seat].decode(seen)
            both.append(seen.reshape(*seen.shape[:2], -1))
        return jnp.concatenate(both, axis=-1).astype(float)

    def loss(critics):
        total = 0.0
        for row, pairing in enumerate(pairings):
            number = everyone.index(pairing)
            own = jax.tree.map(lambda leaf, number=number: leaf[number], critics)
            value = problem.critic.apply(own, joint(row))
            reward = chunk.rewards[:, row] + numbers.shaping * chunk.shaped[:, row]
            following, advantages = jnp.zeros_like(value[0]), []
            for t in reversed(range(len(reward))):
                going_on = numbers.discount * ~chunk.done[t, row][:, None]
                delta = reward[t] + going_on * value[t + 1] - value[t]
                following = delta + numbers.gae_decay * going_on * following
                advantages.insert(0, following)
            target = jax.lax.stop_gradient(jnp.stack(advantages) + value[:-1])
            total += 0.5 * jnp.mean((value[:-1] - target) ** 2) / pairings.count(pairing)
        return total

    return jax.grad(loss)(state.critics)


def with_precise_first_layers(problem, state, record, outer):
    """Both batches with what first layers give in 64 bit, where 32 bit were recorded; a row of a pairing at a time."""

    def of_chunk(chunk, pairings, parameters):
        def of_row(seat, row):
            agent = pairings[row][seat]
            policy = problem.players[agent]
            seen = chunk.observations[seat][:, row]
            return policy.first_layer(policy.fold(parameters[agent]), policy.head_of_seat[seat], seen)

        rows = range(len(pairings))
        precise = tuple(jnp.stack([of_row(seat, row) for row in rows], axis=1) for seat in (0, 1))
        for kept, its in zip(chunk.first_layers, precise, strict=True):
            np.testing.assert_allclose(kept, its, atol=1e-5)
            assert its.dtype == np.float64
        return chunk._replace(first_layers=precise)

    played = of_chunk(record.chunk, problem.plan.lookahead_pairings, {**state.base, **state.manipulators})
    record = record._replace(chunk=played)
    _, ahead = look_ahead_again(problem, state, record)
    return record, outer._replace(chunk=of_chunk(outer.chunk, problem.plan.outer_pairings, ahead))


def look_ahead_again(problem, state, record):
    """The base agents' gradients on a recorded batch, and θ′."""
    found = base_gradients(problem, state.base, record.chunk, record.advantage)
    gradients = {name: its.gradient for name, its in found.items()}
    ahead = {
        name: problem.base_optimizer.look_ahead(
            gradients[name], state.base_optimizer[name], state.base[name], problem.numbers.lookahead_rate
        )[0]
        for name in problem.bases
    }
    return gradients, ahead


def library_gradients(problem, state, record, outer):
    """What the library computes from recorded batches: base agents', manipulators' by influence credits, critics'."""
    gradients, ahead = look_ahead_again(problem, state, record)
    record = record._replace(base=state.base, optimizer=state.base_optimizer, gradient=gradients)
    trace = jax.tree.map(lambda leaf: jnp.asarray(leaf)[None], record)
    found = manipulator_gradients(problem, state, trace, outer_gradients_of(problem, ahead, outer))
    gradients |= {name: influence.gradient for name, influence in found.items()}
    for kind, (pairings, chunk) in batches_of(problem, record, outer).items():
        said = appraise(problem, state, pairings, chunk, learn=True)
        gradients[f"critics, {kind}"] = said.loss_and_gradient[1]
    return gradients


def batches_of(problem, record, outer):
    return {
        "lookahead": (problem.plan.lookahead_pairings, record.chunk),
        "outer": (problem.plan.outer_pairings, outer.chunk),
    }


def reference_gradients(problem, state, record, outer):
    gradients = {}
    for name in problem.bases:
        objective = functools.partial(reference_base_objective, problem, name)
        gradients[name] = jax.grad(objective)(state.base[name], state.manipulators, record)
    for name in problem.manipulators:
        gradients[name] = reference_manipulator_gradient(problem, name, state, record, outer)
    for kind, (pairings, chunk) in batches_of(problem, record, outer).items():
        gradients[f"critics, {kind}"] = reference_critic_gradient(problem, state, pairings, chunk)
    return gradients


def relative_error(found, expected):
    parts = (jnp.concatenate([jnp.ravel(leaf) for leaf in jax.tree.leaves(tree)]) for tree in (found, expected))
    found, expected = parts
    return float(jnp.linalg.norm(found - expected) / jnp.linalg.norm(expected))


@pytest.mark.parametrize(
    "environment", [name if name == "storm" else pytest.param(name, marks=pytest.mark.slow) for name in CASES]
)
def test_gradients_equal_the_reference(environment, monkeypatch):
    """Recorded in 32 bit; differentiated in 32 bit to 3e-5 and in 64 bit to 1e-10, in blocks of one step."""
    problem = dataclasses.replace(a_problem(environment), keep_first_layers=True)
    state = jax.jit(functools.partial(initial_state, problem, exact=False))(key_data(0))
    # Away from the uniform policies of the start, where small differences could hide.
    state = state._replace(base=jax.tree.map(lambda leaf: leaf + 0.1, state.base))

    @jax.jit
    def record_both(state):
        ahead, trace = look_ahead(problem, key_data(1), state)
        return first_step(trace), roll_out_manipulator_pairings(problem, key_data(2), ahead, state)

    recorded = jax.device_get((state, *record_both(state)))
    monkeypatch.setattr(blocks, "MOST_NUMBERS", 1)
    for precision, tolerance in (("float32", 3e-5), ("float64", 1e-10)):
        with jax.enable_x64(precision == "float64"):
            data = jax.tree.map(lambda x, p=precision: jnp.asarray(x, p if x.dtype.kind == "f" else None), recorded)
            if precision == "float64":
                data = (data[0], *with_precise_first_layers(problem, *data))
            tested = jax.jit(functools.partial(library_gradients, problem))(*data)
            expected = jax.jit(functools.partial(reference_gradients, problem))(*data)
            errors = {name: relative_error(tested[name], expected[name]) for name in expected}
        critics = {"critics, lookahead", "critics, outer"}
        assert tested.keys() == expected.keys() == {*problem.bases, *problem.manipulators, *critics}
        assert max(errors.values()) < tolerance, (precision, errors)
