"""Which earlier agent one that learns is most compatible with, as training goes."""

import dataclasses
import json
import pathlib
from collections.abc import Mapping

import jax
import numpy as np

from rpax.objectives.edges import Objective, ObjectiveEdge
from rpax.policies.agent import Parameters
from rpax.runs.agent import Agent
from rpax.runs.session import Session
from rpax.runs.sinks import read_rows
from rpax.runs.writing import write_text, writing
from rpax.schemes.measure import Table
from rpax.training.problem import TrainState, key_data
from rpax.training.trainer import one_seed

#: How often at most the choice is made in a run, and from how many episodes of each pairing.
CHOICES, EPISODES = 20, 64
#: Folded into a seed's key, so that no episode of training is replayed.
_CHOICE_KEY = 0xC0DE


@dataclasses.dataclass(frozen=True)
class MostCompatible:
    """Exchanges a state's partner for the earlier agent with which the learner's cross-play is highest.

    Attributes:
        name: the learner.
        partner: what the exchanged agent is called.
        earlier: earlier agents to their parameters by seed.
        seeds: the run's.
        table: the learner with each of them, in both orders.
        every: updates between two choices.
        log: where each choice is written down, a line a seed; ``None`` for nowhere.
    """

    name: str
    partner: str
    earlier: Mapping[str, list[Parameters]]
    seeds: tuple[int, ...]
    table: Table
    every: int
    log: pathlib.Path | None

    @classmethod
    def of(cls, session: Session, name: str, partner: str, earlier: Mapping[str, list[Agent]]) -> "MostCompatible":
        """For a session in which ``name`` learns; ``earlier`` agents come one a seed."""
        config, problem = session.config, session.trainer.problem
        edges = [ObjectiveEdge(name, name, other) for other in earlier]
        objective = Objective({name: "base", **dict.fromkeys(earlier, "fixed")}, edges, name="compatible")
        learner = Agent(name, problem.policies[name], {})
        agents = {name: learner, **{other: of_seeds[0] for other, of_seeds in earlier.items()}}
        episodes = min(EPISODES, config.evaluation_episodes)
        chunk = config.log_every or 1
        log = None if session.directory is None else session.directory.path / "partners.jsonl"
        if log is not None:
            _drop_choices_from(log, session.update)
        return cls(
            name,
            partner,
            {other: [agent.parameters for agent in of_seeds] for other, of_seeds in earlier.items()},
            session.trainer.seeds,
            Table.of(config, objective, problem.environment, agents, episodes),
            every=max(1, -(-(config.updates or 1) // (CHOICES * chunk))) * chunk,
            log=log,
        )

    def __call__(self, state: TrainState, update: int) -> TrainState:
        """The state with every seed's most compatible earlier agent, if it is time to choose."""
        if update % self.every or self.partner not in state.partners:
            return state
        chosen = [self._choose(one_seed(state.base[self.name], i), i, update) for i in range(len(self.seeds))]

        def exchanged(old: jax.Array | np.ndarray, *new: Parameters) -> jax.Array | np.ndarray:
            # Bound to where the old one is, so that the same program goes on; that of a checkpoint is not yet anywhere.
            stacked = jax.numpy.stack(new).astype(old.dtype)
            return jax.device_put(stacked, old.sharding) if isinstance(old, jax.Array) else np.asarray(stacked)

        with jax.enable_x64(self.table.precision == "float64"):
            partner = jax.tree.map(exchanged, state.partners[self.partner], *chosen)
        return state._replace(partners={**state.partners, self.partner: partner})

    def _choose(self, own: Parameters, place: int, update: int) -> Parameters:
        seed = self.seeds[place]
        candidates = {other: of_seeds[place] for other, of_seeds in self.earlier.items()}
        key = jax.random.fold_in(jax.random.fold_in(key_data(seed), _CHOICE_KEY), update)
        found = self.cross_play({self.name: own, **candidates}, key)
        best = max(found, key=lambda other: found[other])
        if self.log is not None:
            line = {"update": update, "seed": seed, "partner": best, "cross_play": found}
            with writing(self.log), self.log.open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")
        return candidates[best]

    def cross_play(self, parameters: Mapping[str, Parameters], key: jax.Array) -> dict[str, float]:
        """The learner's return with each earlier agent, averaged over both orders."""
        returns = self.table.returns(parameters, key)
        found: dict[str, list[float]] = {}
        for pairing, of_seats in zip(self.table.problem.plan.reported_pairings, returns, strict=True):
            seat = 0 if pairing.seat_0 == self.name else 1
            found.setdefault(pairing[1 - seat], []).append(float(of_seats[seat]))
        return {other: sum(its) / len(its) for other, its in found.items()}


def _drop_choices_from(log: pathlib.Path, update: int) -> None:
    """Leave the choices before an update, from which a run goes on that will make the later ones again."""
    kept = [json.dumps(row) + "\n" for row in read_rows(log) if row["update"] < update]
    if log.is_file():
        write_text(log, "".join(kept))
