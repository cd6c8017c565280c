"""The two-seat environment protocol: what a game must provide to be trained on.

Everything is written for one stream and batched by the caller (``jax.vmap``), pure and jittable. A new environment
subclasses :class:`Environment` and fills in ``reset``, ``step`` and ``observe``; masks, a picture and exploring starts
are optional.
"""

import abc
import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray, Shaped, UInt32
from jaxtyping import Key as TypedKey

from rpax.errors import InputError

if TYPE_CHECKING:
    from rpax.environments.encoding import Encoding

#: A PyTree of arrays that describes one game in progress; its structure is the environment's own affair.
State = Any
Key = PRNGKeyArray | UInt32[Array, "2"]
#: Many of them, with leading axes.
Keys = TypedKey[Array, "..."] | UInt32[Array, "... 2"]


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
            InputError: (when called) they return states of different structure, shapes or types.
        """

        def reset(key: Key) -> State:
            return jax.tree.map(lambda leaf: _with_type_of(leaf, leaf), self.reset(key))

        def step(key: Key, state: State, actions: Int[Array, "2"]) -> Transition:
            transition = self.step(key, state, actions)
            start = jax.eval_shape(traced_reset, key)
            state = self.in_types_of(start, transition.state, "step")
            shaped = jnp.broadcast_to(jnp.asarray(transition.shaped, jnp.result_type(float)), (2,))
            return transition._replace(state=state, shaped=shaped)

        traced_reset = jax.jit(reset, inline=True)
        return Rules(jax.jit(step, inline=True), traced_reset)

    def in_types_of(self, start: State, state: State, method: str) -> State:
        """``state``, which ``method`` returned, in the types of ``start``, which :meth:`reset` returned.

        Raises:
            InputError: they differ in structure, shapes or types.
        """

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


def describe_spaces(spaces: Sequence[SeatSpace]) -> str:
    """Both seats' spaces in words, for error messages."""
    return " and ".join(f"{space.observation_shape} -> {space.num_actions} actions" for space in spaces)
