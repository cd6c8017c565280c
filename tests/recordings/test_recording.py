"""Recordings: what was played is what is written, and can be simulated again."""

import dataclasses
import json
import pathlib
import re
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import small_game  # noqa: F401
from random_play import play_randomly, record_all

import rpax
from rpax.environments.protocol import Environment
from rpax.errors import InputError
from rpax.evaluation.episodes import Episode, Player
from rpax.policies import categorical
from rpax.policies.agent import make_agent_policy
from rpax.policies.networks import GRU, MLP
from rpax.policies.sources import find_agent
from rpax.recordings.reading import parse_recording
from rpax.recordings.recording import Recording, Seated, make_recording, record_episode
from rpax.recordings.scenes.scene import Move, scene_of
from rpax.recordings.simulating import Simulator
from rpax.runs.agent import Agent


def make_agent(environment: Environment, name: str, seed: int, make_network: Any = None) -> Agent:
    make_network = make_network or (lambda actions: MLP(actions, (64, 64), output_scale=1.0))
    shared = environment.one_policy_for_both_seats
    policy = make_agent_policy(environment.spaces, (0, 1), shared=shared, make_network=make_network)
    return Agent(name, policy, jax.device_get(policy.init(jax.random.key(seed))))


def pair(environment: Environment, make_network: Any = None) -> tuple[Agent, Agent]:
    return make_agent(environment, "base_0", 0, make_network), make_agent(environment, "base_1", 1, make_network)


@pytest.mark.parametrize("network", [MLP, GRU])
def test_watching_tells_the_probabilities_and_plays_the_same(network):
    """Against each agent asked step by step with what it saw, remembered and was allowed to do."""
    environment = rpax.make("hanabi/3x3") if network is MLP else rpax.make("storm", horizon=6)
    agents = pair(environment, (lambda n: GRU(n, (8,), 8, output_scale=3.0)) if network is GRU else None)
    player, key = Player(environment, greedy=False), jax.random.key(4)
    played, (watched, chances) = player.play(agents, key), player.watch(agents, key)
    np.testing.assert_array_equal(played.actions, watched.actions)
    observe, legal_actions = jax.jit(environment.observe), jax.jit(environment.legal_actions)
    for seat, agent in enumerate(agents):
        memory = jnp.zeros(8) if network is GRU else None
        for t in range(watched.length):
            state = watched.states[t]
            legal = (legal_actions(state) or (None, None))[seat]
            known = (agent.parameters, "shared", observe(state)[seat], jnp.array(t == 0), memory)
            logits, memory = agent.policy.act(*known, legal=legal)
            expected = categorical.probabilities(logits, legal)
            np.testing.assert_allclose(chances[seat][t], expected, atol=1e-6)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("overcooked/cramped_room", {"horizon": 40}),
        ("overcooked/forced_split_pot", {"horizon": 30, "shaping": "paper"}),
        ("overcooked_v2/grounded_coord_simple", {"horizon": 30}),
        ("storm", {"payoffs": [[1, 0], [0, 0.5]]}),
        ("storm/independent", {"horizon": 7}),
        ("hanabi/3x3", {}),
        ("matrix/figure-14", {}),
        ("matrix/custom", {"payoffs": [[[1, 0], [0, 1]], [[-1, 0], [0, 1.25]]]}),
        ("extensive/g3", {}),
        ("small/ring", {}),
    ],
)
def test_the_document_alone_plays_the_episode_again(name, options):
    """What was played is told apart from what recordings say: by random play outside of them."""
    environment = rpax.make(name, **options)
    played = play_randomly(environment, 5, seed=8)
    for (episode, _), recording in zip(played, record_all(environment, played), strict=True):
        text = recording.to_json()
        read = parse_recording(text)
        assert read.to_json() == text
        again = read.simulate()
        assert again.length == episode.length
        for one, two in zip(again.states, episode.states, strict=True):
            jax.tree.map(np.testing.assert_array_equal, one, two)
        np.testing.assert_array_equal(again.actions, episode.actions)
        np.testing.assert_array_equal(again.rewards, episode.rewards)
        assert read.returns == episode.returns
        np.testing.assert_array_equal(read.rewards, episode.rewards)
    simulator = Simulator(environment)
    assert simulator.verify(recording).returns == episode.returns


def test_one_state_has_the_numbers_of_its_frame():
    """A game in progress is told state by state; a recording all at once."""
    for name in ("overcooked/cramped_room", "overcooked_v2/cramped_room", "storm", "hanabi/3x3", "extensive/g2"):
        environment = rpax.make(name, **({"horizon": 9} if name.startswith("overcooked") else {}))
        ((episode, _),) = play_randomly(environment, 1, seed=2)
        scene = scene_of(environment)
        frames = scene.frames(episode)
        np.testing.assert_array_equal(scene.values(episode.states[0]), frames[0])
        for t in range(1, episode.length + 1):
            move = Move(episode.states[t - 1], episode.actions[t - 1], t == episode.length)
            np.testing.assert_array_equal(scene.values(episode.states[t], move), frames[t])


