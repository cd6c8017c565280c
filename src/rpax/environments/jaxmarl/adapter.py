"""Objects that follow JaxMARL's conventions, behind the two-seat protocol."""

import functools
import operator
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, ParamSpec, TypeVar

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Int, Shaped

from rpax.environments.own_files import running
from rpax.environments.protocol import LONGEST_HORIZON, Environment, Key, SeatSpace, Transition
from rpax.errors import InputError, shown

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")

#: The longest episode of a built-in game, as of STORM.
_LONGEST = 10_000
_METHODS = ("reset", "action_space", "observation_space")
_INTEGERS = (jnp.uint8, jnp.int8, jnp.uint16, jnp.int16, jnp.uint32, jnp.int32)


def in_32_bit(function: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
    """``function``, traced with 32-bit numbers also where 64-bit ones are switched on.

    JaxMARL's games mix 32- and 64-bit integers otherwise, and then refuse to compile.
    """

    @functools.wraps(function)
    def traced(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
        with jax.enable_x64(False):
            return function(*args, **kwargs)

    return traced


def strong(tree: Any) -> Any:
    """``tree`` with every array strongly typed: a weak type after the reset would compile everything twice."""
    return jax.tree.map(lambda leaf: lax.convert_element_type(leaf, jnp.result_type(leaf)), tree)


def checked_horizon(name: str, horizon: object, longest: int = _LONGEST) -> int:
    """The number of steps of an episode.

    Raises:
        InputError: it is no whole number, less than 1, or more than ``longest``.
    """
    try:
        steps = operator.index(horizon)  # type: ignore[arg-type]
    except TypeError:
        steps = 0
    if steps < 1 or isinstance(horizon, bool):
        raise InputError(f"environment '{name}': horizon {shown(horizon)} is no number of steps; give 1 or more")
    if steps > longest:
        raise InputError(f"environment '{name}': horizon {shown(steps)} is too long; give at most {longest}")
    return steps


class AdaptedState(NamedTuple):
    """A game in progress.

    Attributes:
        game: the adapted object's own state.
        seen: what both seats see, in the type in which it is stored; ``()`` where the object can tell from its state.
        steps: how many steps the episode has lasted.
    """

    game: Any
    seen: tuple[Shaped[Array, "..."], ...]
    steps: Int[Array, ""]


class AdaptedEnvironment(Environment):
    """A JaxMARL-style game of two agents with equal spaces; agent 0 in the object's order is seat 0.

    The object offers ``agents``, ``reset(key) -> (observations, state)``, ``step_env`` or ``step``, called as
    ``(key, state, actions) -> (observations, state, rewards, dones, info)``, ``action_space(agent)`` with ``n`` and
    ``observation_space(agent)``; everything of an agent is in a dict under its name, and ``dones["__all__"]`` ends the
    episode. ``step_env`` is preferred, as it does not reset by itself. Where they are there, ``info["shaped_reward"]``
    is the shaped reward and ``get_avail_actions(state)`` or ``get_legal_moves(state)`` the legal actions.

    Observations of an integer type are stored in the smallest one that holds the bounds of ``observation_space``.

    Args:
        name: how the environment is called.
        game: the object.
        horizon: end episodes after that many steps; ``None``: the object ends them itself after its ``max_steps``.
        sees_state: whether ``game.get_obs(state)`` gives the observations, so that they need not be kept beside it.
        action_names: one name an action.

    Raises:
        InputError: the object lacks something, has other than two agents, or its agents' spaces differ.
    """

    def __init__(
        self,
        name: str,
        game: Any,
        *,
        horizon: int | None = None,
        sees_state: bool = False,
        action_names: tuple[str, ...] | None = None,
    ) -> None:
        self.name = name
        self.game = game
        self._sees_state = sees_state
        self._agents = _two_agents(name, game)
        self._step = getattr(game, "step_env", None) or game.step
        self._limit = None if horizon is None else checked_horizon(name, horizon, LONGEST_HORIZON)
        self.horizon = self._limit or _own_horizon(name, game)
        reset, after = self._trial()
        space = _space(name, game, self._agents, reset[0], action_names)
        self.spaces = (space, space)
        self._check_trial(reset, after)
        self._legal = self._find_legal_actions(reset[1])

    @in_32_bit
    def _trial(self) -> tuple[Any, Any]:
        """Shapes of what a reset and a step yield; nothing is computed."""
        what = f"environment '{self.name}': its"
        with running(f"{what} reset"):
            reset = jax.eval_shape(lambda key: strong(self.game.reset(key)), jax.random.key(0))
        if not (isinstance(reset, tuple) and len(reset) == 2 and _has_both(reset[0], self._agents)):
            raise InputError(
                f"environment '{self.name}': reset must return (observations, state), with observations of "
                f"{' and '.join(map(repr, self._agents))} in a dict"
            )
        actions = dict.fromkeys(self._agents, jnp.zeros((), jnp.int32))
        with running(f"{what} step"):
            after = jax.eval_shape(lambda key, s: strong(self._step(key, s, actions)), jax.random.key(0), reset[1])
        return reset, after

    def _check_trial(self, reset: Any, after: Any) -> None:
        what = f"environment '{self.name}': its step"
        if not (isinstance(after, tuple) and len(after) == 5):
            raise InputError(f"{what} must return (observations, state, rewards, dones, info)")
        seen, state, rewards, dones, _ = after
        if not (_has_both(seen, self._agents) and _has_both(rewards, self._agents)):
            raise InputError(f"{what} must return observations and rewards of both agents in dicts under their names")
        if not (isinstance(dones, Mapping) and "__all__" in dones):
            raise InputError(f"{what} must return dones with '__all__', which says whether the episode has ended")
        for kind, before, now in (("state", reset[1], state), ("observations", reset[0], seen)):
            if jax.tree.structure(before) != jax.tree.structure(now):
                raise InputError(f"{what} returns {kind} of another structure than its reset; make them the same")
            for (path, old), new in zip(jax.tree.leaves_with_path(before), jax.tree.leaves(now), strict=True):
                if (old.shape, old.dtype) != (new.shape, new.dtype):
                    raise InputError(
                        f"{what} returns {kind}{jax.tree_util.keystr(path)} as {new.dtype}{list(new.shape)}, its reset "
                        f"as {old.dtype}{list(old.shape)}; make them the same"
                    )

    @in_32_bit
    def _find_legal_actions(self, state: Any) -> Callable[[Any], Mapping[str, Array]] | None:
        count = self.spaces[0].num_actions
        for method in ("get_avail_actions", "get_legal_moves"):
            legal_actions = getattr(self.game, method, None)
            if legal_actions is None:
                continue
            with running(f"environment '{self.name}': its {method}"):
                try:
                    legal = jax.eval_shape(legal_actions, state)
                except NotImplementedError:  # JaxMARL's base class
                    continue
            if not _has_both(legal, self._agents) or any(legal[agent].shape != (count,) for agent in self._agents):
                raise InputError(
                    f"environment '{self.name}': {method} must return {count} truth values for each agent, in a dict"
                )
            return legal_actions
        return None

    @in_32_bit
    def reset(self, key: Key) -> AdaptedState:
        """The object's own reset."""
        seen, state = self.game.reset(key)
        return AdaptedState(strong(state), self._kept(seen), jnp.zeros((), jnp.int32))

    @in_32_bit
    def step(self, key: Key, state: AdaptedState, actions: Int[Array, "2"]) -> Transition:
        """The object's own step; ``shaped`` is its shaped reward alone, 0 where it has none."""
        seen, game, rewards, dones, info = self._step(key, state.game, self._by_agent(actions))
        steps = state.steps + 1
        done = jnp.asarray(dones["__all__"], bool)
        if self._limit is not None:
            done = done | (steps >= self._limit)
        shaped = info.get("shaped_reward") if isinstance(info, Mapping) else None
        following = AdaptedState(strong(game), self._kept(seen), steps)
        return Transition(following, self._both(rewards), done, 0.0 if shaped is None else self._both(shaped))

    @in_32_bit
    def observe(self, state: AdaptedState) -> tuple[Shaped[Array, "..."], Shaped[Array, "..."]]:
        """What both seats see, in the type in which it is stored."""
        seen = self._stored(self.game.get_obs(state.game)) if self._sees_state else state.seen
        return seen[0], seen[1]

    @in_32_bit
    def legal_actions(self, state: AdaptedState) -> tuple[Bool[Array, " actions"], Bool[Array, " actions"]] | None:
        """The object's own legal actions, where it names any."""
        if self._legal is None:
            return None
        legal = self._legal(state.game)
        first, second = (jnp.asarray(legal[agent]) > 0 for agent in self._agents)
        return first, second

    def _by_agent(self, actions: Int[Array, "2"]) -> dict[str, Array]:
        return {agent: actions[seat].astype(jnp.int32) for seat, agent in enumerate(self._agents)}

    def _both(self, by_agent: Mapping[str, Any]) -> Array:
        return jnp.stack([jnp.asarray(by_agent[agent], jnp.float32).reshape(()) for agent in self._agents])

    def _stored(self, seen: Mapping[str, Array]) -> tuple[Array, Array]:
        first, second = (
            seen[agent].astype(space.observation_dtype) for agent, space in zip(self._agents, self.spaces, strict=True)
        )
        return first, second

    def _kept(self, seen: Mapping[str, Array]) -> tuple[Array, ...]:
        return () if self._sees_state else self._stored(seen)


def as_environment(game: Any, name: str, *, horizon: int | None = None) -> Environment:
    """``game`` as an environment: itself if it is one, a JaxMARL-style object of two agents adapted.

    Args:
        game: what a factory returned; see :class:`AdaptedEnvironment` for what a JaxMARL-style object offers.
        name: how the environment is called.
        horizon: for an object that does not end its episodes itself after ``max_steps``: the steps of an episode.

    Raises:
        InputError: it is neither, has other than two agents, or its agents see or can do different things.
    """
    if isinstance(game, Environment):
        return game
    return AdaptedEnvironment(name, game, horizon=horizon)


def _two_agents(name: str, game: Any) -> tuple[str, str]:
    missing = [method for method in _METHODS if not callable(getattr(game, method, None))]
    if not callable(getattr(game, "step_env", None)) and not callable(getattr(game, "step", None)):
        missing.append("step")
    if missing or not hasattr(game, "agents"):
        lacks = ", ".join([*missing, *([] if hasattr(game, "agents") else ["agents"])])
        raise InputError(
            f"environment '{name}': {shown(game)} is no rpax.Environment and no JaxMARL-style object (it has no "
            f"{lacks}); subclass rpax.Environment"
        )
    agents = list(game.agents)
    if len(agents) != 2:
        count = f"{len(agents)} agent{'s' if len(agents) != 1 else ''}"
        raise InputError(f"environment '{name}' has {count}; only games of two can be trained on")
    return agents[0], agents[1]


def _own_horizon(name: str, game: Any) -> int:
    own = getattr(game, "max_steps", None)
    if own is None:
        raise InputError(
            f"environment '{name}' does not tell its longest episode; give the object 'max_steps', or return "
            "rpax.environments.jaxmarl.adapter.as_environment(object, name, horizon=…) from the factory"
        )
    return checked_horizon(name, own, LONGEST_HORIZON)


def _has_both(by_agent: Any, agents: tuple[str, str]) -> bool:
    return isinstance(by_agent, Mapping) and all(agent in by_agent for agent in agents)


def _space(
    name: str, game: Any, agents: tuple[str, str], seen: Mapping[str, Any], action_names: tuple[str, ...] | None
) -> SeatSpace:
    """The space that both seats share; shapes are those of the arrays, which declared spaces do not always match."""
    counts = [_count_actions(name, game.action_space(agent)) for agent in agents]
    shapes = [(tuple(seen[agent].shape), jnp.dtype(seen[agent].dtype).name) for agent in agents]
    if counts[0] != counts[1]:
        raise InputError(
            f"environment '{name}': its agents have {counts[0]} and {counts[1]} actions; both seats must share their "
            "spaces to be adapted, else subclass rpax.Environment"
        )
    if shapes[0] != shapes[1]:
        raise InputError(
            f"environment '{name}': its agents see {shapes[0][1]}{list(shapes[0][0])} and "
            f"{shapes[1][1]}{list(shapes[1][0])}; both seats must share their spaces to be adapted, else subclass "
            "rpax.Environment"
        )
    dtype = _smallest_dtype(jnp.dtype(shapes[0][1]), [game.observation_space(agent) for agent in agents])
    return SeatSpace(shapes[0][0], counts[0], dtype, action_names)


def _count_actions(name: str, space: Any) -> int:
    count = getattr(space, "n", None)
    if count is None:
        raise InputError(
            f"environment '{name}': action space {shown(space)} is not discrete (it has no 'n'); "
            "only games of numbered actions can be trained on"
        )
    return int(count)


def _smallest_dtype(dtype: Any, spaces: list[Any]) -> Any:
    """The smallest integer type that holds the declared bounds, for observations of an integer type."""
    if not jnp.issubdtype(dtype, jnp.integer):
        return dtype
    bounds = [getattr(space, end, None) for space in spaces for end in ("low", "high")]
    if any(bound is None for bound in bounds):
        return dtype
    low, high = float(min(jnp.min(bound) for bound in bounds)), float(max(jnp.max(bound) for bound in bounds))  # type: ignore[arg-type]
    for smaller in _INTEGERS:
        limits = jnp.iinfo(smaller)
        if limits.min <= low and high <= limits.max and jnp.dtype(smaller).itemsize <= dtype.itemsize:
            return jnp.dtype(smaller)
    return dtype
