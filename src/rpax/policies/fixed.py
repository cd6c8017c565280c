"""Fixed agents: victims and partners that never learn, from a run, a policy file, or written down."""

import json
import pathlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from flax import linen as nn

from rpax.environments.protocol import Environment, describe_spaces
from rpax.environments.tabular_game import TabularGame
from rpax.errors import InputError, shown
from rpax.policies.agent import AgentPolicy, Parameters
from rpax.policies.files import load_policy
from rpax.policies.networks import Tabular, Uniform

if TYPE_CHECKING:
    from rpax.runs.agent import Agent

#: The logit of an action of probability 0: far enough down to vanish, finite so that gradients stay so.
_NEVER = -100.0


def resolve_fixed_agent(
    name: str, source: "str | Agent | Any", environment: Environment, seats: tuple[int, ...]
) -> tuple[AgentPolicy, Parameters]:
    """The policy and parameters of a fixed agent that plays ``seats``.

    Args:
        name: the agent's role, for messages.
        source: ``RUN:AGENT``, ``RUN:SEED:AGENT``, a ``.safetensors`` file, ``"uniform"``, probabilities as a list (or
            JSON text), one list per state where the game has several, an :class:`rpax.runs.agent.Agent`, or, in tabular
            games, any callable from a batch of observations to actions or probabilities.
        environment: where it will play.
        seats: which seats it must be able to play.

    Raises:
        InputError: the source cannot be read or does not fit the environment's spaces or the seats.
    """
    from rpax.runs.agent import Agent

    if isinstance(source, str):
        text = source.strip()
        if text == "uniform" or text.startswith("["):
            source = _parse_probabilities(name, text)
        else:
            source = _load(name, text)
    if not isinstance(source, Agent):
        return _written_down(name, source, environment, seats)
    policy = source.policy
    if tuple(s.observation_shape for s in policy.spaces) != tuple(
        s.observation_shape for s in environment.spaces
    ) or tuple(s.num_actions for s in policy.spaces) != tuple(s.num_actions for s in environment.spaces):
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
    return policy, source.parameters


def _parse_probabilities(name: str, text: str) -> Any:
    if text == "uniform":
        return text
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise InputError(f"{name} {shown(text)} is no list of probabilities; write '[0.5, 0.5]'") from None


def _load(name: str, text: str) -> "Agent":
    from rpax.runs.agent import Agent
    from rpax.runs.run import load

    if text.endswith(".safetensors"):
        policy, parameters, header = load_policy(pathlib.Path(text))
        return Agent(str(header.get("agent", name)), policy, parameters)
    run, _, rest = text.partition(":")
    if not rest:
        raise InputError(f"{name} {shown(text)} names no agent; write RUN:AGENT, a .safetensors file, or 'uniform'")
    seed, _, agent = rest.rpartition(":")
    if seed and not seed.isdecimal():
        raise InputError(f"{name} {shown(text)}: seed {shown(seed)} is no whole number; write RUN:SEED:AGENT")
    return load(run).agent(agent, seed=int(seed) if seed else None)


def _written_down(
    name: str, source: Any, environment: Environment, seats: tuple[int, ...]
) -> tuple[AgentPolicy, Parameters]:
    """A tabular policy with the given probabilities."""
    if callable(source) and isinstance(environment, TabularGame):
        return _asked(name, source, environment, seats)
    if isinstance(source, str) and source == "uniform" and not isinstance(environment, TabularGame):
        heads = {seat: f"seat_{seat}" for seat in seats}
        draws: dict[str, nn.Module] = {heads[s]: Uniform(environment.spaces[s].num_actions) for s in seats}
        return AgentPolicy(draws, heads, environment.spaces), {head: {} for head in draws}
    if not isinstance(environment, TabularGame):
        raise InputError(f"{name} {shown(source)}: probabilities fit tabular games only; give RUN:AGENT")
    networks, parameters = {}, {}
    for seat in seats:
        actions = environment.spaces[seat].num_actions
        uniform = isinstance(source, str) and source == "uniform"
        table = (
            np.full((environment.num_states, actions), 1 / actions)
            if uniform
            else _table(name, source, environment, seat)
        )
        networks[f"seat_{seat}"] = Tabular(actions)
        logits = np.log(np.maximum(table, np.exp(_NEVER)))
        parameters[f"seat_{seat}"] = {"params": {"table": logits}}
    return AgentPolicy(networks, {seat: f"seat_{seat}" for seat in seats}, environment.spaces), parameters


def _asked(
    name: str, function: Callable[[np.ndarray], Any], game: TabularGame, seats: tuple[int, ...]
) -> tuple[AgentPolicy, Parameters]:
    """The policy of a Python callable from observation batch to actions or probabilities, asked about every state."""
    if len({game.spaces[seat].num_actions for seat in seats}) > 1:
        raise InputError(f"{name}: one callable cannot play two seats with different actions; use --sides single")
    answer = np.asarray(function(np.eye(game.num_states, dtype=np.float32)))
    actions = game.spaces[seats[0]].num_actions
    if answer.shape == (game.num_states,) and np.issubdtype(answer.dtype, np.integer):
        if answer.min() < 0 or answer.max() >= actions:
            raise InputError(f"{name}: the callable returned action {answer.max()}; actions are 0 to {actions - 1}")
        answer = np.eye(actions)[answer]
    return _written_down(name, answer, game, seats)


def _table(name: str, source: Any, game: TabularGame, seat: int) -> np.ndarray:
    expected = (game.num_states, game.spaces[seat].num_actions)
    try:
        table = np.atleast_2d(np.asarray(source, dtype=np.float64))
    except (TypeError, ValueError):
        raise InputError(f"{name} {shown(source)} is no list of probabilities; write '[0.5, 0.5]'") from None
    if table.shape != expected:
        raise InputError(
            f"{name} {shown(source)} has shape {table.shape}, seat {seat} of '{game.name}' needs {expected} "
            "(states × actions); give one probability an action"
        )
    if not np.isfinite(table).all() or (table < 0).any() or not np.allclose(table.sum(axis=1), 1, atol=1e-6):
        raise InputError(f"{name} {shown(source)} is no distribution; give numbers of at least 0 that add up to 1")
    return table
