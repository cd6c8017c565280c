"""From a user's function to an agent that plays in an environment."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from rpax.environments.own_files import running
from rpax.environments.protocol import Environment
from rpax.policies.agent import AgentPolicy
from rpax.policies.external import Asked, External, Traced, asking
from rpax.policies.functions import JaxPolicy, PolicyFunction, name_of

if TYPE_CHECKING:
    from rpax.runs.agent import Agent

#: Of how many starts a function is asked before it plays: as many as tell the batch from anything else.
_STARTS = 3


def agent_of_function(
    name: str, function: Callable[..., Any], environment: Environment, seats: tuple[int, ...]
) -> "Agent":
    """The agent whose policy is a function, once it has answered sense about the beginning of a few episodes.

    Args:
        name: the agent's role, for messages.
        function: see docs/fixed-agents.md; traced where it is a :class:`~rpax.policies.functions.JaxPolicy`, else
            called back.
        environment: where it plays.
        seats: which seats it plays.

    Raises:
        InputError: it cannot be called, raises something, or answers nonsense.
    """
    from rpax.runs.agent import Agent

    asked = PolicyFunction.of(name, function)
    asked.check_seats(environment.spaces, seats)
    kind = Traced if isinstance(function, JaxPolicy) else External
    # One call plays both seats where it makes no difference to the function.
    alike = environment.one_policy_for_both_seats and "seat" not in asked.takes
    heads = {seat: "shared" if alike else f"seat_{seat}" for seat in seats}
    networks: dict[str, nn.Module] = {}
    for seat, head in heads.items():
        space = environment.spaces[seat]
        networks[head] = kind(space.num_actions, asked, space, seat if "seat" in asked.takes else None)
    policy = AgentPolicy(networks, heads, environment.spaces)
    agent = Agent(name_of(function), policy, {head: {} for head in networks})
    _try(agent, environment)
    return agent


def is_asked(policy: AgentPolicy) -> bool:
    """Whether a policy is a function of a user's own, which no file can hold."""
    return any(isinstance(network, Asked) for network in policy.networks.values())


def is_called_back(policy: AgentPolicy) -> bool:
    """Whether a policy's programs call back into Python."""
    return any(isinstance(network, External) for network in policy.networks.values())


def _try(agent: "Agent", environment: Environment) -> None:
    """Ask for what to do when episodes begin, in every seat."""

    def start(key: jax.Array) -> tuple[Any, Any]:
        state = environment.traced_rules.reset(key)
        return environment.observe(state), environment.legal_actions(state)

    with running(f"environment '{environment.name}'"):
        seen, legal = jax.jit(jax.vmap(start))(jax.random.split(jax.random.key(0), _STARTS))
    for seat in agent.seats:
        stored = jnp.asarray(seen[seat]).astype(environment.spaces[seat].observation_dtype)
        with asking():
            agent.probabilities(stored, seat, None if legal is None else legal[seat])
