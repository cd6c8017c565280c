"""Rationality gaps of a run's agents: exact where the game can be enumerated, by trained best responses elsewhere."""

import contextlib
import dataclasses
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from rpax.errors import InputError, shown, suggestion
from rpax.runs.run import Progress, Run, no_progress

if TYPE_CHECKING:
    from rpax.environments.protocol import Environment
    from rpax.environments.tabular_game import TabularGame
    from rpax.evaluation.best_response import BestResponseGap
    from rpax.runs.agent import Agent

Method = Literal["exact", "trained"]
Partners = Literal["own", "all"]
#: From what is about to be trained or played to a context with the callback that :func:`rpax.train` takes.
Phase = Callable[[str], AbstractContextManager[Progress]]

_EPISODES = 1000
CAVEAT = (
    "a trained best response bounds the gap against the frozen training partners from below only: a small bound means "
    "that training found nothing better"
)


@contextlib.contextmanager
def no_phase(description: str) -> Iterator[Progress]:
    """Show nothing."""
    yield no_progress


@dataclasses.dataclass(frozen=True)
class ExactCertificate:
    """The rationality gap of an agent in one seat, and its proof.

    Attributes:
        seed: which seed's agent.
        agent: its name.
        seat: where it sits.
        gap: what it loses to the best response against the co-policy that is kindest to it; 0 is rational.
        co_policy: the witness: action to probability in a normal-form game, else where one plays to probabilities.
        dominating_policy: what does better against everybody; ``None`` where the agent is rational.
    """

    seed: int
    agent: str
    seat: int
    gap: float
    co_policy: dict[str, Any]
    dominating_policy: dict[str, Any] | None

    def to_dict(self) -> dict[str, Any]:
        """Plain data."""
        return dataclasses.asdict(self)


@dataclasses.dataclass(frozen=True)
class TrainedCertificate:
    """What a trained best response gains on an agent against the agent's frozen training partners.

    Attributes:
        seed: which seed's agent.
        agent: its name.
        measured: the gain, with its confidence interval.
        updates: how many the best response was trained for.
        status: of that training, ``finished`` or ``out of time``.
    """

    seed: int
    agent: str
    measured: "BestResponseGap"
    updates: int
    status: str

    @property
    def gap(self) -> float:
        """The lower bound on the gap."""
        return self.measured.bound

    def to_dict(self) -> dict[str, Any]:
        """Plain data."""
        trained = {"updates": self.updates, "status": self.status}
        seats = list(self.measured.mixture.seats)
        return {"seed": self.seed, "agent": self.agent, "seats": seats, **self.measured.to_dict(), **trained}


@dataclasses.dataclass(frozen=True)
class Certification:
    """The gaps of a run's agents.

    Attributes:
        environment: the game's name.
        method: ``exact``, or ``trained`` best responses, which bound gaps from below.
        certificates: one an agent and seat (exact), or one an agent (trained).
    """

    environment: str
    method: Method
    certificates: "tuple[ExactCertificate | TrainedCertificate, ...]"

    def to_dict(self) -> dict[str, Any]:
        """Plain data, as `rpax certify --json` prints it."""
        about: dict[str, Any] = {"environment": self.environment, "method": self.method}
        about["bound"] = "exact" if self.method == "exact" else "lower"
        if self.method == "trained":
            about["caveat"] = CAVEAT
        return about | {"certificates": [certificate.to_dict() for certificate in self.certificates]}


def certify(
    run: Run,
    *,
    method: Method | None = None,
    agent: str | None = None,
    run_seed: int | None = None,
    manipulators: bool = False,
    partners: Partners | None = None,
    updates: int | None = None,
    minutes: float | None = None,
    episodes: int | None = None,
    seed: int = 0,
    phase: Phase = no_phase,
) -> Certification:
    """The rationality gap of each base agent of a run.

    Args:
        run: what :func:`rpax.train` or :func:`rpax.load` returned.
        method: ``"exact"`` (the default where the game can be enumerated), or ``"trained"``: the gain of a fresh best
            response against the frozen training partners, which bounds the gap against them from below.
        agent: only this one.
        run_seed: only agents of this seed of the run.
        manipulators: exact only: certify manipulators too.
        partners: trained only: the partners of the agent's own objective (``"own"``, the default), or ``"all"`` that it
            plays with in training, also those that it is pushed away from.
        updates: of each best response's training; the preset's by default.
        minutes: time limit of each training.
        episodes: trained only: at least so many fresh ones of each side with each partner, where returns are not exact;
            1,000 by default.
        seed: of episodes, and what the seeds of best responses are derived from, so that none starts from the
            parameters from which the agent that it is compared with started.
        phase: called with what is trained next; gives a context with a callback as :func:`rpax.train` takes.

    Raises:
        InputError: the run has no policies or no such agent, or something that was asked for makes no sense.

    >>> run = rpax.train("at-rpg", "matrix/figure-2", exact=True, updates=10)
    >>> [found.seat for found in rpax.certify(run).certificates]
    [0, 1]
    """
    from rpax.environments.tabular_game import TabularGame
    from rpax.runs.session import make_environment

    game = make_environment(run.config)
    chosen: Method = method or ("exact" if isinstance(game, TabularGame) else "trained")
    names = _names(run, agent, manipulators)
    seeds = run.config.seed_list if run_seed is None else (run_seed,)
    if chosen == "trained":
        if manipulators:
            raise InputError("manipulators can be certified exactly only; leave --manipulators out")
        episodes = _EPISODES if episodes is None else episodes
        _check_numbers(episodes, seed)
        asked = _Trained(run, game, partners or "own", updates, minutes, episodes, seed, phase)
        found = tuple(asked.certificate(name, its_seed) for its_seed in seeds for name in names)
        return Certification(game.name, "trained", found)
    if not isinstance(game, TabularGame):
        raise InputError(f"'{game.name}' is no game that can be enumerated; use method 'trained'")
    _refuse_training(game.name, updates=updates, minutes=minutes, partners=partners, episodes=episodes)
    agents = [(its_seed, run.agent(name, its_seed)) for its_seed in seeds for name in names]
    exact = tuple(
        _exact_certificate(game, seat, its_seed, its_agent)
        for its_seed, its_agent in agents
        for seat in its_agent.seats
    )
    return Certification(game.name, "exact", exact)


