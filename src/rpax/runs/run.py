"""Training as the user calls it: ``train``, ``resume`` and ``load``, and the :class:`Run` they return."""

import contextlib
import dataclasses
import os
import pathlib
import reprlib
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from rpax.errors import InputError, shown, suggestion
from rpax.objectives.edges import Objective
from rpax.runs.config import FIELDS, TrainConfig, config_from_dict
from rpax.runs.directory import RunDirectory
from rpax.runs.failure import is_over
from rpax.runs.manifest import saved_updates
from rpax.runs.prepare import prepare, source_of

if TYPE_CHECKING:
    from rpax.environments.protocol import Environment
    from rpax.evaluation.results import SeedResult
    from rpax.runs.agent import Agent
    from rpax.runs.sinks import Row
    from rpax.schemes import Training

#: What the status of a run can be whose directory holds no results.
_WITHOUT_RESULTS = ("unfinished", "failed")
Progress = Callable[[int, int, "Sequence[Row]"], None]


def no_progress(update: int, until: int, rows: "Sequence[Row]") -> None:
    """Show nothing."""


@dataclasses.dataclass(frozen=True)
class Run:
    """A training run: what was asked for and what came out.

    Attributes:
        config: the complete configuration.
        objective: the algorithm as data.
        results: one :class:`~rpax.evaluation.results.SeedResult` a seed; empty if the run has not stopped yet, or was
            interrupted.
        status: ``finished``, ``out of time``, ``interrupted``; for a directory without results ``unfinished``; and
            ``failed`` where training became non-finite after that, unless it was finished before (``failure.json``
            says how).
        update: updates made; those of all stages together for a scheme that did not come to its last one.
        path: the run directory, or ``None`` if nothing was written.
        agents: seed to name to agent, as far as they are in memory.
        rows: metrics kept in memory; :meth:`metrics` also reads the run directory.
        stage: of a scheme that stopped before its last stage, the folder of the one that it stopped in.
    """

    config: TrainConfig
    objective: Objective
    results: "tuple[SeedResult, ...]"
    status: str
    update: int
    path: pathlib.Path | None
    agents: "Mapping[int, Mapping[str, Agent]]"
    rows: tuple[dict[str, Any], ...] = ()
    stage: str | None = None

    def __repr__(self) -> str:
        """What was trained, and how far: one line, without weights and metrics."""
        seeds = "seeds " + reprlib.repr([*self.config.seed_list]).strip("[]")
        where = "in memory" if self.path is None else f"in {self.path}"
        trained = f"{self.objective.name} on {self.config.environment}"
        return f"<Run: {trained}, {seeds}, {self.status} at update {self.update}, {where}>"

    def agent(self, name: str, seed: int | None = None, update: "int | str | None" = None) -> "Agent":
        """A trained agent that can act.

        Args:
            name: as in the objective, for example ``victim`` or ``base_0``.
            seed: which seed's; the first by default.
            update: as it was after this update, of which there is a snapshot (see the setting ``snapshots``) or still a
                checkpoint; ``"first"`` for update 0; by default, and for ``"last"``, as it was when the run stopped.

        Raises:
            InputError: there is no such agent, seed or update.
        """
        seeds = self.config.seed_list
        seed = seeds[0] if seed is None else seed
        if seed not in seeds:
            raise InputError(f"{self._called} has no seed {seed}; it has {', '.join(map(str, seeds))}")
        if name not in self.objective.agents:
            raise InputError(f"{self._called} has no agent '{name}'; {suggestion(name, self.objective.agents)}")
        if update in (None, "last"):
            return self._last_agent(name, seed)
        if isinstance(update, bool) or not (update == "first" or (isinstance(update, int) and update >= 0)):
            raise InputError(f"update {shown(update)} is not allowed; give a whole number, 'first' or 'last'")
        return self._earlier_agent(name, seed, update if isinstance(update, int) else 0)

    def snapshots(self, name: str, seed: int | None = None) -> tuple[int, ...]:
        """The updates whose policies of an agent are kept, the last one's included; what :meth:`agent` takes.

        Args:
            name: a base agent; of others only the last policy is kept.
            seed: which seed's; the first by default.
        """
        seed = self.config.seed_list[0] if seed is None else seed
        if self.path is None:
            return (self.update,) if name in self.agents.get(seed, {}) else ()
        from rpax.runs.snapshots import kept_updates, policy_file

        directory = RunDirectory(self.path)
        last = [self.update] if policy_file(directory, seed, name).is_file() else []
        return tuple(sorted({*kept_updates(directory, seed, name), *last}))

    @property
    def _called(self) -> str:
        return f"run {self.path}" if self.path else "this run"

    def _last_agent(self, name: str, seed: int) -> "Agent":
        in_memory = self.agents.get(seed, {}).get(name)
        if in_memory is not None:
            return in_memory
        from rpax.policies.files import load_policy
        from rpax.runs.agent import Agent
        from rpax.runs.snapshots import policy_file

        # The folder may have been removed, or not be there yet.
        if self.path is None or self.status in _WITHOUT_RESULTS or not RunDirectory(self.path).policies.is_dir():
            raise InputError(f"{self._called} has no policies yet; finish it with `rpax resume`{self._usable_stages()}")
        file = policy_file(RunDirectory(self.path), seed, name)
        if name in self.objective.fixed and not file.is_file():
            return self._function(name)
        policy, parameters, _ = load_policy(file)
        return Agent(name, policy, parameters)

    def _usable_stages(self) -> str:
        """Of a scheme that is not finished, the folders whose policies can be used, as the end of a remedy."""
        stages = [] if self.path is None else RunDirectory(self.path).stages()
        usable = [str(stage.path) for stage in stages if stage.read_results() is not None]
        return f", or use a stage's: {', '.join(usable)}" if usable else ""

    def _function(self, name: str) -> "Agent":
        """A fixed agent that is a function, which no file of the run holds."""
        from rpax.objectives.plan import make_plan
        from rpax.policies.sources import find_agent
        from rpax.runs.session import make_environment

        source = source_of(self.config, name)
        if source is None:
            raise InputError(f"{self._called}: its {name} was an object in Python, which no file holds; use yours")
        seats = make_plan(self.objective).seats_of(name)
        return find_agent(source, make_environment(self.config), seats, name=name)

    def _earlier_agent(self, name: str, seed: int, update: int) -> "Agent":
        if name in self.objective.fixed:
            raise InputError(f"{self._called}: '{name}' is fixed and the same in every update; leave @{update} out")
        if self.path is None:
            if update == self.update:
                return self._last_agent(name, seed)
            raise InputError(f"{self._called} has its last policies only; give out=… and snapshots=… to keep others")
        from rpax.runs.snapshots import read_snapshot, readable_updates

        directory = RunDirectory(self.path)
        if update == self.update and self.status not in _WITHOUT_RESULTS:
            return self._last_agent(name, seed)
        found = read_snapshot(directory, seed, self.config.seed_list.index(seed), name, update)
        if found is not None:
            return found
        kept = sorted({*readable_updates(directory, seed, name), *self.snapshots(name, seed)})
        there = f"of updates {', '.join(map(str, kept))}" if kept else "of none yet"
        raise InputError(
            f"{self._called} has no '{name}' of update {update}; it has policies {there} (train with --snapshots to "
            "keep some on the way)"
        )

    def metrics(self) -> list[dict[str, Any]]:
        """The lines of metrics, from the run directory where there is one."""
        if self.path is None:
            return list(self.rows)
        from rpax.runs.sinks import read_rows

        return read_rows(RunDirectory(self.path).metrics)

    def to_dict(self) -> dict[str, Any]:
        """Plain data, as `rpax train --json` prints it."""
        return {
            "run_dir": None if self.path is None else str(self.path),
            "algorithm": self.objective.name,
            "environment": self.config.environment,
            "status": self.status,
            **({} if self.stage is None else {"stage": self.stage}),
            "update": self.update,
            "results": [result.to_dict() for result in self.results],
        }


