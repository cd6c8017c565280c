"""Symmetries leave games as they are, and Other-Play is self-play averaged over them."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import small_game

import rpax
from rpax.environments.reachable import random_actions
from rpax.environments.storm.game import Chance
from rpax.environments.storm.grid import COIN_CELLS, SPAWNS
from rpax.environments.symmetries import OtherPlay, RelabelledState, payoff_symmetries
from rpax.runs.config import TrainConfig
from rpax.training.exact_step import exact_base_gradients, exact_step
from rpax.training.initial import initial_state
from rpax.training.problem import key_data
from rpax.training.setup import make_problem

LEVERS = [[1, 0, 0], [0, 1, 0], [0, 0, 0.9]]


def all_pairs(payoffs):
    """Every pair of orders of rows and columns that leaves the payoffs as they are, by trying them all."""
    rows, columns = payoffs.shape[:2]
    return [
        (rho, kappa)
        for rho in itertools.permutations(range(rows))
        for kappa in itertools.permutations(range(columns))
        if np.array_equal(payoffs[np.ix_(rho, kappa)], payoffs)
    ]


@pytest.mark.parametrize(
    ("name", "payoffs", "count"),
    [
        ("levers", LEVERS, 2),
        ("matrix/figure-2", None, 2),
        ("matrix/figure-13", None, 1),
        ("matrix/figure-14", None, 1),
        ("matrix/figure-17", None, 3),
        ("equal columns", [[1, 1, 0], [2, 2, 0]], 2),
        ("all alike", np.ones((2, 3)), 6),
        ("general sum", [[[1, 0], [0, 1]], [[0, 1], [1, 0]]], 2),
    ],
)
def test_the_orders_of_columns_are_those_of_all_pairs(name, payoffs, count):
    game = rpax.make(name) if payoffs is None else rpax.make("matrix/custom", payoffs=payoffs)
    expected = {kappa for _, kappa in all_pairs(game.payoffs[0])}
    assert len(expected) == count
    found = game.symmetries()
    if count == 1:
        assert found is None
        return
    assert {tuple(order) for order in found.actions.tolist()} == expected
    assert found.actions[0].tolist() == list(range(game.spaces[1].num_actions))
    # Each is there in equally many pairs, so that drawing from them is drawing from all pairs.
    times = [kappa for _, kappa in all_pairs(game.payoffs[0])]
    assert len({times.count(kappa) for kappa in expected}) == 1


def test_games_too_large_to_try_have_none():
    assert payoff_symmetries(np.ones((2, 8, 2))) is None
    assert rpax.make("extensive/g1").symmetries() is None
    assert small_game.Ring().symmetries() is None


def other_play_problem(algorithm="other-play", **settings):
    config = TrainConfig(
        algorithm, "matrix/custom", payoffs=LEVERS, exact=True, symmetries=algorithm == "other-play", **settings
    )
    game = rpax.make("matrix/custom", payoffs=LEVERS)
    return make_problem(config.complete(), rpax.algorithm("sp"), game)


def base_of(*probabilities):
    return {f"seat_{seat}": {"params": {"table": jnp.log(jnp.array([p]))}} for seat, p in enumerate(probabilities)}


def test_the_exact_gradient_is_that_of_the_mean_over_all_pairs_of_orders():
    """E_φ U(π_0, φ(π_1)) with φ from all pairs of orders; what seat 1 does as action a is φ's κ(a)."""
    first, second = np.array([0.5, 0.3, 0.2]), np.array([0.2, 0.35, 0.45])
    payoffs = np.array(LEVERS)
    pairs = all_pairs(np.stack([payoffs, payoffs], axis=-1))

    def value(first, second):
        relabelled = [np.array([second[kappa.index(a)] for a in range(3)]) for _, kappa in pairs]
        return np.mean([first @ payoffs @ other for other in relabelled])

    with jax.enable_x64(True):
        problem = other_play_problem()
        gradient = exact_base_gradients(problem, {"base_0": base_of(first, second)}, {})["base_0"]
    for seat, own in enumerate((first, second)):
        # ∂/∂logits of a function that is linear in the probabilities: p_a (value of a − mean value).
        of_action = [value(np.eye(3)[a], second) if seat == 0 else value(first, np.eye(3)[a]) for a in range(3)]
        expected = own * (np.array(of_action) - own @ of_action)
        np.testing.assert_allclose(gradient[f"seat_{seat}"]["params"]["table"][0], expected, atol=1e-12)


