"""Objects of JaxMARL's style: what is adapted, what is refused, OvercookedV2, names, and a JaxMARL that is missing."""

import dataclasses
import importlib.metadata
import subprocess
import sys
import types
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_array_equal

import rpax
from rpax.environments import registry
from rpax.environments.jaxmarl import load as loading
from rpax.environments.jaxmarl.adapter import AdaptedEnvironment, as_environment


@dataclasses.dataclass
class Space:
    """A declared space: ``n`` of actions, or bounds of observations."""

    n: int | None = None
    low: float | None = None
    high: float | None = None


class Count(NamedTuple):
    """How often each agent has counted up, and the time."""

    counts: jax.Array
    time: jax.Array


class Counting:
    """Agents add 0, 1 or 2 to their own count; seat 1's count pays seat 0. Ends after three steps; resets at random."""

    agents = ("ann", "bob")
    max_steps = 3

    def action_space(self, agent: str) -> Space:
        return Space(n=3)

    def observation_space(self, agent: str) -> Space:
        return Space(low=0, high=200)

    def reset(self, key):
        state = Count(jax.random.randint(key, (2,), 0, 100), jnp.array(0))
        return self.look(state), state

    def look(self, state: Count) -> dict:
        own, other = state.counts
        return {"bob": jnp.stack([other, own, state.time]), "ann": jnp.stack([own, other, state.time])}

    def step_env(self, key, state, actions):
        added = jnp.stack([actions["ann"], actions["bob"]])
        state = Count(state.counts + added, state.time + 1)
        done = state.time >= self.max_steps
        dones = {"ann": done, "bob": done, "__all__": done}
        info = {"shaped_reward": {"ann": 0.5 * actions["ann"], "bob": 0}}
        return self.look(state), state, {"bob": -1, "ann": actions["bob"], "__all__": 0.0}, dones, info

    def get_avail_actions(self, state):
        late = state.time >= 2
        return {"bob": jnp.array([True, True, True]), "ann": jnp.array([1, 1, 0]) | ~late}


def test_an_object_of_the_style_plays_its_own_rules():
    game = as_environment(Counting(), "mine/counting")
    assert isinstance(game, AdaptedEnvironment)
    assert (game.name, game.horizon) == ("mine/counting", 3)
    for space in game.spaces:
        assert (space.observation_shape, space.num_actions, space.observation_dtype) == ((3,), 3, jnp.uint8)
    step = jax.jit(lambda key, state, actions: game.step_and_reset(key, state, actions))
    state = game.reset(jax.random.key(5))
    counts = np.array(jax.random.randint(jax.random.key(5), (2,), 0, 100))
    for t, actions in enumerate([(2, 1), (0, 2), (1, 1)]):
        seen = game.observe(state)
        assert [array.dtype for array in seen] == [jnp.uint8, jnp.uint8]
        assert_array_equal(seen[0], [*counts, t])
        assert_array_equal(seen[1], [*counts[::-1], t])
        legal = game.legal_actions(state)
        assert legal is not None
        assert_array_equal(legal[0], [True, True, t < 2])
        assert_array_equal(legal[1], [True] * 3)
        transition, state = step(jax.random.key(t), state, jnp.array(actions))
        assert_array_equal(transition.rewards, [actions[1], -1])
        assert_array_equal(transition.shaped, [0.5 * actions[0], 0])
        assert bool(transition.done) == (t == 2)
        counts += actions
    assert_array_equal(transition.state.game.counts, counts)
    _, key_reset = jax.random.split(jax.random.key(2))
    assert_array_equal(state.game.counts, jax.random.randint(key_reset, (2,), 0, 100))
    assert step._cache_size() == 1


def test_the_horizon_can_be_shortened_and_an_environment_is_left_alone():
    game = as_environment(Counting(), "mine/counting", horizon=2)
    assert game.horizon == 2
    state = game.reset(jax.random.key(0))
    done = []
    for _ in range(2):
        transition = game.step(jax.random.key(0), state, jnp.array([0, 0]))
        state = transition.state
        done.append(bool(transition.done))
    assert done == [False, True]
    assert as_environment(game, "other") is game


