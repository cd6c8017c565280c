"""Who is attacked, where, and with what objective: everything about an attack that is known before JAX is imported."""

import dataclasses
import os
import pathlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from rpax.errors import InputError, shown, suggestion
from rpax.objectives.catalogue import ALGORITHMS, ALIASES
from rpax.objectives.edges import Objective
from rpax.objectives.plan import make_plan
from rpax.policies.references import Reference, names_a_run, read_reference
from rpax.runs.config import TrainConfig
from rpax.runs.directory import RunDirectory
from rpax.runs.prepare import prepare
from rpax.runs.run import Run, config_of, load

if TYPE_CHECKING:
    from rpax.environments.protocol import Environment

#: The catalogue's algorithms with a fixed victim.
ATTACKS = ("ap", "ap-rpg", "paired-a-rpg")
VICTIM, ADVERSARY = "victim", "adversary"
#: Settings that an attack takes over from its victim's run, where it is not told otherwise.
_TAKEN_OVER = ("environment", "environment_options", "payoffs", "preset", "exact")


@dataclasses.dataclass(frozen=True)
class Target:
    """Who is attacked.

    Attributes:
        source: the victim, as a fixed agent is given.
        run: the run that it comes from: a directory, or one in memory; ``None`` if it comes from none.
        agent: its name there.
        seed: which seed's agent; ``None`` for the first.
        update: as it was after this one; ``None`` for the last.
        config: the run's configuration.
        seats: those it plays, where its run says so.
    """

    source: Any
    run: "Run | pathlib.Path | None" = None
    agent: str | None = None
    seed: int | None = None
    update: int | str | None = None
    config: TrainConfig | None = None
    seats: tuple[int, ...] | None = None

    def loaded_run(self) -> Run | None:
        """The run that the victim comes from."""
        return load(self.run) if isinstance(self.run, pathlib.Path) else self.run


def find_target(victim: Any, agent: str | None = None) -> Target:
    """Who is meant. Does not need JAX where the victim is named.

    Args:
        victim: a run (its directory, or a :class:`Run`), ``RUN:AGENT``, ``RUN:SEED:AGENT``, with ``@UPDATE``,
            ``@first`` or ``@last`` behind it if wanted, or anything else that a fixed agent may be.
        agent: for a run: which of its agents, also with ``@UPDATE``; may be left out where it has a single base agent.

    Raises:
        InputError: the run has no such agent, or several to choose from.
    """
    if isinstance(victim, Run):
        asked = None if agent is None else read_reference(VICTIM, agent, agent)
        return _target_in(victim, victim.config, victim.objective, asked)
    if not isinstance(victim, str | os.PathLike):
        _refuse_agent(agent, victim)
        return Target(victim)
    text = str(victim).strip()
    folder, colon, named = text.partition(":")
    directory = RunDirectory(folder)
    if not folder or not directory.config.is_file():
        _refuse_agent(agent, victim)
        return Target(text)
    if named and agent is not None:
        raise InputError(f"victim {shown(text)} names an agent already; leave --agent {agent} out")
    named = named or agent or ""
    asked = read_reference(VICTIM, text if agent is None else agent, named) if colon or named else None
    target = _target_in(directory.path, directory.read_config(), directory.read_objective(), asked)
    assert target.agent is not None, "found there"
    return dataclasses.replace(target, source=f"{folder}:{Reference(target.agent, target.seed, target.update)}")


def _quoted(victim: Any) -> str:
    """A victim in a message: a path in full, as its end says which it is."""
    return f"'{victim}'" if isinstance(victim, str | os.PathLike) else shown(victim)


def _refuse_agent(agent: str | None, victim: Any) -> None:
    if agent is not None:
        raise InputError(
            f"agent '{agent}' is looked for in a run, and {_quoted(victim)} is no run directory; leave it out"
        )


