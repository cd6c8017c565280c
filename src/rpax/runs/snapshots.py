"""The policies in a run directory: the last ones, and snapshots of base agents that were taken on the way.

``policies/seed-S/NAME.safetensors`` and ``policies/seed-S/NAME@UPDATE.safetensors``.
"""

import pathlib
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rpax.errors import InputError
from rpax.runs.directory import RunDirectory
from rpax.runs.manifest import saved_updates

if TYPE_CHECKING:
    from rpax.runs.agent import Agent


def snapshot_updates(count: int, ends: Sequence[int]) -> tuple[int, ...]:
    """When snapshots are taken: ``count`` times on the way to the first end, evenly spaced, and at update 0.

    Where the run was extended, the same again from each end on the way to the next one, whatever came of the ends.

    Args:
        count: how many on the way; with 0 there are none at all.
        ends: all updates that were asked for so far, the first ones first.

    >>> snapshot_updates(3, [100])
    (0, 25, 50, 75)
    >>> snapshot_updates(1, [100, 140])
    (0, 50, 100, 120)
    """
    found: set[int] = set()
    last = 0
    for end in ends if count else ():
        found |= {last + (end - last) * number // (count + 1) for number in range(count + 1) if end > last}
        last = max(last, end)
    return tuple(sorted(found))


def policy_file(directory: RunDirectory, seed: int, name: str, update: int | None = None) -> pathlib.Path:
    """Where an agent's last policy is, or its snapshot of an update."""
    at = "" if update is None else f"@{update}"
    return directory.policies / f"seed-{seed}" / f"{name}{at}.safetensors"


def kept_updates(directory: RunDirectory, seed: int, name: str) -> list[int]:
    """The updates of which a snapshot of the agent is there, ascending."""
    pattern = re.compile(re.escape(name) + r"@(\d+)\.safetensors")
    folder = policy_file(directory, seed, name).parent
    found = (pattern.fullmatch(path.name) for path in folder.iterdir()) if folder.is_dir() else ()
    return sorted(int(match[1]) for match in found if match)


def read_snapshot(directory: RunDirectory, seed: int, index: int, name: str, update: int) -> "Agent | None":
    """An agent as it was after an update: from a snapshot, or from a checkpoint that is still there.

    Args:
        directory: of the run.
        seed: whose agent.
        index: the seed's place among the run's.
        name: a base agent or manipulator.
        update: when.

    Returns:
        The agent, or ``None`` where neither is there.

    Raises:
        InputError: a file is damaged.
    """
    from rpax.policies.files import load_policy
    from rpax.runs.agent import Agent
    from rpax.runs.checkpoint import checkpoint_folder

    file = policy_file(directory, seed, name, update)
    if file.is_file():
        policy, parameters, _ = load_policy(file)
        return Agent(name, policy, parameters)
    checkpoint = checkpoint_folder(directory.checkpoints, update)
    return _from_checkpoint(directory, seed, index, name, checkpoint) if checkpoint.is_dir() else None


def _from_checkpoint(
    directory: RunDirectory, seed: int, index: int, name: str, checkpoint: pathlib.Path
) -> "Agent | None":
    from rpax.policies.files import load_policy, parameters_of
    from rpax.runs.agent import Agent
    from rpax.runs.checkpoint import read_arrays

    # Checkpoints hold arrays only: the networks are those of any of the agent's policies.
    updates = [None, *kept_updates(directory, seed, name)]
    files = (policy_file(directory, seed, name, update) for update in updates)
    known = next((file for file in files if file.is_file()), None)
    if known is None:
        return None
    policy, _, _ = load_policy(known)
    arrays, _ = read_arrays(checkpoint)
    own = {}
    for kind in ("base", "manipulators"):
        prefix = f"{kind}/{name}/"
        own |= {key.removeprefix(prefix): array[index] for key, array in arrays.items() if key.startswith(prefix)}
    try:
        return Agent(name, policy, parameters_of(policy, own))
    except InputError:
        raise InputError(f"checkpoint {checkpoint} holds no '{name}' of this run; is it of this run?") from None


def readable_updates(directory: RunDirectory, seed: int, name: str) -> list[int]:
    """The updates that :func:`read_snapshot` can read, ascending."""
    snapshots = kept_updates(directory, seed, name)
    if not snapshots and not policy_file(directory, seed, name).is_file():
        return []
    return sorted({*snapshots, *saved_updates(directory.checkpoints)})
