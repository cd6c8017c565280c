"""What an agent is made of: a network for each seat it plays, or one for both."""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Bool, Float, Int, Shaped

from rpax.environments.protocol import Key, SeatSpace
from rpax.policies import categorical

#: A PyTree of arrays: ``{"shared": …}`` or ``{"seat_0": …, "seat_1": …}``.
Parameters = Any


class View(NamedTuple):
    """What an agent saw and did in one head's part of a batch; every field [time, terms, environments, …].

    Attributes:
        head: the key of the agent's parameters that were used.
        observation: what the agent saw.
        legal: what it was allowed to do, or ``None`` for everything.
        action: what it did.
    """

    head: str
    observation: Shaped[Array, "time terms envs ..."]
    legal: Bool[Array, "time terms envs actions"] | None
    action: Int[Array, "time terms envs"]


@dataclasses.dataclass(frozen=True)
class AgentPolicy:
    """The networks of one agent. Parameters are passed in, never held.

    Attributes:
        networks: head name to network.
        head_of_seat: which head plays a seat.
        spaces: what each seat sees and can do.
    """

    networks: dict[str, nn.Module]
    head_of_seat: dict[int, str]
    spaces: tuple[SeatSpace, SeatSpace]

    def init(self, key: Key) -> Parameters:
        """Fresh parameters for every head."""
        seat_of_head = {head: seat for seat, head in reversed(self.head_of_seat.items())}
        keys = jax.random.split(key, len(self.networks))
        parameters = {}
        for key_head, (head, network) in zip(keys, self.networks.items(), strict=True):
            space = self.spaces[seat_of_head[head]]
            parameters[head] = network.init(key_head, jnp.zeros(space.observation_shape, jnp.result_type(float)))
        return parameters

    def logits(
        self, parameters: Parameters, head: str, observation: Shaped[Array, "..."]
    ) -> Float[Array, "*batch actions"]:
        """The head's logits for a batch of observations."""
        return self.networks[head].apply(parameters[head], observation)  # type: ignore[return-value]

    def log_prob(self, parameters: Parameters, views: tuple[View, ...]) -> Float[Array, "time terms envs"]:
        """log π(a_t | o_t) of the recorded actions, the views side by side."""
        parts = [
            categorical.log_prob(self.logits(parameters, view.head, view.observation), view.action, view.legal)
            for view in views
        ]
        return jnp.concatenate(parts, axis=1)

    def entropy(self, parameters: Parameters, views: tuple[View, ...]) -> Float[Array, ""]:
        """The mean over all recorded steps of the entropy of π(· | o_t)."""
        parts = [
            categorical.entropy(self.logits(parameters, view.head, view.observation), view.legal) for view in views
        ]
        return jnp.concatenate(parts, axis=1).mean()

    def table(
        self, parameters: Parameters, seat: int, observations: Shaped[Array, "states ..."]
    ) -> Float[Array, "states actions"]:
        """The action probabilities in every state of a small game."""
        return categorical.probabilities(self.logits(parameters, self.head_of_seat[seat], observations))


def make_agent_policy(
    spaces: tuple[SeatSpace, SeatSpace],
    seats: tuple[int, ...],
    *,
    shared: bool,
    make_network: Callable[[int], nn.Module],
) -> AgentPolicy:
    """The policy of an agent that plays ``seats``.

    Args:
        spaces: the environment's.
        seats: where the agent ever plays.
        shared: one network for both seats, or one each.
        make_network: from the number of actions to a network.
    """
    head_of_seat = {seat: "shared" if shared else f"seat_{seat}" for seat in seats}
    networks = {head_of_seat[seat]: make_network(spaces[seat].num_actions) for seat in seats}
    return AgentPolicy(networks, head_of_seat, spaces)
