"""Games in progress against whole episodes of the same agents, which another program plays."""

from typing import Any

import jax
import numpy as np
import pytest
from small_game import Ring

import rpax
from rpax.environments.protocol import Environment
from rpax.errors import InputError
from rpax.evaluation.episodes import Episode, Player
from rpax.policies.agent import make_agent_policy
from rpax.policies.networks import GRU, MLP
from rpax.policies.sources import find_agent
from rpax.runs.agent import Agent
from rpax.web.game import MOST_STEPS, Game, Programs, Sitter, fresh_key

GAMES: dict[str, dict[str, Any]] = {
    "overcooked/cramped_room": {"horizon": 12},
    "storm": {"horizon": 20},
    "hanabi/3x3": {},
    "matrix/figure-14": {},
    "extensive/g1": {},
    "small/ring": {},
}


def agent_of(environment: Environment, seed: int, memory: bool = False) -> Agent:
    """An untrained agent, whose policy is far from uniform."""

    def network(actions: int) -> Any:
        return GRU(actions, (8,), 4, 1.0) if memory else MLP(actions, (8,), 1.0)

    policy = make_agent_policy(
        environment.spaces,
        (0, 1),
        shared=environment.one_policy_for_both_seats,
        make_network=network,
    )
    parameters = jax.tree.map(lambda leaf: 2 * np.asarray(leaf), policy.init(jax.random.key(seed)))
    return Agent(f"agent_{seed}", policy, parameters)


def sitters(*agents: Agent | None) -> tuple[Sitter, Sitter]:
    seated = [
        Sitter("person", None, is_person=True) if agent is None else Sitter(agent.name, agent) for agent in agents
    ]
    return seated[0], seated[1]


def play(game: Game, decisions: Episode | None = None) -> Game:
    """To its end; people do what was done in the other episode."""
    while not game.over:
        game.step(
            {} if decisions is None else {seat: int(decisions.actions[game.length, seat]) for seat in game.people}
        )
    return game


def assert_same(found: Episode, wanted: Episode) -> None:
    assert found.length == wanted.length
    np.testing.assert_array_equal(found.actions, wanted.actions)
    np.testing.assert_allclose(found.rewards, wanted.rewards, rtol=1e-6)
    for ours, theirs in zip(found.states, wanted.states, strict=True):
        jax.tree.map(np.testing.assert_array_equal, ours, theirs)


@pytest.mark.parametrize("name", GAMES)
def test_games_are_the_episodes_that_agents_play_by_themselves(name: str) -> None:
    environment = rpax.make(name, **GAMES[name])
    first, second = agent_of(environment, 1), agent_of(environment, 2)
    programs, player = Programs(environment), Player(environment, greedy=False)
    key = jax.random.key(7)
    whole = player.play((first, second), key)
    assert_same(play(Game(programs, sitters(first, second), key)).episode, whole)
    # A person who does what the agent drew changes nothing.
    game = play(Game(programs, sitters(None, second), key), whole)
    assert_same(game.episode, whole)
    assert game.returns == pytest.approx(whole.returns)


@pytest.mark.parametrize("greedy", [False, True])
def test_people_may_sit_anywhere(greedy: bool) -> None:
    environment = Ring()
    first, second = agent_of(environment, 1), agent_of(environment, 2)
    programs, player = Programs(environment, greedy=greedy), Player(environment, greedy=greedy)
    for number in range(3):
        key = jax.random.key(number)
        whole = player.play((first, second), key)
        for agents in ((first, second), (None, second), (first, None), (None, None)):
            assert_same(play(Game(programs, sitters(*agents), key), whole).episode, whole)


def test_agents_with_a_memory_remember_what_they_do_in_whole_episodes() -> None:
    environment = Ring(horizon=8)
    first, second = agent_of(environment, 1, memory=True), agent_of(environment, 2)
    key = jax.random.key(3)
    whole = Player(environment, greedy=False).play((first, second), key)
    assert_same(play(Game(Programs(environment), sitters(first, second), key)).episode, whole)
    assert_same(play(Game(Programs(environment), sitters(first, None), key), whole).episode, whole)


def test_what_a_person_does_does_not_change_what_the_agent_draws_before_it_sees_it() -> None:
    environment = Ring()
    agent, key = agent_of(environment, 1), jax.random.key(0)
    games = [Game(Programs(environment), sitters(None, agent), key) for _ in range(3)]
    for action, game in enumerate(games):
        game.step({0: action})
    assert len({game.actions[1] for game in games if game.actions is not None}) == 1


