"""Agents that are functions of a user's own: called back from compiled programs, or traced into them.

A function is called back with the observations as they come, so it may be anything: a PyTorch network, a heuristic, a
table on disk. One that JAX can trace runs inside the program, many times faster; it is never tried whether one can, as
tracing would freeze random numbers, so it has to be said, with :func:`rpax.jax_policy`.

What goes wrong in a function that is called back, JAX would wrap and log. Whoever runs a program that may ask functions
does so inside :func:`asking`.
"""

import contextlib
import functools
import logging
import math
from collections.abc import Iterator
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jaxtyping import Array, Bool, Float, Shaped

from rpax.environments.own_files import running
from rpax.environments.protocol import SeatSpace
from rpax.errors import InputError
from rpax.policies.functions import PolicyFunction

#: The logit of an action of probability 0: its probability is exactly 0, and everything stays finite.
NEVER = -1e9
_JAX_LOGGER = "jax._src.callback"


class Asked(nn.Module):
    """What functions have in common as networks: they see what the environment shows, and what is legal.

    Attributes:
        num_outputs: how many actions there are.
        function: what is asked.
        space: what its seat sees and can do.
        seat: where it sits; ``None`` for a function that does not take it.
    """

    num_outputs: int
    function: PolicyFunction
    space: SeatSpace
    seat: int | None = None

    memory_units: ClassVar[int] = 0
    takes_images: ClassVar[bool] = True

    def batch_of(self, observation: Shaped[Array, "..."]) -> tuple[int, ...]:
        """The axes before those of one observation."""
        return observation.shape[: observation.ndim - len(self.space.observation_shape)]


class External(Asked):
    """A function that is called back; logits are the logarithms of its probabilities."""

    @nn.compact
    def __call__(
        self, observation: Shaped[Array, "..."], legal: Bool[Array, "*batch actions"] | None = None
    ) -> Float[Array, "*batch actions"]:
        """Ask it, wherever the program runs."""
        # Always in 32 bit: the thread that calls back knows nothing of a context that switches 64 bit on.
        shape = jax.ShapeDtypeStruct((*self.batch_of(observation), self.num_outputs), jnp.float32)
        ask = functools.partial(_ask_back, self.function, self.space, self.seat)
        # What it answers has no derivatives, and JAX refuses to look for any.
        arguments = [jax.lax.stop_gradient(observation), *([] if legal is None else [legal])]
        found = jax.pure_callback(ask, shape, *arguments, vmap_method="broadcast_all")
        return found.astype(jnp.result_type(float))


class Traced(Asked):
    """A function that is traced; logits are the logarithms of its probabilities."""

    @nn.compact
    def __call__(
        self, observation: Shaped[Array, "..."], legal: Bool[Array, "*batch actions"] | None = None
    ) -> Float[Array, "*batch actions"]:
        """Trace it."""
        batch, actions = self.batch_of(observation), self.num_outputs
        flat = observation.reshape(math.prod(batch), *self.space.observation_shape)
        allowed = None if legal is None else legal.reshape(-1, actions)
        with running(self.function.called):
            answer = jnp.asarray(self.function.ask(flat, self.seat, allowed))
        if answer.shape == (len(flat),) and jnp.issubdtype(answer.dtype, jnp.integer):
            chances = jax.nn.one_hot(answer, actions, dtype=jnp.result_type(float))
        elif answer.shape == (len(flat), actions) and jnp.issubdtype(answer.dtype, jnp.floating):
            chances = answer.astype(jnp.result_type(float))
        else:
            raise InputError(
                f"{self.function.called} returned {answer.dtype}{list(answer.shape)} for {len(flat)} observations; "
                f"return actions, whole numbers of shape [{len(flat)}], or probabilities of shape "
                f"[{len(flat)}, {actions}]"
            )
        # The smallest normal number keeps the logarithm of what is not taken finite.
        tiny = jnp.finfo(chances.dtype).tiny
        logits = jnp.where(chances > 0, jnp.log(jnp.maximum(chances, tiny)), NEVER)
        return logits.reshape(*batch, actions)


def _ask_back(
    function: PolicyFunction, space: SeatSpace, seat: int | None, observation: Any, legal: Any = None
) -> Float[np.ndarray, "*batch actions"]:
    """The log probabilities of a function for what a program hands over; what goes wrong is remembered."""
    try:
        # Copies: what the program hands over is its own memory, which it uses again, and the function may keep it.
        seen = np.array(observation)
        shape, actions = space.observation_shape, space.num_actions
        batch = seen.shape[: seen.ndim - len(shape)]
        allowed = None if legal is None else np.array(legal).reshape(-1, actions)
        chances = function.probabilities(seen.reshape(-1, *shape), space, seat, allowed)
        with np.errstate(divide="ignore"):
            logits = np.where(chances > 0, np.log(chances), NEVER)
        return logits.reshape(*batch, actions).astype(np.float32)
    except InputError as error:
        _failures[:] = [error]
        raise


#: The last thing that went wrong in a function that was called back.
_failures: list[InputError] = []


@contextlib.contextmanager
def asking() -> Iterator[None]:
    """Run, and wait for, programs that may call functions back. What went wrong before is not looked at.

    Raises:
        InputError: a function raised something or answered nonsense; JAX's own error says so in a page.
    """
    # Not forgotten here: it may be that of a program around this one, which is still to be told.
    earlier = tuple(map(id, _failures))
    try:
        yield
    except Exception as error:  # JAX wraps it in several types.
        for failure in _failures:
            if id(failure) not in earlier and str(failure) in str(error):
                _failures.clear()
                raise failure from None
        raise


def _is_not_ours(record: logging.LogRecord) -> bool:
    """Whether JAX logs something else than an error that :func:`asking` turns into one line."""
    raised = record.exc_info[1] if isinstance(record.exc_info, tuple) else None
    return not isinstance(raised, InputError)


logging.getLogger(_JAX_LOGGER).addFilter(_is_not_ours)
