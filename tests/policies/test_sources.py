"""Agents named in text, and what does not fit is refused with both spaces."""

import sys

import jax.numpy as jnp
import numpy as np
import pytest
import small_game  # noqa: F401  (registers small/ring)

import rpax
from rpax.cli.main import main
from rpax.environments import own_files
from rpax.errors import InputError
from rpax.policies.sources import find_agent

POLICIES = """
import numpy as np
import rpax

class Right:
    def __call__(self, observations):
        return np.full(len(observations), 2)

def left(observations):
    return np.zeros(len(observations), int)

traced = rpax.jax_policy(lambda observations: observations[:, 0].astype(int) * 0 + 1)
number = 3
"""
TINY = ["--envs", "2", "--steps", "3", "--hidden-sizes", "4", "--evaluation-episodes", "4", "--quiet"]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with a file of policies, which is forgotten after the test."""
    monkeypatch.setattr(own_files, "_imported", {})
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text(POLICIES)
    return tmp_path


def actions_of(source, game="small/ring"):
    environment = rpax.make(game)
    agent = find_agent(source, environment)
    seen = jnp.zeros((2, *environment.spaces[0].observation_shape), jnp.uint8)
    return agent.name, np.asarray(agent.probabilities(seen, 0)).argmax(axis=1).tolist()


def test_a_file_holds_functions_classes_and_jax_policies(folder):
    assert actions_of("mine.py:left") == ("left", [0, 0])
    assert actions_of("mine.py:Right") == ("Right", [2, 2])
    assert actions_of(f"{folder}/mine.py:traced") == ("<lambda>", [1, 1])


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("mine.py", r"agent 'mine.py' names no function; write mine.py:NAME"),
        ("mine.py:lefd", r"file 'mine.py' has no 'lefd'; did you mean 'left'"),
        ("mine.py:number", r"agent: 'number' of mine.py is 3, which cannot be called; name a function"),
        ("yours.py:left", r"file 'yours.py' cannot be imported: there is no file"),
        ("scripted:idel", r"agent: scripted partner 'idel' is unknown; did you mean 'idle'"),
        ("scripted:onion-carrier", r"plays overcooked/… only, not 'small/ring'; give one of idle, random"),
        ("jaxmarl:none.safetensors", r"JaxMARL's parameters in none.safetensors: cannot be read \(No such file"),
        ("runs", r"agent 'runs' names no agent; write RUN:AGENT, a .safetensors file, jaxmarl:FILE, FILE.py:NAME"),
        ("runs/x:victim@soon", r"update 'soon' is no whole number; write victim@UPDATE, victim@first or victim@last"),
        ("[0.5, 0.5]", r"probabilities fit tabular games only"),
    ],
)
def test_what_cannot_be_found_says_what_to_write(source, says, folder):
    with pytest.raises(InputError, match=says):
        find_agent(source, rpax.make("small/ring"))


def test_spaces_that_do_not_match_are_both_named(finished_run):
    game = rpax.make("small/ring")
    own = r"'small/ring' has \(11,\) -> 3 actions and \(11,\) -> 3 actions"
    theirs = r"\(1,\) -> 2 actions and \(1,\) -> 3 actions"
    agent = rpax.load(finished_run).agent("victim")
    file = finished_run / "policies" / "seed-0" / "victim.safetensors"
    for source in (f"{finished_run}:victim", str(file), agent):
        with pytest.raises(InputError, match=f"{theirs}, {own}"):
            find_agent(source, game)
    layers = {"Dense_0": {"kernel": np.zeros((5, 3)), "bias": np.zeros(3)}}
    with pytest.raises(InputError, match=rf"from an observation of 5 numbers to 3 actions; {own} \(11 numbers\)"):
        rpax.flax_policy(layers, game)


def test_seats_that_an_agent_does_not_play_are_refused_unless_any_will_do(finished_run):
    game, victim = rpax.make("matrix/figure-2"), f"{finished_run}:1:victim"
    with pytest.raises(InputError, match="agent must play seat 1, the given agent plays seat 0 only"):
        find_agent(victim, game)
    assert find_agent(victim, game, (0,)).seats == (0,)
    assert find_agent(victim, game, None).seats == (0,)


def test_in_tabular_games_a_function_is_asked_about_every_state_and_may_take_its_seat():
    game = rpax.make("matrix/figure-2")
    agent = find_agent(lambda observations, seat: np.full(len(observations), 1 + seat), game)
    np.testing.assert_allclose(agent.probabilities(jnp.ones((1, 1)), 0), [[0, 1]], atol=1e-12)
    np.testing.assert_allclose(agent.probabilities(jnp.ones((1, 1)), 1), [[0, 0, 1]], atol=1e-12)
    traced = rpax.jax_policy(lambda observations: observations[:, 0].astype(int))
    assert find_agent(traced, game, (0,)).seats == (0,)


@pytest.mark.slow
def test_a_run_against_a_function_of_a_file_can_be_resumed_and_read(folder, capsys, no_plots):
    options = ["--partner", "mine.py:Right", "--out", "run", *TINY]
    assert main(["train", "br", "small/ring", "--updates", "2", *options]) == 0
    assert [path.name for path in (folder / "run" / "policies" / "seed-0").iterdir()] == ["base_0.safetensors"]
    assert main(["resume", "run", "--until", "3", "--quiet"]) == 0
    run = rpax.load("run")
    assert (run.update, run.config.partner) == (3, "mine.py:Right")
    seen = jnp.zeros((1, 11), jnp.uint8)
    assert np.asarray(run.agent("partner").probabilities(seen)).argmax() == 2
    capsys.readouterr()
    assert main(["train", "br", "small/ring", "--partner", "mine.py:lefd", *TINY]) == 2
    assert capsys.readouterr().err == "rpax: file 'mine.py' has no 'lefd'; did you mean 'left'?\n"


def test_a_run_against_an_object_in_python_says_why_it_cannot_be_resumed(tmp_path, no_plots):
    settings = {"envs": 2, "steps": 3, "hidden_sizes": (4,), "evaluation_episodes": 4}
    run = rpax.train(
        "br", "small/ring", partner=lambda seen: np.ones(len(seen), int), updates=2, out=tmp_path / "run", **settings
    )
    assert run.agent("partner").name == "partner"
    with pytest.raises(InputError, match=r"cannot go on: its partner was an object in Python, which no file holds"):
        rpax.resume(tmp_path / "run", until=3)
    with pytest.raises(InputError, match=r"its partner was an object in Python, which no file holds; use yours"):
        rpax.load(tmp_path / "run").agent("partner")