@pytest.mark.parametrize(
    ("algorithm", "lever", "value", "with_its_twin"), [("sp", 0, 1.0, 0.0), ("other-play", 2, 0.9, 0.9)]
)
def test_other_play_pulls_the_lever_that_nobody_can_confuse(algorithm, lever, value, with_its_twin):
    """From one start self-play ends with one of the two equal levers, Other-Play with the third.

    Pulling 0 is worth 0.42 to self-play and (0.42 + 0.18) / 2 = 0.3 to Other-Play; the third is worth 0.36 to both.
    """
    start = np.array([0.42, 0.18, 0.40])
    with jax.enable_x64(True):
        problem = other_play_problem(algorithm, base_rate=1.0)
        state = initial_state(problem, key_data(0), exact=True)._replace(base={"base_0": base_of(start, start)})
        step = jax.jit(lambda state: exact_step(problem, state)[0])
        for _ in range(400):
            state = step(state)
        tables = [problem.policies["base_0"].table(state.base["base_0"], seat, jnp.eye(1))[0] for seat in (0, 1)]
    first, second = map(np.asarray, tables)
    assert first.argmax() == second.argmax() == lever
    assert first @ np.array(LEVERS) @ second == pytest.approx(value, abs=0.05)
    # Its twin learned with the names of the first two levers exchanged.
    assert first @ np.array(LEVERS) @ second[[1, 0, 2]] == pytest.approx(with_its_twin, abs=0.05)


def test_seat_1_sees_and_acts_through_the_symmetry_of_its_episode():
    game = rpax.make("hanabi/3x3")
    symmetries = game.symmetries()
    other_play = OtherPlay(game, symmetries)
    states = jax.jit(jax.vmap(other_play.reset))(jax.random.split(jax.random.key(0), 600))
    counts = np.bincount(np.asarray(states.symmetry), minlength=6)
    np.testing.assert_allclose(counts / 600, 1 / 6, atol=5 * np.sqrt(5 / 36 / 600))
    inside = jax.tree.map(lambda leaf: leaf[0], states.game)
    for number in range(symmetries.count):
        state = RelabelledState(inside, jnp.asarray(number, jnp.int32))
        seen, plain = other_play.observe(state), game.observe(inside)
        np.testing.assert_array_equal(seen[0], plain[0])
        np.testing.assert_array_equal(seen[1], np.asarray(plain[1])[symmetries.observations[number]])
        legal, allowed = other_play.legal_actions(state), game.legal_actions(inside)
        np.testing.assert_array_equal(legal[0], allowed[0])
        np.testing.assert_array_equal(legal[1], np.asarray(allowed[1])[symmetries.actions[number]])


def test_self_play_in_other_play_returns_the_mean_over_symmetries():
    game = rpax.make("matrix/custom", payoffs=LEVERS)
    other_play = OtherPlay(game, game.symmetries())
    key_start, key_step = jax.random.split(jax.random.key(2))
    states = jax.vmap(other_play.reset)(jax.random.split(key_start, 4000))
    for action, mean in ((0, 0.5), (1, 0.5), (2, 0.9)):
        actions = jnp.full((4000, 2), action)
        paid = jax.vmap(other_play.step)(jax.random.split(key_step, 4000), states, actions).rewards
        np.testing.assert_allclose(np.mean(np.asarray(paid), axis=0), mean, atol=5 * 0.5 / np.sqrt(4000))


def recoloured(state, order):
    """A Hanabi state with its colours in another order."""

    def cards(array):
        return np.asarray(array)[..., order, :]

    game, (colors, ranks) = state.game, state.fireworks.shape
    knowledge = np.asarray(game.card_knowledge).reshape(2, -1, colors, ranks)
    return state._replace(
        game=game.replace(
            deck=cards(game.deck),
            discard_pile=cards(game.discard_pile),
            fireworks=cards(game.fireworks),
            player_hands=cards(game.player_hands),
            card_knowledge=cards(knowledge).reshape(game.card_knowledge.shape),
            colors_revealed=np.asarray(game.colors_revealed)[..., order],
        ),
        hands=cards(state.hands),
        fireworks=cards(state.fireworks),
    )