def changed(**attributes: Any) -> Counting:
    """``Counting`` with some of it replaced."""
    game = Counting()
    for name, value in attributes.items():
        setattr(game, name, value)
    return game


def after_step(change) -> Counting:
    """``Counting`` whose step returns something else."""
    return changed(step_env=lambda *arguments: change(*Counting().step_env(*arguments)))


REFUSED = {
    "something else": (lambda: 3, "3 is no rpax.Environment and no JaxMARL-style object .* subclass rpax.Environment"),
    "no reset": (lambda: changed(reset=None), "it has no reset"),
    "three agents": (lambda: changed(agents=("a", "b", "c")), "has 3 agents; only games of two can be trained on"),
    "no time limit": (
        lambda: changed(max_steps=None),
        "does not tell its longest episode; give the object 'max_steps'",
    ),
    "a continuous action": (lambda: changed(action_space=lambda agent: Space()), "is not discrete"),
    "other actions": (
        lambda: changed(action_space=lambda agent: Space(n=3 if agent == "ann" else 4)),
        "its agents have 3 and 4 actions; both seats must share their spaces",
    ),
    "other observations": (
        lambda: changed(
            reset=lambda key: ({"ann": jnp.zeros(3), "bob": jnp.zeros(4)}, Count(jnp.zeros(2), jnp.zeros(())))
        ),
        r"its agents see float32\[3\] and float32\[4\]; both seats must share",
    ),
    "a reset without a state": (
        lambda: changed(reset=lambda key: {"ann": 0}),
        r"reset must return \(observations, state\)",
    ),
    "observations by number": (
        lambda: changed(reset=lambda key: ({0: jnp.zeros(3), 1: jnp.zeros(3)}, jnp.zeros(2))),
        "with observations of 'ann' and 'bob' in a dict",
    ),
    "a step of four results": (
        lambda: after_step(lambda seen, state, rewards, dones, info: (seen, state, rewards, dones)),
        r"its step must return \(observations, state, rewards, dones, info\)",
    ),
    "one reward": (
        lambda: after_step(lambda seen, state, rewards, dones, info: (seen, state, {"ann": 0.0}, dones, info)),
        "observations and rewards of both agents",
    ),
    "no end": (
        lambda: after_step(lambda seen, state, rewards, dones, info: (seen, state, rewards, {"ann": True}, info)),
        "must return dones with '__all__'",
    ),
    "a state of another type": (
        lambda: after_step(lambda seen, s, *rest: (seen, Count(s.counts * 1.0, s.time), *rest)),
        r"returns state.counts as float32\[2\], its reset as int32\[2\]; make them the same",
    ),
    "a state of another structure": (
        lambda: after_step(lambda seen, s, *rest: (seen, (s, s), *rest)),
        "returns state of another structure than its reset",
    ),
    "a mask of another size": (
        lambda: changed(get_avail_actions=lambda state: {"ann": jnp.ones(2), "bob": jnp.ones(2)}),
        "get_avail_actions must return 3 truth values for each agent",
    ),
}


@pytest.mark.parametrize("what", list(REFUSED))
def test_what_cannot_be_adapted_is_refused(what):
    make_game, message = REFUSED[what]
    with pytest.raises(rpax.InputError, match=message) as caught:
        as_environment(make_game(), "mine/game")
    assert "\n" not in str(caught.value)
    if what != "something else":
        assert str(caught.value).startswith("environment 'mine/game'")


@pytest.fixture
def own_registry(monkeypatch):
    """Whatever a test registers is forgotten after it."""
    monkeypatch.setattr(registry, "ENVIRONMENTS", dict(registry.ENVIRONMENTS))


def test_a_registered_factory_may_return_such_an_object(own_registry):
    rpax.register("mine/counting", lambda name, last=3: changed(max_steps=last))
    game = rpax.make("mine/counting", last=9)
    assert isinstance(game, AdaptedEnvironment)
    assert (game.name, game.horizon, game.made_with) == ("mine/counting", 9, {"last": 9})
    rpax.register("mine/nothing", lambda name: None)
    with pytest.raises(rpax.InputError, match=r"'mine/nothing': None is no rpax\.Environment"):
        rpax.make("mine/nothing")


