"""A scheme that is being trained: its stages one after the other, then what comes out as one run."""

import dataclasses
import functools
import logging
import pathlib
import tempfile
import time
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np

from rpax.environments.protocol import Environment
from rpax.errors import InputError
from rpax.objectives.edges import Objective
from rpax.runs.agent import Agent
from rpax.runs.changes import check_same_config
from rpax.runs.checkpoint import last_checkpoint
from rpax.runs.config import TrainConfig
from rpax.runs.directory import RunDirectory
from rpax.runs.run import Progress, Run, load
from rpax.runs.session import Partners, Session, make_environment, write_policies, write_results
from rpax.schemes.measure import evaluate_members
from rpax.schemes.stages import Scheme, Stage

_log = logging.getLogger(__name__)


@dataclasses.dataclass
class SchemeSession:
    """A scheme that is being trained in this process.

    Attributes:
        scheme: what is trained.
        config: its complete configuration.
        objective: what comes out, as data.
        directory: its run directory, or ``None`` if nothing is to be written.
        environment: where.
    """

    scheme: Scheme
    config: TrainConfig
    objective: Objective
    directory: RunDirectory | None
    environment: str | Environment
    _first: Session | None = None
    _elsewhere: pathlib.Path | None = None

    @classmethod
    def begin(
        cls,
        scheme: Scheme,
        config: TrainConfig,
        objective: Objective,
        directory: RunDirectory | None,
        environment: str | Environment,
    ) -> "SchemeSession":
        """A scheme at its beginning, whose first stage is ready to be trained."""
        if directory is None and config.sinks:
            raise InputError(f"sink {config.sinks[0]} needs a run directory; give out=…")
        session = cls(scheme, config, objective, directory, environment)
        if directory is not None:
            session._first = session._open(scheme.stages[0], {})
        return session

    @property
    def changes(self) -> tuple[str, ...]:
        """None: a stage's are told when it is gone on with."""
        return ()

    @property
    def notes(self) -> tuple[str, ...]:
        """The first stage's."""
        return () if self._first is None else self._first.notes

    def run(self, progress: Progress) -> Run:
        """Train every stage that is not finished, within the time limit."""
        if self.directory is not None:
            try:
                return self._train(progress)
            finally:
                self.directory.lock.release()
        # What later stages need of earlier ones is read from their files.
        with tempfile.TemporaryDirectory(prefix="rpax-") as folder:
            self._elsewhere = pathlib.Path(folder)
            return self._train(progress)

    def _train(self, progress: Progress) -> Run:
        started, finished = time.monotonic(), {}
        stages = self.scheme.stages
        whole = sum(stage.config.updates or 0 for stage in stages)
        for stage in stages:
            before = sum(run.update for run in finished.values())
            run = self._finished(stage)
            if run is None:
                session = self._first or self._open(stage, finished)
                self._first = None
                limit = self.config.minutes
                if limit is not None:
                    left = max(limit - (time.monotonic() - started) / 60, 1e-6)
                    session.config = dataclasses.replace(session.config, minutes=left)
                run = session.run(lambda update, _, rows, before=before: progress(before + update, whole, rows))
            finished[stage.folder] = run
            if run.status != "finished":
                return self._stopped(run, before, stage) if stage.folder else run
        members = self.scheme.members(finished)
        if not members:
            return finished[stages[-1].folder]
        # A stage from which no other takes anything may have been extended.
        return self._assembled(members, min(run.update for run in finished.values()))

    def _open(self, stage: Stage, finished: Mapping[str, Run]) -> Session:
        """The session of a stage: from its last checkpoint, or from its beginning."""
        partners = _stacked(self.scheme.partners(stage, finished, self._game))
        directory = self._directory_of(stage)
        try:
            if directory is not None:
                directory.open_to_write()
            if directory is not None and last_checkpoint(directory.checkpoints, directory.metrics) is not None:
                session = Session.go_on(stage.config, stage.objective, directory, partners)
                for change in session.changes:
                    _log.warning("rpax: %s", change)
            else:
                session = Session.begin(
                    stage.config, stage.objective, directory, environment=self.environment, fixed={}, partners=partners
                )
            session.between = self.scheme.between(stage, finished, session)
        except BaseException:
            # The scheme's own is given back by whoever took it.
            if directory is not None and directory is not self.directory:
                directory.lock.release()
            raise
        return session

    def _directory_of(self, stage: Stage) -> RunDirectory | None:
        """The stage's run directory, made if it is not there; ``None`` for a last stage that is not to be written."""
        place = self._elsewhere if self.directory is None else self.directory.path
        if place is None or (self.directory is None and not stage.folder):
            return None
        if self.directory is not None and not stage.folder:
            return self.directory
        path = place / stage.folder
        if RunDirectory(path).config.is_file():
            return RunDirectory(path)
        return RunDirectory.create(path, stage.config, stage.objective)

    def _finished(self, stage: Stage) -> Run | None:
        """The run of a stage that is finished already.

        Raises:
            InputError: it was trained with other settings than the scheme has now.
        """
        if self.directory is None or not RunDirectory(self.directory.path / stage.folder).config.is_file():
            return None
        run = load(self.directory.path / stage.folder)
        if stage.folder:
            check_same_config(f"run {run.path}", run.config, stage.config)
        return run if run.status == "finished" else None

    def _stopped(self, run: Run, before: int, stage: Stage) -> Run:
        """The scheme's run where one of its stages did not come to its end; ``before`` updates of earlier ones."""
        path = None if self.directory is None else self.directory.path
        return Run(self.config, self.objective, (), run.status, before + run.update, path, {}, stage=stage.folder)

    def _assembled(self, members: Mapping[int, Mapping[str, Agent]], update: int) -> Run:
        """The agents that stages made, as one run; each stage made at least ``update`` updates."""
        results = evaluate_members(self.config, self.objective, self._game, members)
        path = None if self.directory is None else self.directory.path
        run = Run(self.config, self.objective, results, "finished", update, path, members)
        if self.directory is not None:
            write_policies(run, self.directory)
            write_results(run, self.directory)
        return run

    @functools.cached_property
    def _game(self) -> Environment:
        return make_environment(self.config) if isinstance(self.environment, str) else self.environment


def _stacked(agents: Mapping[str, Sequence[Agent]]) -> Partners:
    """Each one's policy, and the parameters of all seeds together."""
    return {
        name: (of_seeds[0].policy, stack([one.parameters for one in of_seeds])) for name, of_seeds in agents.items()
    }


def stack(parameters: Sequence[Any]) -> Any:
    """Parameters of several seeds with a leading axis for them."""
    return jax.tree.map(lambda *leaves: np.stack(leaves), *parameters)
