"""Agents that are written down: uniform play, probabilities, and in small games a function's answer in every state."""

from collections.abc import Callable
from typing import Any

import numpy as np
from flax import linen as nn

from rpax.environments.protocol import Environment
from rpax.environments.tabular_game import TabularGame
from rpax.errors import InputError, shown
from rpax.policies.agent import AgentPolicy, Parameters
from rpax.policies.functions import PolicyFunction
from rpax.policies.networks import Tabular, Uniform
from rpax.untrusted import NotStrictJSON, parse_json

#: The logit of an action of probability 0: far enough down to vanish, finite so that gradients stay so.
#: Nearer than ``external.NEVER``, as tables may be differentiated.
_NEVER = -100.0


def read_probabilities(name: str, text: str) -> Any:
    """The probabilities that ``text`` writes as JSON; ``name`` is the agent's, for messages.

    Raises:
        InputError: it is no JSON.
    """
    try:
        return parse_json(text, finite=False)
    except NotStrictJSON:
        raise InputError(f"{name} {shown(text)} is no list of probabilities; write '[0.5, 0.5]'") from None


def uniform_policy(environment: Environment, seats: tuple[int, ...]) -> tuple[AgentPolicy, Parameters]:
    """Every action is as likely as any other; of those that are legal, where some are not."""
    if isinstance(environment, TabularGame):
        spaces = environment.spaces
        tables = {
            seat: np.full((environment.num_states, spaces[seat].num_actions), 1 / spaces[seat].num_actions)
            for seat in seats
        }
        return _tabular(tables, environment)
    heads = {seat: f"seat_{seat}" for seat in seats}
    draws: dict[str, nn.Module] = {heads[s]: Uniform(environment.spaces[s].num_actions) for s in seats}
    return AgentPolicy(draws, heads, environment.spaces), {head: {} for head in draws}


def written_policy(
    name: str, source: Any, environment: Environment, seats: tuple[int, ...]
) -> tuple[AgentPolicy, Parameters]:
    """A tabular policy with the given probabilities, one list per state where the game has several.

    Raises:
        InputError: the game is not tabular, or the probabilities are none.
    """
    if not isinstance(environment, TabularGame):
        raise InputError(f"{name} {shown(source)}: probabilities fit tabular games only; give RUN:AGENT")
    return _tabular({seat: _table(name, source, environment, seat) for seat in seats}, environment)


def enumerated_policy(
    name: str, function: Callable[..., Any], game: TabularGame, seats: tuple[int, ...]
) -> tuple[AgentPolicy, Parameters]:
    """The tabular policy of a function, which is asked about every state.

    Raises:
        InputError: it cannot be called, raises something, or answers nonsense.
    """
    asked = PolicyFunction.of(name, function)
    asked.check_seats(game.spaces, seats)
    observations = np.eye(game.num_states, dtype=np.float32)
    tables = {seat: asked.probabilities(observations, game.spaces[seat], seat, None) for seat in seats}
    return _tabular(tables, game)


def _tabular(tables: dict[int, np.ndarray], game: TabularGame) -> tuple[AgentPolicy, Parameters]:
    networks: dict[str, nn.Module] = {}
    parameters = {}
    for seat, table in tables.items():
        networks[f"seat_{seat}"] = Tabular(game.spaces[seat].num_actions)
        parameters[f"seat_{seat}"] = {"params": {"table": np.log(np.maximum(table, np.exp(_NEVER)))}}
    return AgentPolicy(networks, {seat: f"seat_{seat}" for seat in tables}, game.spaces), parameters


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
