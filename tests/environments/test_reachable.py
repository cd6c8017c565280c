"""Starts that random play came to: only such, as likely as it says, and with the clock going on."""

import collections
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import small_game

import rpax
from rpax.environments.exploring import ExploringStarts
from rpax.environments.reachable import ReachableStarts, random_actions

STARTS = 3000


def kept_states(game):
    """How likely each state is kept: those of one game equally, and games by uniformly random play."""
    chances = collections.Counter()

    def play(chance, path):
        chances_of_moves = list(itertools.product(*(range(count) for count in game.next_state.shape[1:])))
        for a, b in chances_of_moves:
            following, share = int(game.next_state[path[-1], a, b]), chance / len(chances_of_moves)
            if following >= 0:
                play(share, [*path, following])
            else:
                for state in path:
                    chances[state] += share / len(path)

    play(1.0, [0])
    return np.array([chances[state] for state in range(game.num_states)])


@pytest.mark.parametrize("name", ["extensive/g1", "extensive/g2", "extensive/g3", "matrix/figure-2"])
def test_states_of_small_games_are_as_likely_as_enumerated(name):
    game = rpax.make(name)
    reachable = ReachableStarts(game, STARTS)
    assert reachable.has_exploring_starts
    assert not game.has_exploring_starts
    expected = kept_states(game)
    assert expected.sum() == pytest.approx(1)
    found = np.bincount(np.asarray(reachable._starts.number), minlength=game.num_states) / STARTS
    np.testing.assert_allclose(found, expected, atol=5 * np.sqrt(0.25 / STARTS))
    assert (found[expected == 0] == 0).all()


@pytest.mark.parametrize(("name", "horizon"), [("storm", 20), ("small/ring", 5)])
def test_every_depth_is_as_likely_and_no_episode_outlasts_the_horizon(name, horizon):
    game = ExploringStarts(ReachableStarts(rpax.make(name), STARTS), 1.0)
    keys = jax.random.split(jax.random.key(1), 500)
    state = jax.jit(jax.vmap(game.reset))(keys)
    depth = np.asarray(state[1] if name == "small/ring" else state.time)
    counts = np.bincount(depth, minlength=horizon)
    np.testing.assert_allclose(counts / 500, 1 / horizon, atol=5 * np.sqrt(1 / horizon / 500))
    step = jax.jit(jax.vmap(game.step))
    lengths, over = np.zeros(500, int), np.zeros(500, bool)
    for _ in range(horizon):
        transition = step(keys, state, jnp.zeros((500, 2), jnp.int32))
        lengths += ~over
        over |= np.asarray(transition.done)
        state = transition.state
    np.testing.assert_array_equal(lengths, horizon - depth)


@pytest.mark.slow
def test_hanabi_begins_in_positions_of_the_game():
    game = rpax.make("hanabi/3x3")
    states = ReachableStarts(game, 200)._starts
    assert not np.asarray(states.game.terminal).any()
    assert not np.asarray(states.game.done).any()
    cards = sum(
        np.asarray(pile).reshape(200, -1, 3, 3).sum(axis=1)
        for pile in (states.game.deck, states.game.discard_pile, states.game.player_hands, states.game.fireworks)
    )
    np.testing.assert_array_equal(cards, np.broadcast_to([3, 2, 1], (200, 3, 3)))
    legal = jax.vmap(game.legal_actions)(states)
    drawn = jax.vmap(lambda key, state: random_actions(game, key, state))(
        jax.random.split(jax.random.key(0), 200), states
    )
    for seat in (0, 1):
        assert np.take_along_axis(np.asarray(legal[seat]), np.asarray(drawn)[:, seat, None], axis=1).all()
    assert len(np.unique(np.asarray(states.game.step))) > 8


def test_starts_are_drawn_from_all_of_them():
    game = ReachableStarts(small_game.Ring(), 8)
    drawn = jax.vmap(game.exploring_reset)(jax.random.split(jax.random.key(0), 200))
    rows = {
        (*cells, time)
        for cells, time in zip(np.asarray(drawn[0]).tolist(), np.asarray(drawn[1]).tolist(), strict=True)
        for cells in [cells]
    }
    assert rows == {
        (*cells, time) for cells, time in zip(*(np.asarray(part).tolist() for part in game._starts), strict=True)
    }


def test_a_game_of_one_step_begins_where_it_always_does():
    runs = [
        rpax.train(name, "matrix/figure-2", updates=3, envs=4, **settings)
        for name, settings in (("sp", {"exploring_starts": 0.0}), ("sp-augmented", {}))
    ]
    assert runs[1].config.exploring_starts == 0.5
    one, other = (run.results[0].policies["base_0"] for run in runs)
    for seat in (0, 1):
        np.testing.assert_array_equal(one[seat], other[seat])
