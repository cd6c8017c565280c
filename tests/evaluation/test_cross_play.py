"""Cross-play against a plain Python loop over episodes, enumeration, and what must not change anything."""

import jax
import numpy as np
import pytest
import small_game  # noqa: F401  (registers the ring)
from numpy.testing import assert_allclose, assert_array_equal

import rpax
from rpax.evaluation.cross_play import Cell, Entrant, cells_of, play_cells
from rpax.policies.agent import make_agent_policy
from rpax.policies.networks import CNN, GRU, MLP, Tabular
from rpax.runs.agent import Agent


def entrant(env, name, network, number, *, shared=True, seats=(0, 1)) -> Entrant:
    """An agent with random parameters, large enough that policies differ."""
    policy = make_agent_policy(env.spaces, seats, shared=shared, make_network=network)
    parameters = jax.tree.map(lambda leaf: 3.0 * np.asarray(leaf), policy.init(jax.random.key(number)))
    return Entrant(name, "group", name, policy, parameters)


def small_mlp(actions):
    return MLP(actions, (8,), output_scale=1.0)


def play(env, entrants, cells=None, **settings):
    settings = {"episodes": 64, "seed": 0} | settings
    return dict(play_cells(env, entrants, cells_of(entrants) if cells is None else cells, **settings))


def play_in_python(env, first, second, episodes, seed, *, greedy=False) -> np.ndarray:
    """Episode after episode, step after step, with NumPy's random numbers: the returns [episodes, 2]."""
    rng = np.random.default_rng(seed)
    step, observe, reset = jax.jit(env.step), jax.jit(env.observe), jax.jit(env.reset)
    probabilities = [
        jax.jit(lambda seen, e=e, seat=seat: Agent(e.name, e.policy, e.parameters).probabilities(seen, seat))
        for seat, e in enumerate((first, second))
    ]
    returns = np.zeros((episodes, 2))
    for episode in range(episodes):
        state, done = reset(jax.random.key(rng.integers(2**31))), False
        while not done:
            chances = [np.asarray(p(o[None]))[0] for p, o in zip(probabilities, observe(state), strict=True)]
            acts = [int(c.argmax()) if greedy else int(rng.choice(len(c), p=c / c.sum())) for c in chances]
            moved = step(jax.random.key(rng.integers(2**31)), state, np.array(acts))
            returns[episode] += np.asarray(moved.rewards)
            state, done = moved.state, bool(moved.done)
    return returns


@pytest.mark.parametrize("greedy", [False, True])
def test_cell_means_agree_with_a_python_loop_over_episodes(greedy):
    """Independent random numbers, so means agree within five standard errors of their difference."""
    env = rpax.make("small/ring")
    entrants = [entrant(env, "a", small_mlp, 0), entrant(env, "b", small_mlp, 1)]
    played = play(env, entrants, episodes=2000, greedy=greedy)
    for (i, j), cell in played.items():
        returns = play_in_python(env, entrants[i], entrants[j], 150, seed=7 * i + j, greedy=greedy)
        for seat in (0, 1):
            error = np.sqrt(cell.std[seat] ** 2 / cell.episodes + returns[:, seat].var(ddof=1) / len(returns))
            assert abs(cell.mean[seat] - returns[:, seat].mean()) <= 5 * error + 1e-6
    means = [cell.mean[0] for cell in played.values()]
    assert np.ptp(means) > 0.5, "the policies are too much alike to tell anything"


def test_cells_of_a_matrix_game_are_the_enumerated_returns():
    env = rpax.make("matrix/figure-14")
    entrants = [entrant(env, f"a{n}", Tabular, n, shared=False) for n in range(2)]
    table = {
        (n, seat): np.asarray(e.policy.table(e.parameters, seat, env.all_observations()))[0]
        for n, e in enumerate(entrants)
        for seat in (0, 1)
    }
    for (i, j), cell in play(env, entrants, episodes=4000).items():
        for seat in (0, 1):
            exact = table[i, 0] @ env.payoffs[0, :, :, seat] @ table[j, 1]
            assert abs(cell.mean[seat] - exact) <= 5 * cell.std[seat] / np.sqrt(4000) + 1e-6