def test_recordings_simulate_to_the_same_episode_and_say_who_played() -> None:
    environment = rpax.make("storm", horizon=6)
    agent = agent_of(environment, 1)
    whole = Player(environment, greedy=False).play((agent, agent), key := jax.random.key(5))
    game = play(
        Game(Programs(environment), (Sitter("Ada", None, is_person=True), Sitter("run:0:base_0", agent)), key), whole
    )
    recording = game.recording()
    assert [(player.name, player.kind) for player in recording.players] == [
        ("Ada", "person"),
        ("run:0:base_0", "agent"),
    ]
    assert_same(recording.simulate(), whole)
    assert recording.returns == pytest.approx(whole.returns)
    assert recording.probabilities[0] is None
    assert recording.probabilities[1] is not None
    assert recording.frames[-1].tolist() == game.values()
    for t, chances in enumerate(np.asarray(recording.probabilities[1])):
        assert chances.sum() == pytest.approx(255, abs=3)
        assert chances[whole.actions[t, 1]] > 0, "what was drawn had some probability"


def test_an_adviser_is_asked_but_does_not_decide() -> None:
    environment = Ring()
    adviser, agent = agent_of(environment, 1), agent_of(environment, 2)
    whole = Player(environment, greedy=False).play((adviser, agent), key := jax.random.key(1))
    game = Game(Programs(environment), (Sitter("person", adviser, is_person=True), Sitter("agent", agent)), key)
    chances = game.chances(0)
    assert chances is not None
    expected = adviser.probabilities(np.asarray(environment.observe(whole.states[0])[0])[None])[0]
    np.testing.assert_allclose(chances, expected, rtol=1e-5)
    other = (int(whole.actions[0, 0]) + 1) % 3
    game.step({0: other})
    assert game.actions == (other, int(whole.actions[0, 1]))
    assert play(game, whole).recording().probabilities[0] is None


def test_only_legal_actions_of_a_game_that_is_not_over_are_taken() -> None:
    environment = rpax.make("hanabi/3x3")
    game = Game(Programs(environment), sitters(None, agent_of(environment, 1)), jax.random.key(0))
    wait = environment.spaces[0].num_actions - 1
    assert not game.legal(0)[wait], "seat 0 begins"
    assert game.legal(0).any()
    with pytest.raises(InputError, match="action 'wait' is not legal now; choose another"):
        game.step({0: wait})
    for action in (None, -1, wait + 1):
        with pytest.raises(InputError, match=f"action {action} is none of seat 0; give a number from 0 to {wait}"):
            game.step({} if action is None else {0: action})
    assert game.length == 0
    game.step({0: int(np.argmax(game.legal(0)))})
    assert game.legal(0).nonzero()[0].tolist() == [wait]
    matrix = rpax.make("matrix/figure-2")
    finished = Game(Programs(matrix), sitters(None, find_agent("uniform", matrix)), jax.random.key(0))
    finished.step({0: 1})
    assert finished.over
    with pytest.raises(InputError, match="the game is over"):
        finished.step({0: 1})


def test_agents_with_the_same_networks_share_programs() -> None:
    environment = Ring()
    programs = Programs(environment)
    for seed in (1, 2):
        programs.warm_up(sitters(None, agent_of(environment, seed)))
    assert len(programs._compiled) == 1
    programs.warm_up(sitters(agent_of(environment, 1), None))
    assert len(programs._compiled) == 2


def test_functions_of_a_users_own_play() -> None:
    environment = Ring()

    def stay(observations: np.ndarray) -> np.ndarray:
        return np.ones(len(observations), int)

    game = play_with(environment, find_agent(stay, environment))
    assert game.episode.actions[:, 1].tolist() == [1] * 5
    calls = []

    def break_down(observations: np.ndarray) -> np.ndarray:
        calls.append(1)
        return np.full(len(observations), 9 if len(calls) > 3 else 1)

    with pytest.raises(InputError, match="returned action 9; actions are 0 to 2"):
        play_with(environment, find_agent(break_down, environment))


def play_with(environment: Environment, agent: Agent) -> Game:
    game = Game(Programs(environment), sitters(None, agent), jax.random.key(0))
    while not game.over:
        game.step({0: 0})
    return game


def test_very_long_games_are_broken_off_where_recordings_end() -> None:
    assert Programs(Ring(horizon=MOST_STEPS + 5)).horizon == MOST_STEPS
    programs = Programs(Ring(horizon=5))
    programs.horizon = 3
    game = play_with_programs(programs)
    assert (game.length, game.done, game.over) == (3, False, True)
    assert "end" not in [event.kind for event in game.recording().events]


def play_with_programs(programs: Programs) -> Game:
    game = Game(programs, sitters(None, agent_of(programs.environment, 1)), jax.random.key(0))
    while not game.over:
        game.step({0: 0})
    return game


def test_keys_differ() -> None:
    keys = {tuple(np.asarray(jax.random.key_data(fresh_key())).tolist()) for _ in range(20)}
    assert len(keys) == 20
