"""What critics say and learn, against loops over pairings, environments and time."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small_game import PictureRing, Ring

import rpax
from rpax.policies.folding import fold
from rpax.runs.config import TrainConfig
from rpax.training import blocks
from rpax.training.critic_update import CriticBatch, appraise, update_critics
from rpax.training.initial import initial_state
from rpax.training.lookahead import look_ahead
from rpax.training.problem import key_data
from rpax.training.rollout import roll_out, start_streams
from rpax.training.setup import make_problem
from rpax.training.step import roll_out_manipulator_pairings

STEPS, ENVS = 12, 3


@pytest.fixture(
    scope="module",
    params=[(Ring, "mlp", 1), (Ring, "mlp", 4), (PictureRing, "cnn", 4)],
    ids=["one block", "four blocks", "four blocks of pictures"],
)
def recorded(request):
    """A problem, its state, pairings of which one is played twice, and a chunk with ends of episodes inside."""
    make_game, network, count = request.param
    game = make_game(horizon=5)
    sizes = {"hidden_sizes": (8,), "channels": (3,) if network == "cnn" else None, "envs": 4, "steps": STEPS}
    config = TrainConfig("ad-rpg", game.name, network=network, base_update="pg", **sizes).complete(tabular=False)
    problem = make_problem(config, rpax.algorithm("ad-rpg"), game)
    state = initial_state(problem, key_data(0), exact=False)
    pairings = (*problem.plan.all_pairings[:2], problem.plan.all_pairings[0])
    streams = start_streams(problem.stage, key_data(1), len(pairings), ENVS)
    everyone = {**state.base, **state.manipulators}
    chunk, _ = roll_out(problem.stage, problem.players, everyone, pairings, key_data(2), streams, STEPS)
    # Random play pays seldom.
    rewards = jax.random.normal(key_data(3), chunk.rewards.shape)
    numbers_per_step = sum(seen[0].size for seen in chunk.observations)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(blocks, "MOST_NUMBERS", STEPS * numbers_per_step // count)
        assert blocks.number_of_blocks(STEPS, numbers_per_step) == count
        yield problem, state, pairings, chunk._replace(rewards=rewards)


def by_loops(problem, critics, pairings, chunk):
    """Advantages, targets, and the loss as a function of the critics that predict these targets."""
    seen = [jnp.concatenate([s, last[None]]) for s, last in zip(chunk.observations, chunk.last, strict=True)]
    joint = jnp.concatenate(seen, axis=-1).astype(jnp.float32)
    everyone = problem.plan.all_pairings

    def value_of(critics, place):
        own = jax.tree.map(lambda leaf: leaf[everyone.index(pairings[place])], critics)
        return problem.critic.apply(
            own if problem.encodings is None else fold(own, *problem.encodings), joint[:, place]
        )

    value = np.stack([value_of(critics, place) for place in range(len(pairings))], axis=1)
    advantage = np.zeros(chunk.rewards.shape)
    for index in np.ndindex(advantage.shape[1:]):
        following = 0.0
        for t in reversed(range(STEPS)):
            going_on = 1 - np.asarray(chunk.done)[(t, *index[:2])]
            reward, now, then = chunk.rewards[(t, *index)], value[(t, *index)], value[(t + 1, *index)]
            delta = reward + problem.numbers.discount * going_on * then - now
            following = delta + problem.numbers.discount * problem.numbers.gae_decay * going_on * following
            advantage[(t, *index)] = following
    targets = advantage + value[:-1]

    def loss(critics):
        total = 0.0
        for place, pairing in enumerate(pairings):
            error = value_of(critics, place)[:-1] - targets[:, place].astype(np.float32)
            total += 0.5 * jnp.mean(error**2) / pairings.count(pairing)
        return total

    return advantage, targets, loss


@pytest.mark.parametrize("learn", [False, True])
def test_advantages_targets_and_gradients(recorded, learn):
    problem, state, pairings, chunk = recorded
    assert np.asarray(chunk.done)[1:-1].any(), "an episode ends inside"
    said = jax.jit(lambda state, chunk: appraise(problem, state, pairings, chunk, learn=learn))(state, chunk)
    advantage, targets, loss = by_loops(problem, state.critics, pairings, chunk)
    np.testing.assert_allclose(said.advantage, advantage, atol=2e-5)
    np.testing.assert_allclose(said.targets, targets, atol=2e-5)
    assert (said.loss_and_gradient is not None) is learn
    if learn:
        error, gradient = said.loss_and_gradient
        expected_error, expected = jax.value_and_grad(loss)(state.critics)
        np.testing.assert_allclose(error, expected_error, rtol=1e-5)
        jax.tree.map(lambda found, true: np.testing.assert_allclose(found, true, atol=2e-6), gradient, expected)
        assert max(float(jnp.abs(leaf).max()) for leaf in jax.tree.leaves(expected)) > 1e-3


@pytest.mark.parametrize(
    ("settings", "known"),
    [
        ({"base_update": "pg"}, (True, True)),
        ({"base_update": "pg", "lookahead": 2}, (False, True)),
        ({"base_update": "ppo", "ppo_minibatches": 1}, (False, False)),
    ],
)
def test_the_gradient_is_known_where_one_step_on_the_whole_chunk_follows(settings, known):
    config = TrainConfig("ad-rpg", "small/ring", hidden_sizes=(8,), envs=4, steps=4, sampling="uniform", **settings)
    problem = make_problem(config.complete(tabular=False), rpax.algorithm("ad-rpg"), Ring())
    state = initial_state(problem, key_data(0), exact=False)
    ahead, trace = look_ahead(problem, key_data(1), state)
    outer = roll_out_manipulator_pairings(problem, key_data(2), ahead, state)
    assert outer is not None
    found = (trace.loss_and_gradient, outer.appraisal.loss_and_gradient)
    assert tuple(one is not None for one in found) == known


def test_a_known_gradient_moves_critics_as_the_chunk_would(recorded):
    problem, state, pairings, chunk = recorded
    said = appraise(problem, state, pairings, chunk, learn=True)
    batches = [CriticBatch(pairings, chunk, said.targets, known) for known in (None, said.loss_and_gradient)]
    (plain, _, plain_error), (moved, _, error) = (
        update_critics(problem, key_data(4), state, [batch]) for batch in batches
    )
    np.testing.assert_allclose(error, plain_error, rtol=1e-5)
    # Adam's first steps are the rate times the sign of the gradient, so of tiny gradients only their size is sure.
    apart = jax.tree.map(lambda one, other: np.mean(~np.isclose(one, other, atol=1e-5)), plain, moved)
    assert max(jax.tree.leaves(apart)) < 0.01
