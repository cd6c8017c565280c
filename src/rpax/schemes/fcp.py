"""Fictitious co-play: the best response to self-play agents and to what they were before.

Source: Strouse et al., "Collaborating with Humans without Human Data", 2021.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from rpax.objectives.catalogue import SKILLS, algorithm
from rpax.schemes.stages import Finished, Scheme, Stage, stage_config, stage_seed

if TYPE_CHECKING:
    from rpax.environments.protocol import Environment
    from rpax.runs.agent import Agent
    from rpax.runs.run import Run

POOL = "pool"
#: How many policies of each self-play seed are kept on the way, of which one is the half-trained partner.
SNAPSHOTS = 10
#: Episodes from which a kept policy's return is known.
EPISODES = 128


class FictitiousCoPlay(Scheme):
    """A pool of self-play seeds, then an agent that learns with each one's first, half-trained and last policy."""

    @property
    def stages(self) -> tuple[Stage, ...]:
        """The pool of every seed in one program, and the best response in the scheme's own directory."""
        self_play, size = algorithm("sp"), self.config.population or 0
        seeds = tuple(stage_seed(seed, i, size) for seed in self.config.seed_list for i in range(size))
        snapshots = min(self.config.snapshots or SNAPSHOTS, (self.config.updates or 1) - 1)
        pool = stage_config(self.config, self_play, seeds=seeds, snapshots=snapshots)
        objective = algorithm("fcp", population=size)
        return (
            Stage(POOL, pool, self_play, f"self-play of {size} seeds for each seed"),
            Stage("", self.config, objective, "best response to the pool's policies"),
        )

    def partners(self, stage: Stage, finished: Finished, environment: "Environment") -> "Mapping[str, list[Agent]]":
        """Each pool seed's first, half-trained and last policy."""
        if stage.folder == POOL:
            return {}
        from rpax.schemes.measure import self_play_returns

        pool, size = finished[POOL], self.config.population or 0
        kept = {seed: kept_policies(pool, seed) for seed in pool.config.seed_list}
        returns = self_play_returns(pool.config, environment, kept, min(EPISODES, self.config.evaluation_episodes))
        found: dict[str, list[Agent]] = {name: [] for name in stage.objective.fixed}
        for seed in self.config.seed_list:
            for i in range(size):
                own = stage_seed(seed, i, size)
                chosen = (0, half_trained(returns[own]), len(kept[own]) - 1)
                for skill, number in zip(SKILLS, chosen, strict=True):
                    found[f"partner_{i}_{skill}"].append(kept[own][number])
        return found


def kept_policies(pool: "Run", seed: int) -> "Sequence[Agent]":
    """A self-play seed's policies from the first to the last."""
    updates = {0, *pool.snapshots("base_0", seed)} - {pool.update}
    return [*(pool.agent("base_0", seed, update=update) for update in sorted(updates)), pool.agent("base_0", seed)]


def half_trained(returns: Sequence[float]) -> int:
    """Which of the policies in between returns nearest to half of what the last one does; the earlier of equal ones.

    Of two policies, the first.
    """
    between = range(1, len(returns) - 1) if len(returns) > 2 else range(1)
    return min(between, key=lambda number: abs(returns[number] - returns[-1] / 2))
