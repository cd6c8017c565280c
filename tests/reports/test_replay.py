"""Replays: what is played can be played again, and what is drawn can be read back."""

import dataclasses
import subprocess
import sys
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

import rpax
from rpax.environments import registry
from rpax.environments.protocol import Environment, SeatSpace, Transition
from rpax.errors import InputError
from rpax.evaluation.episodes import Player
from rpax.policies import categorical
from rpax.policies.agent import make_agent_policy
from rpax.policies.networks import GRU, MLP
from rpax.reports import replay
from rpax.reports.moving_picture import check_writable, write_moving_picture
from rpax.reports.replay import Replay
from rpax.runs.agent import Agent
from rpax.runs.config import config_from_dict


def make_agent(environment: Environment, name: str, seed: int, make_network: Any = None) -> Agent:
    """An agent with large random weights, so that what it does depends on what it sees."""
    make_network = make_network or (lambda actions: MLP(actions, (16,), output_scale=3.0))
    policy = make_agent_policy(environment.spaces, (0, 1), shared=True, make_network=make_network)
    return Agent(name, policy, jax.device_get(policy.init(jax.random.key(seed))))


@pytest.fixture(scope="module")
def storm() -> Environment:
    return rpax.make("storm", horizon=8)


@pytest.fixture(scope="module")
def pair(storm: Environment) -> tuple[Agent, Agent]:
    return make_agent(storm, "base_0", 0), make_agent(storm, "base_1", 1)


@pytest.fixture(scope="module")
def sampled(storm: Environment, pair: tuple[Agent, Agent]) -> Any:
    player = Player(storm, greedy=False)
    return Replay(storm, ("base_0", "base_1"), "sp on storm, seed 0", tuple(player.play(pair, k) for k in keys(2)))


def keys(count: int) -> Any:
    return jax.random.split(jax.random.key(3), count)


@pytest.mark.parametrize("greedy", [False, True])
def test_an_episode_is_what_the_agents_do_step_by_step(storm, pair, greedy):
    """Played again with the keys that the docstring tells, one step after the other."""
    key = jax.random.key(11)
    episode = Player(storm, greedy=greedy).play(pair, key)
    key_start, key_steps = jax.random.split(key)
    step, observe, state = jax.jit(storm.step), jax.jit(storm.observe), jax.jit(storm.reset)(key_start)
    total = np.zeros(2)
    assert episode.length == 8
    for t, key_t in enumerate(jax.random.split(key_steps, storm.horizon)):
        for kept, now in zip(episode.states[t], state, strict=True):
            np.testing.assert_array_equal(kept, now)
        key_0, key_1, key_step = jax.random.split(key_t, 3)
        actions = []
        for agent, seen, key_act in zip(pair, observe(state), (key_0, key_1), strict=True):
            logits = agent.policy.logits(agent.parameters, "shared", seen)
            actions.append(jnp.argmax(logits) if greedy else categorical.sample(key_act, logits))
        np.testing.assert_array_equal(episode.actions[t], actions)
        transition = step(key_step, state, jnp.array(actions))
        state, total = transition.state, total + np.asarray(transition.rewards)
        np.testing.assert_allclose(episode.returns_so_far[t + 1], total, atol=1e-6)
        assert bool(transition.done) == (t == 7)
    assert episode.returns == pytest.approx(tuple(total), abs=1e-6)


def test_greedy_play_needs_no_luck_but_the_games_own():
    """In a game without chance all greedy episodes are the same, drawn ones are not."""
    game = rpax.make("extensive/g1")
    agents = (make_agent(game, "a", 0), make_agent(game, "b", 1))
    for greedy in (True, False):
        player = Player(game, greedy=greedy)
        played = {player.play(agents, key).actions.tobytes() for key in keys(12)}
        assert (len(played) == 1) == greedy


def test_returns_are_those_of_the_table():
    game: Any = rpax.make("extensive/g2")
    player = Player(game, greedy=False)
    lengths = set()
    for key in keys(12):
        episode = player.play((make_agent(game, "a", 0), make_agent(game, "b", 1)), key)
        number, total = 0, np.zeros(2)
        for joint in episode.actions:
            total += game.payoffs[number, *joint]
            number = game.next_state[number, *joint]
        assert number == -1, "the episode ends where the game does"
        np.testing.assert_allclose(episode.returns, total)
        lengths.add(episode.length)
    # Two steps to state 2 or 4, and the one that ends there.
    assert lengths == {3}
    # Agents with the same networks share one program.
    assert len(player._compiled) == 1


