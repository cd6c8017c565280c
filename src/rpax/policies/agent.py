"""What an agent is made of: a network for each seat it plays, or one for both."""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Bool, Float, Int, Shaped

from rpax.environments.encoding import Encoding
from rpax.environments.protocol import Key, SeatSpace
from rpax.policies import categorical
from rpax.policies.external import Asked
from rpax.policies.folding import first_layer, fold
from rpax.policies.layout import Layout
from rpax.policies.networks import MLP

#: A PyTree of arrays: ``{"shared": …}`` or ``{"seat_0": …, "seat_1": …}``.
Parameters = Any


class View(NamedTuple):
    """What an agent saw and did in one head's part of a batch; every field [time, terms, environments, …].

    Attributes:
        head: the key of the agent's parameters that were used.
        observation: what the agent saw.
        legal: what it was allowed to do, or ``None`` for everything.
        action: what it did.
        first: whether the step starts an episode, before which the agent remembers nothing.
        memory: what the agent carried when the chunk began, ``None`` where nobody remembers anything.
        first_layer: what the network's first layer gave, if that was kept: with the parameters of the play only.
    """

    head: str
    observation: Shaped[Array, "time terms envs ..."]
    legal: Bool[Array, "time terms envs actions"] | None
    action: Int[Array, "time terms envs"]
    first: Bool[Array, "time terms envs"]
    memory: Float[Array, "terms envs units"] | None = None
    first_layer: Float[Array, "time terms envs hidden"] | None = None


