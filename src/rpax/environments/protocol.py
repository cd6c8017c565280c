"""The two-seat environment protocol: what a game must provide to be trained on.

Everything is written for one stream and batched by the caller (``jax.vmap``), pure and jittable. A new environment
subclasses :class:`Environment` and fills in ``reset``, ``step`` and ``observe``; masks, a picture, exploring starts and
symmetries are optional.
"""

import abc
import dataclasses
import functools
import inspect
import operator
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray, Shaped, UInt32
from jaxtyping import Key as TypedKey

from rpax.environments.own_files import running
from rpax.errors import InputError, shown

if TYPE_CHECKING:
    from rpax.environments.encoding import Encoding
    from rpax.environments.symmetries import Symmetries

#: A PyTree of arrays that describes one game in progress; its structure is the environment's own affair.
State = Any
Key = PRNGKeyArray | UInt32[Array, "2"]
#: Many of them, with leading axes.
Keys = TypedKey[Array, "..."] | UInt32[Array, "... 2"]

#: The longest that episodes may be: evaluation draws a key for each step of the horizon.
LONGEST_HORIZON = 1_000_000
#: With what methods are called.
_ARGUMENTS = {
    "reset": ("key",),
    "step": ("key", "state", "actions"),
    "observe": ("state",),
    "legal_actions": ("state",),
}


@dataclasses.dataclass(frozen=True)
class SeatSpace:
    """What one seat sees and can do.

    Attributes:
        observation_shape: shape of one observation.
        num_actions: actions are the integers 0 … num_actions − 1.
        observation_dtype: the type in which observations are stored (the smallest that holds them).
        action_names: one name an action, for tables and pictures.
    """

    observation_shape: tuple[int, ...]
    num_actions: int
    observation_dtype: Any = jnp.float32
    action_names: tuple[str, ...] | None = None

    def name_of(self, action: int) -> str:
        """The action's name, or its number where it has none."""
        return self.action_names[action] if self.action_names else str(action)


class Transition(NamedTuple):
    """What one step yields.

    Attributes:
        state: the state after the step (not yet reset where the episode ended).
        rewards: the reward of each seat, the game's own ("raw") reward.
        done: whether the episode ended with this step; time limits count as ends.
        shaped: extra reward of each seat that helps learning and is never reported as return.
    """

    state: State
    rewards: Float[Array, "2"]
    done: Bool[Array, ""]
    shaped: Float[Array, "2"] | float = 0.0


