import itertools

import numpy as np
import pytest
from numpy.testing import assert_allclose

import rpax
from rpax.environments.matrix import normal_form
from rpax.environments.tabular_game import END, TabularGame
from rpax.errors import InputError
from rpax.evaluation import sequence_form
from rpax.evaluation.rationality import rationality
from rpax.evaluation.sequence_form import InformationSet, game_rationality

MATRIX_GAMES = ["matrix/figure-2", "matrix/figure-13", "matrix/figure-14", "matrix/figure-17"]
START = InformationSet((), 0)


def common(next_state, payoffs):
    """A game in which both seats are paid ``payoffs`` [S, n, m]."""
    payoffs = np.asarray(payoffs, float)
    return TabularGame("test", np.array(next_state), np.stack([payoffs, payoffs], axis=-1))


def ends(own=2, co=2):
    return np.full((own, co), END)


@pytest.mark.parametrize("seat", [0, 1])
@pytest.mark.parametrize("name", MATRIX_GAMES)
def test_matrix_games_agree_with_the_normal_form(name, seat):
    game = rpax.make(name)
    matrix = game.payoff_matrix(seat)
    rng = np.random.default_rng(3)
    for policy in [*np.eye(len(matrix)), *rng.dirichlet(np.full(len(matrix), 0.5), size=6)]:
        result, expected = game_rationality(game, seat, policy[None]), rationality(matrix, policy)
        assert result.gap == pytest.approx(expected.gap, rel=1e-9, abs=1e-12)
        assert result.lower_bound == pytest.approx(expected.gap, rel=1e-9, abs=1e-12)
        assert result.rational == expected.rational
        witness = matrix @ result.co_policy[START]
        assert witness.max() - policy @ witness == pytest.approx(result.gap, abs=1e-12)


@pytest.mark.parametrize("seat", [0, 1])
def test_random_one_state_games_of_two_payoffs(seat):
    rng = np.random.default_rng(4)
    for _ in range(30):
        game = normal_form("test", rng.normal(size=(2, *rng.integers(2, 6, 2))) + rng.integers(-3, 4) * 1e6)
        matrix = game.payoff_matrix(seat)
        policy = rng.dirichlet(np.full(len(matrix), 0.5))
        expected = rationality(matrix, policy)
        assert game_rationality(game, seat, policy[None]).gap == pytest.approx(expected.gap, rel=1e-7, abs=1e-9)


@pytest.mark.parametrize("seat", [0, 1])
@pytest.mark.parametrize("name", ["extensive/g1", "extensive/g2", "extensive/g3"])
def test_every_policy_of_the_extensive_games_is_rational(name, seat):
    """Some partner makes all plans worth the same, so each policy, the optimal one included, is a best response to it.

    g1: a partner that plays the wrong action in state 0 leaves 0 to everybody. g2 and g3: a partner that mixes evenly
    in the states that match actions wins half (a quarter) of the time whatever the other seat does.
    """
    game = rpax.make(name)
    rng = np.random.default_rng(5)
    right = {"extensive/g1": [(0, 1), (0, 0), (1, 0), (1, 1), (0, 1)], "extensive/g2": [(0, 0)]}
    optimal = np.eye(2)[[0] * game.num_states]
    for state, actions in enumerate(right.get(name, [(0, 0), (1, 0)])):
        optimal[state] = np.eye(2)[actions[seat]]
    for policy in [optimal, np.full_like(optimal, 0.5), *rng.dirichlet([0.3, 0.3], size=(5, game.num_states))]:
        result = game_rationality(game, seat, policy)
        assert result.gap == pytest.approx(0, abs=1e-14)
        assert result.rational


