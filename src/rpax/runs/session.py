"""One session of a run: build the problem, restore or start the state, loop, then write down what came out."""

import dataclasses
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import jax

from rpax.environments.protocol import Environment
from rpax.environments.registry import make
from rpax.errors import InputError
from rpax.evaluation.results import Measured, SeedResult, evaluate_seed
from rpax.evaluation.returns import make_sampler
from rpax.objectives.edges import Objective
from rpax.objectives.plan import make_plan
from rpax.policies.asked import is_asked
from rpax.policies.external import asking
from rpax.policies.files import load_policy, save_policy
from rpax.policies.fixed import resolve_fixed_agent
from rpax.runs.agent import Agent
from rpax.runs.changes import check_unchanged, lost_metrics, other_libraries, recorded_config, recorded_objective
from rpax.runs.checkpoint import Plan, last_checkpoint, load_checkpoint, save_checkpoint
from rpax.runs.compilation_cache import use_compilation_cache
from rpax.runs.config import TrainConfig, config_to_dict
from rpax.runs.directory import RunDirectory
from rpax.runs.loop import Between, Loop, ThinnedRows
from rpax.runs.manifest import read_manifest
from rpax.runs.prepare import source_of
from rpax.runs.run import Progress, Run
from rpax.runs.sinks import JsonLines, Sink, import_package, make_sinks, read_rows
from rpax.runs.snapshots import policy_file, snapshot_updates
from rpax.runs.traced_programs import TracedPrograms
from rpax.training.problem import Problem, TrainState
from rpax.training.setup import begins_in_its_only_state, make_problem
from rpax.training.trainer import Trainer, one_seed

if TYPE_CHECKING:
    from rpax.policies.agent import AgentPolicy, Parameters


#: Agents that never learn and that each seed has its own of: their policy, and their parameters [seeds, …].
Partners = Mapping[str, "tuple[AgentPolicy, Parameters]"]