class Environment(abc.ABC):
    """A two-player simultaneous-move game with discrete actions.

    Attributes:
        name: the name it is registered under, like ``matrix/figure-2``.
        spaces: what seat 0 and seat 1 see and can do.
        horizon: an upper bound on the steps of an episode.
        one_policy_for_both_seats: whether an agent that plays both seats uses one policy for both. Needs equal
            spaces; otherwise it has a policy for each seat.
        made_with: the options that :func:`rpax.make` was given.
        encodings: how each seat's observation comes out of the few numbers that :meth:`observe_encoded` gives; ``None``
            where it is stored as it is.
    """

    name: str
    spaces: tuple[SeatSpace, SeatSpace]
    horizon: int
    one_policy_for_both_seats: bool = True
    made_with: Mapping[str, Any] = MappingProxyType({})
    encodings: "tuple[Encoding, Encoding] | None" = None

    @abc.abstractmethod
    def reset(self, key: Key) -> State:
        """The state in which an episode starts."""

    def exploring_reset(self, key: Key) -> State:
        """A state that play may or may not come to by itself, for episodes with an exploring start."""
        raise NotImplementedError(f"environment '{self.name}' has no exploring starts")

    @property
    def has_exploring_starts(self) -> bool:
        """Whether :meth:`exploring_reset` is there."""
        return type(self).exploring_reset is not Environment.exploring_reset

    @abc.abstractmethod
    def step(self, key: Key, state: State, actions: Int[Array, "2"]) -> Transition:
        """One simultaneous move of both seats."""

    @abc.abstractmethod
    def observe(self, state: State) -> tuple[Shaped[Array, "..."], Shaped[Array, "..."]]:
        """What seat 0 and seat 1 see in ``state``."""

    def observe_encoded(self, state: State) -> tuple[Shaped[Array, " stored_0"], Shaped[Array, " stored_1"]]:
        """What is stored of both seats' observations, for environments with ``encodings``."""
        raise NotImplementedError(f"environment '{self.name}' has no encodings")

    def legal_actions(self, state: State) -> tuple[Bool[Array, " actions_0"], Bool[Array, " actions_1"]] | None:
        """The actions each seat may take in ``state``; ``None`` where all are always legal."""
        return None

    def symmetries(self) -> "Symmetries | None":
        """Relabellings of what seat 1 sees and does that leave the game as it is; ``None`` where none are known."""
        return None

    def step_and_reset(self, key: Key, state: State, actions: Int[Array, "2"]) -> tuple[Transition, State]:
        """One step, and the state to go on from: that after the step, or a fresh one where the episode ended."""
        key_step, key_reset = jax.random.split(key)
        transition = self.traced_rules.step(key_step, state, actions)
        where = functools.partial(jnp.where, transition.done)
        return transition, jax.tree.map(where, self.traced_rules.reset(key_reset), transition.state)

    def step_and_reset_all(self, keys: Keys, states: State, actions: Int[Array, "games 2"]) -> tuple[Transition, State]:
        """:meth:`step_and_reset` of many games; the leading axis of everything is the game.

        On a processor, with one seed, nothing is reset in steps in which no episode ends.
        """
        keys_step, keys_reset = jnp.moveaxis(jax.vmap(jax.random.split)(keys), 1, 0)
        transition = jax.vmap(self.traced_rules.step)(keys_step, states, actions)

        def restart(transition: Transition, keys: Keys) -> State:
            where = functools.partial(_where_game, transition.done)
            return jax.tree.map(where, jax.vmap(self.traced_rules.reset)(keys), transition.state)

        def restart_if_any_ended(transition: Transition, keys: Keys) -> State:
            return jax.lax.cond(transition.done.any(), lambda: restart(transition, keys), lambda: transition.state)

        # Elsewhere a condition would wait for the device in every step.
        following = jax.lax.platform_dependent(transition, keys_reset, cpu=restart_if_any_ended, default=restart)
        return transition, following

    @functools.cached_property
    def traced_rules(self) -> "Rules":
        """:meth:`step` and :meth:`reset` as training calls them.

        Raises:
            InputError: (when called) they return something else than the protocol asks for, or states of different
                structure, shapes or types.
        """

        def reset(key: Key) -> State:
            state = self.reset(key)
            _check_arrays(f"environment '{self.name}': reset", state)
            return jax.tree.map(lambda leaf: _with_type_of(leaf, leaf), state)

        def step(key: Key, state: State, actions: Int[Array, "2"]) -> Transition:
            transition = self.step(key, state, actions)
            what = f"environment '{self.name}': step"
            _check_transition(what, transition)
            start = jax.eval_shape(traced_reset, key)
            state = self.in_types_of(start, transition.state, "step")
            return transition._replace(state=state, shaped=_of_both_seats(what, transition.shaped))

        traced_reset = jax.jit(reset, inline=True)
        return Rules(jax.jit(step, inline=True), traced_reset)

    def in_types_of(self, start: State, state: State, method: str) -> State:
        """``state``, which ``method`` returned, in the types of ``start``, which :meth:`reset` returned.

        Raises:
            InputError: they differ in structure, shapes or types.
        """
        _check_arrays(f"environment '{self.name}': {method}", state)

        def kind(state: State) -> tuple[Any, list[str]]:
            leaves, structure = jax.tree.flatten(jax.eval_shape(lambda: state))
            return structure, [f"{leaf.dtype}{list(leaf.shape)}" for leaf in leaves]

        fits = jax.tree.map(_with_type_of, state, start) if kind(start)[0] == kind(state)[0] else state
        if kind(fits) != kind(start):
            raise InputError(
                f"environment '{self.name}': {method} returns a state of {kind(state)}, reset one of {kind(start)}; "
                "return the same kind of state from both"
            )
        return fits

    def render(self, state: State) -> np.ndarray:
        """A picture of ``state``: RGB, ``uint8``, height × width × 3."""
        raise NotImplementedError(f"environment '{self.name}' does not draw itself")


