"""Parts that agents played in a chunk, and one program for all whose parts are alike."""

import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
from jaxtyping import Array

from rpax.policies.agent import AgentPolicy, View
from rpax.training.rollout import Chunk
from rpax.training.slots import Run, Slot, common_runs, runs_of, slots_of, take_runs

Result = TypeVar("Result")


class Part(NamedTuple):
    """What one agent played in a chunk.

    Attributes:
        policy: its networks.
        runs: where it sat.
    """

    policy: AgentPolicy
    runs: tuple[Run, ...]

    @classmethod
    def of(cls, policy: AgentPolicy, slots: Sequence[Slot]) -> "Part":
        """The part of an agent that sat in ``slots``."""
        return cls(policy, runs_of(slots))

    @property
    def size(self) -> int:
        """How many slots it has."""
        return sum(run.length for run in self.runs)


def views(chunk: Chunk, part: Part, *, as_played: bool = False) -> tuple[View, ...]:
    """What the agent saw and did: one view for each run of slots that the same head plays.

    Args:
        chunk: what was recorded.
        part: the agent's.
        as_played: for evaluation with the parameters that played only: with what first layers gave, if that was kept.
    """
    kept = chunk.first_layers if as_played else None
    actions = (chunk.actions[..., 0], chunk.actions[..., 1])
    found = []
    for head, same_head in itertools.groupby(part.runs, key=lambda run: part.policy.head_of_seat[run.seat]):
        runs = tuple(same_head)
        legal = None if chunk.legal is None else take_runs(chunk.legal, runs, axis=1)
        observation = take_runs(chunk.observations, runs, axis=1)
        action = take_runs(actions, runs, axis=1)
        first = take_runs((chunk.first, chunk.first), runs, axis=1)
        memory = None if chunk.memory is None else take_runs(chunk.memory, runs, axis=0)
        first_layer = None if kept is None else take_runs(kept, runs, axis=1)
        found.append(View(head, observation, legal, action, first, memory, first_layer))
    return tuple(found)


def for_each(
    function: Callable[..., Result], parts: Mapping[str, Part], *arrays: Mapping[str, Any]
) -> dict[str, Result]:
    """``function(part, *arrays)`` of each agent.

    Agents that are alike (the same networks, in the same seats, with arrays of the same shapes) go through one loop, so
    that many of them compile as fast as one.

    Args:
        function: of a part and PyTrees of arrays, to a PyTree of arrays.
        parts: each agent's.
        arrays: the other arguments, by agent.
    """
    found: dict[str, Result] = {}
    for names in _alike(parts, arrays):
        runs = common_runs([slots_of(parts[name].runs) for name in names])
        arguments = [tuple(argument[name] for argument in arrays) for name in names]
        like = Part(parts[names[0]].policy, runs[0])
        results = [function(like, *arguments[0])] if len(names) == 1 else _in_a_loop(function, like, runs, arguments)
        found |= zip(names, results, strict=True)
    return {name: found[name] for name in parts}


def _in_a_loop(
    function: Callable[..., Result], like: Part, runs: Sequence[Sequence[Run]], arguments: Sequence[tuple[Any, ...]]
) -> list[Result]:
    def of_one(item: tuple[Array, tuple[Any, ...]]) -> Result:
        starts, its_arguments = item
        its_runs = tuple(run._replace(start=starts[number]) for number, run in enumerate(like.runs))
        return function(like._replace(runs=its_runs), *its_arguments)

    starts = jnp.array([[run.start for run in its_runs] for its_runs in runs])
    results = jax.lax.map(of_one, (starts, jax.tree.map(lambda *leaves: jnp.stack(leaves), *arguments)))
    return [jax.tree.map(lambda leaf, i=i: leaf[i], results) for i in range(len(runs))]


def _alike(parts: Mapping[str, Part], arrays: Sequence[Mapping[str, Any]]) -> list[list[str]]:
    """The agents, in groups that one loop can take."""
    groups: list[tuple[Any, list[str]]] = []
    for name, part in parts.items():
        seats = [seat for seat, _ in slots_of(part.runs)]
        shapes = jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), [argument[name] for argument in arrays])
        mark = (part.policy, seats, shapes)
        # Searched, as networks need not be hashable.
        names = next((names for other, names in groups if other == mark), None)
        if names is None:
            groups.append((mark, names := []))
        names.append(name)
    return [names for _, names in groups]
