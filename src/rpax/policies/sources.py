"""Agents from anywhere: what a text names or an object is, as an agent that plays in an environment.

The forms are listed in docs/fixed-agents.md.
"""

import pathlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from rpax.environments.own_files import member_of, running
from rpax.environments.protocol import Environment, describe_spaces
from rpax.environments.tabular_game import TabularGame
from rpax.errors import InputError, shown
from rpax.policies.asked import agent_of_function
from rpax.policies.files import load_policy
from rpax.policies.functions import name_of
from rpax.policies.jaxmarl_files import read_jaxmarl_file
from rpax.policies.references import JAXMARL, OWN_FILE, POLICY_FILE, PROBABILITIES, UNIFORM, read_reference
from rpax.policies.scripted import SCRIPTED, scripted_function
from rpax.policies.written_down import enumerated_policy, read_probabilities, uniform_policy, written_policy

if TYPE_CHECKING:
    from rpax.runs.agent import Agent

_FORMS = "RUN:AGENT, a .safetensors file, jaxmarl:FILE, FILE.py:NAME, scripted:NAME, or 'uniform'"


def find_agent(
    source: "str | Agent | Callable[..., Any] | Any",
    environment: Environment,
    seats: tuple[int, ...] | None = (0, 1),
    *,
    name: str = "agent",
) -> "Agent":
    """The agent that ``source`` names, or is.

    Args:
        source: ``RUN:AGENT`` or ``RUN:SEED:AGENT``, with ``@UPDATE``, ``@first`` or ``@last`` behind it if wanted; a
            ``.safetensors`` file; ``jaxmarl:FILE.safetensors`` or ``jaxmarl:relu:FILE.safetensors``; ``FILE.py:NAME``;
            ``scripted:NAME``; ``"uniform"``; in tabular games probabilities, as a list or JSON text, one list per
            state where there are several; an :class:`rpax.runs.agent.Agent`; a function from a batch of observations to
            actions or probabilities, a PyTorch module among them.
        environment: where it will play.
        seats: which seats it must be able to play; ``None`` for whichever it can.
        name: the agent's role, for messages.

    Raises:
        InputError: the source cannot be read, or does not fit the environment's spaces or the seats.
    """
    from rpax.runs.agent import Agent

    found: Any = _read(name, source.strip(), environment) if isinstance(source, str) else source
    made_for = (0, 1) if seats is None else seats
    if isinstance(found, Agent):
        _check_fits(name, found, environment, seats or ())
        return found
    if isinstance(found, str):
        return Agent(UNIFORM, *uniform_policy(environment, made_for))
    if not callable(found):
        return Agent(name, *written_policy(name, found, environment, made_for))
    if isinstance(environment, TabularGame):
        return Agent(name_of(found), *enumerated_policy(name, found, environment, made_for))
    return agent_of_function(name, found, environment, made_for)


def _read(name: str, text: str, environment: Environment) -> Any:
    """What a text names: an agent, a function, probabilities, or ``"uniform"``."""
    kind, colon, rest = text.partition(":")
    if text == UNIFORM:
        return UNIFORM
    if text.startswith(PROBABILITIES):
        return read_probabilities(name, text)
    if colon and kind == SCRIPTED:
        return scripted_function(name, rest, environment)
    if text.startswith(JAXMARL):
        return read_jaxmarl_file(name, text.removeprefix(JAXMARL), environment)
    file, colon, member = text.rpartition(":")
    if file.endswith(OWN_FILE):
        return _from_own_file(name, file, member)
    if text.endswith(OWN_FILE):
        raise InputError(f"{name} {shown(text)} names no function; write {text}:NAME")
    if text.endswith(POLICY_FILE):
        return _from_policy_file(name, pathlib.Path(text))
    return _from_run(name, text)


def _from_own_file(name: str, file: str, member: str) -> Any:
    """The function, or agent, that a file of the user's calls ``member``; a class is made an object of."""
    from rpax.environments.registry import ENVIRONMENTS
    from rpax.runs.agent import Agent

    found = member_of(file, member, ENVIRONMENTS)
    if isinstance(found, type):
        with running(f"{name}: class {shown(member)} of {file}"):
            found = found()
    if not callable(found) and not isinstance(found, Agent):
        raise InputError(
            f"{name}: {shown(member)} of {file} is {shown(found)}, which cannot be called; name a function from a "
            "batch of observations to actions or probabilities"
        )
    return found


def _from_policy_file(name: str, path: pathlib.Path) -> "Agent":
    from rpax.runs.agent import Agent

    policy, parameters, header = load_policy(path)
    return Agent(str(header.get("agent", name)), policy, parameters)


def _from_run(name: str, text: str) -> "Agent":
    from rpax.runs.run import load

    run, _, rest = text.partition(":")
    if not rest:
        raise InputError(f"{name} {shown(text)} names no agent; write {_FORMS}")
    named = read_reference(name, text, rest)
    return load(run).agent(*named)


def _check_fits(name: str, agent: "Agent", environment: Environment, seats: tuple[int, ...]) -> None:
    """Whether an agent was made for an environment's spaces, and can play the seats."""
    policy = agent.policy
    made_for, there = (
        [(space.observation_shape, space.num_actions) for space in spaces]
        for spaces in (policy.spaces, environment.spaces)
    )
    if made_for != there:
        raise InputError(
            f"{name} was trained for spaces {describe_spaces(policy.spaces)}, "
            f"'{environment.name}' has {describe_spaces(environment.spaces)}; give an agent of this environment"
        )
    missing = [seat for seat in seats if seat not in policy.head_of_seat]
    if missing:
        plays = ", ".join(map(str, policy.head_of_seat))
        raise InputError(
            f"{name} must play seat {missing[0]}, the given agent plays seat {plays} only; use --sides single"
        )