def test_recording_a_run_writes_the_episode_that_a_replay_draws(finished_run, tmp_path):
    run = rpax.load(finished_run)
    path = tmp_path / "one.rpax.json"
    recording = rpax.record(run, ("victim", "adversary"), path, seed=5, run_seed=1)
    drawn = rpax.replay(run, ("victim", "adversary"), tmp_path / "one.gif", seed=5, run_seed=1)
    np.testing.assert_array_equal(recording.actions, drawn.episodes[0].actions)
    read = rpax.Recording.load(path)
    assert read.to_json() == recording.to_json()
    assert [player.name for player in read.players] == ["victim", "adversary"]
    # A victim of one state acts with its policy.
    policy = run.agent("victim", 1).probabilities(np.ones((1, 1), np.float32), seat=0)[0]
    assert read.probabilities[0] is not None
    np.testing.assert_allclose(read.probabilities[0][0] / 255, policy, atol=0.5 / 255 + 1e-6)
    assert rpax.record(run, ("victim", "adversary"), seed=5, run_seed=1, greedy=True).greedy


def test_wrong_requests(finished_run, tmp_path):
    run = rpax.load(finished_run)
    with pytest.raises(InputError, match=r"does not end in \.rpax\.json"):
        rpax.record(run, ("victim", "adversary"), tmp_path / "one.json")
    with pytest.raises(InputError, match="seat 1 only"):
        rpax.record(run, ("adversary", "victim"))
    with pytest.raises(InputError, match="seed -1 is not allowed"):
        rpax.record(run, ("victim", "adversary"), seed=-1)
    with pytest.raises(InputError, match="cannot be written"):
        rpax.record(run, ("victim", "adversary"), tmp_path / "no" / "one.rpax.json")


@pytest.mark.parametrize("layout", ["cramped_room", "counter_circuit"])
def test_400_steps_of_overcooked_take_at_most_9_kb(layout):
    """Cooks that serve many soups, with the probabilities of two networks, which change in every step."""
    environment = rpax.make(f"overcooked/{layout}")
    cooks = (find_agent("scripted:onion-carrier", environment), find_agent("scripted:plate-carrier", environment))
    episode = Player(environment, greedy=False).play(cooks, jax.random.key(3))
    assert episode.returns[0] >= 100
    seen = jax.vmap(environment.observe)(jax.tree.map(lambda *leaves: np.stack(leaves), *episode.states[:-1]))
    chances = [np.asarray(agent.probabilities(each)) for agent, each in zip(pair(environment), seen, strict=True)]
    names = (Seated("2026-run-with-a-name:0:base_0"), Seated("2026-run-with-a-name:1:base_1"))
    recording = make_recording(environment, episode, names, jax.random.key(3), probabilities=(chances[0], chances[1]))
    assert len(recording.to_json().encode()) <= 9000
    for seat in (0, 1):
        kept = recording.probabilities[seat]
        assert kept is not None
        np.testing.assert_allclose(kept / 255, chances[seat], atol=0.5 / 255 + 1e-6)


def test_a_kitchens_events_are_told_by_its_states():
    environment: Any = rpax.make("overcooked/cramped_room")
    cooks = (find_agent("scripted:onion-carrier", environment), find_agent("scripted:plate-carrier", environment))
    recording = record_episode(Player(environment, greedy=False), cooks, jax.random.key(0))
    episode = recording.simulate()
    dish = 9
    served = [
        (t, seat)
        for t in range(1, episode.length + 1)
        for seat in (0, 1)
        if episode.rewards[t - 1, 0] > 0
        and episode.states[t - 1].held[seat] == dish
        and episode.states[t].held[seat] != dish
    ]
    assert len(served) * 20 == episode.returns[0] > 0
    assert [(event.step, event.seat) for event in recording.events if event.kind == "delivery"] == served
    # A pot's third onion starts it with 20 steps to go, of which that step is the first.
    grids = np.stack([state.grid[..., 2][state.grid[..., 0] == 8] for state in episode.states]).astype(int)
    started = (np.flatnonzero(((grids[1:] == 19) & (grids[:-1] == 21)).any(axis=1)) + 1).tolist()
    ready = (np.flatnonzero(((grids[1:] == 0) & (grids[:-1] == 1)).any(axis=1)) + 1).tolist()
    assert [event.step for event in recording.events if event.kind == "cooking"] == started
    assert [event.step for event in recording.events if event.kind == "ready"] == ready
    assert recording.events[-1].kind == "end"