def test_agents_with_memory_remember_within_an_episode(storm):
    agents = tuple(
        make_agent(storm, name, seed, lambda actions: GRU(actions, (8,), 8, output_scale=3.0))
        for seed, name in enumerate("ab")
    )
    key = jax.random.key(2)
    episode = Player(storm, greedy=True).play((agents[0], agents[1]), key)
    observe = jax.jit(storm.observe)
    for seat, agent in enumerate(agents):
        memory = jnp.zeros(8)
        for t, (state, action) in enumerate(zip(episode.states, episode.actions[:, seat], strict=False)):
            seen = observe(state)[seat]
            logits, memory = agent.policy.act(agent.parameters, "shared", seen, jnp.array(t == 0), memory)
            assert int(jnp.argmax(logits)) == action


class Countdown(Environment):
    """Ends after three steps; only action 2 is legal for seat 0 and only 0 for seat 1. It does not draw itself."""

    name = "countdown"
    horizon = 9
    spaces = (SeatSpace((1,), 3), SeatSpace((1,), 3))

    def reset(self, key: Any) -> Any:
        return jnp.zeros((), jnp.int32)

    def step(self, key: Any, state: Any, actions: Any) -> Transition:
        return Transition(state + 1, jnp.array([0.5, -1.0]), state == 2)

    def observe(self, state: Any) -> Any:
        return jnp.ones(1), jnp.ones(1)

    def legal_actions(self, state: Any) -> Any:
        return jnp.array([False, False, True]), jnp.array([True, False, False])


@pytest.mark.parametrize("greedy", [False, True])
def test_illegal_actions_are_never_taken_and_episodes_end_where_they_end(greedy):
    game = Countdown()
    episode = Player(game, greedy=greedy).play((make_agent(game, "a", 0), make_agent(game, "b", 1)), jax.random.key(0))
    np.testing.assert_array_equal(episode.actions, [[2, 0]] * 3)
    assert [int(state) for state in episode.states] == [0, 1, 2, 3]
    assert episode.returns == (1.5, -3.0)
    with pytest.raises(InputError, match="environment 'countdown' does not draw itself; give it a method render"):
        Replay(game, ("a", "b"), "x", (episode,)).frames()


@pytest.mark.parametrize(
    ("render", "says"),
    [
        (lambda state: 1 / 0, "raised ZeroDivisionError: division by zero"),
        (lambda state: np.zeros((4, 4)), r"returns float64\[4, 4\]; return a picture of uint8, \[height, width, 3\]"),
        (lambda state: np.zeros((0, 4, 3), np.uint8), r"returns uint8\[0, 4, 3\]; return"),
        (lambda state: None, r"returns object\[\]; return"),
    ],
)
def test_what_drawing_a_game_of_ones_own_raises_is_told_in_one_line(render, says):
    game = Countdown()
    game.render = render
    episode = Player(game, greedy=True).play((make_agent(game, "a", 0), make_agent(game, "b", 1)), jax.random.key(0))
    with pytest.raises(InputError, match=f"^environment 'countdown': render {says}"):
        Replay(game, ("a", "b"), "x", (episode,)).frames()


class Drawn(Countdown):
    """It draws itself: a square for each step taken."""

    def __init__(self, name: str) -> None:
        self.name = name

    def render(self, state: Any) -> Any:
        picture = np.full((10, 40, 3), 255, np.uint8)
        picture[:, : 10 * int(state)] = 0
        return picture