def _target_in(run: "Run | pathlib.Path", config: TrainConfig, objective: Objective, asked: Reference | None) -> Target:
    where = f"run {run}" if isinstance(run, pathlib.Path) else "the run"
    if asked is None and len(objective.bases) != 1:
        raise InputError(f"{where} has the base agents {', '.join(objective.bases)}; choose one with --agent")
    agent, seed, update = asked or Reference(objective.bases[0])
    if agent not in objective.agents:
        raise InputError(f"{where} has no agent '{agent}'; {suggestion(agent, objective.agents)}")
    source = run.agent(agent, seed, update) if isinstance(run, Run) else None
    return Target(source, run, agent, seed, update, config, make_plan(objective).seats_of(agent))


def prepare_attack(
    target: Target, environment: "str | Environment | None", algorithm: str, settings: Mapping[str, Any]
) -> tuple[TrainConfig, Objective]:
    """The complete configuration and the objective of an attack.

    A victim that plays one seat only is attacked from the other.

    Raises:
        InputError: the algorithm attacks nobody, the place is unknown, or a setting is wrong.
    """
    _check_attacks(algorithm)
    given = {name: value for name, value in settings.items() if value is not None}
    if environment is None and target.config is None:
        if isinstance(target.source, str) and names_a_run(target.source):
            RunDirectory.open(target.source.partition(":")[0])
        raise InputError(
            f"victim {_quoted(target.source)} does not say where it plays; give --environment NAME, or RUN:AGENT of a "
            "run directory"
        )
    values: dict[str, Any] = {"seed": _seed_apart(target)}
    if target.config is not None and environment in (None, target.config.environment):
        values |= {name: getattr(target.config, name) for name in _TAKEN_OVER}
    if target.seats is not None and len(target.seats) == 1 and algorithm in ATTACKS:
        values["sides"] = "single"
    options = {**values.pop("environment_options", {}), **(given.pop("environment_options", None) or {})}
    values |= {"environment_options": options, **given}
    if isinstance(target.source, str):
        values["victim"] = target.source
    place = environment if environment is not None else values["environment"]
    values.pop("environment", None)
    config = config_of(algorithm, place, values)
    if len(config.seed_list) != 1:
        raise InputError("an attack trains one seed; leave seeds out and choose it with --seed")
    given_options = config.environment_options
    config, objective = prepare(config, given=() if isinstance(target.source, str) else (VICTIM,))
    if not isinstance(place, str):
        # It is made already, so a preset's options come too late.
        config = dataclasses.replace(config, environment_options=given_options)
    check_roles(objective)
    if target.seats == (1,) and make_plan(objective).seats_of(VICTIM) == (0,):
        objective = mirrored(objective)
    return config, objective


def _seed_apart(target: Target) -> int:
    """The first seed behind those of the victim's run: with its own an adversary would start from its parameters."""
    return 0 if target.config is None else (max(target.config.seed_list) + 1) % 2**32


def _check_attacks(algorithm: str) -> None:
    if ALIASES.get(algorithm, algorithm) in ALGORITHMS and algorithm not in ATTACKS:
        raise InputError(
            f"algorithm '{algorithm}' attacks no fixed victim; use {', '.join(ATTACKS[:-1])} or {ATTACKS[-1]}"
        )


def check_roles(objective: Objective) -> None:
    """Refuse an objective that is no attack.

    Raises:
        InputError: it has not one fixed agent, the victim, or no adversary.
    """
    if objective.fixed != (VICTIM,) or ADVERSARY not in objective.bases:
        needs = f"it needs one fixed agent '{VICTIM}' and a base agent '{ADVERSARY}'"
        raise InputError(f"objective '{objective.name}' is no attack; {needs}")


def mirrored(objective: Objective) -> Objective:
    """The same objective with the seats exchanged."""
    edges = [dataclasses.replace(edge, seats=tuple(1 - seat for seat in edge.seats)) for edge in objective.edges]
    return Objective(objective.agents, edges, objective.name)
