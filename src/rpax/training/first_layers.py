"""What first layers gave in play: kept for the gradients at the same parameters, where there is room.

The first layer is most of a small network's arithmetic, and a policy gradient or an influence at the parameters that
played would compute its outputs again. Its derivatives are taken as always, for which observations are there.
"""

import jax.numpy as jnp

from rpax.training.problem import Problem

#: What one update may keep of them altogether: every chunk of every seed, on all devices.
MOST_BYTES = 2**29


def has_room_for_first_layers(problem: Problem, seeds: int) -> bool:
    """Whether every network has a first layer of one size that can be kept, and all of them fit into ``MOST_BYTES``.

    Args:
        problem: what is trained.
        seeds: how many runs are trained side by side.
    """
    units = {policy.first_units(head) for policy in problem.policies.values() for head in policy.networks}
    numbers, plan = problem.numbers, problem.plan
    chunks = numbers.lookahead * len(plan.lookahead_pairings) + len(plan.outer_pairings)
    seats = 2 * chunks * numbers.envs * numbers.steps * seeds
    return len(units) == 1 and 0 < seats * max(units) * jnp.dtype(jnp.result_type(float)).itemsize <= MOST_BYTES