@pytest.fixture
def run_of_own_game(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(registry, "ENVIRONMENTS", dict(registry.ENVIRONMENTS))
    rpax.register("mine/drawn", Drawn)
    agents = {name: make_agent(Drawn("mine/drawn"), name, seed) for seed, name in enumerate(("base_0", "base_1"))}
    config = config_from_dict({"algorithm": "ad-rpg", "environment": "mine/drawn", "seed": 4})
    one_seat = dataclasses.replace(agents["base_0"].policy, head_of_seat={1: "shared"})
    agents["manipulator_0"] = Agent("manipulator_0", one_seat, agents["base_0"].parameters)
    return rpax.Run(config, rpax.algorithm("ad-rpg", population=2), (), "finished", 9, None, {4: agents})


def test_a_game_of_ones_own_is_replayed_from_python(run_of_own_game, tmp_path):
    path = tmp_path / "made" / "x.webp"
    played = rpax.replay(run_of_own_game, ("base_1", "base_0"), path, episodes=2, fps=8, seed=1)
    assert [episode.returns for episode in played.episodes] == [(1.5, -3.0)] * 2
    assert played.names == ("base_1", "base_0")
    assert played.captions()[1][0].title == "ad-rpg on mine/drawn, seed 4, episode 2 of 2"
    with Image.open(path) as file:
        assert (file.n_frames, file.info["loop"]) == (8, 0)
        for number in range(8):
            file.seek(number)
            frame = np.asarray(file.convert("RGB"))
            assert file.info["duration"] == (375 if number in (3, 7) else 125)
            # As many squares as steps were taken.
            assert (frame[-5] == 0).all(axis=-1).sum() == 10 * (number % 4)


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"path": "x.avi"}, r"ends in '\.avi'; end its name in \.gif, \.webp, \.mp4"),
        ({"pairing": ("base_0", "base_7")}, "no agent 'base_7'"),
        ({"pairing": ("manipulator_0", "base_0")}, "'manipulator_0:base_0': agent 'manipulator_0' plays seat 1 only"),
        ({"run_seed": 5}, "no seed 5; it has 4"),
        ({"episodes": 0}, "episodes 0 is not allowed; give a whole number from 1 to 1000"),
        ({"seed": -1}, "seed -1 is not allowed"),
        ({"fps": 0}, "fps 0 is not allowed"),
        ({"scale": 9}, "scale 9 is not allowed"),
    ],
)
def test_a_replay_from_python_that_cannot_be_drawn(run_of_own_game, tmp_path, changed, says):
    asked = {"pairing": ("base_0", "base_1"), "path": "x.gif"} | changed
    with pytest.raises(InputError, match=says):
        rpax.replay(run_of_own_game, **{**asked, "path": tmp_path / "made" / asked["path"]})
    assert not list(tmp_path.iterdir())


def test_pictures_say_who_sits_where_what_they_do_and_what_it_pays(sampled, storm):
    written = sampled.captions()
    assert [len(captions) for captions in written] == [9, 9]
    for number, (captions, episode) in enumerate(zip(written, sampled.episodes, strict=True), 1):
        assert {caption.title for caption in captions} == {f"sp on storm, seed 0, episode {number} of 2"}
        assert [caption.step for caption in captions] == [f"step {t} of 8" for t in range(9)]
        assert [row.action for row in captions[0].rows] == ["–", "–"]
        for t, caption in enumerate(captions):
            assert [row.agent for row in caption.rows] == ["base_0", "base_1"]
            assert [row.seat for row in caption.rows] == ["seat 0", "seat 1"]
            got = [float(row.returns.replace("−", "-")) for row in caption.rows]
            np.testing.assert_allclose(got, episode.rewards[:t].sum(axis=0), rtol=1e-3, atol=1e-6)
            if t:
                done = [storm.spaces[0].action_names.index(row.action) for row in caption.rows]
                np.testing.assert_array_equal(done, episode.actions[t - 1])


def test_the_caption_stands_above_the_games_own_picture(sampled, storm):
    frames = sampled.frames()
    for number in (0, 4, 17):
        state, caption, _ = frames.every[number]
        frame, picture = np.asarray(frames.draw(number)), storm.render(state)
        top, left = replay.caption_height(), (frame.shape[1] - picture.shape[1]) // 2
        np.testing.assert_array_equal(frame[top:, left : left + picture.shape[1]], picture)
        longer = caption._replace(rows=(caption.rows[0]._replace(action="jump"), caption.rows[1]))
        other = replay.draw_frame(replay._padded(picture, (picture.shape[0], frame.shape[1])), longer, frames.layout)
        changed = (other != frame).any(axis=-1)
        assert changed[:top].any()
        assert not changed[top:].any()


