"""Where training happens: environments are spread over devices, everything else is on each of them.

On a processor a device is a group of cores (``JAX_NUM_CPU_DEVICES`` says how many there are; the command makes one of
every core), which keeps cores busy where single operations are too small to share. Every device makes the whole update
with its own environments, and where an average over environments is taken, the devices average theirs.

XLA on processors can deadlock when a device waits in two such exchanges at once, since every wait holds a thread. So an
update makes them strictly one after the other: what an exchange is given either comes from the one before, or it is
told what to wait for (``after``).
"""

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array

if TYPE_CHECKING:
    from rpax.training.problem import TrainState

_AXIS = "envs"
#: With fewer environments of a pairing a device spends its time waiting for the others, if there are not many pairings.
_LEAST_ENVS, _MANY_PAIRINGS = 8, 8


@dataclasses.dataclass(frozen=True)
class Devices:
    """The devices that an update is spread over, as code that runs on each of them sees them.

    Attributes:
        count: how many; with one, nothing is exchanged.
    """

    count: int = 1

    def mean(self, tree: Any, *, after: Any = None) -> Any:
        """The mean of every device's ``tree``, in one exchange, ``after`` what came from the exchange before."""
        return self._exchange(jax.lax.pmean, tree, after)

    def sum(self, tree: Any, *, after: Any = None) -> Any:
        """The sum, as :meth:`mean`."""
        return self._exchange(jax.lax.psum, tree, after)

    def _exchange(self, reduce: Callable[[Array, str], Array], tree: Any, after: Any) -> Any:
        if self.count == 1 or not jax.tree.leaves(tree):
            return tree
        flat, unravel = ravel_pytree(tree)
        before = [jnp.ravel(leaf)[:1].astype(flat.dtype) for leaf in jax.tree.leaves(after)[:1]]
        return unravel(reduce(jnp.concatenate([flat, *before]), _AXIS)[: flat.size])

    def part(self, array: Array, axis: int) -> Array:
        """This device's part of an array that all of them have."""
        if self.count == 1:
            return array
        size = array.shape[axis] // self.count
        return jax.lax.dynamic_slice_in_dim(array, jax.lax.axis_index(_AXIS) * size, size, axis)


ONE_DEVICE = Devices()


def mesh_for(envs: int, pairings: int = 1, repeated: int = 1) -> Mesh | None:
    """As many devices as divide ``envs`` and get at least 8 of each pairing's, or 64 in all; ``None`` for one device.

    Args:
        envs: environments of each repetition of a pairing.
        pairings: how many are played.
        repeated: how many, each counted as often as it is repeated.
    """
    of_each = envs * repeated / min(pairings, _MANY_PAIRINGS)
    devices = jax.local_devices()
    fitting = [n for n in range(1, len(devices) + 1) if envs % n == 0 and of_each >= n * _LEAST_ENVS]
    count = max(fitting, default=1)
    return None if count == 1 else Mesh(np.array(devices[:count]), (_AXIS,))


def state_specs(shape: "TrainState") -> "TrainState":
    """What of a state with a leading seed axis is spread: streams are [seeds, pairings, envs, …]."""
    specs = jax.tree.map(lambda _: PartitionSpec(), shape)
    spread = PartitionSpec(None, None, _AXIS)
    return specs._replace(
        lookahead_streams=jax.tree.map(lambda _: spread, shape.lookahead_streams),
        outer_streams=jax.tree.map(lambda _: spread, shape.outer_streams),
    )


def place(state: "TrainState", mesh: Mesh) -> "TrainState":
    """A state on the devices of ``mesh``."""
    return jax.device_put(state, jax.tree.map(lambda spec: NamedSharding(mesh, spec), state_specs(state)))


def on_each_device(
    function: Callable[..., Any], mesh: Mesh, state: "TrainState", returns_state: bool
) -> Callable[..., Any]:
    """``function(state, …)``, run on each device of ``mesh`` with its part of the environments.

    Args:
        function: returns, with ``returns_state``, a state and something that is the same on every device; else
            anything, of which only the first device's is kept.
        mesh: the devices.
        state: arrays or shapes, for their structure.
        returns_state: see ``function``.
    """
    specs, same = state_specs(state), PartitionSpec()

    def spread(state: "TrainState", *others: Any) -> Any:
        in_specs = (specs, *[same] * len(others))
        out_specs = (specs, same) if returns_state else same
        return jax.shard_map(function, mesh=mesh, in_specs=in_specs, out_specs=out_specs, check_vma=False)(
            state, *others
        )

    return spread