@pytest.mark.parametrize("mistake", [0, 1e-6, 0.25, 1])
def test_a_dominated_action_in_the_second_stage(mistake):
    """Both first actions lead to state 1, where action 0 pays 1 and action 1 pays 0: P(action 1) is lost for sure."""
    game = common([[[1, 1], [1, 1]], ends()], [np.zeros((2, 2)), [[1, 1], [0, 0]]])
    for seat, gap in [(0, mistake), (1, 0)]:
        result = game_rationality(game, seat, [[0.5, 0.5], [1 - mistake, mistake]])
        assert result.gap == pytest.approx(gap, abs=1e-14)
        assert result.rational == (gap == 0)
    if mistake:
        better = game_rationality(game, 0, [[0.5, 0.5], [1 - mistake, mistake]]).dominating_policy
        for memory, probabilities in better.items():
            if memory.state == 1:
                assert_allclose(probabilities, [1, 0], atol=1e-12)


def test_a_dominated_action_that_is_never_reached_costs_nothing():
    """Action 0 ends with 2; action 1 leads to state 1, where 1 at most can be had: what is played there is irrelevant.

    With P(action 1 at first) = t the policy earns 2(1 − t) + 0: a best response earns 2, so the gap is 2t.
    """
    game = common([[[END, END], [1, 1]], ends()], [[[2, 2], [0, 0]], [[1, 1], [0, 0]]])
    assert game_rationality(game, 0, [[1, 0], [0, 1]]).gap == pytest.approx(0, abs=1e-14)
    for late in (0.25, 1):
        assert game_rationality(game, 0, [[1 - late, late], [0, 1]]).gap == pytest.approx(2 * late, abs=1e-14)


def test_one_witness_must_excuse_all_stages_together():
    """The witness would excuse the second stage by avoiding it, but then it does not excuse the first.

    State 0: matching the co-player's action pays 3. Its action 0 leads to state 1, where own action 1 costs 1 against
    everything; its action 1 ends. The policy plays 0, then 1. With q = P(co-action 0), the policy earns 3q − q and a
    best response max(3q, 3(1 − q)): the gap is q for q ≥ 1/2 and 3 − 5q below, so 1/2 at q = 1/2.
    """
    game = common([[[1, END], [1, END]], ends()], [[[3, 0], [0, 3]], [[0, 0], [-1, -1]]])
    result = game_rationality(game, 0, [[1, 0], [0, 1]])
    assert result.gap == pytest.approx(0.5, abs=1e-14)
    assert_allclose(result.co_policy[START], [0.5, 0.5], atol=1e-12)


@pytest.mark.parametrize(("bonus", "gap"), [(0.5, 0), (1, 0), (1.5, 0.5), (3, 2)])
def test_a_witness_may_reward_by_what_it_remembers(bonus, gap):
    """Own action 1 pays a bonus at once; afterwards the co-player may give 1 or nothing.

    Equal actions lead to state 1, different ones to state 2, so the co-player, who remembers its own action, knows the
    other's. It makes action 0 worth at most 1 more than action 1: action 0 is rational up to a bonus of 1.
    """
    gift = [[0, 1], [0, 1]]
    game = common([[[1, 2], [2, 1]], ends(), ends()], [[[0, 0], [bonus, bonus]], gift, gift])
    result = game_rationality(game, 0, [[1, 0], [0.5, 0.5], [0.5, 0.5]])
    assert result.gap == pytest.approx(gap, abs=1e-14)
    if bonus >= 1:
        for memory, probabilities in result.co_policy.items():
            if memory.history:
                (_, own_action), state = memory.history[0], memory.state
                other_played_0 = (own_action == 0) == (state == 1)
                assert_allclose(probabilities, [0, 1] if other_played_0 else [1, 0], atol=1e-9)


def pure_strategies(game, seat, memory=START):
    """Every pure strategy from ``memory`` on, as {information set: action}, own unreachable sets left out."""
    next_state = game.next_state if seat == 0 else game.next_state.swapaxes(1, 2)
    strategies = []
    for action in range(next_state.shape[1]):
        following = [int(s) for s in np.unique(next_state[memory.state, action]) if s != END]
        history = (*memory.history, (memory.state, action))
        later = [pure_strategies(game, seat, InformationSet(history, state)) for state in following]
        for choice in itertools.product(*later):
            strategies.append({memory: action} | {k: v for part in choice for k, v in part.items()})
    return strategies