@pytest.mark.parametrize("kind", ["gif", "webp"])
def test_files_decode_to_the_pictures(sampled, tmp_path, kind):
    frames, seen = sampled.frames(), []
    write_moving_picture(tmp_path / f"x.{kind}", frames, 4.0, seen.append)
    assert seen == list(range(1, 19))
    with Image.open(tmp_path / f"x.{kind}") as file:
        assert file.format == kind.upper()
        assert file.n_frames == len(frames) == 18
        durations = []
        for number in range(18):
            file.seek(number)
            frame = np.asarray(file.convert("RGB")).astype(int)
            durations.append(file.info["duration"])
            drawn = np.asarray(frames.draw(number)).astype(int)
            assert frame.shape == drawn.shape
            if kind == "webp":
                np.testing.assert_array_equal(frame, drawn)
            else:  # 256 colours
                assert np.abs(frame - drawn).mean() < 0.2
                assert tuple(frame[0, 0]) == (255, 255, 255)
    assert durations == [250] * 8 + [750] + [250] * 8 + [750]
    assert [path.name for path in tmp_path.iterdir()] == [f"x.{kind}"]


@pytest.mark.parametrize("scale", [0.5, 2.0])
def test_pictures_are_scaled(sampled, tmp_path, scale):
    one = dataclasses.replace(sampled, episodes=sampled.episodes[:1])
    width, height = one.frames().draw(0).size
    write_moving_picture(tmp_path / "x.gif", one.frames(scale), 4.0)
    with Image.open(tmp_path / "x.gif") as file:
        assert file.size == (round(width * scale), round(height * scale))


def test_long_names_widen_the_picture(sampled):
    long = Replay(sampled.environment, ("a" * 60, "b"), sampled.title, sampled.episodes[:1])
    assert long.frames().layout.width > sampled.frames().layout.width + 200
    assert long.frames().layout.height == sampled.frames().layout.height


def test_payoff_tables_replay_too(tmp_path):
    game = rpax.make("extensive/g1")
    episode = Player(game, greedy=False).play((make_agent(game, "a", 0), make_agent(game, "b", 1)), jax.random.key(1))
    write_moving_picture(tmp_path / "x.gif", Replay(game, ("a", "b"), "sp on g1", (episode,)).frames(), 5.0)
    with Image.open(tmp_path / "x.gif") as file:
        assert file.n_frames == episode.length + 1


def test_mp4_without_its_package(sampled, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)
    with pytest.raises(InputError, match=r"pip install 'rpax\[video\]', or choose gif or webp"):
        check_writable(tmp_path / "out", "mp4")
    assert not list(tmp_path.iterdir())


def test_mp4_holds_the_pictures(sampled, tmp_path):
    package = pytest.importorskip("imageio_ffmpeg")
    frames = sampled.frames()
    write_moving_picture(tmp_path / "x.mp4", frames, 4.0)
    # Sizes are even, and the last picture of an episode is shown three times.
    width, height = (size + size % 2 for size in frames.draw(0).size)
    decode = [package.get_ffmpeg_exe(), "-loglevel", "error", "-i", str(tmp_path / "x.mp4")]
    decoded = subprocess.run([*decode, "-f", "rawvideo", "-pix_fmt", "rgb24", "-"], capture_output=True, check=True)
    shown = np.frombuffer(decoded.stdout, np.uint8).reshape(-1, height, width, 3)
    assert len(shown) == 18 + 2 * 2
    drawn = np.asarray(frames.draw(0)).astype(int)
    assert np.abs(shown[0][: drawn.shape[0], : drawn.shape[1]] - drawn).mean() < 6


@pytest.mark.parametrize(
    ("name", "fps", "scale", "says"),
    [
        ("x.avi", 5.0, 1.0, r"ends in '\.avi'; end its name in \.gif, \.webp, \.mp4"),
        ("x.gif", 0.0, 1.0, r"fps 0\.0 is not allowed; give a number from 0\.1 to 60"),
        ("x.gif", float("nan"), 1.0, "fps nan is not allowed"),
        ("x.gif", 5.0, 100.0, r"scale 100\.0 is not allowed; give a number from 0\.25 to 4"),
        ("none/x.gif", 5.0, 1.0, r"cannot be written \(No such file or directory\); choose another --out"),
    ],
)
def test_files_that_cannot_be_written(sampled, tmp_path, name, fps, scale, says):
    with pytest.raises(InputError, match=says):
        write_moving_picture(tmp_path / name, sampled.frames(scale), fps)
    assert not list(tmp_path.iterdir())
