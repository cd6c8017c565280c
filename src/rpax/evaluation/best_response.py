"""Trained best responses: what a fresh policy gains on an agent against the agent's own, frozen training partners.

With p_k the partners of agent i in its own objective and w_k their weights, the gap of i against its mixture is

    max over π of  Σ_k w_k U(π, p_k)  −  Σ_k w_k U(π_i, p_k)

A trained π bounds it *from below only*. The gap against this mixture is itself never below the rationality gap, which
takes the co-policy that is kindest to the agent (:mod:`rpax.evaluation.rationality`). So a large bound shows that the
agent is no best response to those it was trained with; a small one shows that training found nothing better.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from rpax.environments.protocol import Environment
from rpax.errors import InputError
from rpax.evaluation.matches import Estimate, Frozen, Place, play_matches
from rpax.objectives.catalogue import find_algorithm
from rpax.objectives.edges import Objective, ObjectiveEdge, Role
from rpax.objectives.plan import Pairing

if TYPE_CHECKING:
    from rpax.runs.agent import Agent
    from rpax.runs.config import TrainConfig
    from rpax.runs.run import Progress, Run

#: What the agent that is trained is called.
BEST_RESPONSE = "best_response"
#: Settings that a best response does not take over from the run that it is trained for, beside its algorithm's options
#: and what else that algorithm sets: they say what is learned there and where it goes, or were fitted to its objective.
_NOT_TAKEN_OVER = (
    "algorithm", "environment", "victim", "partner", "seed", "seeds", "updates", "minutes", "sinks", "log_every",
    "snapshots", "sampling", "ppo_minibatches", "evaluation_episodes", "influence", "outer_average", "symmetries",
)  # fmt: skip
#: What the seeds of best responses are derived from, so that they are nobody else's.
_SEEDS = 0xBE57


class Part(NamedTuple):
    """One part of a mixture of partners.

    Attributes:
        partner: who sits opposite.
        seat: where the agent itself sits.
        weight: how much it counts; the weights of a mixture add up to 1.
    """

    partner: str
    seat: int
    weight: float


@dataclasses.dataclass(frozen=True)
class Mixture:
    """With whom an agent plays, from which seat, how often.

    Attributes:
        parts: each partner and seat once.
        own_objective: whether the parts are those of the agent's own return in its objective; else those of all edges
            that it plays in.
    """

    parts: tuple[Part, ...]
    own_objective: bool = True

    @property
    def seats(self) -> tuple[int, ...]:
        """The seats in which the agent plays."""
        return tuple(sorted({part.seat for part in self.parts}))

    @property
    def partners(self) -> tuple[str, ...]:
        """Who sits opposite, in order."""
        return tuple(dict.fromkeys(part.partner for part in self.parts))

    def places(self, agent: str) -> dict[Place, float]:
        """Where ``agent`` sits when it plays with the mixture, with the weights."""
        return {place_of(agent, part): part.weight for part in self.parts}


def place_of(agent: str, part: Part) -> Place:
    """The pairing in which ``agent`` plays ``part``, and its seat there."""
    players = (agent, part.partner) if part.seat == 0 else (part.partner, agent)
    return Pairing(*players), part.seat


def make_mixture(weights: Mapping[tuple[str, int], float], *, own_objective: bool = True) -> Mixture:
    """A mixture from weights by partner and seat, which are scaled to add up to 1."""
    total = sum(weights.values())
    parts = tuple(Part(partner, seat, weight / total) for (partner, seat), weight in weights.items())
    return Mixture(parts, own_objective)


def training_mixture(objective: Objective, agent: str, *, everyone: bool = False) -> Mixture:
    """The training partners of a base agent.

    Those of its edges of positive weight whose beneficiary it is, in the weights of these edges; itself where it plays
    with itself. An adversary that does not learn from its own return has none: then, as with ``everyone``, all that it
    plays with in the edges it learns from, in the size of their weights. So the partners of AD's agents are they
    themselves, and with ``everyone`` the others too, which they are pushed away from.

    Raises:
        InputError: ``agent`` is no base agent.
    """
    if agent not in objective.bases:
        raise InputError(f"agent '{agent}' is no base agent of '{objective.name}'; give {' or '.join(objective.bases)}")
    edges = objective.edges_of(agent)
    own = [] if everyone else [edge for edge in edges if edge.beneficiary == agent and edge.weight > 0]
    weights: dict[tuple[str, int], float] = {}
    for edge in own or edges:
        other = edge.partner if edge.beneficiary == agent else edge.beneficiary
        for seat in edge.seats:
            place = (other, edge.actor_seat(seat))
            weights[place] = weights.get(place, 0.0) + abs(edge.weight)
    return make_mixture(weights, own_objective=bool(own))


def best_response_objective(mixture: Mixture) -> Objective:
    """One base agent, ``best_response``, that learns from its own return with the frozen partners of a mixture."""
    scale = len(mixture.seats)
    edges = [
        ObjectiveEdge(BEST_RESPONSE, BEST_RESPONSE, part.partner, scale * part.weight, (part.seat,))
        for part in mixture.parts
    ]
    partners: dict[str, Role] = dict.fromkeys(mixture.partners, "fixed")
    return Objective({BEST_RESPONSE: "base", **partners}, edges, "best response")


def best_response_seed(seed: int, run_seed: int, number: int) -> int:
    """The seed of a best response's training: another one than that of the agent it is compared with.

    With the same seed and the same place among the agents it would start from that agent's initial parameters.

    Args:
        seed: the one asked for.
        run_seed: with which the examined agent was trained.
        number: of the examined agent in its run.

    Returns:
        A whole number from 0 to 2³²−1, the same for the same arguments.
    """
    return int(np.random.SeedSequence((_SEEDS, seed, run_seed, number)).generate_state(1, np.uint32)[0])


def train_best_response(
    config: "TrainConfig",
    environment: "str | Environment",
    mixture: Mixture,
    partners: "Mapping[str, Agent]",
    *,
    seed: int,
    updates: int | None,
    minutes: float | None,
    progress: "Progress",
) -> "Run":
    """Train a fresh best response to the frozen partners of a mixture, with the ordinary trainer.

    Args:
        config: the settings of the run whose agent is examined; what is about its algorithm is left out. It plays the
            game as it is, without symmetries: that is what it is measured in.
        environment: the game, by name or as an object.
        mixture: with whom it plays.
        partners: the agents of the mixture.
        seed: of its initial parameters and episodes, see :func:`best_response_seed`.
        updates: of training; the preset's where it is ``None``.
        minutes: time limit, or ``None``.
        progress: as :func:`rpax.train` takes it.

    Returns:
        The run, in which the agent is called ``best_response``; nothing is written.

    Raises:
        InputError: a partner is called ``best_response`` itself, or a setting is wrong.
    """
    from rpax.runs.config import FIELDS
    from rpax.runs.presets import ALGORITHM_OPTIONS
    from rpax.runs.run import train

    if BEST_RESPONSE in mixture.partners:
        raise InputError(f"a partner is called '{BEST_RESPONSE}', as the agent to be trained; give it another name")
    entry = find_algorithm(config.algorithm)
    left_out = {*_NOT_TAKEN_OVER, *ALGORITHM_OPTIONS, *(entry.settings if entry else ())}
    settings: dict[str, Any] = {name: getattr(config, name) for name in FIELDS if name not in left_out}
    return train(
        best_response_objective(mixture),
        environment,
        fixed={name: partners[name] for name in mixture.partners},
        progress=progress,
        seed=seed,
        updates=updates,
        minutes=minutes,
        # It is measured by whoever asked for it, in the game as it is.
        evaluation_episodes=2,
        symmetries=False,
        **settings,
    )


class PartReturns(NamedTuple):
    """What the agent and the best response get with one part of the mixture."""

    part: Part
    agent: Estimate
    best_response: Estimate


@dataclasses.dataclass(frozen=True)
class BestResponseGap:
    """What a trained best response gains on an agent against the agent's training partners.

    Attributes:
        mixture: the partners.
        agent: U(π, mixture).
        best_response: U(BR, mixture).
        difference: U(BR, mixture) − U(π, mixture); below 0 where training found no better policy.
        parts: the same by partner and seat.
        episodes: of each side with each partner in each seat; 0 where returns are exact.
    """

    mixture: Mixture
    agent: Estimate
    best_response: Estimate
    difference: Estimate
    parts: tuple[PartReturns, ...]
    episodes: int

    @property
    def bound(self) -> float:
        """The lower bound on the gap: the difference, or 0 where that is less, as no gap is negative."""
        return max(0.0, self.difference.mean)

    def to_dict(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "gap": self.bound,
            "difference": self.difference.mean,
            "half_width": self.difference.half_width,
            "episodes": self.episodes,
            "agent_return": self.agent.to_dict(),
            "best_response_return": self.best_response.to_dict(),
            "partners_from": "its own objective" if self.mixture.own_objective else "the edges it plays in",
            "partners": [
                {
                    **returns.part._asdict(),
                    "agent_return": returns.agent.to_dict(),
                    "best_response_return": returns.best_response.to_dict(),
                }
                for returns in self.parts
            ],
        }


def measure_gap(
    environment: Environment,
    mixture: Mixture,
    agent: Frozen,
    best_response: Frozen,
    partners: Mapping[str, Frozen],
    *,
    episodes: int,
    seed: int,
) -> BestResponseGap:
    """Let an agent and a best response play fresh episodes with the same partners; exactly in tabular games.

    The two sides play separate episodes, so the variances of their means add up.

    Args:
        environment: the game.
        mixture: with whom they play.
        agent: π.
        best_response: a policy for the same seats.
        partners: the agents of the mixture.
        episodes: of each side with each partner in each seat.
        seed: of the episodes.
    """
    # No agent of a run has a name like this, so that a partner may be the agent itself.
    examined = "(examined)"
    sides = (examined, BEST_RESPONSE)
    pairings = [place_of(side, part)[0] for side in sides for part in mixture.parts]
    everyone = {**partners, examined: agent, BEST_RESPONSE: best_response}
    matches = play_matches(environment, everyone, pairings, episodes=episodes, seed=seed)
    own, best = (matches.estimate(mixture.places(side)) for side in sides)
    parts = tuple(
        PartReturns(part, *(matches.mean_of([place_of(side, part)]) for side in sides)) for part in mixture.parts
    )
    return BestResponseGap(mixture, own, best, best.minus(own), parts, matches.episodes)


def frozen(agents: "Mapping[str, Agent]", names: Sequence[str] | None = None) -> dict[str, Frozen]:
    """Networks and parameters of agents, of all or of those named."""
    return {name: (agents[name].policy, agents[name].parameters) for name in names or agents}
