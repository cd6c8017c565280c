"""Sampling effort: in how many environments each pairing is played."""

import math
from collections.abc import Sequence

from rpax.objectives.plan import Pairing, Plan, Term

#: The environments of a pairing are handed out in this many parts.
PARTS = 4


def weighted(plan: Plan) -> tuple[Plan, int]:
    """``plan`` with each pairing repeated in proportion to the weights that its edges carry, at least once.

    The expected policy gradients stay the same: where a learner has T terms and R repetitions of them, an edge of
    weight w that is repeated k times enters each with w (R / T) / k, and the learner averages over R instead of T.
    Two things are averaged over the mixture that is played instead of over terms: the scale by which advantages are
    normalised (all weights being nearly equal then, normalised gradients are larger), and the entropy bonus.

    Returns:
        The plan, and by how much the environments of a pairing are to be divided for each repetition, so that all
        together are about as many as without: ``PARTS``, or less if that divides them in the same proportions.
    """
    lookahead = _repetitions(plan.lookahead_pairings, plan.base_terms)
    outer = _repetitions(plan.outer_pairings, plan.outer_terms)
    common = math.gcd(PARTS, *lookahead, *outer)
    lookahead, outer = ([times // common for times in group] for group in (lookahead, outer))
    spread = Plan(
        objective=plan.objective,
        lookahead_pairings=_repeat(plan.lookahead_pairings, lookahead),
        outer_pairings=_repeat(plan.outer_pairings, outer),
        base_terms={name: _repeat_terms(terms, lookahead) for name, terms in plan.base_terms.items()},
        outer_terms={name: _repeat_terms(terms, outer) for name, terms in plan.outer_terms.items()},
    )
    return spread, PARTS // common


def _repetitions(pairings: Sequence[Pairing], terms: dict[str, tuple[Term, ...]]) -> list[int]:
    """How often each pairing is repeated: ``PARTS`` times on average."""
    weights = [0.0] * len(pairings)
    for its in terms.values():
        for term in its:
            weights[term.pairing] += abs(term.weight)
    return [max(1, round(PARTS * len(pairings) * weight / sum(weights))) for weight in weights]


def _repeat(pairings: Sequence[Pairing], repetitions: Sequence[int]) -> tuple[Pairing, ...]:
    return tuple(pairing for pairing, times in zip(pairings, repetitions, strict=True) for _ in range(times))


def _repeat_terms(terms: tuple[Term, ...], repetitions: Sequence[int]) -> tuple[Term, ...]:
    starts = [sum(repetitions[:number]) for number in range(len(repetitions))]
    ratio = sum(repetitions[term.pairing] for term in terms) / max(1, len(terms))
    return tuple(
        term._replace(pairing=starts[term.pairing] + number, share=ratio / repetitions[term.pairing])
        for term in terms
        for number in range(repetitions[term.pairing])
    )
