"""A trained agent as its users see it: it acts."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Shaped

from rpax.environments.protocol import Key
from rpax.errors import InputError
from rpax.policies import categorical
from rpax.policies.agent import AgentPolicy, Parameters, as_arrays
from rpax.policies.external import asking


@dataclasses.dataclass(frozen=True)
class Agent:
    """One trained agent.

    Attributes:
        name: as in its run.
        policy: its networks.
        parameters: their parameters, as numpy arrays.
    """

    name: str
    policy: AgentPolicy
    parameters: Parameters

    def __repr__(self) -> str:
        """Who it is: one line, without its weights."""
        count = sum(jnp.size(leaf) for leaf in jax.tree.leaves(self.parameters))
        return f"<Agent '{self.name}': seats {', '.join(map(str, self.seats))}, {count:,} parameters>"

    @property
    def seats(self) -> tuple[int, ...]:
        """The seats it can play."""
        return tuple(self.policy.head_of_seat)

    def probabilities(
        self,
        observations: Shaped[Array, "batch ..."] | Shaped[np.ndarray, "batch ..."],
        seat: int | None = None,
        legal: Array | np.ndarray | None = None,
    ) -> Float[Array, "batch actions"]:
        """π(· | o) for a batch of observations.

        Args:
            observations: a batch, as the environment shows them to the seat.
            seat: which seat it sits in; may be left out where it has the same policy for all its seats.
            legal: [batch, actions], where not every action is legal.

        Raises:
            InputError: the seat is missing or one it does not play, the observations have another shape, or the agent
                has a memory (see :meth:`rpax.policies.agent.AgentPolicy.act`).
        """
        heads = self.policy.head_of_seat
        if seat is None and len(set(heads.values())) > 1:
            raise InputError(f"agent '{self.name}' has a policy for each seat; give seat=0 or seat=1")
        seat = next(iter(heads)) if seat is None else seat
        if seat not in heads:
            raise InputError(f"agent '{self.name}' plays seat {', '.join(map(str, heads))} only, not {seat}")
        expected = self.policy.spaces[seat].observation_shape
        if jnp.shape(observations)[1:] != expected:
            found = jnp.shape(observations)
            raise InputError(f"observations {found} do not fit agent '{self.name}'; give a batch of {expected}")
        if self.policy.memory_units:
            raise InputError(
                f"agent '{self.name}' has a memory, so its probabilities depend on what it saw before; "
                "play step by step with agent.policy.act"
            )
        # As arrays of the current precision: a float64 run's agent also acts where float64 is switched off.
        parameters = as_arrays(self.parameters)
        allowed = None if legal is None else jnp.asarray(legal)
        with asking():
            logits = self.policy.logits(parameters, heads[seat], jnp.asarray(observations), legal=allowed)
            return jax.block_until_ready(categorical.probabilities(logits, allowed))

    def act(
        self,
        observations: Shaped[Array, "batch ..."] | Shaped[np.ndarray, "batch ..."],
        key: Key,
        seat: int | None = None,
        legal: Array | np.ndarray | None = None,
    ) -> Int[Array, " batch"]:
        """Draw an action for each observation; arguments as in :meth:`probabilities`."""
        chances = self.probabilities(observations, seat, legal)
        return jax.random.categorical(key, jnp.log(chances))