@dataclasses.dataclass
class Session:
    """A run that is being trained in this process.

    ``changes`` says what is configured otherwise than before, a line each; ``between`` changes the state between chunks
    of updates, see :class:`~rpax.runs.loop.Loop`.
    """

    config: TrainConfig
    objective: Objective
    directory: RunDirectory | None
    trainer: Trainer
    state: TrainState
    update: int
    changes: tuple[str, ...] = ()
    between: Between | None = None

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
        if directory is not None:
            for name, (policy, parameters) in agents.items():
                if not is_asked(policy):
                    save_policy(directory.path / "fixed" / f"{name}.safetensors", policy, parameters, agent=name)
        problem = make_problem(config, objective, game, agents, partners)
        # Of an environment that came as an object, it is not known how it was made.
        trainer = make_trainer(config, problem, keep_traced=isinstance(environment, str))
        return cls(config, objective, directory, trainer, trainer.init(), 0)

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
            InputError: the checkpoint is lost, cannot be read or is beyond the last update, or the run was configured
                otherwise.
        """
        use_compilation_cache()
        checkpoint = last_checkpoint(directory.checkpoints, directory.metrics)
        changes = ()
        if checkpoint is not None:
            manifest = read_manifest(checkpoint)
            changes = check_unchanged(f"run {directory.path}", manifest, config, objective)
            changes += lost_metrics(manifest, directory.metrics) + other_libraries(manifest)
        game = make_environment(config)
        agents, left = {}, []
        for name in (name for name in objective.fixed if name not in partners):
            file = directory.path / "fixed" / f"{name}.safetensors"
            # A run whose fixed agents were not copied, or not yet, still knows where they came from.
            if file.is_file():
                policy, parameters, _ = load_policy(file)
                agents[name] = (policy, parameters)
            elif source_of(config, name) is None:
                raise InputError(
                    f"run {directory.path} cannot go on: its {name} was an object in Python, which no file holds; "
                    "train it anew, with a function that is named as FILE.py:NAME"
                )
            else:
                left.append(name)
        agents |= resolve_fixed(config, objective, game, {}, left)
        trainer = make_trainer(config, make_problem(config, objective, game, agents, partners))
        if checkpoint is None:
            return cls(config, objective, directory, trainer, trainer.init(), 0)
        state, update = load_checkpoint(checkpoint, trainer.state_shape())
        if update > (config.updates or 0):
            raise InputError(f"run {directory.path} is already at update {update}; give --until {update} or more")
        return cls(config, objective, directory, trainer, trainer.place(state), update, changes)

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
        """Train to the end (or the time limit), then evaluate and write everything down."""
        until = self.config.updates or 0
        sinks = self._sinks()
        loop = Loop(
            trainer=self.trainer,
            state=self.state,
            update=self.update,
            until=until,
            log_every=self.config.log_every or 1,
            sinks=sinks,
            checkpoint=self._save_checkpoint if self.directory is not None else None,
            checkpoint_minutes=self.config.checkpoint_minutes,
            snapshot=self._keep_snapshot,
            snapshots=snapshot_updates(self.config.snapshots, until),
            minutes=self.config.minutes,
            on_progress=lambda update, rows: progress(update, until, rows),
            between=self.between,
        )
        loop.history = self._history()
        try:
            status = loop.run()
        finally:
            for sink in sinks:
                sink.close()
        run = self._finish(loop, status)
        if status == "interrupted":
            raise KeyboardInterrupt
        return run

    def _sinks(self) -> list[Sink]:
        if self.directory is None:
            return []
        optional = make_sinks(self.config.sinks, self.directory.path, config_to_dict(self.config))
        return [JsonLines(self.directory.metrics, resume_at=self.update), *optional]

    def _history(self) -> ThinnedRows:
        """What was logged before this session, thinned."""
        history = ThinnedRows(self.config.log_every or 1)
        if self.directory is not None and self.update > 0:
            rows, seeds = read_rows(self.directory.metrics), len(self.trainer.seeds)
            for first in range(0, len(rows) - seeds + 1, seeds):
                history.add(rows[first : first + seeds])
        return history

    def _save_checkpoint(self, state: TrainState, update: int) -> None:
        assert self.directory is not None, "called with a run directory only"
        config, objective = recorded_config(self.config), recorded_objective(self.objective)
        plan = Plan(self.config.updates or 0, self.directory.metrics, config, objective)
        save_checkpoint(self.directory.checkpoints, state, update, plan, self.config.checkpoints_kept)

    def _keep_snapshot(self, state: TrainState, update: int) -> None:
        assert self.directory is not None, "whoever wants snapshots has a run directory"
        for index, seed in enumerate(self.trainer.seeds):
            for name, parameters in one_seed(state.base, index).items():
                file = policy_file(self.directory, seed, name, update)
                policy = self.trainer.problem.policies[name]
                save_policy(file, policy, parameters, **_about(name, self.config, self.objective), update=str(update))

    def _finish(self, loop: Loop, status: str) -> Run:
        with self.trainer.precision_context():
            results, agents = self._evaluate(loop)
        path = None if self.directory is None else self.directory.path
        rows = tuple(loop.history.rows)
        run = Run(self.config, self.objective, results, status, loop.update, path, agents, rows)
        if self.directory is not None:
            self._write(run, self.directory)
        return run

    def _evaluate(self, loop: Loop) -> tuple[tuple[SeedResult, ...], dict[int, dict[str, Agent]]]:
        """Every seed's results and agents."""
        problem = self.trainer.problem
        with asking():
            report = jax.device_get(self.trainer.report(loop.state))
        sample = make_sampler(problem, self.config.evaluation_episodes)
        results, agents = [], {}
        for index, seed in enumerate(self.trainer.seeds):
            parameters = one_seed({**loop.state.base, **loop.state.manipulators, **loop.state.partners}, index)
            measured = Measured(
                parameters=parameters,
                tables=one_seed(report.policies, index),
                returns=None if report.returns is None else report.returns[index],
                history=_shaping_history(problem, [row for row in loop.history.rows if row["seed"] == seed]),
            )
            results.append(evaluate_seed(problem, seed, measured, sample))
            everyone = parameters | {name: jax.device_get(fixed) for name, fixed in problem.fixed.items()}
            agents[seed] = {name: Agent(name, problem.policies[name], everyone[name]) for name in everyone}
        return tuple(results), agents

    def _write(self, run: Run, directory: RunDirectory) -> None:
        from rpax.reports.run_plots import draw_run_plots

        write_run(run, directory)
        draw_run_plots(run, self.trainer.problem.environment, directory.plots)


def write_run(run: Run, directory: RunDirectory) -> None:
    """Write a run's policies and results."""
    for seed, agents in run.agents.items():
        for name, agent in agents.items():
            if is_asked(agent.policy):
                continue
            about = _about(name, run.config, run.objective)
            save_policy(policy_file(directory, seed, name), agent.policy, agent.parameters, **about)
    directory.write_json(directory.results, run.to_dict())


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
    return Trainer(problem, config.seed_list, config.exact, config.precision or "float32", keep)


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


def _shaping_history(problem: Problem, rows: list[dict[str, Any]]) -> dict[str, dict[str, list[float]]]:
    """Manipulators' gradient norms and influence over the run so far, as far as they were measured."""
    kinds = ("manipulator_gradient_norm", "influence")
    return {
        kind: {name: [row[kind][name] for row in rows if name in row[kind]] for name in problem.manipulators}
        for kind in kinds
    }