def test_options_that_a_factory_needs_are_asked_for(own_registry):
    rpax.register("mine/counting", lambda name, last: changed(max_steps=last))
    assert registry.ENVIRONMENTS["mine/counting"].needs == ("last",)
    with pytest.raises(rpax.InputError, match="'mine/counting' needs the option 'last'; give last=…"):
        rpax.make("mine/counting")
    assert registry.ENVIRONMENTS["matrix/custom"].needs == ("payoffs",)
    assert registry.ENVIRONMENTS["overcooked/custom"].needs == ("layout",)


@pytest.mark.slow
def test_an_adapted_game_is_trained_on(own_registry):
    rpax.register("mine/counting", lambda name: Counting())
    run = rpax.train("sp", rpax.make("mine/counting"), updates=1, envs=2, steps=3)
    (pairing,) = run.results[0].pairings
    assert pairing.returns[1] == -3


def test_an_object_that_is_not_registered_is_refused_with_the_remedy():
    with pytest.raises(rpax.InputError, match=r"environment is 'Counting', neither .* rpax\.register\('mine/game'"):
        rpax.train("sp", Counting())


def test_a_step_that_resets_by_itself_will_do():
    """Nothing but ``step``, and legal actions under their older name."""
    source = Counting()
    parts = {name: getattr(source, name) for name in ("agents", "max_steps", "reset", "action_space")}
    game = types.SimpleNamespace(
        **parts,
        step=source.step_env,
        observation_space=lambda agent: Space(),
        get_legal_moves=lambda state: {"ann": jnp.array([1.0, 0, 1]), "bob": jnp.ones(3)},
    )
    adapted = as_environment(game, "mine/plain")
    assert adapted.spaces[0].observation_dtype == jnp.int32, "without bounds the type stays as it is"
    state = adapted.reset(jax.random.key(0))
    legal = adapted.legal_actions(state)
    assert legal is not None
    assert_array_equal(legal[0], [True, False, True])
    assert_array_equal(adapted.step(jax.random.key(0), state, jnp.array([0, 2])).rewards, [2, -1])


def test_overcooked_v2_is_jaxmarls():
    """3,200 random steps with the resets between, on a layout with a random recipe and a small view."""
    envs, steps, horizon = 32, 100, 40
    options = {"agent_view_size": 2, "negative_rewards": True}
    ours = rpax.make("overcooked_v2/cramped_room_v2", horizon=horizon, **options)
    module = loading.load("overcooked_v2.overcooked", "test")
    theirs = module.OvercookedV2(layout="cramped_room_v2", max_steps=horizon, **options)
    assert ours.spaces[0].observation_shape == theirs.obs_shape
    assert ours.spaces[0].observation_dtype == jnp.uint8

    def one_step(carry, key):
        state, own = carry
        actions = jnp.minimum(jax.random.randint(key, (envs, 2), 0, 9), 5)
        keys = jax.random.split(key, envs)
        transition, following = jax.vmap(ours.step_and_reset)(keys, state, actions)
        by_agent = {"agent_0": actions[:, 0], "agent_1": actions[:, 1]}
        seen, own, rewards, dones, info = jax.vmap(theirs.step)(keys, own, by_agent)
        observations = jax.vmap(ours.observe)(following)
        shaped = info["shaped_reward"]
        equal = jnp.stack(
            [
                (observations[0] == seen["agent_0"]).all(),
                (observations[1] == seen["agent_1"]).all(),
                (transition.rewards == jnp.stack([rewards["agent_0"], rewards["agent_1"]], axis=1)).all(),
                (transition.shaped == jnp.stack([shaped["agent_0"], shaped["agent_1"]], axis=1)).all(),
                (transition.done == dones["__all__"]).all(),
            ]
        )
        return (following, own), (equal, transition.shaped.sum(), transition.done.sum())

    @jax.jit
    def play(key):
        # Both begin in our state; JaxMARL's own resets come when the episodes end.
        state = jax.vmap(ours.reset)(jax.random.split(key, envs))
        return jax.lax.scan(one_step, (state, state.game), jax.random.split(key, steps))[1]

    equal, shaped, done = play(jax.random.key(1))
    assert bool(equal.all())
    assert float(shaped.sum()) > 0
    assert_array_equal(done, np.where(np.arange(steps) % horizon == horizon - 1, envs, 0))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"agent_view_size": 0}, "agent_view_size 0 is no number of cells; give 1 or more"),
        ({"agent_view_size": "2"}, "agent_view_size '2' is no number of cells"),
        ({"negative_rewards": 1}, "negative_rewards 1 is no truth value; give true or false"),
        ({"horizon": "long"}, "horizon 'long' is no number of steps"),
        ({"shaping": "paper"}, "no option 'shaping'; it takes horizon, agent_view_size"),
    ],
    ids=str,
)
def test_wrong_options_of_overcooked_v2_are_refused(options, message):
    with pytest.raises(rpax.InputError, match=message):
        rpax.make("overcooked_v2/cramped_room", **options)


