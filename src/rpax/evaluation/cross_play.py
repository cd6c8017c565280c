"""Cross-play: everybody with everybody, in a few compiled programs whatever the number of agents.

A cell is one ordered pair of agents. Parameters are arguments of the program that plays a cell, so agents whose
networks are alike share one; each device plays a cell of its own. A cell's random numbers depend on the seed and on the
two policies only: neither on who else takes part nor on the order, so cells can be kept and added to, and two copies of
a policy play identical cells.
"""

import dataclasses
import functools
import hashlib
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jax.sharding import Mesh, PartitionSpec
from jaxtyping import Array, Float

from rpax.environments.encoding import EncodedEnvironment
from rpax.environments.protocol import Environment, Key
from rpax.evaluation.returns import first_episodes
from rpax.objectives.plan import Pairing
from rpax.policies.agent import AgentPolicy, Parameters
from rpax.policies.asked import is_asked, is_called_back
from rpax.policies.external import asking
from rpax.policies.folding import can_fold
from rpax.training.problem import key_data

#: Episodes that are played side by side; more at once only need more memory.
_MOST_ENVS = 1024
_ROW, _COLUMN = "row", "column"
_AXIS = "cells"


@dataclasses.dataclass(frozen=True)
class Entrant:
    """An agent that takes part.

    Attributes:
        name: how tables call it, ``run:seed:agent``.
        group: the agents that are reported together, usually those of one algorithm.
        seed: which training it comes from; agents with the same were trained together.
        policy: its networks.
        parameters: theirs.
        source: for a function, what identifies it in every process: a scripted partner's name, or a file's content;
            ``None`` for a function that is an object of this process only.
    """

    name: str
    group: str
    seed: str
    policy: AgentPolicy
    parameters: Parameters
    source: str | None = None

    @property
    def seats(self) -> tuple[int, ...]:
        """The seats it can play."""
        return tuple(self.policy.head_of_seat)

    @property
    def lasts(self) -> bool:
        """Whether the fingerprint means the same policy in another process, so that its cells may be kept."""
        return self.source is not None or not is_asked(self.policy)

    @functools.cached_property
    def fingerprint(self) -> str:
        """What identifies the policy: the same in every process for the same networks, seats and parameters.

        Of a function it is what its ``source`` or, without one, its name gives.
        """
        if is_asked(self.policy):
            return hashlib.sha256(f"function {self.source or self.name}".encode()).hexdigest()[:32]
        digest = hashlib.sha256(repr(sorted(self.policy.head_of_seat.items())).encode())
        for head, network in sorted(self.policy.networks.items()):
            digest.update(f"{head} {network!r}".encode())
        for path, leaf in jax.tree_util.tree_flatten_with_path(self.parameters)[0]:
            digest.update(f"{jax.tree_util.keystr(path)} {leaf.dtype} {leaf.shape}".encode())
            digest.update(np.ascontiguousarray(leaf).tobytes())
        return digest.hexdigest()[:32]


class Cell(NamedTuple):
    """What one ordered pair got in fresh episodes.

    Attributes:
        mean: the mean return of seat 0, of seat 1, and of both together (the mean of the two).
        std: the standard deviations over episodes, in the same order.
        episodes: how many were played.
    """

    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    episodes: int

    @classmethod
    def of(cls, returns: Float[np.ndarray, "episodes 2"]) -> "Cell":
        """The cell of some episodes' returns."""
        three = np.column_stack([returns, returns.mean(axis=1)]).astype(np.float64)
        mean, std = three.mean(axis=0), three.std(axis=0, ddof=1)
        return cls(tuple(mean.tolist()), tuple(std.tolist()), len(three))


def cells_of(entrants: Sequence[Entrant]) -> list[tuple[int, int]]:
    """Every ordered pair that can play: the first in seat 0, the second in seat 1."""
    return [(i, j) for i, a in enumerate(entrants) for j, b in enumerate(entrants) if 0 in a.seats and 1 in b.seats]


