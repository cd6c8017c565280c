"""Who takes part in a cross-play: the agents of runs, single agents from anywhere, and how tables call them."""

import dataclasses
import hashlib
import itertools
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from rpax._version import __version__
from rpax.environments.protocol import Environment
from rpax.errors import InputError, shown
from rpax.evaluation.cross_play import Entrant
from rpax.objectives.plan import make_plan
from rpax.policies.functions import name_of
from rpax.policies.references import read_reference
from rpax.policies.sources import find_agent
from rpax.runs.agent import Agent
from rpax.runs.run import Run, load
from rpax.runs.session import make_environment

#: A run, its directory, an :class:`~rpax.runs.agent.Agent`, a callable, or text that names one of them.
Source = Run | Agent | pathlib.Path | str | Callable[..., Any]


def labelled(sources: Run | str | pathlib.Path | Mapping[str, Any] | Sequence[Any]) -> list[tuple[str | None, Any]]:
    """Sources with the label of their group, where they have one: ``LABEL=SOURCE``, or the keys of a mapping.

    Raises:
        InputError: there are none.
    """
    found: list[tuple[str | None, Any]] = []
    if isinstance(sources, Run | str | pathlib.Path):
        sources = [sources]
    if isinstance(sources, Mapping):
        for label, of_label in sources.items():
            several = of_label if isinstance(of_label, list | tuple) else [of_label]
            found += [(label, source) for source in several]
    else:
        found += [_split(source) for source in sources]
    if not found:
        raise InputError("cross-play needs agents; give a run directory or more")
    return found


def _split(source: Source) -> tuple[str | None, Source]:
    if not isinstance(source, str) or "=" not in source or pathlib.Path(source).exists():
        return None, source
    label, _, rest = source.partition("=")
    if not label.strip() or not rest:
        raise InputError(f"{shown(source)} is no labelled agent; write LABEL=RUN")
    return label.strip(), rest


def as_run(source: Source) -> Run | None:
    """The run behind a source, or ``None`` where it is a single agent.

    Raises:
        InputError: it is a directory without a run.
    """
    if isinstance(source, Run):
        return source
    if isinstance(source, pathlib.Path) or (isinstance(source, str) and pathlib.Path(source).is_dir()):
        return load(source)
    return None


def run_behind(source: Source) -> Run | None:
    """The run that a source is, or that its agent comes from."""
    if isinstance(source, str) and (of_run := _folder_of(source)) is not None:
        return load(of_run)
    return as_run(source)


def _folder_of(text: str) -> str | None:
    """The run directory in ``RUN:AGENT`` or ``RUN:SEED:AGENT``."""
    folder, colon, _ = text.partition(":")
    return folder if colon and (pathlib.Path(folder) / "config.yaml").is_file() else None


def shared_environment(runs: Sequence[Run]) -> Environment:
    """The environment of all the runs.

    Raises:
        InputError: there is no run to tell it, or runs differ.
    """
    if not runs:
        raise InputError("single agents do not say where they play; give --environment, or a run beside them")
    for run in runs[1:]:
        what = _difference(runs[0], run)
        if what is not None:
            ours, its = (shown(getattr(r.config, what)) for r in (runs[0], run))
            raise InputError(
                f"runs {_where(runs[0])} and {_where(run)} differ in {what}: {ours} and {its}; "
                "give --environment to choose where they play"
            )
    return make_environment(runs[0].config)


def same_environment(first: Run, second: Run) -> bool:
    """Whether two runs were trained in the same environment, but for shaped rewards."""
    return _difference(first, second) is None


def can_meet(runs: Sequence[Run]) -> bool:
    """Whether some base agent of the runs can play seat 0 and some seat 1."""
    seats = {seat for run in runs for name in run.objective.bases for seat in make_plan(run.objective).seats_of(name)}
    return seats == {0, 1}


def _difference(first: Run, second: Run) -> str | None:
    """The setting in which two runs' environments differ."""
    settings = ("environment", "environment_options", "payoffs")
    values = {what: [_compared(getattr(run.config, what)) for run in (first, second)] for what in settings}
    return next((what for what, (ours, its) in values.items() if ours != its), None)


def _compared(value: Any) -> Any:
    # Shaped rewards are never part of a return.
    return {k: v for k, v in value.items() if k != "shaping"} if isinstance(value, dict) else value


def entrants_of(
    sources: Sequence[tuple[str | None, Source]], environment: Environment, *, manipulators: bool
) -> list[Entrant]:
    """Everybody who takes part: of runs all base agents of all seeds, with ``manipulators`` these too.

    Raises:
        InputError: an agent does not fit the environment, two have the same name, or one training would count as two.
    """
    entrants: list[Entrant] = []
    names = _run_names([run for _, source in sources if (run := as_run(source)) is not None])
    for label, source in sources:
        run = as_run(source)
        if run is None:
            entrants.append(_single(label, source, environment, taken={entrant.name for entrant in entrants}))
        else:
            entrants += _of_run(run, names[_where(run)], label, environment, manipulators=manipulators)
    _check_distinct(entrants)
    return _with_short_seeds(entrants)


