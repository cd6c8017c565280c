"""Mistakes in an environment of one's own are refused before training, in words that name the method and the remedy."""

import dataclasses
import subprocess
import sys
from typing import Any

import jax
import jax.numpy as jnp
import pytest

import rpax
from rpax.environments import registry
from rpax.environments.protocol import LONGEST_HORIZON, check_environment

STATE = {"time": 0}


class Fine(rpax.Environment):
    """Nothing is wrong with it: two steps, two numbers seen by seat 0 and three by seat 1, three and four actions."""

    name = "mine/game"
    spaces = (rpax.SeatSpace((2,), 3), rpax.SeatSpace((3,), 4))
    horizon = 2
    one_policy_for_both_seats = False

    def reset(self, key: Any) -> Any:
        return {"time": jnp.zeros((), jnp.int32)}

    def step(self, key: Any, state: Any, actions: Any) -> Any:
        return rpax.Transition({"time": state["time"] + 1}, jnp.ones(2), state["time"] >= 1)

    def observe(self, state: Any) -> Any:
        return jnp.ones(2), jnp.ones(3)


def changed(**attributes: Any) -> Fine:
    """``Fine`` with some of it replaced; functions without ``self``."""
    game = Fine()
    for name, value in attributes.items():
        setattr(game, name, value)
    return game


def sees(*found: Any) -> Fine:
    return changed(observe=lambda state: found)


def allows(*found: Any) -> Fine:
    return changed(legal_actions=lambda state: found)


def after_step(state: Any = None, rewards: Any = None, done: Any = None, shaped: Any = 0.0) -> Fine:
    """``Fine`` whose step returns something else in the given places."""

    def step(key: Any, before: Any, actions: Any) -> Any:
        usual = Fine().step(key, before, actions)
        given = {"state": state, "rewards": rewards, "done": done, "shaped": shaped}
        return usual._replace(**{name: value for name, value in given.items() if value is not None})

    return changed(step=step)


def spaced(**fields: Any) -> Fine:
    """``Fine`` whose space of seat 1 has other fields, of any type: tests check types when one is made."""
    space = dataclasses.replace(Fine.spaces[1])
    for name, value in fields.items():
        object.__setattr__(space, name, value)
    return changed(spaces=(Fine.spaces[0], space))


@dataclasses.dataclass
class Plain:
    """No PyTree."""

    time: int = 0


class WithoutSpaces(Fine):
    def __getattribute__(self, name: str) -> Any:
        if name == "spaces":
            raise AttributeError(name)
        return super().__getattribute__(name)


