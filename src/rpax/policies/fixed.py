"""Fixed agents: victims and partners that never learn."""

from typing import TYPE_CHECKING, Any

from rpax.environments.protocol import Environment
from rpax.policies.agent import AgentPolicy, Parameters
from rpax.policies.sources import find_agent

if TYPE_CHECKING:
    from rpax.runs.agent import Agent


def resolve_fixed_agent(
    name: str, source: "str | Agent | Any", environment: Environment, seats: tuple[int, ...]
) -> tuple[AgentPolicy, Parameters]:
    """The policy and parameters of a fixed agent that plays ``seats``; see :func:`rpax.policies.sources.find_agent`.

    Args:
        name: the agent's role, for messages.
        source: where it comes from.
        environment: where it will play.
        seats: which seats it must be able to play.

    Raises:
        InputError: the source cannot be read or does not fit the environment's spaces or the seats.
    """
    agent = find_agent(source, environment, seats, name=name)
    return agent.policy, agent.parameters