@dataclasses.dataclass(frozen=True)
class AgentPolicy:
    """The networks of one agent. Parameters are passed in, never held.

    Attributes:
        networks: head name to network.
        head_of_seat: which head plays a seat.
        spaces: what each seat sees and can do.
        encodings: where the agent is shown what is stored of its observations (in training), how they come out of it.
            Its parameters must then be :meth:`folded <fold>` before they are used.
        layout: where its parameters come as a vector (in training), how they lie in it. They must be folded too.
    """

    networks: dict[str, nn.Module]
    head_of_seat: dict[int, str]
    spaces: tuple[SeatSpace, SeatSpace]
    encodings: tuple[Encoding, Encoding] | None = None
    layout: Layout | None = None

    @property
    def memory_units(self) -> int:
        """The size of what the agent carries from step to step; 0 without memory."""
        return max(network.memory_units for network in self.networks.values())  # type: ignore[attr-defined]

    def init(self, key: Key) -> Parameters:
        """Fresh parameters for every head."""
        keys = jax.random.split(key, len(self.networks))
        parameters = {}
        for key_head, (head, network) in zip(keys, self.networks.items(), strict=True):
            observation = jnp.zeros(self._space(head).observation_shape, jnp.result_type(float))
            inputs = [self._as_input(head, observation)]
            if self.memory_units:
                inputs.append(jnp.zeros(self.memory_units, jnp.result_type(float)))
            parameters[head] = network.init(key_head, *inputs)
        return parameters

    def fold(self, parameters: Parameters) -> Parameters:
        """The parameters as :meth:`act` and :meth:`evaluate` take them: unpacked, and for encoded observations."""
        if self.layout is not None:
            parameters = self.layout.unpack(parameters)
        if self.encodings is None:
            return parameters
        return {head: fold(parameters[head], self.encodings[self._seat(head)]) for head in self.networks}

    def first_units(self, head: str) -> int:
        """The size of the head's first layer, where :meth:`first_layer` can tell what it gives; else 0."""
        network = self.networks[head]
        return network.hidden_sizes[0] if isinstance(network, MLP) and network.hidden_sizes else 0

    def first_layer(
        self, parameters: Parameters, head: str, observation: Shaped[Array, "..."]
    ) -> Float[Array, "*batch hidden"]:
        """What a head's first layer makes of a batch of observations, before its activation."""
        return first_layer(parameters[head], self._as_input(head, observation))

    def logits(
        self,
        parameters: Parameters,
        head: str,
        observation: Shaped[Array, "..."],
        first_layer: Float[Array, "*batch hidden"] | None = None,
        legal: Bool[Array, "*batch actions"] | None = None,
    ) -> Float[Array, "*batch actions"]:
        """The logits of a head without memory for a batch of observations, whose first layer gave ``first_layer``.

        ``legal`` is for functions of a user's own; networks do not look at it, and nobody's logits are masked by it.
        """
        assert not self.memory_units, "agents with memory act step by step"
        inputs: list[Any] = [self._as_input(head, observation), *([] if first_layer is None else [first_layer])]
        if isinstance(self.networks[head], Asked):
            inputs.append(legal)
        return self.networks[head].apply(parameters[head], *inputs)  # type: ignore[return-value]

    def act(
        self,
        parameters: Parameters,
        head: str,
        observation: Shaped[Array, "..."],
        first: Bool[Array, "*batch"],
        memory: Float[Array, "*batch units"] | None,
        first_layer: Float[Array, "*batch hidden"] | None = None,
        legal: Bool[Array, "*batch actions"] | None = None,
    ) -> tuple[Float[Array, "*batch actions"], Float[Array, "*batch units"] | None]:
        """The head's logits, and what the agent carries to the next step. Nothing is remembered across episodes.

        ``memory`` may be wider than this agent's own: the rest is left alone.
        """
        if not self.memory_units:
            return self.logits(parameters, head, observation, first_layer, legal), memory
        assert memory is not None, "rollouts carry memory for agents that have one"
        own = jnp.where(first[..., None], 0.0, memory[..., : self.memory_units])
        inputs = self._as_input(head, observation)
        stepped: Any = self.networks[head].apply(parameters[head], inputs, own)
        return stepped[0], jnp.concatenate([stepped[1], memory[..., self.memory_units :]], axis=-1)

    def evaluate(
        self, parameters: Parameters, views: tuple[View, ...]
    ) -> tuple[Float[Array, "time terms envs"], Float[Array, "time terms envs"]]:
        """log π(a_t | o_t) of the recorded actions and the entropy of π(· | o_t), the views side by side."""
        log_prob, entropy = [], []
        for view in views:
            logits = self._logits_of(parameters, view)
            log_prob.append(categorical.log_prob(logits, view.action, view.legal))
            entropy.append(categorical.entropy(logits, view.legal))
        return jnp.concatenate(log_prob, axis=1), jnp.concatenate(entropy, axis=1)

    def _logits_of(self, parameters: Parameters, view: View) -> Float[Array, "time terms envs actions"]:
        if not self.memory_units:
            return self.logits(parameters, view.head, view.observation, view.first_layer)

        def one_step(memory: Any, step: tuple[Array, Array]) -> tuple[Any, Array]:
            observation_t, first_t = step
            logits_t, memory = self.act(parameters, view.head, observation_t, first_t, memory)
            return memory, logits_t

        return jax.lax.scan(one_step, view.memory, (view.observation, view.first))[1]

    def table(
        self, parameters: Parameters, seat: int, observations: Shaped[Array, "states ..."]
    ) -> Float[Array, "states actions"]:
        """The action probabilities in every state of a small game."""
        return categorical.probabilities(self.logits(parameters, self.head_of_seat[seat], observations))

    def _space(self, head: str) -> SeatSpace:
        return self.spaces[self._seat(head)]

    def _seat(self, head: str) -> int:
        return min(seat for seat, name in self.head_of_seat.items() if name == head)

    def _as_input(self, head: str, observation: Shaped[Array, "..."]) -> Shaped[Array, "..."]:
        """The observation as the network wants it: as an image, or flat."""
        space = self._space(head)
        shape = space.observation_shape
        if self.encodings is not None and isinstance(self.networks[head], Asked):
            decoded = self.encodings[self._seat(head)].decode(observation)
            return decoded.reshape(*decoded.shape[:-1], *shape).astype(space.observation_dtype)
        if self.encodings is not None or self.networks[head].takes_images or len(shape) == 1:  # type: ignore[attr-defined]
            return observation
        return observation.reshape(*observation.shape[: observation.ndim - len(shape)], -1)


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
