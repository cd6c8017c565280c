"""What came out of a run, seed by seed: policies, rationality gaps, returns, diagnosis."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from rpax.environments.tabular_game import TabularGame
from rpax.evaluation.diagnosis import Diagnosis, diagnose
from rpax.evaluation.rationality import rationality
from rpax.evaluation.returns import Sampler
from rpax.objectives.edges import Role
from rpax.policies.agent import Parameters
from rpax.training.problem import Problem, key_data
from rpax.training.trainer import policy_tables

#: Folded into a seed's key for its final evaluation, so that no episode of training is replayed.
_EVALUATION_KEY = 0x5EED


@dataclasses.dataclass(frozen=True)
class AgentResult:
    """One agent at the end of a run.

    Attributes:
        role: base, manipulator or fixed.
        policy: in normal-form games, seat to action probabilities; empty elsewhere.
        rationality_gap: where the game is small, seat to gap; base agents only.
        tables: in tabular games, seat to action probabilities in every state.
    """

    role: Role
    policy: dict[int, np.ndarray]
    rationality_gap: dict[int, float]
    tables: dict[int, np.ndarray]


@dataclasses.dataclass(frozen=True)
class PairingResult:
    """Raw, undiscounted returns of one pairing in a fresh evaluation.

    Attributes:
        seat_0: agent in seat 0.
        seat_1: agent in seat 1.
        returns: one a seat.
        half_width: half the width of their 95 % confidence intervals; 0 where they are exact.
        episodes: how many were played; 0 where the returns are exact.
    """

    seat_0: str
    seat_1: str
    returns: tuple[float, float]
    half_width: tuple[float, float]
    episodes: int


@dataclasses.dataclass(frozen=True)
class SeedResult:
    """Everything about one seed."""

    seed: int
    agents: dict[str, AgentResult]
    pairings: tuple[PairingResult, ...]
    diagnosis: Diagnosis

    @property
    def policies(self) -> dict[str, dict[int, np.ndarray]]:
        """Normal-form games: agent to seat to action probabilities."""
        return {name: agent.policy for name, agent in self.agents.items()}

    @property
    def gaps(self) -> dict[str, dict[int, float]]:
        """Base agent to seat to rationality gap."""
        return {name: agent.rationality_gap for name, agent in self.agents.items() if agent.rationality_gap}

    def returns(self, seat_0: str, seat_1: str) -> tuple[float, float]:
        """The returns of a pairing."""
        return next(p.returns for p in self.pairings if (p.seat_0, p.seat_1) == (seat_0, seat_1))

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> "SeedResult":
        """The inverse of :meth:`to_dict` (which leaves the tables of extensive-form games out)."""
        agents = {}
        for name, entry in content["agents"].items():
            policy = {int(seat): np.array(p) for seat, p in entry.get("policy", {}).items()}
            gaps = {int(seat): gap for seat, gap in entry.get("rationality_gap", {}).items()}
            agents[name] = AgentResult(entry["role"], policy, gaps, {seat: p[None] for seat, p in policy.items()})
        pairings = tuple(
            PairingResult(
                entry["seat_0"],
                entry["seat_1"],
                tuple(entry["returns"]),
                tuple(entry.get("half_width", (0.0, 0.0))),
                entry.get("episodes", 0),
            )
            for entry in content["pairings"]
        )
        diagnosis = content["diagnosis"] | {"notes": tuple(content["diagnosis"]["notes"])}
        return cls(content["seed"], agents, pairings, Diagnosis(**diagnosis))

    def to_dict(self) -> dict[str, Any]:
        """Plain data, as `rpax train --json` prints it."""
        agents: dict[str, dict[str, Any]] = {}
        for name, agent in self.agents.items():
            agents[name] = {"role": agent.role}
            if agent.policy:
                agents[name]["policy"] = {str(seat): p.tolist() for seat, p in agent.policy.items()}
            if agent.rationality_gap:
                agents[name]["rationality_gap"] = {str(seat): gap for seat, gap in agent.rationality_gap.items()}
        pairings = []
        for pairing in self.pairings:
            entry = {"seat_0": pairing.seat_0, "seat_1": pairing.seat_1, "returns": list(pairing.returns)}
            if pairing.episodes:
                entry |= {"half_width": list(pairing.half_width), "episodes": pairing.episodes}
            pairings.append(entry)
        diagnosis = dataclasses.asdict(self.diagnosis) | {"notes": list(self.diagnosis.notes)}
        return {"seed": self.seed, "agents": agents, "pairings": pairings, "diagnosis": diagnosis}


class Measured(NamedTuple):
    """What is known about one seed's final policies.

    Attributes:
        parameters: of every learning agent.
        tables: in tabular games, agent to seat to action probabilities in every state; learning agents only.
        returns: in tabular games, the exact returns of every pairing [pairings, 2]; else ``None``.
        history: manipulators' gradient norms and influence over the run, for the diagnosis.
    """

    parameters: Mapping[str, Parameters]
    tables: Mapping[str, Mapping[int, np.ndarray]]
    returns: np.ndarray | None
    history: Mapping[str, Mapping[str, Sequence[float]]]


def evaluate_seed(problem: Problem, seed: int, measured: Measured, sample: Sampler) -> SeedResult:
    """Evaluate one seed: exactly in tabular games, by a ``sample`` of fresh episodes elsewhere."""
    game = problem.environment if isinstance(problem.environment, TabularGame) else None
    tables = dict(measured.tables)
    if game is not None:
        tables |= {name: policy_tables(problem, name, problem.fixed[name]) for name in problem.fixed}
    agents = {
        name: _agent_result(role, game, tables.get(name, {})) for name, role in problem.plan.objective.agents.items()
    }
    pairings = _pairings(problem, seed, measured, sample)
    diagnosis = diagnose(
        problem.plan,
        gaps={name: agent.rationality_gap for name, agent in agents.items()},
        game=game,
        returns={(p.seat_0, p.seat_1): p.returns for p in pairings},
        history=measured.history,
    )
    return SeedResult(seed, agents, pairings, diagnosis)


def _agent_result(role: Role, game: TabularGame | None, tables: Mapping[int, Any]) -> AgentResult:
    if game is None:
        return AgentResult(role, {}, {}, {})
    arrays = {seat: np.asarray(table, np.float64) for seat, table in tables.items()}
    policy = {seat: table[0] for seat, table in arrays.items()} if game.is_normal_form else {}
    gaps = {seat: seat_gap(game, seat, table) for seat, table in arrays.items()} if role == "base" else {}
    return AgentResult(role, policy, gaps, arrays)


def seat_gap(game: TabularGame, seat: int, table: np.ndarray) -> float:
    """The rationality gap of one seat's policy [states, actions]; NaN for a policy that is not finite."""
    if not np.isfinite(table).all():
        return float("nan")
    if game.is_normal_form:
        return rationality(game.payoff_matrix(seat), table[0]).gap
    from rpax.evaluation.sequence_form import game_rationality

    return game_rationality(game, seat, table).gap


def _pairings(problem: Problem, seed: int, measured: Measured, sample: Sampler) -> tuple[PairingResult, ...]:
    if measured.returns is not None:
        mean = np.asarray(measured.returns, np.float64)
        half_width, played = np.zeros_like(mean), 0
    else:
        key = jax.random.fold_in(key_data(seed), _EVALUATION_KEY)
        mean, half_width, played = sample(measured.parameters, key)
    return tuple(
        PairingResult(*pairing, (float(m[0]), float(m[1])), (float(w[0]), float(w[1])), played)
        for pairing, m, w in zip(problem.plan.reported_pairings, mean, half_width, strict=True)
    )