def _names(run: Run, agent: str | None, manipulators: bool) -> list[str]:
    names = [*run.objective.bases, *(run.objective.manipulators if manipulators else ())]
    if agent is None:
        return names
    if agent not in names:
        raise InputError(f"there is no agent {shown(agent)} to certify; {suggestion(agent, names)}")
    return [agent]


def _refuse_training(game: str, **given: float | str | None) -> None:
    for name, value in given.items():
        if value is not None:
            raise InputError(f"{name} is about trained best responses, '{game}' is exact; add method 'trained'")


def _check_numbers(episodes: int, seed: int) -> None:
    if isinstance(episodes, bool) or not isinstance(episodes, int) or episodes < 2:
        raise InputError(f"episodes {shown(episodes)} is not allowed; give a whole number of at least 2")
    if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < 2**32:
        raise InputError(f"seed {shown(seed)} is not allowed; give a whole number from 0 to 2³²−1")


@dataclasses.dataclass(frozen=True)
class _Trained:
    """How best responses are trained and measured, for all agents of a run alike."""

    run: Run
    environment: "Environment"
    partners: Partners
    updates: int | None
    minutes: float | None
    episodes: int
    seed: int
    phase: Phase

    def certificate(self, name: str, run_seed: int) -> TrainedCertificate:
        """Train a best response to the training partners of one agent, and compare the two."""
        from rpax.evaluation.best_response import (
            BEST_RESPONSE,
            best_response_seed,
            frozen,
            measure_gap,
            train_best_response,
            training_mixture,
        )

        mixture = training_mixture(self.run.objective, name, everyone=self.partners == "all")
        agent = self.run.agent(name, run_seed)
        partners = {partner: self.run.agent(partner, run_seed) for partner in mixture.partners}
        with self.phase(f"best response to the partners of {name}, seed {run_seed}") as progress:
            trained = train_best_response(
                self.run.config,
                self.run.config.environment,
                mixture,
                partners,
                seed=best_response_seed(self.seed, run_seed, list(self.run.objective.agents).index(name)),
                updates=self.updates,
                minutes=self.minutes,
                progress=progress,
            )
        best = trained.agent(BEST_RESPONSE)
        measured = measure_gap(
            self.environment,
            mixture,
            (agent.policy, agent.parameters),
            (best.policy, best.parameters),
            frozen(partners),
            episodes=self.episodes,
            seed=self.seed,
        )
        return TrainedCertificate(run_seed, name, measured, trained.update, trained.status)


def _exact_certificate(game: "TabularGame", seat: int, seed: int, agent: "Agent") -> ExactCertificate:
    import jax

    from rpax.evaluation.rationality import rationality
    from rpax.evaluation.sequence_form import game_rationality

    with jax.enable_x64(True):
        table = np.asarray(agent.probabilities(game.all_observations(), seat))
    if not np.isfinite(table).all():
        raise InputError(f"agent '{agent.name}' has a policy that is not finite; train it with lower learning rates")
    if game.is_normal_form:
        found = rationality(game.payoff_matrix(seat), table[0])
        own, other = game.spaces[seat], game.spaces[1 - seat]
        co_policy = {other.name_of(i): float(p) for i, p in enumerate(found.co_policy)}
        dominating = found.dominating_policy
        better = None if dominating is None else {own.name_of(i): float(p) for i, p in enumerate(dominating)}
        return ExactCertificate(seed, agent.name, seat, found.gap, co_policy, better)
    sequences = game_rationality(game, seat, table)
    dominating = None if sequences.dominating_policy is None else _plan(sequences.dominating_policy)
    return ExactCertificate(seed, agent.name, seat, sequences.gap, _plan(sequences.co_policy), dominating)


def _plan(strategy: Any) -> dict[str, list[float]]:
    return {str(where): [float(p) for p in probabilities] for where, probabilities in strategy.items()}