class Rules(NamedTuple):
    """A game's step and reset, jitted, so that programs with several rollouts trace them once.

    States have the types of the reset's, strongly: a type that changes from step to step would compile everything
    twice. The shaped reward is an array of two.

    Attributes:
        step: as :meth:`Environment.step`.
        reset: as :meth:`Environment.reset`.
    """

    step: Callable[[Key, State, Array], Transition]
    reset: Callable[[Key], State]


def _with_type_of(leaf: Any, other: Any) -> Array:
    """``leaf`` in the wider type of the two, strongly."""
    if jnp.issubdtype(getattr(leaf, "dtype", int), jax.dtypes.prng_key):
        return leaf
    return jax.lax.convert_element_type(leaf, jnp.result_type(leaf, other))


def _where_game(done: Bool[Array, " games"], new: Array, old: Array) -> Array:
    return jnp.where(done.reshape(-1, *(1,) * (new.ndim - 1)), new, old)


def check_environment(environment: Environment) -> None:
    """Whether an environment keeps to the protocol. Its methods are traced once, and nothing is computed.

    Raises:
        InputError: it does not; names the attribute or method, what was found and what is expected, or what the method
            raised.
    """
    _check_attributes(environment)
    _check_arguments(environment)
    what, spaces = f"environment '{environment.name}'", environment.spaces
    # As training calls them, so that it finds them traced.
    key = jax.eval_shape(lambda: jax.random.key_data(jax.random.key(0)))
    with running(f"{what}: reset"):
        state = jax.eval_shape(environment.traced_rules.reset, key)

    def watch(state: State) -> None:
        shapes = [space.observation_shape for space in spaces]
        with running(f"{what}: observe"):
            seen = environment.observe(state)
        _check_pair(f"{what}: observe", seen, shapes)
        for seat, (array, space) in enumerate(zip(seen, spaces, strict=True)):
            stored = jnp.dtype(space.observation_dtype)
            if jnp.issubdtype(array.dtype, jnp.floating) and not jnp.issubdtype(stored, jnp.floating):
                raise InputError(
                    f"{what}: observe returns {array.dtype} for seat {seat}, which would be stored as {stored}; return "
                    "whole numbers, or leave observation_dtype out"
                )
        with running(f"{what}: legal_actions"):
            legal = environment.legal_actions(state)
        if legal is not None:
            counts = [(space.num_actions,) for space in spaces]
            _check_pair(f"{what}: legal_actions", legal, counts, "truth values (bool)")

    jax.eval_shape(watch, state)
    with running(f"{what}: step"):
        jax.eval_shape(environment.traced_rules.step, key, state, jax.ShapeDtypeStruct((2,), jnp.int32))


def _check_attributes(environment: Environment) -> None:
    if not isinstance(getattr(environment, "name", None), str):
        found = shown(getattr(environment, "name", None))
        raise InputError(f"environment {type(environment).__name__} has the name {found}; set a name like 'mine/game'")
    what = f"environment '{environment.name}'"
    spaces = getattr(environment, "spaces", None)
    if not (isinstance(spaces, tuple) and len(spaces) == 2 and all(isinstance(space, SeatSpace) for space in spaces)):
        found = f"the spaces {shown(spaces)}"
        if isinstance(spaces, tuple) and len(spaces) != 2:
            found = f"a tuple of {len(spaces)} for spaces"
        raise InputError(f"{what} has {found}; set a tuple of two SeatSpace, one for each seat")
    for seat, space in enumerate(spaces):
        _check_space(f"{what}: the space of seat {seat}", space)
    horizon = getattr(environment, "horizon", None)
    if not 1 <= _whole(horizon) <= LONGEST_HORIZON:
        raise InputError(
            f"{what} has the horizon {shown(horizon)}; set the number of steps of its longest episode, "
            f"1 to {LONGEST_HORIZON}"
        )


