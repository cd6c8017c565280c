"""What a scheme is: its stages, what they give to each other, and what comes out. Imported without JAX."""

import abc
import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from rpax.objectives.edges import Objective
from rpax.runs.config import TrainConfig
from rpax.runs.prepare import fit_sampling
from rpax.runs.presets import ALGORITHM_OPTIONS

if TYPE_CHECKING:
    from rpax.environments.protocol import Environment
    from rpax.runs.agent import Agent
    from rpax.runs.loop import Between
    from rpax.runs.run import Run
    from rpax.runs.session import Session

#: Stages that are finished, by folder.
Finished = Mapping[str, "Run"]


@dataclasses.dataclass(frozen=True)
class Stage:
    """One run of a scheme.

    Attributes:
        folder: where it lies in the scheme's run directory; empty for the directory itself.
        config: its complete configuration.
        objective: what is learned in it.
        about: what it is, in a line.
    """

    folder: str
    config: TrainConfig
    objective: Objective
    about: str


class Scheme(abc.ABC):
    """An algorithm that is trained in stages.

    Args:
        config: the scheme's complete configuration.
    """

    def __init__(self, config: TrainConfig) -> None:
        self.config = config

    @property
    @abc.abstractmethod
    def stages(self) -> tuple[Stage, ...]:
        """What is trained, in order."""

    def partners(self, stage: Stage, finished: Finished, environment: "Environment") -> "Mapping[str, list[Agent]]":
        """The agents that never learn in a stage: one for each of its seeds, in order."""
        return {}

    def between(self, stage: Stage, finished: Finished, session: "Session") -> "Between | None":
        """What changes the state between chunks of a stage's updates."""
        return None

    def members(self, finished: Finished) -> "Mapping[int, Mapping[str, Agent]]":
        """Each seed's agents of the scheme's own run; empty where the last stage is that run."""
        return {}


def stage_config(config: TrainConfig, objective: Objective, **settings: Any) -> TrainConfig:
    """The configuration of a stage: the scheme's, with other ``settings``."""
    own = dict.fromkeys(ALGORITHM_OPTIONS) | {"algorithm": objective.name, "minutes": None} | settings
    return fit_sampling(dataclasses.replace(config, **own), objective)


def stage_seed(seed: int, number: int, population: int) -> int:
    """The seed of one of ``population`` agents that are trained apart for a seed of the scheme."""
    return (seed * population + number) % 2**32