def play(game, seat, strategies):
    """What ``seat`` earns when seat 0 and seat 1 play the given pure strategies."""
    total, state, histories = 0.0, 0, [(), ()]
    while state != END:
        actions = tuple(
            strategy[InformationSet(history, state)] for strategy, history in zip(strategies, histories, strict=True)
        )
        total += game.payoffs[(state, *actions, seat)]
        histories = [(*history, (state, action)) for history, action in zip(histories, actions, strict=True)]
        state = int(game.next_state[(state, *actions)])
    return total


def induced_payoffs(game, seat, own, co):
    order = (lambda a, b: (a, b)) if seat == 0 else (lambda a, b: (b, a))
    return np.array([[play(game, seat, order(a, b)) for b in co] for a in own])


def mixture(strategies, probabilities_in):
    """The mixture over pure strategies that a behavioural strategy amounts to (Kuhn 1953)."""
    weights = [np.prod([probabilities_in(memory)[a] for memory, a in pure.items()]) for pure in strategies]
    assert sum(weights) == pytest.approx(1, abs=1e-9)
    return np.array(weights)


def random_game(rng, *, widths, own, co, integer):
    """State 0, then layers of the given widths; joint actions lead to the next layer or end the game."""
    layers = [[0]]
    for width in widths:
        layers.append(list(range(layers[-1][-1] + 1, layers[-1][-1] + 1 + width)))
    states = layers[-1][-1] + 1
    next_state = np.full((states, own, co), END)
    for layer, following in itertools.pairwise(layers):
        for state in layer:
            next_state[state] = rng.choice([*following, END], (own, co))
    shape = (states, own, co, 2)
    return TabularGame("random", next_state, rng.integers(-2, 3, shape) if integer else rng.normal(size=shape))


def check_against_the_induced_normal_form(game, seat, policy):
    """Gap, witness and dominating strategy of the sequence form, in the normal form of all pure strategies."""
    own, co = pure_strategies(game, seat), pure_strategies(game, 1 - seat)
    payoffs = induced_payoffs(game, seat, own, co)
    mixed = mixture(own, lambda memory: policy[memory.state])
    result, expected = game_rationality(game, seat, policy), rationality(payoffs, mixed)
    assert result.gap == pytest.approx(expected.gap, rel=1e-9, abs=1e-11)
    assert result.gap == pytest.approx(result.lower_bound, rel=1e-9, abs=1e-11)
    assert result.rational == expected.rational

    other = game.spaces[1 - seat].num_actions
    values = payoffs @ mixture(co, lambda memory: result.co_policy.get(memory, np.full(other, 1 / other)))
    assert values.max() - mixed @ values == pytest.approx(result.gap, abs=1e-11)
    if result.dominating_policy is not None:
        uniform = np.full(policy.shape[1], 1 / policy.shape[1])
        better = mixture(own, lambda memory: result.dominating_policy.get(memory, uniform))
        assert ((better - mixed) @ payoffs).min() == pytest.approx(result.gap, rel=1e-9, abs=1e-11)
    return result


@pytest.mark.parametrize("seat", [0, 1])
@pytest.mark.parametrize("name", ["extensive/g2", "extensive/g3"])
def test_extensive_games_equal_their_induced_normal_form(name, seat):
    """With their own payoffs (all gaps 0) and with random ones on the same moves, where the policy is irrational."""
    game = rpax.make(name)
    rng = np.random.default_rng(6)
    policy = rng.dirichlet([1, 1], size=game.num_states)
    assert check_against_the_induced_normal_form(game, seat, policy).rational
    paid = TabularGame("paid", game.next_state, rng.normal(size=game.payoffs.shape))
    assert check_against_the_induced_normal_form(paid, seat, policy).gap > 0.01