def test_every_listed_layout_of_jaxmarl_is_known_and_two_can_play_those_listed():
    """The names are read from JaxMARL's source without importing it."""
    first = loading.load("overcooked.layouts", "test").overcooked_layouts
    second = loading.load("overcooked_v2.layouts", "test").overcooked_v2_layouts
    assert set(loading.layout_names("overcooked")) == set(first)
    assert set(loading.layout_names("overcooked_v2")) == set(second)
    assert loading.layout_names("nothing") == ()
    for name in second:
        registry.check_environment_name(f"overcooked_v2/{name}")
    for_two = {name for name, layout in second.items() if len(layout.agent_positions) == 2}
    listed = {name.partition("/")[2] for name in registry.ENVIRONMENTS if name.startswith("overcooked_v2/")}
    assert listed <= for_two
    with pytest.raises(rpax.InputError, match="'overcooked_v2/long_room' has 1 agent; only games of two"):
        rpax.make("overcooked_v2/long_room")


def test_names_are_checked_without_jax():
    code = """
import sys
from rpax.environments.registry import check_environment_name
from rpax.errors import InputError
for name in ("overcooked/forced_split_pot", "overcooked_v2/two_rooms", "hanabi/4x4", "storm", "overcooked/custom"):
    check_environment_name(name)
for name in ("overcooked/coordination_ring", "overcooked_v2/tworooms", "overcooked/q", "hanabi/4"):
    try:
        check_environment_name(name)
    except InputError as error:
        print(error)
print({"jax", "jaxmarl", "numpy"} & set(sys.modules))
"""
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    first, second, third, fourth, modules = ended.stdout.splitlines()
    assert "'overcooked/coordination_ring' is unknown; did you mean 'overcooked/coord_ring'?" in first
    assert "did you mean 'overcooked_v2/two_rooms'?" in second
    assert "'overcooked/q' is unknown; did you mean" in third or "known: overcooked/cramped_room" in third
    assert "'hanabi/4' is unknown; did you mean 'hanabi/4x4'?" in fourth
    assert modules == "set()", ended.stderr


def test_making_a_game_prints_nothing_and_leaves_the_streams_alone():
    """JaxMARL prints when it is imported, and puts Python's first streams back in place of whoever took theirs."""
    code = """
import contextlib, io, sys
import rpax
out, err = io.StringIO(), io.StringIO()
with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
    rpax.make("overcooked/cramped_room")
    print("mine")
    print("mine too", file=sys.stderr)
print([out.getvalue(), err.getvalue()])
"""
    ended = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, timeout=120)
    assert (ended.stdout, ended.stderr) == ("['mine\\n', 'mine too\\n']\n", "")


def test_a_missing_or_old_jaxmarl_is_reported(monkeypatch):
    def missing(package: str) -> str:
        raise importlib.metadata.PackageNotFoundError(package)

    monkeypatch.setattr(importlib.metadata, "version", missing)
    with pytest.raises(rpax.InputError, match=r"'hanabi/3x3' needs JaxMARL, which is not installed; pip install"):
        rpax.make("hanabi/3x3")
    monkeypatch.setattr(importlib.metadata, "version", lambda package: "0.1.0")
    with pytest.raises(rpax.InputError, match=r"needs JaxMARL 0.2, found 0.1.0; pip install"):
        rpax.make("overcooked/cramped_room")
