"""The state a run starts from."""

from collections.abc import Mapping
from types import MappingProxyType

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from rpax.environments.protocol import Key
from rpax.policies.agent import Parameters
from rpax.training.critic_update import init_critics
from rpax.training.mixed_play import first_mixed_steps
from rpax.training.outer_average import first_averages
from rpax.training.problem import Problem, Streams, TrainState
from rpax.training.rollout import start_streams


def initial_state(
    problem: Problem, key: Array, *, exact: bool, partners: Mapping[str, Parameters] = MappingProxyType({})
) -> TrainState:
    """Fresh parameters, optimiser states and environments of one seed, and its own ``partners``.

    An agent's initial parameters depend on the seed and on its place among the agents only, not on the mode.
    """
    objective = problem.plan.objective
    key_agents, key_critics, key_streams = jax.random.split(key, 3)
    parameters = _init_agents(problem, key_agents)
    base = {name: parameters[name] for name in objective.bases}
    manipulators = {name: parameters[name] for name in objective.manipulators}
    critics = {} if exact else init_critics(problem, key_critics)
    lookahead_streams, outer_streams = (None, None) if exact else _start_all(problem, key_streams)
    return TrainState(
        base=base,
        base_optimizer={name: problem.base_optimizer.init(p) for name, p in base.items()},
        manipulators=manipulators,
        manipulator_optimizer={name: problem.manipulator_optimizer.init(p) for name, p in manipulators.items()},
        critics=critics,
        critic_optimizer=problem.critic_optimizer.init(critics),
        lookahead_streams=lookahead_streams,
        outer_streams=outer_streams,
        outer_gradients={} if exact else first_averages(problem, base),
        key=key,
        update=jnp.zeros((), jnp.int32),
        partners=dict(partners),
    )


def _init_agents(problem: Problem, key: Key) -> dict[str, Parameters]:
    """Every learning agent's parameters. Agents with equal networks share one loop, which compiles once."""
    names = [*problem.bases, *problem.manipulators]
    keys = jax.random.split(key, len(names))
    parameters, left = {}, list(range(len(names)))
    while left:
        policy = problem.policies[names[left[0]]]
        equal = [number for number in left if problem.policies[names[number]] == policy]
        left = [number for number in left if number not in equal]
        stacked = jax.lax.map(policy.init, keys[np.array(equal)])
        for place, number in enumerate(equal):
            parameters[names[number]] = jax.tree.map(lambda leaf, place=place: leaf[place], stacked)
    return parameters


def _start_all(problem: Problem, key: Key) -> tuple[Streams | None, Streams | None]:
    """The environments of the lookahead's and of the manipulators' pairings, started together."""
    plan = problem.plan
    counts = len(plan.lookahead_pairings), len(plan.outer_pairings)
    streams = start_streams(problem.training_stage, key, sum(counts), problem.numbers.envs, problem.memory_units)
    lookahead, outer = (
        jax.tree.map(lambda leaf: leaf[: counts[0]], streams),
        jax.tree.map(lambda leaf: leaf[counts[0] :], streams),
    )
    if any(pairing.mixed_with is not None for pairing in plan.lookahead_pairings):
        envs, horizon = problem.numbers.envs, problem.environment.horizon
        mixing = first_mixed_steps(plan.lookahead_pairings, jax.random.fold_in(key, 1), envs, horizon)
        lookahead = lookahead._replace(mixing=mixing)
    return lookahead, outer if counts[1] else None
