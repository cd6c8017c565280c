"""The run names its own failures: self-sabotage, no influence, unstable shaping."""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from rpax.environments.tabular_game import TabularGame
from rpax.evaluation.rationality import action_gaps
from rpax.objectives.plan import Plan

#: A gap counts as self-sabotage from this fraction of the gap of the seat's most irrational action.
SABOTAGE_SHARE = 0.25
#: Where every single action is rational, from this fraction of the range of payoffs.
SABOTAGE_RANGE = 0.05
#: Where gaps are unknown, cross-play counts as failed below this fraction of self-play.
NEAR_MINIMUM = 0.1
#: A manipulator has no influence if its gradient stays below this fraction of what it differentiates.
NO_INFLUENCE = 1e-6
#: Shaping is unstable if a manipulator's gradient norm ever exceeds its median by this factor.
UNSTABLE = 1e3


@dataclasses.dataclass(frozen=True)
class Diagnosis:
    """Failure signatures of one seed, with what to do about them.

    Attributes:
        self_sabotage: a base agent acts irrationally; where gaps are unknown, cross-play fails while self-play is high.
        no_influence: the base agents' updates do not depend on a manipulator.
        unstable: a manipulator's gradient explodes.
        notes: one sentence for each finding.
    """

    self_sabotage: bool
    no_influence: bool
    unstable: bool
    notes: tuple[str, ...]


def diagnose(
    plan: Plan,
    *,
    gaps: Mapping[str, Mapping[int, float]],
    game: TabularGame | None,
    returns: Mapping[tuple[str, str], Sequence[float]],
    history: Mapping[str, Mapping[str, Sequence[float]]],
) -> Diagnosis:
    """Look for the known failure signatures.

    Args:
        plan: the objective's plan.
        gaps: base agent to seat to rationality gap, where the game is small enough to know.
        game: the tabular game, if it is one.
        returns: (agent in seat 0, agent in seat 1) to the return of each seat.
        history: ``manipulator_gradient_norm`` and ``influence`` by manipulator, over the run so far.
    """
    rational = plan.objective.preserves_rationality
    sabotage = _irrational_agents(gaps, game) + _sabotaged_cross_play(game, returns)
    advice = "raise partner-play ε or check the gap" if rational else "expected of a non-rational adversary"
    notes = [f"self-sabotage: {finding} ({advice})" for finding in sabotage]
    idle, wild = shaping_notes(history)
    return Diagnosis(bool(sabotage), bool(idle), bool(wild), tuple(notes + idle + wild))


def shaping_notes(history: Mapping[str, Mapping[str, Sequence[float]]]) -> tuple[list[str], list[str]]:
    """A sentence for each manipulator without influence, and one for each that is unstable.

    Args:
        history: as :func:`diagnose` takes it.
    """
    norms, influence = history.get("manipulator_gradient_norm", {}), history.get("influence", {})
    idle = [name for name, values in influence.items() if len(values) and np.nanmax(values) < NO_INFLUENCE]
    wild = [name for name, values in norms.items() if len(values) and explodes(values)]
    return (
        [f"no influence: the update does not depend on {name}; lower ε or raise α1" for name in idle],
        [
            f"unstable: the gradient of {name} explodes; lower α2, use more envs or fewer lookahead steps"
            for name in wild
        ],
    )


def _irrational_agents(gaps: Mapping[str, Mapping[int, float]], game: TabularGame | None) -> list[str]:
    if game is None:
        return []
    found = []
    for name, by_seat in gaps.items():
        for seat, gap in by_seat.items():
            if gap > _sabotage_threshold(game, seat):
                found.append(f"{name} in seat {seat} is a best response to nobody, gap {gap:.3g}")
    return found


def _sabotage_threshold(game: TabularGame, seat: int) -> float:
    payoffs = game.payoffs[..., seat]
    spread = SABOTAGE_RANGE * float(payoffs.max() - payoffs.min())
    if not game.is_normal_form:
        return spread
    worst = float(action_gaps(game.payoff_matrix(seat)).max())
    return SABOTAGE_SHARE * worst if worst > 1e-9 else spread


def _sabotaged_cross_play(game: TabularGame | None, returns: Mapping[tuple[str, str], Sequence[float]]) -> list[str]:
    """Pairs that fail together although each does well with itself, where gaps are unknown and payoffs common.

    Where exact gaps are known they decide: different conventions fail together too, and are rational.
    """
    if game is not None:
        return []
    found = []
    for (first, second), (value, _) in returns.items():
        if first >= second or (first, first) not in returns or (second, second) not in returns:
            continue
        alone = min(returns[first, first][0], returns[second, second][0])
        together = max(value, returns.get((second, first), (value, value))[0])
        if alone > 0 and together < NEAR_MINIMUM * alone:
            found.append(f"{first} with {second} returns {together:.3g}, each with itself at least {alone:.3g}")
    return found


def explodes(values: Sequence[float]) -> bool:
    """Whether gradient norms or losses ever exceed their median by the factor ``UNSTABLE``, or are not finite."""
    norms = np.asarray(values, float)
    if not np.isfinite(norms).all():
        return True
    typical = float(np.median(norms))
    return bool(typical > 0 and norms.max() > UNSTABLE * max(typical, 1e-3))