#: What is wrong -> the environment, and all that the message must say.
REFUSED: dict[str, tuple[Any, tuple[str, ...]]] = {
    "no name": (lambda: changed(name=None), ("environment Fine has the name None", "set a name")),
    "no spaces": (WithoutSpaces, ("has the spaces None", "two SeatSpace")),
    "one space": (lambda: changed(spaces=Fine.spaces[:1]), ("has a tuple of 1 for spaces", "two SeatSpace")),
    "spaces that are shapes": (lambda: changed(spaces=((2,), (3,))), ("the spaces ((2,), (3,))", "two SeatSpace")),
    "a number for a shape": (lambda: spaced(observation_shape=3), ("seat 1", "observation_shape 3", "(4,)")),
    "a negative size": (lambda: spaced(observation_shape=(-3,)), ("seat 1", "observation_shape (-3,)", "sizes")),
    "no actions": (lambda: spaced(num_actions=0), ("seat 1", "num_actions 0", "at least 1")),
    "half an action": (lambda: spaced(num_actions=1.5), ("num_actions 1.5", "a whole number")),
    "a name too few": (
        lambda: spaced(action_names=("a", "b", "c")),
        ("seat 1", "4 actions and 3 action_names", "one name an action"),
    ),
    "a type that is none": (
        lambda: spaced(observation_dtype="real"),
        ("seat 1", "observation_dtype 'real'", "jnp.float32"),
    ),
    "no horizon": (lambda: changed(horizon=None), ("has the horizon None", "longest episode")),
    "horizon 0": (lambda: changed(horizon=0), ("has the horizon 0", f"1 to {LONGEST_HORIZON}")),
    "half a step": (lambda: changed(horizon=2.5), ("has the horizon 2.5", "number of steps")),
    "an endless horizon": (lambda: changed(horizon=2**40), ("has the horizon 1099511627776", f"{LONGEST_HORIZON}")),
    "a horizon of truth": (lambda: changed(horizon=True), ("has the horizon True", "number of steps")),
    "a reset without key": (lambda: changed(reset=lambda: STATE), ("reset takes ()", "called with (key)")),
    "a step without key": (
        lambda: changed(step=lambda state, actions: None),
        ("step takes (state, actions)", "called with (key, state, actions)"),
    ),
    "a state that is no PyTree": (
        lambda: changed(reset=lambda key: Plain()),
        ("reset returns a state with Plain(time=0) in it", "make states of arrays"),
    ),
    "text in the state after a step": (
        lambda: after_step({"time": "late"}),
        ("step returns a state with 'late' in it", "make states of arrays"),
    ),
    "another state after a step": (
        lambda: after_step({"time": jnp.zeros(2, jnp.int32)}),
        ("step returns a state of", "int32[2]", "reset one of", "int32[]"),
    ),
    "no transition": (lambda: changed(step=lambda *arguments: None), ("step returns None", "return rpax.Transition(")),
    "a plain tuple for a transition": (
        lambda: changed(step=lambda *arguments: tuple(Fine().step(*arguments))),
        ("step returns ({", "float32[2], bool[]", "return rpax.Transition("),
    ),
    "one reward for both": (lambda: after_step(rewards=jnp.ones(())), ("step returns rewards float32[]", "shape (2,)")),
    "three rewards": (lambda: after_step(rewards=jnp.ones(3)), ("step returns rewards float32[3]", "shape (2,)")),
    "rewards in a tuple": (lambda: after_step(rewards=(1.0, 2.0)), ("step returns rewards (1.0, 2.0)", "an array")),
    "done in numbers": (
        lambda: after_step(done=jnp.zeros((), jnp.int32)),
        ("step returns done int32[]", "one truth value, bool[]"),
    ),
    "done by seat": (lambda: after_step(done=jnp.zeros(2, bool)), ("step returns done bool[2]", "one truth value")),
    "three shaped rewards": (
        lambda: after_step(shaped=jnp.zeros(3)),
        ("step returns shaped float32[3]", "one number, or one for each seat"),
    ),
    "shaped rewards by name": (lambda: after_step(shaped={"a": 1}), ("step returns shaped {'a': 1}", "one number")),
    "one observation": (lambda: changed(observe=lambda state: jnp.ones(2)), ("observe returns float32[2]", "two arr")),
    "no observation": (lambda: changed(observe=lambda state: None), ("observe returns None", "return two arrays")),
    "both observations in one array": (
        lambda: changed(observe=lambda state: jnp.ones((2, 3))),
        ("observe returns float32[2, 3]", "two arrays, of shapes (2,) and (3,) as in spaces"),
    ),
    "three observations": (
        lambda: sees(jnp.ones(2), jnp.ones(3), jnp.ones(3)),
        ("observe returns (float32[2], float32[3], float32[3])", "two arrays"),
    ),
    "observations of another shape": (
        lambda: sees(jnp.ones(2), jnp.ones(4)),
        ("observe returns (float32[2], float32[4])", "of shapes (2,) and (3,) as in spaces"),
    ),
    "observations that are lists": (lambda: sees([1, 2], [1, 2, 3]), ("observe returns ((1, 2), (1, 2, 3))", "arrays")),
    "observations by name": (
        lambda: sees({"a": jnp.ones(2)}, jnp.ones(3)),
        ("returns ({'a': float32[2]}, ", "two arr"),
    ),
    "fractions stored as whole numbers": (
        lambda: spaced(observation_dtype=jnp.uint8),
        ("observe returns float32 for seat 1", "stored as uint8", "leave observation_dtype out"),
    ),
    "a Python if": (
        lambda: changed(observe=lambda state: jnp.ones(2) if state["time"] > 0 else None),
        ("observe raised TracerBoolConversionError", "choose with jnp.where"),
    ),
    "an exit": (lambda: changed(observe=lambda state: sys.exit("bye")), ("observe raised SystemExit: bye",)),
    "legal actions of one seat": (
        lambda: changed(legal_actions=lambda state: jnp.ones(3, bool)),
        ("legal_actions returns bool[3]", "two arrays of truth values (bool), of shapes (3,) and (4,)"),
    ),
    "too few legal actions": (
        lambda: allows(jnp.ones(3, bool), jnp.ones(3, bool)),
        ("legal_actions returns (bool[3], bool[3])", "(3,) and (4,)"),
    ),
    "legal actions in numbers": (
        lambda: allows(jnp.ones(3), jnp.ones(4)),
        ("legal_actions returns (float32[3], float32[4])", "truth values (bool)"),
    ),
}