def test_hanabi_with_its_colours_in_another_order_is_the_same_game():
    game = rpax.make("hanabi/3x3")
    symmetries, observe, legal_actions = game.symmetries(), jax.jit(game.observe), jax.jit(game.legal_actions)
    step, draw = jax.jit(game.step), jax.jit(lambda key, state: random_actions(game, key, state))
    state = game.reset(jax.random.key(4))
    orders = list(itertools.permutations(range(3)))
    assert symmetries.count == len(orders)
    for time in range(18):
        for number, order in enumerate(orders):
            actions = symmetries.actions[number]
            # The last move is called otherwise as well.
            same = recoloured(state, list(order))._replace(
                action=jnp.asarray(actions.tolist().index(int(state.action)), jnp.int32)
            )
            for seat in (0, 1):
                expected = np.asarray(observe(state)[seat])[symmetries.observations[number]]
                np.testing.assert_allclose(observe(same)[seat], expected, rtol=1e-6)
                allowed = np.asarray(legal_actions(state)[seat])[actions]
                np.testing.assert_array_equal(legal_actions(same)[seat], allowed)
        key_act, key_step = jax.random.split(jax.random.fold_in(jax.random.key(9), time))
        moves = draw(key_act, state)
        transition = step(key_step, state, moves)
        # Called otherwise, the same move does the same in the same game.
        called = jnp.asarray([actions.tolist().index(int(move)) for move in moves])
        again = step(key_step, same, called)
        assert again.rewards.tolist() == transition.rewards.tolist()
        assert bool(again.done) == bool(transition.done)
        expected = recoloured(transition.state, list(order))
        jax.tree.map(np.testing.assert_array_equal, again.state._replace(action=expected.action), expected)
        if transition.done:
            break
        state = transition.state
    assert time > 5


def swapped(state, *, turned):
    """A state of STORM with its colours swapped and, where its coins are fixed, turned by half a turn."""
    state = state._replace(inventory=state.inventory[:, ::-1])
    if not turned:
        return state._replace(blue=~state.blue)
    # The cells of coins are listed so that turning reverses them.
    np.testing.assert_array_equal(4 - COIN_CELLS, COIN_CELLS[::-1])
    return state._replace(
        position=jnp.int8(4) - state.position,
        facing=(state.facing + 2) & 3,
        blue=~state.blue[::-1],
        coin=state.coin[::-1],
    )


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("storm", {}),
        ("storm/independent", {}),
        ("storm/unobserved", {}),
        ("storm/sabotage", {"coins": "shuffled"}),
        ("storm", {"coins": "shuffled", "spawn_facings": 3}),
        ("storm", {"payoffs": [[1, 0.5], [0.5, 1]]}),
    ],
)
def test_storm_with_its_colours_swapped_is_the_same_game(name, options):
    game = rpax.make(name, **options)
    turned = options.get("coins") != "shuffled"
    symmetries = game.symmetries()
    np.testing.assert_array_equal(symmetries.actions, np.tile(np.arange(game.spaces[1].num_actions), (2, 1)))
    assert sorted(map(tuple, SPAWNS.tolist())) == sorted(map(tuple, (4 - SPAWNS).tolist()))

    def both(key, state):
        key_chance, key_act = jax.random.split(key)
        words = jax.random.bits(key_chance, (2,), jnp.uint32)
        chance = game._chance(words)
        same_chance = chance
        if turned:
            same_chance = Chance(chance.seat_0_wins, jnp.int8(4) - chance.position, (chance.facing + 2) & 3)
        actions = random_actions(game, key_act, state)
        one = game.play(state, actions, chance)
        other = game.play(swapped(state, turned=turned), actions, same_chance)
        return one, other, game.observe(state), game.observe(swapped(state, turned=turned))

    play = jax.jit(jax.vmap(both))
    states = jax.vmap(game.reset)(jax.random.split(jax.random.key(1), 200))
    for time in range(game.horizon - 1):
        one, other, seen, same = play(jax.random.split(jax.random.fold_in(jax.random.key(2), time), 200), states)
        jax.tree.map(
            np.testing.assert_array_equal, other.state, jax.vmap(lambda s: swapped(s, turned=turned))(one.state)
        )
        np.testing.assert_array_equal(one.rewards, other.rewards)
        for seat in (0, 1):
            np.testing.assert_array_equal(same[seat], np.asarray(seen[seat])[:, symmetries.observations[1]])
        states = one.state


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("storm/sabotage", {}),
        ("storm", {"spawn_facings": 3}),
        ("storm", {"payoffs": [[1, 0], [0, 0.9]]}),
        ("storm", {"payoffs": [[1, 0.5], [0, 1]], "coins": "shuffled"}),
    ],
)
def test_storm_whose_colours_differ_has_no_symmetries(name, options):
    assert rpax.make(name, **options).symmetries() is None