def train(
    algorithm: str | Objective,
    environment: "str | Environment",
    *,
    out: str | os.PathLike[str] | None = None,
    fixed: Mapping[str, Any] | None = None,
    progress: Progress = no_progress,
    **settings: Any,
) -> Run:
    """Train an algorithm on an environment.

    Args:
        algorithm: a catalogue name, a YAML file, or an :class:`rpax.Objective`.
        environment: a registered name, or what :func:`rpax.make` returned.
        out: the run directory to write; nothing is written where it is ``None``.
        fixed: agents that never learn, by name: an agent of a run, a policy file, a function, and more, see
            :func:`rpax.policies.sources.find_agent`. ``victim=`` and ``partner=`` are short for their entries.
        progress: called after every chunk with the update, the last update, and the latest lines of metrics.
        **settings: the fields of :class:`~rpax.runs.config.TrainConfig`, for example ``seeds``, ``exact``,
            ``lookahead``. ``seeds`` is a number of consecutive seeds or a sequence of them.

    Raises:
        InputError: something is wrong with what was asked for.
        rpax.errors.NonFiniteError: training became non-finite.
        KeyboardInterrupt: interrupted, after everything was saved.

    >>> run = train("at-rpg", "matrix/figure-2", exact=True, updates=10)
    >>> run.results[0].policies["victim"][0].shape
    (2,)
    """
    agents = dict(fixed or {})
    for name in ("victim", "partner"):
        if settings.get(name) is not None and not isinstance(settings[name], str):
            agents[name] = settings.pop(name)
    objective = algorithm if isinstance(algorithm, Objective) else None
    if objective is not None:
        _refuse_algorithm_options(settings)
    config = config_of(algorithm, environment, settings)
    given_options = config.environment_options
    config, objective = prepare(config, objective, given=agents)
    if not isinstance(environment, str):
        # It is made already, so a preset's options come too late.
        config = dataclasses.replace(config, environment_options=given_options)
    directory = None if out is None else RunDirectory.create(out, config, objective)
    with contextlib.nullcontext() if directory is None else directory.discarded_if_untrained():
        return start(config, objective, directory, environment=environment, fixed=agents, progress=progress)