def _with_short_seeds(entrants: Sequence[Entrant]) -> list[Entrant]:
    """Trainings called by their run's name and seed, with a number where that is taken, instead of by their path."""
    short: dict[str, str] = {}
    for entrant in entrants:
        if entrant.seed not in short:
            called = pathlib.PurePath(entrant.seed).name
            taken = sum(other == called or other.startswith(f"{called} (") for other in short.values())
            short[entrant.seed] = f"{called} ({taken + 1})" if taken else called
    return [dataclasses.replace(entrant, seed=short[entrant.seed]) for entrant in entrants]


def _check_distinct(entrants: Sequence[Entrant]) -> None:
    named: set[str] = set()
    policies: dict[tuple[str, str], Entrant] = {}
    for entrant in entrants:
        if entrant.name in named:
            raise InputError(f"agent '{entrant.name}' takes part twice; leave it out once")
        named.add(entrant.name)
        other = policies.setdefault((entrant.group, entrant.fingerprint), entrant)
        if other.seed != entrant.seed:
            raise InputError(
                f"agents '{other.name}' and '{entrant.name}' are the same policy and would count as two seeds; leave "
                "one out, or give it a LABEL= of its own"
            )


def _of_run(run: Run, name: str, label: str | None, environment: Environment, *, manipulators: bool) -> list[Entrant]:
    agents = [*run.objective.bases, *(run.objective.manipulators if manipulators else ())]
    return [
        _entrant(
            f"{name}:{seed}:{agent}",
            _group_of(run, label, agent),
            _training(run, seed),
            run.agent(agent, seed),
            environment,
        )
        for seed in run.config.seed_list
        for agent in agents
    ]


def _group_of(run: Run, label: str | None, agent: str) -> str:
    """With whom a run's agent is reported: the run's others, but those of a sweep were trained apart."""
    name = label or run.objective.name
    if run.config.algorithm != "sp-sweep" or agent not in run.objective.bases:
        return name
    return f"{name} {(run.config.entropies or ())[run.objective.bases.index(agent)]:g}"


def _training(run: Run, seed: int) -> str:
    """Which training an agent comes from."""
    return f"{_where(run)}:{seed}"


def _single(label: str | None, source: Any, environment: Environment, taken: set[str]) -> Entrant:
    """A single agent: named by its text, or where it is an object by its label or its own name."""
    found = _of_text(source) if isinstance(source, str) else None
    if found is not None:
        name, group, training = found
        return _entrant(name, label or group, training, source, environment)
    name = source if isinstance(source, str) else label or getattr(source, "name", None) or name_of(source)
    numbered = itertools.chain([name], (f"{name} ({number})" for number in itertools.count(2)))
    name = name if isinstance(source, str) else next(each for each in numbered if each not in taken)
    return _entrant(name, label or name, name, source, environment)


def _of_text(text: str) -> tuple[str, str, str] | None:
    """Name, group and training of ``RUN:AGENT`` or ``RUN:SEED:AGENT``, with ``@UPDATE`` or not; else ``None``."""
    folder = _folder_of(text)
    if folder is None:
        return None
    run = load(folder)
    found = read_reference("agent", text, text.partition(":")[2])
    which = run.config.seed_list[0] if found.seed is None else found.seed
    name = f"{pathlib.Path(folder).resolve().name}:{found._replace(seed=which)}"
    return name, run.objective.name, _training(run, which)


def _entrant(name: str, group: str, seed: str, source: Any, environment: Environment) -> Entrant:
    agent = find_agent(source, environment, None, name=f"agent '{name}'")
    return Entrant(name, group, seed, agent.policy, agent.parameters, _lasting_source(source))


def _lasting_source(source: Any) -> str | None:
    """What identifies a function in every process: a scripted partner's name, or a file of the user's as it is now."""
    if not isinstance(source, str):
        return None
    file = source.rpartition(":")[0]
    if file.endswith(".py"):
        return f"{source} {hashlib.sha256(pathlib.Path(file).read_bytes()).hexdigest()}"
    return f"{source} {__version__}"


def _run_names(runs: Sequence[Run]) -> dict[str, str]:
    """What each run is called: its directory's name, and as much of the path before it as tells it from others."""
    paths = {_where(run): pathlib.PurePath(_where(run)).parts for run in runs if run.path is not None}
    in_memory = dict.fromkeys(_where(run) for run in runs if run.path is None)
    names = {where: "memory" if number == 1 else f"memory-{number}" for number, where in enumerate(in_memory, start=1)}
    for where, parts in paths.items():
        others = [its for other, its in paths.items() if other != where]
        length = next((n for n in range(1, len(parts)) if all(its[-n:] != parts[-n:] for its in others)), len(parts))
        names[where] = "/".join(parts[-length:])
    return names


def _where(run: Run) -> str:
    return f"memory-{id(run)}" if run.path is None else str(run.path.resolve())
