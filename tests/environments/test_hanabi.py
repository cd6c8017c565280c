"""Hanabi against JaxMARL's own loop, its masks, and what reduced games are made of."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_array_equal

import rpax
from rpax.environments.jaxmarl.hanabi import Hanabi
from rpax.environments.jaxmarl.load import load
from rpax.policies import categorical

#: name -> (cards of each rank, observation size, actions, best score)
GAMES = {
    "hanabi/3x3": ([3, 2, 1], 278, 17, 9),
    "hanabi/4x4": ([3, 2, 2, 1], 447, 19, 16),
    "hanabi/5x5": ([3, 2, 2, 2, 1], 658, 21, 25),
}
TO_DEAL = {"hanabi/3x3": 18 - 10, "hanabi/4x4": 32 - 10, "hanabi/5x5": 50 - 10}


def made(name: str) -> Hanabi:
    game = rpax.make(name)
    assert isinstance(game, Hanabi)
    return game


def jaxmarls_own(cards: list[int]):
    """The object that JaxMARL's users make."""
    return load("hanabi.hanabi", "test").HanabiEnv(
        num_agents=2, num_colors=len(cards), num_ranks=len(cards), num_cards_of_rank=np.array(cards)
    )


def play_both(ours: Hanabi, theirs, key, envs: int, steps: int):
    """The same keys and random legal moves through our step and JaxMARL's auto-resetting one, in one compiled scan."""

    def same(tree, other):
        pairs = zip(jax.tree.leaves(tree), jax.tree.leaves(other), strict=True)
        return jnp.stack([(a == b).reshape(envs, -1).all(axis=1) for a, b in pairs]).all(axis=0)

    def strong(tree):
        return jax.tree.map(lambda leaf: jax.lax.convert_element_type(leaf, leaf.dtype), tree)

    def one_step(carry, key):
        state, own, legal = carry
        key_actions, key_step = jax.random.split(key)
        masks = jnp.stack(legal, axis=1)
        actions = categorical.sample(key_actions, jnp.zeros(masks.shape), masks)
        keys = jax.random.split(key_step, envs)
        transition, following = jax.vmap(ours.step_and_reset)(keys, state, actions)
        by_agent = {"agent_0": actions[:, 0], "agent_1": actions[:, 1]}
        seen, own, rewards, dones, _ = jax.vmap(theirs.step)(keys, own, by_agent)
        moves = jax.vmap(theirs.get_legal_moves)(own)
        observations, legal = jax.vmap(ours.observe)(following), jax.vmap(ours.legal_actions)(following)
        equal = {
            "observations": same(observations, (seen["agent_0"], seen["agent_1"])),
            "state": same(following.game, own),
            "reward": same(transition.rewards, jnp.stack([rewards["agent_0"], rewards["agent_1"]], axis=1)),
            "done": transition.done == dones["__all__"],
            "legal moves": same(legal, (moves["agent_0"] == 1, moves["agent_1"] == 1)),
        }
        score = jax.vmap(ours.score)(transition.state)
        drawn = jnp.take_along_axis(masks, actions[..., None], axis=2)[..., 0]
        return (following, strong(own), legal), (equal, transition.rewards, transition.done, score, masks, drawn)

    key_reset, key_play = jax.random.split(key)
    # Both begin in our state; JaxMARL's own resets come when the first episodes end.
    state = jax.vmap(ours.reset)(jax.random.split(key_reset, envs))
    moves = jax.vmap(theirs.get_legal_moves)(state.game)
    carry = state, state.game, (moves["agent_0"] == 1, moves["agent_1"] == 1)
    return jax.lax.scan(one_step, carry, jax.random.split(key_play, steps))[1]