@pytest.mark.parametrize("what", list(REFUSED))
def test_a_mistake_is_named_with_its_method_and_the_remedy(what):
    make_game, parts = REFUSED[what]
    with pytest.raises(rpax.InputError) as caught:
        check_environment(make_game())
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith("environment Fine" if what == "no name" else "environment 'mine/game'")
    for part in parts:
        assert part in message


FINE = {
    "as it is": Fine,
    "lists": lambda: changed(observe=lambda state: [jnp.ones(2), jnp.ones(3)]),
    "narrower observations": lambda: sees(jnp.ones(2, bool), jnp.ones(3, jnp.int8)),
    "masks": lambda: allows(jnp.ones(3, bool), jnp.ones(4, bool)),
    "no masks": lambda: changed(legal_actions=lambda state: None),
    "whole rewards": lambda: after_step(rewards=jnp.ones(2, jnp.int32)),
    "an end that is no array": lambda: after_step(done=True),
    "a state of Python's numbers": lambda: changed(reset=lambda key: dict(STATE)),
    "shaped rewards": lambda: after_step(shaped=jnp.ones(2)),
    "the longest horizon": lambda: changed(horizon=LONGEST_HORIZON),
    "a larger argument list": lambda: changed(reset=lambda key, start=0: Fine().reset(key)),
}


@pytest.mark.parametrize("what", list(FINE))
def test_what_keeps_to_the_protocol_is_accepted(what):
    check_environment(FINE[what]())


def test_nothing_is_computed():
    ran = []

    def step(key, state, actions):
        jax.debug.callback(lambda: ran.append("step"))
        return Fine().step(key, state, actions)

    check_environment(changed(step=step))
    jax.effects_barrier()
    assert ran == []


def test_training_asks_before_it_begins(monkeypatch):
    monkeypatch.setattr(registry, "ENVIRONMENTS", dict(registry.ENVIRONMENTS))
    rpax.register("mine/game", lambda name: Fine())
    with pytest.raises(rpax.InputError, match=r"'mine/game': observe returns \(float32\[2\], float32\[4\]\)"):
        rpax.train("sp", sees(jnp.ones(2), jnp.ones(4)), updates=1)


@pytest.mark.parametrize("name", ["storm", "matrix/figure-2"])
def test_built_in_games_keep_to_the_protocol_too(name):
    check_environment(rpax.make(name))


def test_what_cannot_be_registered_is_refused():
    """In a process of its own: here types are checked at every call."""
    code = """
from rpax.environments.registry import register
from rpax.errors import InputError
for name, factory in ((None, int), (3, int), ("", int), ("mine/game", None), ("storm", int)):
    try:
        register(name, factory)
    except InputError as error:
        print(error)
"""
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.splitlines() == [
        "environment name None is no text; give a name like 'mine/game'",
        "environment name 3 is no text; give a name like 'mine/game'",
        "environment name '' is no text; give a name like 'mine/game'",
        "environment 'mine/game': factory None cannot be called; give a class or function that makes the environment, "
        "like lambda name: game",
        "environment 'storm' is already registered; choose another name",
    ]


@pytest.mark.parametrize("last", [2, 3, 4, None])
def test_an_episode_that_outlasts_the_horizon_is_cut_there(last, monkeypatch):
    def step(key: Any, state: Any, actions: Any) -> Any:
        done = jnp.zeros((), bool) if last is None else state["time"] + 1 >= last
        return rpax.Transition({"time": state["time"] + 1}, jnp.ones(2), done)

    monkeypatch.setattr(registry, "ENVIRONMENTS", dict(registry.ENVIRONMENTS))
    rpax.register("mine/game", lambda name: changed(step=step, horizon=3))
    run = rpax.train("sp", "mine/game", updates=1, envs=2, steps=4, evaluation_episodes=2, base_update="pg")
    expected = min(last or 3, 3)
    assert {pairing.returns for pairing in run.results[0].pairings} == {(expected, expected)}
