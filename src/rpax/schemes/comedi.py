"""CoMeDi: conventions one after the other, each as unlike the earlier ones as it can be in good faith.

Agent n maximises J_SP(π_n) − α J_XP(π_n, π*) + β J_MP(π_n, π*), where π* is the earlier agent that it is most
compatible with, chosen anew as training goes, and J_MP is mixed-play (:mod:`rpax.training.mixed_play`). α is the
setting ``crossplay_weight``, β is ``mixed_play_weight``.

Source: Sarkar, Shih and Sadigh, "Diverse Conventions for Human-AI Collaboration", 2023.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from rpax.errors import InputError
from rpax.objectives.catalogue import AlgorithmOptions, algorithm, compatible_conventions_edges
from rpax.objectives.edges import MEMORY_AND_MIXED_PLAY, Objective, ObjectiveEdge
from rpax.runs.config import TrainConfig
from rpax.schemes.stages import Finished, Scheme, Stage, stage_config, stage_seed

if TYPE_CHECKING:
    from rpax.environments.protocol import Environment
    from rpax.runs.agent import Agent
    from rpax.runs.loop import Between
    from rpax.runs.session import Session

#: What the earlier agent that counts at present is called.
PARTNER = "partner"


class CoMeDi(Scheme):
    """Self-play, then one agent after the other that is pushed away from the most compatible earlier one.

    Raises:
        InputError: its agents would have a memory.
    """

    def __init__(self, config: TrainConfig) -> None:
        super().__init__(config)
        if config.network == "gru" and config.mixed_play_weight:
            raise InputError(f"{MEMORY_AND_MIXED_PLAY} with mixed_play_weight 0")

    @property
    def stages(self) -> tuple[Stage, ...]:
        """A run for each agent."""
        return tuple(self._stage(number) for number in range(self._size))

    def partners(self, stage: Stage, finished: Finished, environment: "Environment") -> "Mapping[str, list[Agent]]":
        """To begin with, the first agent; :meth:`between` chooses before anything is learned."""
        number = self._number_of(stage)
        return {} if number == 0 else {PARTNER: self._of_all_seeds(0, finished)}

    def between(self, stage: Stage, finished: Finished, session: "Session") -> "Between | None":
        """What exchanges the partner for the most compatible earlier agent."""
        number = self._number_of(stage)
        if number == 0:
            return None
        from rpax.schemes.compatible import MostCompatible

        earlier = {f"base_{i}": self._of_all_seeds(i, finished) for i in range(number)}
        return MostCompatible.of(session, f"base_{number}", PARTNER, earlier)

    def members(self, finished: Finished) -> "Mapping[int, Mapping[str, Agent]]":
        """Every agent."""
        agents = {f"base_{i}": self._of_all_seeds(i, finished) for i in range(self._size)}
        return {
            seed: {name: of_seeds[place] for name, of_seeds in agents.items()}
            for place, seed in enumerate(self.config.seed_list)
        }

    @property
    def _size(self) -> int:
        return self.config.population or 0

    def _stage(self, number: int) -> Stage:
        objective = algorithm("sp") if number == 0 else self._objective(f"base_{number}")
        # Of the same seed all agents would begin with the same parameters.
        seeds = tuple(stage_seed(seed, number, self._size) for seed in self.config.seed_list)
        about = "self-play" if number == 0 else f"unlike the most compatible of {number} earlier agents"
        return Stage(f"agent-{number}", stage_config(self.config, objective, seeds=seeds), objective, about)

    def _objective(self, name: str) -> Objective:
        options = AlgorithmOptions(
            crossplay_weight=self.config.crossplay_weight or 0.0, mixed_play_weight=self.config.mixed_play_weight or 0.0
        )
        pushed = compatible_conventions_edges(name, PARTNER, options)
        edges = [ObjectiveEdge(name, name, name), *pushed]
        return Objective({name: "base", **({PARTNER: "fixed"} if pushed else {})}, edges, name="comedi")

    def _number_of(self, stage: Stage) -> int:
        return int(stage.folder.rpartition("-")[2]) if stage.objective.fixed else 0

    def _of_all_seeds(self, number: int, finished: Finished) -> "list[Agent]":
        run = finished[f"agent-{number}"]
        return [run.agent(f"base_{number}", seed) for seed in run.config.seed_list]