def test_asking_for_the_recipe_and_wrong_dishes_cost():
    """OvercookedV2: a button that shows the recipe costs 5; with negative rewards a wrong dish costs 20."""
    environment: Any = rpax.make("overcooked_v2/grounded_coord_simple", horizon=60)
    played = play_randomly(environment, 40, seed=0)
    asked = 0
    for (episode, _), recording in zip(played, record_all(environment, played), strict=True):
        cost = [t for t, reward in enumerate(episode.rewards[:, 0].tolist(), start=1) if reward == -5]
        told = [event for event in recording.events if event.text == "asks for the recipe: −5"]
        assert [event.step for event in told] == cost
        asked += len(told)
    assert asked >= 5
    # A cook that stands before the delivery with a soup of one onion, and serves it.
    environment = rpax.make("overcooked_v2/cramped_room", horizon=3, negative_rewards=True)
    start = jax.tree.map(np.asarray, environment.reset(jax.random.key(0)))
    (line, column), *_ = np.argwhere(start.game.grid[..., 0] == 4).tolist()
    agents = start.game.agents.replace(
        pos=start.game.agents.pos.replace(x=np.array([1, column]), y=np.array([1, line - 1])),
        dir=np.array([0, 1]),
        inventory=np.array([0, 1 + 2 + 4]),
    )
    state = jax.tree.map(jnp.asarray, start._replace(game=start.game.replace(agents=agents)))
    after = environment.step(jax.random.key(0), state, jnp.array([4, 5]))
    states = (state, after.state)
    episode = Episode(states, np.array([[4, 5]]), np.asarray(after.rewards, np.float64)[None])
    events = scene_of(environment).events(episode)
    assert [(event.step, event.seat, event.kind, event.text) for event in events] == [
        (1, 1, "mistake", "serves the wrong dish: −20")
    ]


def test_storms_events_are_its_payments():
    environment = rpax.make("storm")
    played = play_randomly(environment, 200, seed=0)
    found = 0
    for (episode, _), recording in zip(played, record_all(environment, played), strict=True):
        paid = {t for t, reward in enumerate(episode.rewards.tolist(), start=1) if any(reward)}
        met = {event.step: event for event in recording.events if event.kind == "interaction"}
        # Different colours pay nothing.
        assert paid <= set(met)
        for t, event in met.items():
            inventory = np.asarray(episode.states[t].inventory)
            assert (inventory.sum(axis=1) > 0).all()
            held = [
                " ".join(f"{count} {name}" for count, name in zip(coins, ("red", "blue"), strict=True) if count)
                for coins in inventory.tolist()
            ]
            assert event.text.startswith(f"interaction: {held[0]} with {held[1]}: ")
            assert event.seat is None or episode.states[t].beam[event.seat]
        found += len(met)
    assert found >= 5


def test_sabotage_is_told_with_who_did_it():
    environment = rpax.make("storm/sabotage")
    played = play_randomly(environment, 60, seed=0)
    found = 0
    for (episode, _), recording in zip(played, record_all(environment, played), strict=True):
        harmed = [t for t, reward in enumerate(episode.rewards[:, 0].tolist(), start=1) if reward < 0]
        told = [event for event in recording.events if event.kind == "sabotage"]
        for event in told:
            assert event.seat is not None
            assert not np.asarray(episode.states[event.step].position)[event.seat].any(), "it stands on (0, 0)"
        assert {event.step for event in told} <= set(harmed)
        found += len(told)
    assert found >= 5


def test_hanabis_events_count_points_and_lives():
    environment = rpax.make("hanabi/3x3")
    played = play_randomly(environment, 20, seed=0)
    for (episode, _), recording in zip(played, record_all(environment, played), strict=True):
        last = episode.states[-1].game
        kinds = [event.kind for event in recording.events]
        assert kinds.count("score") == np.asarray(last.fireworks).sum()
        assert kinds.count("mistake") == 3 - np.asarray(last.life_tokens).sum()
        for event in recording.events[:-1]:
            assert event.seat == (event.step - 1) % 2, "seat 0 begins, then they take turns"


def test_tables_tell_what_was_played():
    environment: Any = rpax.make("matrix/figure-14")
    played = play_randomly(environment, 10, seed=0)
    for (episode, _), recording in zip(played, record_all(environment, played), strict=True):
        row, column = episode.actions[0]
        first, second = (f"{value:g}".replace("-", "−") for value in environment.payoffs[0, row, column])
        names = ("AB"[row], "CDE"[column])
        assert [(event.step, event.text) for event in recording.events] == [
            (1, f"{names[0]}, {names[1]}: {first} and {second}"),
            (1, f"the end: {first} and {second}"),
        ]


