"""Training schemes: algorithms that are several runs, one after the other. Imported without JAX.

A scheme's run directory holds each of its runs as an ordinary run directory of its own, and ``scheme.json``, which says
what they are.
"""

import json
import pathlib
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

from rpax.errors import InputError
from rpax.objectives.edges import Objective
from rpax.runs.config import TrainConfig
from rpax.runs.directory import RunDirectory
from rpax.runs.prepare import in_stages
from rpax.schemes.comedi import CoMeDi
from rpax.schemes.fcp import FictitiousCoPlay
from rpax.schemes.stages import Scheme
from rpax.schemes.sweep import EntropySweep

if TYPE_CHECKING:
    from rpax.environments.protocol import Environment
    from rpax.runs.run import Progress, Run

#: algorithm -> how it is trained
SCHEMES: dict[str, Callable[[TrainConfig], Scheme]] = {
    "sp-sweep": EntropySweep,
    "fcp": FictitiousCoPlay,
    "comedi": CoMeDi,
}
_FILE = "scheme.json"


class Training(Protocol):
    """A run that is being trained in this process: of a session, or of a scheme."""

    @property
    def notes(self) -> tuple[str, ...]:
        """What a user should know before it begins, a line each."""
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
        stages = [{"folder": stage.folder or ".", "about": stage.about} for stage in scheme.stages]
        directory.write_json(directory.path / _FILE, {"scheme": objective.name, "stages": stages})
    from rpax.schemes.session import SchemeSession

    return SchemeSession.begin(scheme, config, objective, directory, environment)


def go_on(config: TrainConfig, objective: Objective, directory: RunDirectory) -> Training | None:
    """The scheme of a run directory from its first unfinished stage, or ``None`` if it is a single run.

    Raises:
        InputError: it is a stage of a scheme whose partners come from other stages.
    """
    if (directory.path / _FILE).is_file():
        from rpax.schemes.session import SchemeSession

        return SchemeSession(SCHEMES[objective.name](config), config, objective, directory, config.environment)
    above = pathlib.Path(directory.path).resolve().parent
    if (above / _FILE).is_file() and not _stands_alone(above, directory):
        raise InputError(f"run {directory.path} is a stage of {above}; `rpax resume {above}` goes on with it")
    return None


def _stands_alone(above: pathlib.Path, directory: RunDirectory) -> bool:
    """Whether a stage needs nothing of other stages."""
    try:
        scheme = json.loads((above / _FILE).read_text(encoding="utf-8"))["scheme"]
    except (OSError, ValueError, KeyError, TypeError):
        raise InputError(f"{above / _FILE} is damaged; train the scheme anew") from None
    return scheme != "comedi" or not directory.read_objective().fixed