def _check_space(what: str, space: SeatSpace) -> None:
    shape, count, names = space.observation_shape, space.num_actions, space.action_names
    if not (isinstance(shape, tuple) and all(_whole(size) > 0 for size in shape)):
        raise InputError(f"{what} has observation_shape {shown(shape)}; give a tuple of sizes, like (4,)")
    if _whole(count) < 1:
        raise InputError(f"{what} has num_actions {shown(count)}; give a whole number of at least 1")
    if names is not None and len(names) != count:
        raise InputError(f"{what} has {count} actions and {len(names)} action_names; give one name an action")
    try:
        jnp.dtype(space.observation_dtype)
    except TypeError:
        found = shown(space.observation_dtype)
        raise InputError(f"{what} has observation_dtype {found}; give a type like jnp.float32") from None


def _whole(value: Any) -> int:
    """A whole number as an ``int``; 0 for anything else."""
    try:
        return 0 if isinstance(value, bool) else operator.index(value)
    except TypeError:
        return 0


def _check_arguments(environment: Environment) -> None:
    """Whether methods take the arguments with which they are called."""
    for method, arguments in _ARGUMENTS.items():
        signature = inspect.signature(getattr(environment, method))
        try:
            signature.bind(*arguments)
        except TypeError:
            raise InputError(
                f"environment '{environment.name}': {method} takes {signature}; it is called with "
                f"({', '.join(arguments)})"
            ) from None


def _check_arrays(what: str, state: State) -> None:
    """Whether a state is made of arrays and numbers."""
    for leaf in jax.tree.leaves(state):
        if not hasattr(leaf, "dtype") and not isinstance(leaf, int | float | complex):
            raise InputError(
                f"{what} returns a state with {shown(leaf)} in it, which is no array; make states of arrays, in "
                "tuples, NamedTuples or dicts"
            )


def _check_transition(what: str, transition: Any) -> None:
    if not isinstance(transition, Transition):
        raise InputError(f"{what} returns {_kind(transition)}; return rpax.Transition(state, rewards, done)")
    rewards, done = transition.rewards, transition.done
    if getattr(rewards, "shape", None) != (2,):
        raise InputError(f"{what} returns rewards {_kind(rewards)}; return an array of shape (2,), one for each seat")
    if not isinstance(done, bool) and not (getattr(done, "shape", None) == () and done.dtype == bool):
        raise InputError(f"{what} returns done {_kind(done)}; return one truth value, bool[]")


def _of_both_seats(what: str, shaped: Any) -> Float[Array, "2"]:
    try:
        return jnp.broadcast_to(jnp.asarray(shaped, jnp.result_type(float)), (2,))
    except (TypeError, ValueError):
        raise InputError(f"{what} returns shaped {_kind(shaped)}; return one number, or one for each seat") from None


def _check_pair(what: str, found: Any, shapes: Sequence[tuple[int, ...]], values: str = "") -> None:
    """Whether ``found`` is an array for each seat, of these shapes, and of truth values if ``values`` says so."""
    arrays = found if isinstance(found, tuple | list) else ()
    fits = [getattr(array, "shape", None) for array in arrays] == list(shapes)
    if not fits or (values and any(array.dtype != bool for array in arrays)):
        raise InputError(
            f"{what} returns {_kind(found)}; return two arrays{f' of {values}' if values else ''}, of shapes "
            f"{shapes[0]} and {shapes[1]} as in spaces"
        )


def _kind(value: Any) -> str:
    """``value`` in words: of an array, its type and shape."""
    if isinstance(value, tuple | list):
        return f"({', '.join(map(_kind, value))})"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{key!r}: {_kind(entry)}' for key, entry in value.items())}}}"
    return f"{value.dtype}{list(value.shape)}" if hasattr(value, "dtype") else shown(value)


def describe_spaces(spaces: Sequence[SeatSpace]) -> str:
    """Both seats' spaces in words, for error messages."""
    return " and ".join(f"{space.observation_shape} -> {space.num_actions} actions" for space in spaces)
