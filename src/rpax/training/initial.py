"""The state a run starts from."""

import jax
import jax.numpy as jnp
from jaxtyping import Array

from rpax.training.critic_update import init_critics
from rpax.training.problem import Problem, Streams, TrainState
from rpax.training.rollout import start_streams


def initial_state(problem: Problem, key: Array, *, exact: bool) -> TrainState:
    """Fresh parameters, optimiser states and environments of one seed.

    An agent's initial parameters depend on the seed and on its place among the agents only, not on the mode.
    """
    objective = problem.plan.objective
    key_agents, key_critics, key_lookahead, key_outer = jax.random.split(key, 4)
    learning = [*objective.bases, *objective.manipulators]
    keys = jax.random.split(key_agents, len(learning))
    parameters = {name: problem.policies[name].init(k) for name, k in zip(learning, keys, strict=True)}
    base = {name: parameters[name] for name in objective.bases}
    manipulators = {name: parameters[name] for name in objective.manipulators}
    critics = {} if exact else init_critics(problem, key_critics)
    streams = [
        None if exact or not pairings else _streams(problem, k, len(pairings))
        for k, pairings in (
            (key_lookahead, problem.plan.lookahead_pairings),
            (key_outer, problem.plan.outer_pairings),
        )
    ]
    return TrainState(
        base=base,
        base_optimizer={name: problem.base_optimizer.init(p) for name, p in base.items()},
        manipulators=manipulators,
        manipulator_optimizer={name: problem.manipulator_optimizer.init(p) for name, p in manipulators.items()},
        critics=critics,
        critic_optimizer=problem.critic_optimizer.init(critics),
        lookahead_streams=streams[0],
        outer_streams=streams[1],
        key=key,
        update=jnp.zeros((), jnp.int32),
    )


def _streams(problem: Problem, key: Array, pairings: int) -> Streams:
    return start_streams(problem.stage, key, pairings, problem.numbers.envs, problem.memory_units)
