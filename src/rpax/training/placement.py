"""Where arrays live: environments are spread over the devices, everything else is on each of them.

The update itself does not change: XLA adds up what the devices find. On a processor a device is a group of cores
(``JAX_NUM_CPU_DEVICES`` says how many there are; the command makes one of every core), which keeps cores busy where
single operations are too small to share.
"""

from typing import TYPE_CHECKING

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

if TYPE_CHECKING:
    from rpax.training.problem import TrainState

_AXIS = "envs"
#: With fewer environments a device spends its time waiting for the others.
_LEAST_ENVS = 8


def mesh_for(envs: int) -> Mesh | None:
    """As many devices as divide ``envs`` and get at least 8 each; ``None`` for one device."""
    devices = jax.local_devices()
    count = max((n for n in range(1, len(devices) + 1) if envs % n == 0 and envs // n >= _LEAST_ENVS), default=1)
    return None if count == 1 else Mesh(np.array(devices[:count]), (_AXIS,))


def shardings(mesh: Mesh, shape: "TrainState") -> "TrainState":
    """The sharding of every array of a state with a leading seed axis: streams are [seeds, pairings, envs, …]."""
    everywhere = NamedSharding(mesh, PartitionSpec())
    spread = NamedSharding(mesh, PartitionSpec(None, None, _AXIS))
    placed = jax.tree.map(lambda _: everywhere, shape)
    return placed._replace(
        lookahead_streams=jax.tree.map(lambda _: spread, shape.lookahead_streams),
        outer_streams=jax.tree.map(lambda _: spread, shape.outer_streams),
    )
