"""The games against their written rules, what they refuse, the registry, and an environment of the user's own."""

import itertools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import rpax
from rpax.environments import registry
from rpax.environments.tabular_game import END, TabularGame, TabularState
from rpax.objectives.plan import Pairing
from rpax.policies.agent import make_agent_policy
from rpax.policies.networks import Tabular
from rpax.training.problem import key_data
from rpax.training.rollout import roll_out, start_streams

#: What (seat 0's row, seat 1's column) pays to (seat 0, seat 1), as in the paper's figures.
MATRIX_GAMES = {
    "matrix/figure-2": {
        "A": {"C": (1, 1), "D": (0, 0), "E": (-1, -1)},
        "B": {"C": (0, 0), "D": (1, 1), "E": (-1, -1)},
    },
    "matrix/figure-13": {
        "A": {"C": (1, 1), "D": (0.9, 0.9), "E": (0, 0)},
        "B": {"C": (0, 0), "D": (-1, -1), "E": (1, 1)},
    },
    "matrix/figure-14": {
        "A": {"C": (3, 2), "D": (0, 0), "E": (-1, -1)},
        "B": {"C": (1, 1), "D": (2, 3), "E": (-1, -1)},
    },
    "matrix/figure-17": {
        "rock": {"rock": (0, 0), "paper": (-1, 1), "scissors": (1, -1)},
        "paper": {"rock": (1, -1), "paper": (0, 0), "scissors": (-1, 1)},
        "scissors": {"rock": (-1, 1), "paper": (1, -1), "scissors": (0, 0)},
    },
}


@pytest.mark.parametrize("name", list(MATRIX_GAMES))
def test_matrix_games_pay_what_the_figures_say(name):
    game, table = rpax.make(name), MATRIX_GAMES[name]
    rows, columns = list(table), list(next(iter(table.values())))
    assert [space.num_actions for space in game.spaces] == [len(rows), len(columns)]
    assert game.horizon == 1
    for (a, row), (b, column) in itertools.product(enumerate(rows), enumerate(columns)):
        assert (game.spaces[0].name_of(a), game.spaces[1].name_of(b)) == (row, column)
        transition = game.step(key_data(0), game.reset(key_data(0)), jnp.array([a, b]))
        assert_allclose(transition.rewards, table[row][column])
        assert bool(transition.done)
        assert (game.payoff_matrix(0)[a, b], game.payoff_matrix(1)[b, a]) == table[row][column]


def rules_of_g1(state: int, a: int, b: int) -> tuple[int, float]:
    """A chain of agreed joint actions; state 10 rejects, the step taken from state 5 pays 1 and ends."""
    if state == 5:
        return END, 1.0
    following = state + 1
    if state < 5 and (a, b) != [(0, 1), (0, 0), (1, 0), (1, 1)][state % 4]:
        following = state + 6
    return (END if following == 10 else following), 0.0


def rules_of_g2(state: int, a: int, b: int) -> tuple[int, float]:
    """Equal actions in state 0 lead to the state that pays."""
    return {0: 1 if a == b else 3, 1: 2, 2: END, 3: 4, 4: END}[state], float(state == 2)


def rules_of_g3(state: int, a: int, b: int) -> tuple[int, float]:
    """Match in state 0, then mismatch in state 1."""
    after_first_states = state + 1 if a == (b + state) % 2 else state + 3
    return {0: after_first_states, 1: after_first_states, 2: END, 3: 4, 4: END}[state], float(state == 2)


RULES = {"extensive/g1": (rules_of_g1, 10), "extensive/g2": (rules_of_g2, 5), "extensive/g3": (rules_of_g3, 5)}


@pytest.mark.parametrize("name", list(RULES))
def test_extensive_games_follow_their_rules_in_every_state(name):
    """All states × joint actions in one compiled and vmapped call, with the reset that follows an end."""
    rules, states = RULES[name]
    game = rpax.make(name)
    assert game.num_states == states
    moves = np.array(list(itertools.product(range(states), (0, 1), (0, 1))))

    @jax.jit
    @jax.vmap
    def play(move):
        state = TabularState(move[0])
        return game.observe(state), *game.step_and_reset(key_data(0), state, move[1:])

    seen, transition, following = play(jnp.asarray(moves))
    assert_array_equal(seen[0], np.eye(states)[moves[:, 0]])
    assert_array_equal(seen[1], seen[0])
    for number, (state, a, b) in enumerate(moves):
        expected, pays = rules(state, a, b)
        assert_array_equal(transition.rewards[number], [pays, pays])
        assert_array_equal(transition.shaped[number], [0.0, 0.0])
        assert bool(transition.done[number]) == (expected == END)
        assert int(following.number[number]) == (0 if expected == END else expected)


@pytest.mark.parametrize("name", list(RULES))
def test_the_horizon_is_the_longest_way_through_the_rules(name):
    rules, _ = RULES[name]

    def longest(state: int) -> int:
        return 0 if state == END else 1 + max(longest(rules(state, a, b)[0]) for a in (0, 1) for b in (0, 1))

    game = rpax.make(name)
    assert game.horizon == longest(0)
    assert int(game.reset(key_data(7)).number) == 0