def _refuse_algorithm_options(settings: Mapping[str, Any]) -> None:
    from rpax.runs.presets import ALGORITHM_OPTIONS

    for name in ALGORITHM_OPTIONS:
        if name in settings:
            raise InputError(f"{name} varies catalogue algorithms; build it into the Objective that you pass")


def config_of(algorithm: "str | Objective", environment: "str | Environment", settings: dict[str, Any]) -> TrainConfig:
    """The configuration that ``settings`` ask for, open where they say nothing.

    Raises:
        InputError: a setting is unknown or not allowed, or the environment is neither a name nor an environment.
    """
    if not isinstance(environment, str) and not hasattr(environment, "made_with"):
        raise InputError(
            f"environment is {shown(type(environment).__name__)}, neither a name nor an rpax.Environment; make an "
            "object that follows JaxMARL's conventions known first: rpax.register('mine/game', lambda name: game)"
        )
    for name in settings:
        if name not in FIELDS or name in ("algorithm", "environment"):
            raise InputError(f"setting '{name}' is unknown; {suggestion(name, FIELDS)}")
    settings = {key: _plain(value) for key, value in settings.items()}
    if isinstance(settings.get("seeds"), Sequence | range):
        settings["seeds"] = tuple(settings["seeds"])
    name = environment if isinstance(environment, str) else environment.name
    if not isinstance(environment, str):
        options = {key: _plain(value) for key, value in environment.made_with.items()}
        settings["payoffs"] = options.pop("payoffs", None)
        settings["environment_options"] = options
    called = algorithm.name if isinstance(algorithm, Objective) else algorithm
    return config_from_dict({"algorithm": called, "environment": name, **settings})


def _plain(value: Any) -> Any:
    """Numbers and arrays of NumPy as Python's own, which YAML can hold."""
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else value


