"""One session of a run: build the problem, restore or start the state, loop, then write down what came out."""

import contextlib
import dataclasses
import itertools
import logging
import operator
import pathlib
import shutil
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import jax

from rpax.environments.protocol import Environment
from rpax.environments.registry import make
from rpax.errors import InputError, NonFiniteError
from rpax.evaluation.results import Measured, SeedResult, evaluate_seed
from rpax.evaluation.returns import make_sampler
from rpax.objectives.edges import Objective
from rpax.policies.asked import is_asked
from rpax.policies.external import asking
from rpax.policies.files import save_policy
from rpax.runs.agent import Agent
from rpax.runs.changes import (
    check_unchanged,
    ends_of,
    lost_metrics,
    other_libraries,
    other_machine,
    recorded_config,
    recorded_objective,
)
from rpax.runs.checkpoint import Plan, checkpoint_folder, last_checkpoint, load_checkpoint, save_checkpoint
from rpax.runs.compilation_cache import use_compilation_cache
from rpax.runs.config import TrainConfig, config_to_dict
from rpax.runs.directory import RunDirectory
from rpax.runs.failure import is_over
from rpax.runs.fixed_files import check_same_fixed, fixed_digests, fixed_file, read_fixed, resolve_fixed
from rpax.runs.loop import Between, Loop, ThinnedRows
from rpax.runs.machine import machine
from rpax.runs.manifest import read_manifest, saved_updates
from rpax.runs.run import Progress, Run
from rpax.runs.sinks import JsonLines, Sink, import_package, make_sinks, read_rows
from rpax.runs.snapshots import policy_file, snapshot_updates
from rpax.runs.traced_programs import TracedPrograms
from rpax.runs.warnings import Warnings
from rpax.runs.writing import Unwritable, write_whole, writing
from rpax.training.problem import Problem, TrainState
from rpax.training.setup import begins_in_its_only_state, make_problem
from rpax.training.trainer import Trainer, one_seed

if TYPE_CHECKING:
    from rpax.policies.agent import AgentPolicy, Parameters


_log = logging.getLogger(__name__)
#: Agents that never learn and that each seed has its own of: their policy, and their parameters [seeds, …].
Partners = Mapping[str, "tuple[AgentPolicy, Parameters]"]


