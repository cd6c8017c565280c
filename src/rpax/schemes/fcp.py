"""Fictitious co-play: the best response to self-play agents and to what they were before.

Source: Strouse et al., "Collaborating with Humans without Human Data", 2021.
"""

import pathlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from rpax.errors import InputError
from rpax.objectives.catalogue import SKILLS, algorithm
from rpax.schemes.stages import Finished, Scheme, Stage, stage_config, stage_seed
from rpax.untrusted import NotStrictJSON, check_keys, read_json

if TYPE_CHECKING:
    from rpax.environments.protocol import Environment
    from rpax.runs.agent import Agent
    from rpax.runs.run import Run

POOL = "pool"
#: Beside the pool: the update of each self-play seed's half-trained policy, once they are chosen.
_CHOICE = "pool.json"
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
        pool, size = finished[POOL], self.config.population or 0
        halves = self._half_trained_updates(pool, environment)
        found: dict[str, list[Agent]] = {name: [] for name in stage.objective.fixed}
        for seed in self.config.seed_list:
            for i in range(size):
                own = stage_seed(seed, i, size)
                for skill, update in zip(SKILLS, (0, halves[own], pool.update), strict=True):
                    found[f"partner_{i}_{skill}"].append(pool.agent("base_0", own, update=update))
        return found

    def _half_trained_updates(self, pool: "Run", environment: "Environment") -> dict[int, int]:
        """The update of each pool seed's half-trained policy: measured once, and read when the scheme goes on."""
        assert pool.path is not None, "every pool has a run directory, if only for a while"
        file = pool.path.parent / _CHOICE
        if file.is_file():
            return _read_choice(file, pool)
        from rpax.runs.directory import RunDirectory
        from rpax.schemes.measure import self_play_returns

        updates = {seed: kept_updates(pool, seed) for seed in pool.config.seed_list}
        kept = {seed: [pool.agent("base_0", seed, update=update) for update in its] for seed, its in updates.items()}
        returns = self_play_returns(pool.config, environment, kept, min(EPISODES, self.config.evaluation_episodes))
        halves = {seed: its[half_trained(returns[seed])] for seed, its in updates.items()}
        RunDirectory(pool.path.parent).write_json(file, {"half_trained": halves})
        return halves


def _read_choice(file: pathlib.Path, pool: "Run") -> dict[int, int]:
    remedy = "remove it, and the pool's policies are measured again"
    content = read_json(file, remedy)
    try:
        updates = dict.fromkeys(map(str, pool.config.seed_list), int)
        written = check_keys(check_keys(content, {"half_trained": dict})["half_trained"], updates)
    except NotStrictJSON as error:
        raise InputError(f"{file} is damaged, it {error}; {remedy}") from None
    return {seed: written[str(seed)] for seed in pool.config.seed_list}


def kept_updates(pool: "Run", seed: int) -> list[int]:
    """The updates of a self-play seed's policies from the first to the last."""
    return sorted({0, *pool.snapshots("base_0", seed), pool.update})


def half_trained(returns: Sequence[float]) -> int:
    """Which of the policies in between returns nearest to half way from the first's return to the last's.

    Where the first returns 0, that is half of the last's. The earlier of equal ones; of two policies, the first.
    """
    between = range(1, len(returns) - 1) if len(returns) > 2 else range(1)
    half_way = (returns[0] + returns[-1]) / 2
    return min(between, key=lambda number: abs(returns[number] - half_way))
