"""Who can be played with: agents of a run, and others from anywhere."""

import pathlib
from collections.abc import Sequence

from rpax.environments.protocol import Environment
from rpax.errors import InputError
from rpax.objectives.plan import make_plan
from rpax.policies.references import Reference, read_reference
from rpax.policies.sources import find_agent
from rpax.runs.agent import Agent
from rpax.runs.run import Run

#: Characters of a name, as recordings hold it.
_MOST_NAME = 200


def partners_of(
    run: Run, names: Sequence[str], environment: Environment, run_seed: int | None = None
) -> list[tuple[str, Agent]]:
    """Agents with the names that cross-play gives them.

    Args:
        run: whose agents are offered.
        names: of its agents, as ``AGENT``, ``SEED:AGENT``, ``AGENT@UPDATE``, or of others in the forms of
            :func:`rpax.policies.sources.find_agent`; none for all base agents, or the fixed ones if nobody else plays.
        environment: where they play.
        run_seed: agents of this seed of the run; its first by default.

    Raises:
        InputError: one of them is missing, has no policy yet or does not fit the environment, or none is left.
    """
    seed = run.config.seed_list[0] if run_seed is None else run_seed
    found: dict[str, Agent] = {}
    for name in names or run.objective.bases or tuple(run.objective.fixed):
        reference = _in_run(run, name)
        if reference is None:
            found[name[:_MOST_NAME]] = find_agent(name, environment, None, name=f"agent '{name}'")
            continue
        named = reference._replace(seed=seed if reference.seed is None else reference.seed)
        agent = run.agent(named.agent, named.seed, named.update)
        found[f"{_called(run)}:{named}"] = find_agent(agent, environment, None, name=f"agent '{name}'")
    if not found:
        raise InputError(f"run {run.path} has no agents to play with; name one with --agent")
    return list(found.items())


def _in_run(run: Run, name: str) -> Reference | None:
    """The agent of the run that is meant, if any: also where it is misspelt, so that the right one is proposed."""
    parts = name.split(":")
    if len(parts) > 2 or (len(parts) == 2 and not parts[0].isdecimal()):
        return None
    if len(parts) == 1 and (name == "uniform" or name.startswith("[") or name.endswith((".safetensors", ".py"))):
        return None
    reference = read_reference("agent", name, name)
    if reference.agent in run.objective.agents and not make_plan(run.objective).seats_of(reference.agent):
        raise InputError(f"agent '{name}' plays no seat; name another with --agent")
    return reference


def _called(run: Run) -> str:
    return "memory" if run.path is None else pathlib.Path(run.path).resolve().name


def short_names(partners: Sequence[tuple[str, Agent]]) -> list[str]:
    """What people see: agents' own names where these tell them apart, else all of the name."""
    own = [agent.name for _, agent in partners]
    return [short if own.count(short) == 1 else name for short, (name, _) in zip(own, partners, strict=True)]
