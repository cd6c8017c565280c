"""Training schemes: algorithms that are several runs, one after the other. Imported without JAX.

A scheme's run directory holds each of its runs as an ordinary run directory of its own, and ``scheme.json``, which says
what they are.
"""

import contextlib
import pathlib
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

from rpax.errors import InputError
from rpax.objectives.edges import Objective
from rpax.runs.config import TrainConfig
from rpax.runs.directory import RunDirectory
from rpax.runs.manifest import list_checkpoints, read_manifest
from rpax.runs.prepare import in_stages
from rpax.schemes.comedi import CoMeDi
from rpax.schemes.fcp import FictitiousCoPlay
from rpax.schemes.stages import Scheme
from rpax.schemes.sweep import EntropySweep

if TYPE_CHECKING:
    from rpax.environments.protocol import Environment
    from rpax.runs.run import Progress, Run

#: The scheme whose stages take nothing from each other.
_SWEEP = "sp-sweep"
#: algorithm -> how it is trained
SCHEMES: dict[str, Callable[[TrainConfig], Scheme]] = {
    _SWEEP: EntropySweep,
    "fcp": FictitiousCoPlay,
    "comedi": CoMeDi,
}


class Training(Protocol):
    """A run that is being trained in this process: of a session, or of a scheme."""

    @property
    def changes(self) -> tuple[str, ...]:
        """What is otherwise than before, a line each."""
        ...

    @property
    def notes(self) -> tuple[str, ...]:
        """What a user should know before it begins, ``changes`` among it, a line each."""
        ...

    def run(self, progress: "Progress") -> "Run":
        """Train to the end or the time limit."""
        ...


def begin(
    config: TrainConfig,
    objective: Objective,
    directory: RunDirectory | None,
    *,
    environment: "str | Environment",
    fixed: Mapping[str, Any],
) -> Training:
    """Training from update 0: everything from here on needs JAX. Wrong input is found before anything is trained."""
    if not in_stages(objective):
        from rpax.runs.session import Session

        return Session.begin(config, objective, directory, environment=environment, fixed=fixed)
    scheme = SCHEMES[objective.name](config)
    if directory is not None:
        _write_scheme(scheme, objective, directory)
    from rpax.schemes.session import SchemeSession

    return SchemeSession.begin(scheme, config, objective, directory, environment)


def _write_scheme(scheme: Scheme, objective: Objective, directory: RunDirectory) -> None:
    stages = [{"folder": stage.folder or ".", "about": stage.about} for stage in scheme.stages]
    directory.write_json(directory.scheme, {"scheme": objective.name, "stages": stages})


def _is_begun_scheme(config: TrainConfig, objective: Objective, directory: RunDirectory, above: RunDirectory) -> bool:
    """Whether a process was killed before it wrote down what the stages are; stages of a scheme are none.

    Nor is an objective of one's own that only has the name of a scheme: what it was read from is the algorithm.
    """
    stage_of_comedi = objective.name == "comedi" and bool(objective.fixed)
    named = objective.name in SCHEMES and config.algorithm in SCHEMES
    trained = directory.checkpoints.exists()
    return named and not trained and above.read_scheme()["scheme"] is None and not stage_of_comedi


def go_on(config: TrainConfig, objective: Objective, directory: RunDirectory, *, extended: bool) -> Training | None:
    """The scheme of a run directory from its first unfinished stage, or ``None`` if it is a single run.

    Args:
        config: the run's.
        objective: the run's.
        directory: where it is.
        extended: whether it is to be trained beyond, or not up to, what was configured.

    Raises:
        InputError: it is a stage of a scheme whose partners come from other stages; or ``extended``, or configured with
            other updates than its stages were begun with, and a scheme or a stage from which others take their
            partners.
    """
    above = RunDirectory(pathlib.Path(directory.path).resolve().parent)
    if directory.scheme.is_file() or _is_begun_scheme(config, objective, directory, above):
        if extended:
            stand_alone = objective.name == _SWEEP
            remedy = "give --until for one of its folders" if stand_alone else "train it anew with --updates"
            raise InputError(f"run {directory.path} is trained in stages; {remedy}")
        from rpax.schemes.session import SchemeSession

        directory.open_to_write()
        made = SCHEMES[objective.name](config)
        _check_same_updates(made, objective, directory)
        if not directory.scheme.is_file():
            _write_scheme(made, objective, directory)
        return SchemeSession(made, config, objective, directory, config.environment)
    scheme = above.read_scheme()["scheme"]
    if scheme == "comedi" and directory.read_objective().fixed:
        raise InputError(f"run {directory.path} is a stage of {above.path}; `rpax resume {above.path}` goes on with it")
    planned = None if scheme in (None, _SWEEP) else planned_updates(directory)
    if scheme not in (None, _SWEEP) and (extended or planned not in (None, config.updates)):
        remedy = "leave --until out" if extended else f"set updates in config.yaml back to {planned}"
        raise InputError(
            f"run {directory.path} is a stage of {above.path}, of which later ones take partners; {remedy}"
        )
    return None


def _check_same_updates(scheme: Scheme, objective: Objective, directory: RunDirectory) -> None:
    """Whether a scheme's stages were begun with the updates that it is configured with.

    Raises:
        InputError: one was begun with others.
    """
    for stage in scheme.stages:
        its = RunDirectory(directory.path / stage.folder)
        planned = planned_updates(its)
        # Of a sweep, a stage may have been extended; of others only what they began with is configured in a stage.
        if planned is None and stage.folder and objective.name != _SWEEP and its.config.is_file():
            planned = its.read_config().updates
        if planned not in (None, stage.config.updates):
            raise InputError(
                f"run {directory.path}: updates in config.yaml is {stage.config.updates} now and was {planned}, with "
                f"which {stage.folder or 'its last stage'} was trained; set it back, or train anew with --updates"
            )


def planned_updates(directory: RunDirectory) -> int | None:
    """The updates that a run was begun with; ``None`` where it does not say so."""
    checkpoints = list_checkpoints(directory.checkpoints)
    with contextlib.suppress(InputError):
        manifest = read_manifest(checkpoints[-1]) if checkpoints else None
        return None if manifest is None or manifest.ends is None else manifest.ends[0]
    return None