def play_cells(
    environment: Environment,
    entrants: Sequence[Entrant],
    cells: Sequence[tuple[int, int]],
    *,
    episodes: int,
    seed: int,
    greedy: bool = False,
) -> Iterator[tuple[tuple[int, int], Cell]]:
    """Play cells, as many at once as there are devices; each is yielded when it is done.

    Args:
        environment: where.
        entrants: the agents.
        cells: pairs of their numbers.
        episodes: of each cell, at least 2.
        seed: of all chance.
        greedy: agents take their most likely action instead of drawing one.
    """
    batches = math.ceil(episodes / _MOST_ENVS)
    envs = math.ceil(episodes / batches)
    for (row, column), its_cells in _alike(entrants, cells):
        # Functions that are called back take turns anyway.
        takes_turns = is_called_back(row.policy) or is_called_back(column.policy)
        count = 1 if takes_turns else min(len(jax.local_devices()), len(its_cells))
        play = _make_program(environment, (row.policy, column.policy), envs, greedy, count)
        for start in range(0, len(its_cells), count):
            at_once = its_cells[start : start + count]
            filled = [*at_once, *[at_once[-1]] * (count - len(at_once))]  # the last batch may be smaller
            rows, columns = (
                _stack([_seat(entrants[cell[seat]], seat).parameters for cell in filled]) for seat in (0, 1)
            )
            keys = jnp.stack([_cell_key(seed, entrants[i], entrants[j]) for i, j in filled])
            with asking():
                returns = [np.asarray(play(rows, columns, _fold_each(keys, batch))) for batch in range(batches)]
            together = np.concatenate(returns, axis=1)[:, :episodes]
            yield from ((cell, Cell.of(its)) for cell, its in zip(at_once, together, strict=False))


class _Seat(NamedTuple):
    """An agent as one seat needs it: one head, under one name for all agents."""

    policy: AgentPolicy
    parameters: Parameters


def _seat(entrant: Entrant, seat: int) -> _Seat:
    head = entrant.policy.head_of_seat[seat]
    policy = AgentPolicy({"played": entrant.policy.networks[head]}, {seat: "played"}, entrant.policy.spaces)
    return _Seat(policy, {"played": entrant.parameters[head]})


def _alike(
    entrants: Sequence[Entrant], cells: Sequence[tuple[int, int]]
) -> list[tuple[tuple[_Seat, _Seat], list[tuple[int, int]]]]:
    """The cells that one program can play, with the agents of the first of them."""
    kinds: list[tuple[nn.Module, Any]] = []

    def kind(agent: _Seat) -> int:
        shapes = jax.tree.map(lambda leaf: leaf.shape, agent.parameters)
        mark = (agent.policy.networks["played"], shapes)
        # Searched, as networks need not be hashable.
        if mark not in kinds:
            kinds.append(mark)
        return kinds.index(mark)

    seated = {(n, seat): _seat(entrant, seat) for n, entrant in enumerate(entrants) for seat in entrant.seats}
    number = {place: kind(agent) for place, agent in seated.items()}
    found: dict[tuple[int, int], list[tuple[int, int]]] = {}
    for i, j in cells:
        found.setdefault((number[i, 0], number[j, 1]), []).append((i, j))
    return [((seated[its[0][0], 0], seated[its[0][1], 1]), its) for its in found.values()]


def _make_program(
    environment: Environment, policies: tuple[AgentPolicy, AgentPolicy], envs: int, greedy: bool, count: int
) -> Callable[[Parameters, Parameters, Array], Array]:
    """Plays ``count`` cells, each on a device of its own: [cells, envs, 2]."""
    networks = [policy.networks["played"] for policy in policies]
    encodings = environment.encodings if all(map(can_fold, networks)) else None
    stage = environment if encodings is None else EncodedEnvironment(environment)
    row, column = (dataclasses.replace(policy, encodings=encodings) for policy in policies)
    players = {_ROW: row, _COLUMN: column}

    def one_cell(of_row: Parameters, of_column: Parameters, keys: Array) -> Array:
        parameters = jax.tree.map(lambda leaf: leaf[0], {_ROW: of_row, _COLUMN: of_column})
        return first_episodes(
            stage, players, parameters, keys[0], pairings=(Pairing(_ROW, _COLUMN),), envs=envs, greedy=greedy
        )

    if count == 1:
        return jax.jit(one_cell)
    mesh = Mesh(np.array(jax.local_devices()[:count]), (_AXIS,))
    spread = PartitionSpec(_AXIS)
    return jax.jit(jax.shard_map(one_cell, mesh=mesh, in_specs=spread, out_specs=spread, check_vma=False))


def _stack(parameters: Sequence[Parameters]) -> Parameters:
    """Parameters with a leading axis for the cell, in float32: differences to float64 are lost in the sampling."""
    return jax.tree.map(lambda *leaves: np.stack(leaves).astype(np.float32), *parameters)


def _cell_key(seed: int, row: Entrant, column: Entrant) -> Key:
    key = key_data(seed)
    for entrant in (row, column):
        key = jax.random.fold_in(key, int(entrant.fingerprint[:8], 16))
    return key


def _fold_each(keys: Array, number: int) -> Array:
    return jax.vmap(lambda key: jax.random.fold_in(key, number))(keys)