@dataclasses.dataclass
class Session:
    """A run that is being trained in this process.

    ``changes`` says what is configured otherwise than before, a line each; ``between`` changes the state between chunks
    of updates, see :class:`~rpax.runs.loop.Loop`; ``metrics_bytes`` is the length of the metrics up to ``update``,
    where it is known; ``ends`` are all updates that were asked for so far, the first ones first; ``fixed`` has the
    SHA-256 of the fixed agents' files in the run directory.
    """

    config: TrainConfig
    objective: Objective
    directory: RunDirectory | None
    trainer: Trainer
    state: TrainState
    update: int
    changes: tuple[str, ...] = ()
    between: Between | None = None
    metrics_bytes: int | None = None
    ends: tuple[int, ...] = ()
    fixed: Mapping[str, str] = dataclasses.field(default_factory=dict)

    @classmethod
    def begin(
        cls,
        config: TrainConfig,
        objective: Objective,
        directory: RunDirectory | None,
        *,
        environment: "str | Environment",
        fixed: Mapping[str, Any],
        partners: Partners = MappingProxyType({}),
    ) -> "Session":
        """A run at update 0. Fixed agents are copied into the run directory, which so depends on nothing else.

        Functions cannot be; those that the configuration names are found again when the run goes on.
        Whatever is wrong with the input is found here, before anything is trained.
        """
        use_compilation_cache()
        for name in config.sinks:
            if directory is None:
                raise InputError(f"sink {name} needs a run directory; give out=…")
            import_package(name)
        if config.snapshots and directory is None:
            raise InputError("snapshots need a run directory; give out=…")
        game = make_environment(config) if isinstance(environment, str) else environment
        agents = resolve_fixed(config, objective, game, fixed, [n for n in objective.fixed if n not in partners])
        digests = {}
        if directory is not None:
            _copy_fixed(directory, agents)
            digests = fixed_digests(directory, agents)
        problem = make_problem(config, objective, game, agents, partners)
        ends = ends_of(None, config.updates or 0)
        # Of an environment that came as an object, it is not known how it was made.
        trainer = make_trainer(config, problem, keep_traced=isinstance(environment, str))
        return cls(config, objective, directory, trainer, trainer.init(), 0, ends=ends, fixed=digests)

    @classmethod
    def go_on(
        cls,
        config: TrainConfig,
        objective: Objective,
        directory: RunDirectory,
        partners: Partners = MappingProxyType({}),
    ) -> "Session":
        """A run from its last checkpoint, or from update 0 if it did not come to one.

        Raises:
            InputError: another process writes the run, its checkpoint or the copy of a fixed agent is lost or damaged,
                the checkpoint is beyond the last update already, or it was configured otherwise.
        """
        directory.open_to_write()
        use_compilation_cache()
        checkpoint = last_checkpoint(directory.checkpoints, directory.metrics)
        changes, metrics_bytes, manifest = (), None, None
        copied = [name for name in objective.fixed if name not in partners]
        digests = fixed_digests(directory, copied)
        if checkpoint is not None:
            manifest = read_manifest(checkpoint)
            metrics_bytes = manifest.metrics_bytes
            changes = check_unchanged(f"run {directory.path}", manifest, config, objective)
            changes += lost_metrics(manifest, directory.metrics) + other_libraries(manifest)
            check_same_fixed(directory, manifest, digests)
        ends = ends_of(manifest, config.updates or 0)
        game = make_environment(config)
        agents = read_fixed(directory, config, objective, game, copied, digests)
        trainer = make_trainer(config, make_problem(config, objective, game, agents, partners))
        if checkpoint is None or manifest is None:
            # What was killed before it made its copies makes them now.
            _copy_fixed(directory, {name: agents[name] for name in copied if name not in digests})
            digests = fixed_digests(directory, copied)
            return cls(config, objective, directory, trainer, trainer.init(), 0, ends=ends, fixed=digests)
        changes += other_machine(manifest, machine(trainer.devices))
        state, update = load_checkpoint(checkpoint, trainer.state_shape())
        if update > (config.updates or 0):
            raise InputError(f"run {directory.path} is already at update {update}; give --until {update} or more")
        state = trainer.place(state)
        known = {"metrics_bytes": metrics_bytes, "ends": ends, "fixed": digests}
        return cls(config, objective, directory, trainer, state, update, changes, **known)

    @property
    def notes(self) -> tuple[str, ...]:
        """What a user should know before training begins."""
        game, notes = self.trainer.problem.environment, [*self.changes]
        if self.config.symmetries and game.symmetries() is None:
            notes.append(f"no symmetries of '{game.name}' are known, so other-play is self-play here")
        if self.config.exploring_starts and begins_in_its_only_state(game):
            notes.append(f"'{game.name}' has one state, so exploring starts change nothing")
        return tuple(notes)

    def run(self, progress: Progress) -> Run:
        """Train to the end (or the time limit), then evaluate and write everything down.

        An interrupted run is not evaluated: what it needs to go on, and its policies, are written.
        """
        try:
            return self._run(progress)
        finally:
            if self.directory is not None:
                self.directory.lock.release()

    def _run(self, progress: Progress) -> Run:
        until = self.config.updates or 0
        sinks = self._sinks()
        loop = Loop(
            trainer=self.trainer,
            state=self.state,
            update=self.update,
            until=until,
            log_every=self.config.log_every or 1,
            sinks=sinks,
            checkpoint=None if self.directory is None else self._save_checkpoint,
            checkpoint_minutes=self.config.checkpoint_minutes,
            snapshot=self._keep_snapshot,
            snapshots=snapshot_updates(self.config.snapshots, self.ends),
            ends=self.ends,
            minutes=self.config.minutes,
            on_progress=lambda update, rows: progress(update, until, rows),
            between=self.between,
            warn=Warnings(),
        )
        loop.history = self._history()
        try:
            status = loop.run()
        except NonFiniteError as error:
            self._write_failure(error)
            raise
        finally:
            for sink in sinks:
                sink.close()
        if status != "interrupted":
            return self._finish(loop, status)
        # What is only to be evaluated is left as it is, and so is what an extension of a finished run has to show.
        if loop.update < until and not self._was_finished():
            self._finish(loop, status)
        raise KeyboardInterrupt

    def _was_finished(self) -> bool:
        """Whether there are results of a run that was finished, at an earlier update than the last one now."""
        with contextlib.suppress(InputError):
            results = None if self.directory is None else self.directory.read_results()
            return results is not None and results["status"] == "finished"
        return False

    def _write_failure(self, error: NonFiniteError) -> None:
        """Keep what became non-finite beside the last good checkpoint."""
        if self.directory is not None:
            about = {
                **error.about,
                "last_checkpoint": max(saved_updates(self.directory.checkpoints), default=None),
                "message": str(error),
            }
            # That it cannot be kept does not hide what happened.
            with contextlib.suppress(Unwritable):
                self.directory.write_json(self.directory.failure, about)

    def _sinks(self) -> list[Sink]:
        if self.directory is None:
            return []
        lines = JsonLines(self.directory.metrics, self.update, self.metrics_bytes)
        if lines.note:
            _log.warning("rpax: %s", lines.note)
        try:
            return [
                lines,
                *make_sinks(self.config.sinks, self.directory.path, config_to_dict(self.config), self.update),
            ]
        except BaseException:
            lines.close()
            raise

    def _history(self) -> ThinnedRows:
        """What was logged before this session, thinned."""
        history = ThinnedRows(self.config.log_every or 1)
        if self.directory is not None and self.update > 0:
            # Of some updates a seed's line may be lost.
            for _, rows in itertools.groupby(read_rows(self.directory.metrics), operator.itemgetter("update")):
                history.add(list(rows))
        return history

    def _save_checkpoint(self, state: TrainState, update: int) -> None:
        assert self.directory is not None, "called with a run directory only"
        config, objective = recorded_config(self.config), recorded_objective(self.objective)
        plan = Plan(
            until=self.config.updates or 0,
            metrics=self.directory.metrics,
            config=config,
            objective=objective,
            ends=self.ends,
            fixed=self.fixed,
            machine=machine(self.trainer.devices),
        )
        self.directory.check_there()
        folder = checkpoint_folder(self.directory.checkpoints, update)
        with writing(folder):
            try:
                save_checkpoint(self.directory.checkpoints, state, update, plan, self.config.checkpoints_kept)
            except OSError:
                # What lies there half written takes room that may be lacking.
                shutil.rmtree(folder.with_name(f".{folder.name}.part"), ignore_errors=True)
                raise
        if is_over(self.directory.failure, update):
            with contextlib.suppress(OSError):
                self.directory.failure.unlink()

    def _keep_snapshot(self, state: TrainState, update: int) -> None:
        assert self.directory is not None, "whoever wants snapshots has a run directory"
        self.directory.check_there()
        for index, seed in enumerate(self.trainer.seeds):
            for name, parameters in one_seed(state.base, index).items():
                file = policy_file(self.directory, seed, name, update)
                policy = self.trainer.problem.policies[name]
                write_policy(file, policy, parameters, **_about(name, self.config, self.objective), update=str(update))

    def _finish(self, loop: Loop, status: str) -> Run:
        path = None if self.directory is None else self.directory.path
        results, agents = (), self._agents(loop.state)
        if status != "interrupted":
            with self.trainer.precision_context():
                results = self._evaluate(loop)
        rows = tuple(loop.history.rows)
        run = Run(self.config, self.objective, results, status, loop.update, path, agents, rows)
        if self.directory is not None:
            self._write(run, self.directory)
        return run

    def _agents(self, state: TrainState) -> dict[int, dict[str, Agent]]:
        """Every seed's agents."""
        problem, agents = self.trainer.problem, {}
        for index, seed in enumerate(self.trainer.seeds):
            parameters = one_seed({**state.base, **state.manipulators, **state.partners}, index)
            everyone = parameters | {name: jax.device_get(fixed) for name, fixed in problem.fixed.items()}
            agents[seed] = {name: Agent(name, problem.policies[name], everyone[name]) for name in everyone}
        return agents

    def _evaluate(self, loop: Loop) -> tuple[SeedResult, ...]:
        """Every seed's results."""
        problem = self.trainer.problem
        with asking():
            report = jax.device_get(self.trainer.report(loop.state))
        sample = make_sampler(problem, self.config.evaluation_episodes)
        results = []
        for index, seed in enumerate(self.trainer.seeds):
            measured = Measured(
                parameters=one_seed({**loop.state.base, **loop.state.manipulators, **loop.state.partners}, index),
                tables=one_seed(report.policies, index),
                returns=None if report.returns is None else report.returns[index],
                history=_shaping_history(problem, [row for row in loop.history.rows if row["seed"] == seed]),
            )
            results.append(evaluate_seed(problem, seed, measured, sample))
        return tuple(results)

    def _write(self, run: Run, directory: RunDirectory) -> None:
        from rpax.reports.run_plots import draw_run_plots

        directory.check_there()
        write_policies(run, directory)
        if run.results:
            with writing(directory.plots):
                draw_run_plots(run, self.trainer.problem.environment, directory.plots)
        write_results(run, directory)


