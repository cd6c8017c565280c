"""Self-play at several entropy bonuses.

An entropy bonus alone goes far towards agents that play well with each other (Forkel and Foerster, arXiv 2511.22581),
so a baseline of self-play is a baseline at its best entropy.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from rpax.objectives.catalogue import algorithm
from rpax.schemes.stages import Finished, Scheme, Stage, stage_config

if TYPE_CHECKING:
    from rpax.runs.agent import Agent


class EntropySweep(Scheme):
    """A self-play run for each entropy bonus; base_i of the scheme's own run learned with the i-th."""

    @property
    def stages(self) -> tuple[Stage, ...]:
        """A run for each entropy bonus, which stays what it is."""
        objective, entropies = algorithm("sp"), self.config.entropies or ()
        return tuple(
            Stage(
                f"entropy-{entropy:g}",
                stage_config(
                    self.config, objective, entropy=float(entropy), entropy_start=float(entropy), entropy_updates=0
                ),
                objective,
                f"self-play with entropy bonus {entropy:g}",
            )
            for entropy in entropies
        )

    def members(self, finished: Finished) -> "Mapping[int, Mapping[str, Agent]]":
        """Every run's agent."""
        runs = [finished[stage.folder] for stage in self.stages]
        return {
            seed: {f"base_{i}": run.agent("base_0", seed) for i, run in enumerate(runs)}
            for seed in self.config.seed_list
        }