@pytest.mark.parametrize(
    "name", [name if name == "hanabi/3x3" else pytest.param(name, marks=pytest.mark.slow) for name in GAMES]
)
def test_every_step_is_jaxmarls(name):
    """10,240 random legal moves with the resets between: also the score, the masks and the longest episode."""
    envs, steps = 128, 80
    ours, theirs = made(name), jaxmarls_own(GAMES[name][0])
    played = jax.jit(lambda key: play_both(ours, theirs, key, envs, steps))(jax.random.key(4))
    equal, rewards, done, score, masks, drawn = jax.tree.map(np.asarray, played)
    for what, each in equal.items():
        assert each.shape == (steps, envs)
        assert bool(each.all()), what
    assert drawn.all()
    assert masks.any(axis=-1).all()
    waits = masks[..., -1]
    assert (waits.sum(axis=-1) == 1).all(), "one waits, and it can do nothing else"
    assert (masks.sum(axis=-1)[waits] == 1).all()
    assert (rewards[..., 0] == rewards[..., 1]).all()
    returns, lengths = [], []
    for env in range(envs):
        total, length = 0, 0
        for t in range(steps):
            total, length = total + int(rewards[t, env, 0]), length + 1
            assert score[t, env] == total
            if done[t, env]:
                returns.append(total)
                lengths.append(length)
                total, length = 0, 0
    assert len(returns) > envs
    assert min(returns) == 0
    assert max(lengths) <= ours.horizon


@pytest.mark.parametrize("name", list(GAMES))
def test_reduced_games_are_made_of_the_right_parts(name):
    cards, features, actions, best = GAMES[name]
    game = made(name)
    size = len(cards)
    for space in game.spaces:
        assert (space.observation_shape, space.num_actions) == ((features,), actions)
        assert space.observation_dtype == jnp.float32
        assert [space.name_of(move) for move in (0, 5, 10, 10 + size, actions - 1)] == [
            *("discard 1", "play 1", "hint R", "hint 1", "wait")
        ]
    assert game.max_score == best
    assert (game.game.max_info_tokens, game.game.max_life_tokens, game.game.hand_size) == (8, 3, 5)
    # Each card from the deck takes a move and earns at most one token; a hint costs one of these or of the first 8.
    assert game.horizon == TO_DEAL[name] + (8 + TO_DEAL[name]) + 2
    assert sum(cards) * size - 10 == TO_DEAL[name]


def test_illegal_moves_have_probability_zero_and_gradients_are_finite():
    game = made("hanabi/3x3")
    legal = jnp.stack(jax.jit(lambda key: game.legal_actions(game.reset(key)))(jax.random.key(0)))
    # Seat 0 begins with all tokens: it can play or hint what seat 1 holds, but not discard, and seat 1 only waits.
    assert not legal[0, :5].any()
    assert legal[0, 5:10].all()
    assert not bool(legal[0, -1])
    assert_array_equal(legal[1], np.arange(17) == 16)

    def loss(logits, actions):
        own = categorical.log_prob(logits, actions, legal)
        return own.sum() + categorical.entropy(logits, legal).sum()

    for scale in (0.0, 1.0, 1e4, 1e30):
        logits = scale * jax.random.normal(jax.random.key(1), (2, 17))
        chances = categorical.probabilities(logits, legal)
        assert_array_equal(chances[~legal], 0.0)
        assert_array_equal(chances[1], np.arange(17) == 16)
        gradient = jax.grad(loss)(logits, jnp.array([5, 16]))
        assert bool(jnp.isfinite(gradient).all())
        assert_array_equal(gradient[~legal], 0.0)


def test_nothing_is_compiled_twice():
    """States after reset and after a step have the same types, weak ones included."""
    game = made("hanabi/3x3")
    traced = []

    def step(key, state, actions):
        traced.append(jax.tree.map(jax.typeof, state))
        return game.step_and_reset(key, state, actions)

    compiled = jax.jit(step)
    state = jax.jit(game.reset)(jax.random.key(0))
    for t in range(4):
        _, state = compiled(jax.random.key(t), state, jnp.array([5, 5]))
    assert len(traced) == 1
    assert compiled._cache_size() == 1
    assert not any(leaf.weak_type for leaf in jax.tree.leaves(traced[0]))