def test_custom_payoffs_are_common_or_one_matrix_a_seat():
    common = rpax.make("matrix/custom", payoffs=[[1, 2, 3], [4, 5, 6.5]])
    assert_array_equal(common.payoff_matrix(0), [[1, 2, 3], [4, 5, 6.5]])
    assert_array_equal(common.payoff_matrix(1), [[1, 4], [2, 5], [3, 6.5]])

    pair = rpax.make("matrix/custom", payoffs=(np.array([[1, 2], [3, 4], [5, 6]]), np.array([[0, 7], [8, 9], [1, 0]])))
    assert [space.num_actions for space in pair.spaces] == [3, 2]
    transition = pair.step(key_data(0), pair.reset(key_data(0)), jnp.array([1, 0]))
    assert_array_equal(transition.rewards, [3, 8])


@pytest.mark.parametrize(
    ("payoffs", "message"),
    [
        ([[1, float("nan")], [0, 1]], "payoffs contain nan"),
        ([[1, 0], [float("-inf"), 1]], "payoffs contain -inf"),
        ([[1, 2], [3]], "rows of equal length"),
        ([[[1, 2], [3, 4]], [[1, 2, 3], [4, 5, 6]]], "a pair of such matrices of the same shape"),
        ([["one", "two"], ["three", "four"]], "not a matrix of numbers"),
        ([["1", "0"], ["0", "1"]], "not a matrix of numbers"),
        ([[10**400, 0], [0, 1]], "not a matrix of numbers"),
        ({"A": 1}, "not a matrix of numbers"),
        ([[1j, 0], [0, 1]], "not a matrix of numbers"),
        ([[1, 2]], "1×2; each seat needs at least 2 actions"),
        ([[1], [2]], "2×1; each seat needs at least 2 actions"),
        ([[]], "at least 2 actions"),
        ([1, 2], r"shape \(2,\)"),
        (3.0, r"shape \(\)"),
        ([[[1, 2], [3, 4]]] * 3, r"shape \(3, 2, 2\)"),
        ("a lot", "a lot"),
        (None, "needs payoffs"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_payoffs_that_make_no_game_are_refused(payoffs, message):
    with pytest.raises(rpax.InputError, match=message):
        rpax.make("matrix/custom", payoffs=payoffs)


FREE = np.zeros((2, 2, 2, 2))


@pytest.mark.parametrize(
    ("next_state", "payoffs", "message"),
    [
        (np.full((2, 2, 2), END), np.full((2, 2, 2, 2), np.inf), "inf is not finite"),
        (np.full((2, 2, 2), END), FREE[:1], r"\[S, n, m, 2\]"),
        (np.full((2, 2), END), FREE, r"\[S, n, m\]"),
        (np.full((2, 2, 2), 2), FREE, "must lie in -1 … 1"),
        (np.full((2, 2, 2), -2), FREE, "must lie in -1 … 1"),
        (np.array([[[0, END], [END, END]]] * 2), FREE, "from state 0 play can go on forever"),
        (np.array([[[1, 1], [1, END]], [[END, 0], [END, END]]]), FREE, "play can go on forever"),
    ],
    ids=["not finite", "missing states", "missing axis", "no such state", "below the end", "loop", "cycle"],
)
def test_tables_that_make_no_game_are_refused(next_state, payoffs, message):
    with pytest.raises(rpax.InputError, match=message):
        TabularGame("broken", next_state, payoffs)


def test_a_state_may_be_reached_on_several_ways():
    """That is no cycle: 0 → 1 → 2 and 0 → 2."""
    game = TabularGame(
        "diamond", np.array([[[1, 2], [2, 1]], [[2, 2], [2, 2]], [[END] * 2] * 2]), np.zeros((3, 2, 2, 2))
    )
    assert game.horizon == 3


def test_only_one_state_games_have_a_payoff_matrix():
    with pytest.raises(rpax.InputError, match="5 states"):
        rpax.make("extensive/g2").payoff_matrix(0)


@pytest.fixture
def own_registry(monkeypatch):
    """Whatever a test registers is forgotten after it."""
    monkeypatch.setattr(registry, "ENVIRONMENTS", dict(registry.ENVIRONMENTS))


def test_unknown_names_and_options_are_refused_with_a_suggestion():
    with pytest.raises(rpax.InputError, match=r"'matrix/figur-2' is unknown; did you mean 'matrix/figure-2'\?"):
        rpax.make("matrix/figur-2")
    with pytest.raises(rpax.InputError, match="'zzz' is unknown; known: matrix/figure-2, "):
        rpax.make("zzz")
    with pytest.raises(rpax.InputError, match="no option 'payoff'; it takes payoffs"):
        rpax.make("matrix/custom", payoff=[[1, 0], [0, 1]])
    with pytest.raises(rpax.InputError, match="no option 'payoffs'; it takes none"):
        rpax.make("matrix/figure-2", payoffs=[[1, 0], [0, 1]])


@pytest.mark.parametrize("name", [*MATRIX_GAMES, *RULES])
def test_games_are_made_under_their_names(name):
    game = rpax.make(name)
    assert game.name == name
    assert isinstance(game, TabularGame)
    assert registry.ENVIRONMENTS[name].tabular


def test_an_environment_of_the_users_own_is_made_by_its_name(own_registry):
    rpax.register("mine/piles", Piles, "one line")
    assert rpax.make("mine/piles", most=3).most == 3
    assert registry.ENVIRONMENTS["mine/piles"].summary == "one line"
    with pytest.raises(rpax.InputError, match="no option 'least'; it takes most"):
        rpax.make("mine/piles", least=3)
    with pytest.raises(rpax.InputError, match="already registered"):
        rpax.register("mine/piles", Piles)
    with pytest.raises(rpax.InputError, match="already registered"):
        rpax.register("matrix/figure-2", Piles)


class Pile(NamedTuple):
    """How many counters are left, and how many steps have been made."""

    left: jax.Array
    steps: jax.Array


class Piles(rpax.Environment):
    """Seat 0 must take 1 or 2 of 2 … ``most`` counters, seat 1 watches and may bet (1) on an even rest.

    Its action 0 is never legal for seat 0, taking 2 only where 2 are left, and betting only in the first step.
    """

    one_policy_for_both_seats = False

    def __init__(self, name: str, most: int = 4) -> None:
        self.name = name
        self.most = most
        self.horizon = most
        self.spaces = (rpax.SeatSpace((most + 1,), 3), rpax.SeatSpace((2,), 2, jnp.int32))

    def reset(self, key):
        return Pile(jax.random.randint(key, (), 2, self.most + 1), jnp.zeros((), jnp.int32))

    def step(self, key, state, actions):
        left = state.left - actions[0]
        bet = jnp.where(actions[1] == 1, jnp.where(left % 2 == 0, 1, -1), 0)
        return rpax.Transition(Pile(left, state.steps + 1), jnp.stack([actions[0], bet]), left <= 0, 0.25)

    def observe(self, state):
        return jnp.arange(self.most + 1) == state.left, jnp.stack([state.left, state.steps])

    def legal_actions(self, state):
        return jnp.stack([jnp.array(False), state.left >= 1, state.left >= 2]), jnp.stack(
            [jnp.array(True), state.steps == 0]
        )


def test_an_environment_of_the_users_own_rolls_out_with_its_masks():
    """Recorded play of two pairings, replayed in plain Python from the first observation of each episode."""
    game = Piles("mine/piles", most=4)
    pairings = (Pairing("one", "two"), Pairing("two", "one"))
    policies = {
        name: make_agent_policy(game.spaces, (0, 1), shared=False, make_network=Tabular) for name in ("one", "two")
    }
    uniform = {f"seat_{seat}": {"params": {"table": jnp.zeros(shape)}} for seat, shape in enumerate([(5, 3), (2, 2)])}
    parameters = dict.fromkeys(policies, uniform)
    steps, envs = 12, 40

    @jax.jit
    def play(key):
        streams = start_streams(game, key_data(5), len(pairings), envs)
        return roll_out(game, policies, parameters, pairings, key, streams, steps)[0]

    chunk = jax.tree.map(np.asarray, play(key_data(6)))
    assert [seen.shape for seen in chunk.observations] == [(12, 2, 40, 5), (12, 2, 40, 2)]
    assert [seen.dtype for seen in chunk.observations] == [np.float32, np.int32]
    starts = set()
    for pairing, env in itertools.product(range(2), range(envs)):
        left = made = total = None
        for t in range(steps):
            one_hot, (shown_left, shown_steps) = (seen[t, pairing, env] for seen in chunk.observations)
            if chunk.first[t, pairing, env]:
                left, made, total = int(shown_left), 0, np.zeros(2)
                starts.add(left)
            assert (shown_left, shown_steps) == (left, made)
            assert_array_equal(one_hot, np.eye(5)[left])
            assert_array_equal(chunk.legal[0][t, pairing, env], [False, left >= 1, left >= 2])
            assert_array_equal(chunk.legal[1][t, pairing, env], [True, made == 0])
            take, bet = chunk.actions[t, pairing, env]
            assert take in (1, 2)
            assert take <= left
            assert bet == 0 or made == 0
            left, made = left - take, made + 1
            rewards = np.array([take, bet * (1 if left % 2 == 0 else -1)])
            total = total + rewards
            assert_array_equal(chunk.rewards[t, pairing, env], rewards)
            assert_array_equal(chunk.shaped[t, pairing, env], [0.25, 0.25])
            assert chunk.done[t, pairing, env] == (left == 0)
            assert_array_equal(chunk.episode_returns[t, pairing, env], total if left == 0 else [0, 0])
            if t + 1 < steps:
                assert chunk.first[t + 1, pairing, env] == (left == 0)
    assert starts == {2, 3, 4}
    restarts = [set(chunk.observations[1][t][chunk.first[t]][:, 0].tolist()) for t in range(1, steps)]
    assert {2, 3, 4} in restarts, "environments that restart in the same step do so independently"
    assert set(np.unique(chunk.actions[..., 1])) == {0, 1}