def test_an_episode_that_was_broken_off_has_no_end():
    environment = rpax.make("extensive/g1")
    ((episode, key),) = play_randomly(environment, 1, seed=0)
    part = dataclasses.replace(
        episode, states=episode.states[:3], actions=episode.actions[:2], rewards=episode.rewards[:2]
    )
    people = (Seated("p7", "person"), Seated("base_0"))
    recording = make_recording(environment, part, people, key, ended=False)
    assert recording.events == ()
    assert recording.frames[-1, 1] == 0, "the table shows no end"
    read = parse_recording(recording.to_json())
    assert Simulator(environment).verify(read).length == 2
    assert read.players[0] == Seated("p7", "person")
    nothing = dataclasses.replace(part, states=part.states[:1], actions=part.actions[:0], rewards=part.rewards[:0])
    empty = make_recording(environment, nothing, people, key, ended=False)
    assert parse_recording(empty.to_json()).simulate().returns == (0, 0)


@pytest.fixture(scope="module")
def stormy() -> Recording:
    environment = rpax.make("storm", horizon=6)
    return record_all(environment, play_randomly(environment, 1, seed=0))[0]


def test_a_changed_recording_is_noticed(stormy):
    simulator = Simulator(rpax.make("storm", horizon=6))
    simulator.verify(stormy)
    with pytest.raises(InputError, match="rewards are not those"):
        simulator.verify(dataclasses.replace(stormy, rewards=stormy.rewards + 1))
    frames = stormy.frames.copy()
    frames[2, 0] += 1
    with pytest.raises(InputError, match="does not show what its actions lead to"):
        simulator.verify(dataclasses.replace(stormy, frames=frames))
    with pytest.raises(InputError, match="has 6 steps, storm at most 5"):
        Simulator(rpax.make("storm", horizon=5)).simulate(stormy)
    with pytest.raises(InputError, match=r"seat 0 takes action 9, storm has 5"):
        simulator.simulate(dataclasses.replace(stormy, actions=np.full((6, 2), 9)))
    game = rpax.make("extensive/g2")
    ((episode, key),) = play_randomly(game, 1, seed=0)
    recording = make_recording(game, episode, (Seated("a"), Seated("b")), key)
    short = rpax.make("matrix/figure-2")
    with pytest.raises(InputError, match="has 3 steps, matrix/figure-2 at most 1"):
        Simulator(short).simulate(recording)


def test_steps_after_the_end_and_illegal_actions_are_refused():
    environment = rpax.make("hanabi/3x3")
    played = play_randomly(environment, 30, seed=0)
    early = next(i for i, (episode, _) in enumerate(played) if episode.length < environment.horizon - 2)
    recording = record_all(environment, played)[early]
    simulator = Simulator(environment)
    longer = dataclasses.replace(
        recording,
        actions=np.concatenate([recording.actions, recording.actions[-1:]]),
        rewards=np.concatenate([recording.rewards, np.zeros((1, 2))]),
    )
    with pytest.raises(InputError, match="goes on after the end of the episode"):
        simulator.simulate(longer)
    wrong = recording.actions.copy()
    # Nobody waits who is to move.
    wrong[0, 0] = environment.spaces[0].num_actions - 1
    with pytest.raises(InputError, match="an action of step 1 is not legal"):
        simulator.simulate(dataclasses.replace(recording, actions=wrong))


def test_a_recording_runs_no_code_and_reads_no_files(stormy, tmp_path):
    evil = tmp_path / "evil.py"
    evil.write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    for name in (f"{evil}:x", "os:system"):
        document = json.loads(stormy.to_json())
        document["environment"]["name"] = name
        with pytest.raises(InputError, match="is code, which is not run for a recording"):
            parse_recording(json.dumps(document)).simulate()
    assert not (tmp_path / "ran").exists()
    document["environment"] = {"name": "overcooked/custom", "options": {"layout": "/etc/x.txt "}, "payoffs": None}
    with pytest.raises(InputError, match="names the file"):
        parse_recording(json.dumps(document)).simulate()


def test_payoffs_of_a_file_are_written_down(tmp_path):
    path = tmp_path / "payoffs.json"
    path.write_text("[[1, 0], [0, 2]]")
    environment = rpax.make("matrix/custom", payoffs=str(path))
    recording = record_all(environment, play_randomly(environment, 1, seed=0))[0]
    path.unlink()
    assert recording.environment.payoffs == [[1, 0], [0, 2]]
    assert recording.simulate().returns == recording.returns


def test_the_python_of_the_page_about_recordings_runs(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    page = pathlib.Path(__file__).parents[2] / "docs" / "recordings.md"
    names: dict[str, Any] = {}
    blocks = re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    assert len(blocks) == 2
    for block in blocks:
        exec(compile(block, "recordings.md", "exec"), names)
    assert capsys.readouterr().out.startswith("1 (")
