"""What follows from an objective, in a fixed order: the pairings to roll out and each learner's terms in them."""

import dataclasses
from collections.abc import Iterable
from typing import NamedTuple

from rpax.objectives.edges import Objective, ObjectiveEdge


class Pairing(NamedTuple):
    """An ordered pair of agents that plays together."""

    seat_0: str
    seat_1: str

    @property
    def mixed_with(self) -> str | None:
        """In mixed-play, the agent with which both are mixed in an episode's beginning."""
        return None


class MixedPairing(Pairing):
    """A pairing whose episodes begin with a mixture; as a tuple it has the other agent as a third entry."""

    __slots__ = ()

    def __new__(cls, seat_0: str, seat_1: str, mixed_with: str) -> "MixedPairing":
        """A pairing that differs from the one without a mixture."""
        return tuple.__new__(cls, (seat_0, seat_1, mixed_with))

    def __repr__(self) -> str:
        """All three agents."""
        return f"MixedPairing(seat_0={self.seat_0!r}, seat_1={self.seat_1!r}, mixed_with={self.mixed_with!r})"

    @property
    def mixed_with(self) -> str:
        """The agent with which both are mixed."""
        return tuple.__getitem__(self, 2)


class Term(NamedTuple):
    """One edge with its beneficiary in one seat.

    Attributes:
        edge: the edge it comes from.
        pairing: index of its pairing, in ``lookahead_pairings`` for a base agent's term, in ``outer_pairings`` for a
            manipulator's.
        actor_seat: the seat of the agent whose action log-probabilities carry the gradient.
        beneficiary_seat: the seat whose return is counted.
        share: what the edge's weight is multiplied with, where sampling is not uniform.
    """

    edge: ObjectiveEdge
    pairing: int
    actor_seat: int
    beneficiary_seat: int
    share: float = 1.0

    @property
    def weight(self) -> float:
        """The edge's weight, times ``share``."""
        return self.edge.weight * self.share

    @property
    def other(self) -> str:
        """The agent in the seat that is not the actor's."""
        return self.edge.partner if self.edge.actor == self.edge.beneficiary else self.edge.beneficiary


@dataclasses.dataclass(frozen=True)
class Plan:
    """The pairings and terms of an objective.

    Attributes:
        lookahead_pairings: what the base agents' objectives need, rolled out in every lookahead step. Pairings may be
            repeated here and in ``outer_pairings``, see :mod:`rpax.objectives.sampling`.
        outer_pairings: what the manipulators' objectives need, rolled out once after the lookahead.
        base_terms: each base agent's terms, those with the actor in seat 0 first.
        outer_terms: each manipulator's terms, those with the actor in seat 0 first.
    """

    objective: Objective
    lookahead_pairings: tuple[Pairing, ...]
    outer_pairings: tuple[Pairing, ...]
    base_terms: dict[str, tuple[Term, ...]]
    outer_terms: dict[str, tuple[Term, ...]]

    @property
    def all_pairings(self) -> tuple[Pairing, ...]:
        """Every distinct ordered pairing; one critic belongs to each."""
        return distinct((*self.lookahead_pairings, *self.outer_pairings))

    @property
    def reported_pairings(self) -> tuple[Pairing, ...]:
        """Those of which returns are reported: mixed-play is a way to train only."""
        return tuple(pairing for pairing in self.all_pairings if pairing.mixed_with is None)

    def seats_of(self, agent: str) -> tuple[int, ...]:
        """The seats in which ``agent`` ever plays."""
        return tuple(
            seat
            for seat in (0, 1)
            if any(agent in (pairing[seat], pairing.mixed_with) for pairing in self.all_pairings)
        )


def distinct(pairings: Iterable[Pairing]) -> tuple[Pairing, ...]:
    """The pairings without repetitions, in the order in which they come first."""
    return tuple(dict.fromkeys(pairings))


def make_plan(objective: Objective) -> Plan:
    """The plan of ``objective``. Pairings are ordered by their first use, so results never depend on hashing."""
    lookahead: dict[Pairing, int] = {}
    outer: dict[Pairing, int] = {}
    return Plan(
        objective=objective,
        base_terms={name: _terms(objective.edges_of(name), lookahead) for name in objective.bases},
        outer_terms={name: _terms(objective.edges_of(name), outer) for name in objective.manipulators},
        lookahead_pairings=tuple(lookahead),
        outer_pairings=tuple(outer),
    )


def _terms(edges: tuple[ObjectiveEdge, ...], index: dict[Pairing, int]) -> tuple[Term, ...]:
    """One term per edge and seat; pairings met for the first time are added to ``index``."""
    terms = []
    for edge in edges:
        for seat in edge.seats:
            players = (edge.beneficiary, edge.partner)
            pairing = Pairing(*(players if seat == 0 else players[::-1]))
            if edge.mixed_with is not None:
                pairing = MixedPairing(*pairing, edge.mixed_with)
            number = index.setdefault(pairing, len(index))
            terms.append(Term(edge, number, actor_seat=edge.actor_seat(seat), beneficiary_seat=seat))
    return tuple(sorted(terms, key=lambda term: term.actor_seat))