def _copy_fixed(directory: RunDirectory, agents: "Mapping[str, tuple[AgentPolicy, Parameters]]") -> None:
    """Copy fixed agents into the run directory; functions cannot be."""
    for name, (policy, parameters) in agents.items():
        if not is_asked(policy):
            write_policy(fixed_file(directory, name), policy, parameters, agent=name)


def write_policies(run: Run, directory: RunDirectory) -> None:
    """Write a run's policies."""
    for seed, agents in run.agents.items():
        for name, agent in agents.items():
            if is_asked(agent.policy):
                continue
            about = _about(name, run.config, run.objective)
            write_policy(policy_file(directory, seed, name), agent.policy, agent.parameters, **about)


def write_results(run: Run, directory: RunDirectory) -> None:
    """Write what came out of a run: last, as nothing is done for a finished run that is resumed."""
    directory.write_json(directory.results, run.to_dict())
    with writing(directory.failure):
        directory.failure.unlink(missing_ok=True)


def write_policy(path: pathlib.Path, policy: "AgentPolicy", parameters: "Parameters", **about: str) -> None:
    """Write a policy file, whole or not at all.

    Raises:
        Unwritable: the file cannot be written; what was there stays.
    """
    with writing(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, lambda temporary: save_policy(temporary, policy, parameters, **about))