def test_two_copies_of_a_policy_play_identical_cells():
    env = rpax.make("small/ring")
    first, other = entrant(env, "a", small_mlp, 0), entrant(env, "b", small_mlp, 1)
    copy = Entrant("copy", "another group", "another seed", first.policy, first.parameters)
    played = play(env, [first, copy, other])
    assert played[0, 0] == played[0, 1] == played[1, 0] == played[1, 1]
    assert played[0, 2] == played[1, 2]
    assert played[2, 0] == played[2, 1]
    assert played[0, 2] != played[0, 0]


def test_a_cell_does_not_depend_on_who_else_plays_or_on_the_number_of_devices(monkeypatch):
    env = rpax.make("small/ring")
    entrants = [entrant(env, name, small_mlp, number) for number, name in enumerate("abc")]
    everybody = play(env, entrants)
    alone = play(env, [entrants[2], entrants[0]], cells=[(0, 1)])
    assert alone[0, 1] == everybody[2, 0]
    monkeypatch.setattr(jax, "local_devices", lambda: jax.devices()[:1])
    assert play(env, entrants) == everybody


@pytest.mark.slow
def test_agents_with_different_networks_play_together():
    """MLP, GRU and CNN; the rows of the MLP are what they are without the others."""
    env = rpax.make("small/picture")
    networks = {
        "mlp": small_mlp,
        "gru": lambda actions: GRU(actions, (8,), 4, output_scale=1.0),
        "cnn": lambda actions: CNN(actions, (4,), (8,), output_scale=1.0),
    }
    entrants = [entrant(env, name, network, number) for number, (name, network) in enumerate(networks.items())]
    played = play(env, entrants, episodes=1000)
    assert len(played) == 9
    for (i, j), cell in played.items():
        if entrants[i].name != "gru" != entrants[j].name:
            returns = play_in_python(env, entrants[i], entrants[j], 100, seed=i + 3 * j)
            error = np.sqrt(cell.std[0] ** 2 / cell.episodes + returns[:, 0].var(ddof=1) / len(returns))
            assert abs(cell.mean[0] - returns[:, 0].mean()) <= 5 * error + 1e-6
    assert play(env, entrants[:1], episodes=1000)[0, 0] == played[0, 0]


def test_whoever_plays_one_seat_only_meets_the_others_there():
    env = rpax.make("matrix/figure-2")
    front = entrant(env, "front", Tabular, 0, shared=False, seats=(0,))
    back = entrant(env, "back", Tabular, 1, shared=False, seats=(1,))
    both = entrant(env, "both", Tabular, 2, shared=False)
    assert cells_of([front, back, both]) == [(0, 1), (0, 2), (2, 1), (2, 2)]


def test_a_cell_holds_means_and_standard_deviations():
    returns = np.array([[1.0, 3.0], [3.0, 3.0], [5.0, 0.0]])
    cell = Cell.of(returns)
    assert_allclose(cell.mean, [3.0, 2.0, 2.5])
    assert_allclose(cell.std, [2.0, np.sqrt(3.0), np.std([2.0, 3.0, 2.5], ddof=1)])
    assert cell.episodes == 3


def test_more_episodes_than_fit_at_once_are_played_in_batches(monkeypatch):
    monkeypatch.setattr("rpax.evaluation.cross_play._MOST_ENVS", 16)
    env = rpax.make("small/ring")
    played = play(env, [entrant(env, "a", small_mlp, 0)], episodes=50)
    assert played[0, 0].episodes == 50


def test_one_program_serves_any_number_of_agents(monkeypatch):
    """Counts how often the game's step is traced."""
    env = rpax.make("small/ring")
    entrants = [entrant(env, str(number), small_mlp, number) for number in range(4)]
    traced = []
    monkeypatch.setattr(type(env), "observe_encoded", _counting(type(env).observe_encoded, traced))
    play(env, entrants[:1], episodes=8)
    once = len(traced)
    traced.clear()
    play(env, entrants, episodes=8)
    assert 0 < len(traced) <= once


def _counting(function, calls):
    def counted(*arguments):
        calls.append(arguments)
        return function(*arguments)

    return counted


def test_greedy_agents_always_do_the_same():
    env = rpax.make("matrix/figure-2")
    agents = [entrant(env, str(number), Tabular, number, shared=False) for number in range(3)]
    tables = [[np.asarray(e.policy.table(e.parameters, s, env.all_observations()))[0] for s in (0, 1)] for e in agents]
    for (i, j), cell in play(env, agents, greedy=True).items():
        payoff = env.payoffs[0, tables[i][0].argmax(), tables[j][1].argmax()]
        assert_array_equal(cell.std, 0)
        assert_allclose(cell.mean[:2], payoff)
