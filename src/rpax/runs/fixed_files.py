"""The fixed agents of a run: where they come from, and their copies in the run directory."""

import hashlib
import pathlib
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rpax.environments.protocol import Environment
from rpax.errors import InputError
from rpax.objectives.edges import Objective
from rpax.objectives.plan import make_plan
from rpax.policies.files import load_policy
from rpax.policies.fixed import resolve_fixed_agent
from rpax.runs.config import TrainConfig
from rpax.runs.directory import RunDirectory
from rpax.runs.manifest import Manifest
from rpax.runs.prepare import source_of
from rpax.untrusted import MOST_POLICY, read_bounded

if TYPE_CHECKING:
    from rpax.policies.agent import AgentPolicy, Parameters


def fixed_file(directory: RunDirectory, name: str) -> pathlib.Path:
    """Where a fixed agent's copy is, if it has one."""
    return directory.path / "fixed" / f"{name}.safetensors"


def fixed_digests(directory: RunDirectory, names: Iterable[str]) -> dict[str, str]:
    """The SHA-256 of every copy that is there, by the agent's name.

    Raises:
        InputError: one cannot be read.
    """
    files = {name: fixed_file(directory, name) for name in names}
    return {
        name: hashlib.sha256(read_bounded(file, MOST_POLICY, f"policy file {file}")).hexdigest()
        for name, file in files.items()
        if file.is_file()
    }


def check_same_fixed(directory: RunDirectory, manifest: Manifest, found: Mapping[str, str]) -> None:
    """Whether the copies are those with which a checkpoint was made, as far as it says so.

    Raises:
        InputError: one is missing, or another one.
    """
    for name, digest in (manifest.fixed or {}).items():
        if found.get(name) != digest:
            how = "is not what it was" if name in found else "is missing, and was there"
            raise InputError(
                f"run {directory.path}: {fixed_file(directory, name)} {how} until update {manifest.update}; restore it "
                "from a copy, or train anew"
            )


def read_fixed(
    directory: RunDirectory,
    config: TrainConfig,
    objective: Objective,
    game: Environment,
    names: Sequence[str],
    copies: Iterable[str],
) -> "dict[str, tuple[AgentPolicy, Parameters]]":
    """The fixed agents of a run that goes on: their copies, and where there are none, what the configuration names.

    Args:
        directory: of the run.
        config: what names those without a copy.
        objective: whose they are.
        game: where they play.
        names: which of them are wanted.
        copies: which of them have a copy.

    Raises:
        InputError: a copy is damaged, or an agent was an object in Python, which no file holds.
    """
    agents, left = {}, []
    for name in names:
        # A run whose fixed agents were not copied, or not yet, still knows where they came from.
        if name in copies:
            policy, parameters, _ = load_policy(fixed_file(directory, name))
            agents[name] = (policy, parameters)
        elif source_of(config, name) is None:
            raise InputError(
                f"run {directory.path} cannot go on: its {name} was an object in Python, which no file holds; "
                "train it anew, with a function that is named as FILE.py:NAME"
            )
        else:
            left.append(name)
    return agents | resolve_fixed(config, objective, game, {}, left)


def resolve_fixed(
    config: TrainConfig,
    objective: Objective,
    game: Environment,
    given: Mapping[str, Any],
    names: Sequence[str] | None = None,
) -> "dict[str, tuple[AgentPolicy, Parameters]]":
    """The fixed agents of an objective: those given as objects, else those the configuration names.

    Args:
        config: what names them.
        objective: whose they are.
        game: where they play.
        given: objects, by name.
        names: which of them are wanted; all by default.
    """
    plan = make_plan(objective)
    wanted = objective.fixed if names is None else names
    sources = {name: given.get(name, source_of(config, name)) for name in wanted}
    return {name: resolve_fixed_agent(name, source, game, plan.seats_of(name)) for name, source in sources.items()}