def start(
    config: TrainConfig,
    objective: Objective,
    directory: RunDirectory | None,
    *,
    environment: "str | Environment",
    fixed: Mapping[str, Any],
    progress: Progress,
) -> Run:
    """Train from update 0: everything from here on needs JAX."""
    from rpax.schemes import begin

    return begin(config, objective, directory, environment=environment, fixed=fixed).run(progress)


def resume(
    path: str | os.PathLike[str],
    *,
    until: int | None = None,
    minutes: float | None = None,
    on_nonfinite: Literal["stop", "skip"] | None = None,
    progress: Progress = no_progress,
) -> Run:
    """Continue a run from its last checkpoint (from update 0 if it did not come to one).

    Args:
        path: the run directory.
        until: train up to this update instead of the configured one.
        minutes: time limit for this session.
        on_nonfinite: another choice than the configured one, from here on.
        progress: as in :func:`train`.

    Raises:
        InputError: no run directory, an unreadable checkpoint, or ``until`` before what is already done.
    """
    session = reopen(path, until=until, minutes=minutes, on_nonfinite=on_nonfinite)
    return load(path) if session is None else session.run(progress)


def reopen(
    path: str | os.PathLike[str],
    *,
    until: int | None,
    minutes: float | None,
    on_nonfinite: Literal["stop", "skip"] | None = None,
) -> "Training | None":
    """What goes on with a run, or ``None`` where it has ended; arguments and errors are :func:`resume`'s."""
    directory = RunDirectory.open(path)
    if until is not None and (isinstance(until, bool) or not isinstance(until, int) or until < 1):
        raise InputError(f"until {shown(until)} is not allowed; give a whole number of updates")
    asked = {"updates": until, "minutes": minutes, "on_nonfinite": on_nonfinite}
    if _has_ended(directory, _with(directory.read_config(), asked)):
        return None
    from rpax import schemes

    try:
        # Before anything is read that another process may still be writing.
        directory.open_to_write()
        config, objective = _with(directory.read_config(), asked), directory.read_objective()
        if _has_ended(directory, config):
            directory.lock.release()
            return None
        scheme = schemes.go_on(config, objective, directory, extended=until is not None)
        if scheme is not None:
            return scheme
        from rpax.runs.session import Session

        session = Session.go_on(config, objective, directory)
        if until is not None or on_nonfinite is not None:
            directory.write_config(config)
    except BaseException:
        directory.lock.release()
        raise
    return session


def _with(config: TrainConfig, asked: Mapping[str, Any]) -> TrainConfig:
    """A run's configuration with what is asked for; the time limit is of one session only."""
    given = {name: value for name, value in asked.items() if value is not None}
    return dataclasses.replace(config, **{"minutes": None, **given})


def _has_ended(directory: RunDirectory, config: TrainConfig) -> bool:
    """Whether a run is finished, at the update to which it is to be trained."""
    results = directory.read_results()
    return results is not None and results["status"] == "finished" and results["update"] == config.updates


def load(path: str | os.PathLike[str]) -> Run:
    """A run from its directory, finished or not.

    Raises:
        InputError: there is no run directory at ``path``, or its files are damaged.
    """
    directory = RunDirectory.open(path)
    config, objective = directory.read_config(), directory.read_objective()
    content = directory.read_results()
    failed = directory.failure.is_file()
    # What a finished run has to show stays, where it failed only as it was extended.
    if failed and content is not None and content["status"] != "finished":
        content = content if is_over(directory.failure, content["update"]) else None
    if content is None:
        update = sum(load(stage.path).update for stage in directory.stages())
        update += max(saved_updates(directory.checkpoints), default=0)
        status = "failed" if failed else "unfinished"
        return Run(config, objective, (), status, update, directory.path, {})
    from rpax.evaluation.results import SeedResult

    try:
        results = tuple(SeedResult.from_dict(entry) for entry in content["results"])
    except (LookupError, ValueError, TypeError, AttributeError):
        raise InputError(f"{directory.results} is damaged; remove it and `rpax resume` the run") from None
    return Run(config, objective, results, content["status"], content["update"], directory.path, {})