def test_random_games_of_two_and_three_stages_equal_their_induced_normal_form():
    rng = np.random.default_rng(7)
    irrational = 0
    for index in range(80):
        two_stages = index % 4 != 0
        widths, own, co = ((3,), *rng.integers(2, 4, 2)) if two_stages else ((2, 2), 2, 2)
        game = random_game(rng, widths=widths, own=own, co=co, integer=index % 2 == 0)
        seat = int(rng.integers(2))
        actions = (own, co)[seat]
        policy = rng.dirichlet(np.full(actions, 0.4), size=game.num_states)
        if index % 5 == 0:
            policy = np.eye(actions)[policy.argmax(axis=1)]
        irrational += not check_against_the_induced_normal_form(game, seat, policy).rational
    assert 20 < irrational < 80


def test_constant_payoffs_make_everything_rational():
    game = common([[[1, 1], [1, 1]], ends()], np.zeros((2, 2, 2)))
    result = game_rationality(game, 1, [[0.3, 0.7], [1, 0]])
    assert result.gap == 0
    assert result.rational


def test_strategies_name_reachable_memories_only_and_say_them_in_words():
    game = rpax.make("extensive/g2")
    result = game_rationality(game, 0, np.full((5, 2), 0.5))
    for memory, probabilities in result.co_policy.items():
        assert probabilities.sum() == pytest.approx(1, abs=1e-14)
        for step, (state, action) in enumerate(memory.history):
            assert result.co_policy[InformationSet(memory.history[:step], state)][action] > 0
    memory = InformationSet(((0, 1), (3, 0)), 4)
    assert str(memory) == memory.describe() == "0:1 → 3:0 → 4"
    figure_2 = rpax.make("matrix/figure-2").spaces[1]
    assert InformationSet(((0, 2),), 0).describe(figure_2) == "0:E → 0"


def test_a_policy_in_a_state_that_is_never_visited_does_not_matter():
    game = common([ends(), ends()], [[[1, 0], [0, 1]], [[5, 5], [-5, -5]]])
    for unvisited in ([1, 0], [0, 1]):
        assert game_rationality(game, 0, [[0.5, 0.5], unvisited]).gap == pytest.approx(0, abs=1e-14)


@pytest.mark.parametrize(
    ("policy", "message"),
    [
        ([0.5, 0.5], r"shape \(2,\); give \(5, 2\)"),
        (np.full((4, 2), 0.5), r"shape \(4, 2\); give \(5, 2\)"),
        (np.full((5, 2), 0.4), "policy in state 0 sums to 0.8"),
        ([*[[0.5, 0.5]] * 4, [1.2, -0.2]], "policy in state 4 contains -0.2"),
        (np.full((5, 2), np.nan), "contains nan"),
        ([[1, 0], [1]], "rows of equal length"),
        ("uniform", "must be real numbers"),
    ],
)
def test_wrong_policy(policy, message):
    with pytest.raises(InputError, match=message) as caught:
        game_rationality(rpax.make("extensive/g2"), 0, policy)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("seat", [2, -1, "0", True, None, 0.0])
def test_wrong_seat(seat):
    with pytest.raises(InputError, match="does not exist; give 0 or 1"):
        game_rationality(rpax.make("extensive/g2"), seat, np.full((5, 2), 0.5))


def test_a_game_that_is_no_table():
    with pytest.raises(InputError, match="is no TabularGame"):
        game_rationality([[1, 0], [0, 1]], 0, [[0.5, 0.5]])  # pyright: ignore[reportArgumentType]


def test_a_game_too_large_for_the_linear_program(monkeypatch):
    monkeypatch.setattr(sequence_form, "HISTORIES_MOST", 8)
    with pytest.raises(InputError, match="more than 8 joint histories, too many for the exact gap; train"):
        game_rationality(rpax.make("extensive/g2"), 0, np.full((5, 2), 0.5))