def _about(name: str, config: TrainConfig, objective: Objective) -> dict[str, str]:
    """What is written beside an agent's policy."""
    return {"agent": name, "environment": config.environment, "algorithm": objective.name}


def make_environment(config: TrainConfig) -> Environment:
    """The environment that a configuration names."""
    options = dict(config.environment_options)
    if config.payoffs is not None:
        options["payoffs"] = config.payoffs
    return make(config.environment, **options)


def make_trainer(config: TrainConfig, problem: Problem, *, keep_traced: bool = True) -> Trainer:
    """The trainer of a complete configuration; ``keep_traced`` if its environment was made by its name."""
    programs = TracedPrograms.of(config, problem) if keep_traced else None
    keep = None if programs is None else programs.keep
    skip = config.on_nonfinite == "skip"
    return Trainer(problem, config.seed_list, config.exact, config.precision or "float32", keep, skip)


def _shaping_history(problem: Problem, rows: list[dict[str, Any]]) -> dict[str, dict[str, list[float]]]:
    """Manipulators' gradient norms and influence over the run so far, as far as they were measured."""
    kinds = ("manipulator_gradient_norm", "influence")
    return {
        kind: {name: [row[kind][name] for row in rows if name in row.get(kind, ())] for name in problem.manipulators}
        for kind in kinds
    }
