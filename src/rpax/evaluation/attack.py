"""What an attack on a frozen victim shows: the victim's loss, and whether anybody could do better with the adversary.

A victim's low return under attack says little by itself: an adversary that sabotages brings anybody low. So somebody
who knows the adversary takes the victim's place, a best response trained with it. Where that partner does well, the
victim's loss is a weakness of the victim; where it does not either, the adversary is a saboteur.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np

from rpax.environments.protocol import Environment
from rpax.environments.tabular_game import END, TabularGame
from rpax.evaluation.best_response import BEST_RESPONSE, Mixture, Part, make_mixture, place_of
from rpax.evaluation.matches import Estimate, Frozen, Matches, Place, play_matches
from rpax.objectives.plan import Pairing

VICTIM, ADVERSARY, ITSELF = "victim", "adversary", "itself"
#: Set before the names of those with whom the victim played before, so that they are nobody else.
_BEFORE = "before: "
Name = Literal["sabotage", "real weakness", "robust", "unclear"]


@dataclasses.dataclass(frozen=True)
class Thresholds:
    """What the words of a verdict mean, as shares of the victim's return before the attack.

    Shares are counted from 0, or, where returns below 0 were met, from the lowest return: see :class:`AttackReturns`.

    Attributes:
        brought_low: the victim is brought low if its return under attack is below this share.
        held: the victim is robust if its return under attack may be at least this share.
        well: a partner does well with the adversary from this share on.
        little: a partner gets little below this share.
    """

    brought_low: float = 0.75
    held: float = 0.9
    well: float = 0.75
    little: float = 0.5


@dataclasses.dataclass(frozen=True)
class Verdict:
    """An attack in words.

    Attributes:
        name: ``sabotage``, ``real weakness``, ``robust`` or ``unclear``.
        reason: the numbers that it rests on, in a sentence.
    """

    name: Name
    reason: str


@dataclasses.dataclass(frozen=True)
class Score:
    """What one agent gets.

    Attributes:
        together: its return, the mean over its seats.
        by_seat: its return in each seat.
    """

    together: Estimate
    by_seat: Mapping[int, Estimate]

    def to_dict(self) -> dict[str, Any]:
        """Plain data."""
        return self.together.to_dict() | {"by_seat": {str(seat): its.to_dict() for seat, its in self.by_seat.items()}}


@dataclasses.dataclass(frozen=True)
class Reference:
    """With whom the victim plays where nobody attacks it.

    Attributes:
        told: in words.
        mixture: the partners and the victim's seats.
        agents: the partners; empty where the victim plays with itself, which is then called ``victim``.
    """

    told: str
    mixture: Mixture
    agents: Mapping[str, Frozen]

    @classmethod
    def itself(cls, seats: tuple[int, ...]) -> "Reference":
        """The victim with itself."""
        return cls("itself", make_mixture({(VICTIM, seat): 1.0 for seat in seats}), {})

    def renamed(self, part: Part) -> Part:
        """A part of the mixture, with a partner that is called like nobody who takes part in the attack."""
        return part._replace(partner=_BEFORE + part.partner) if part.partner in self.agents else part


@dataclasses.dataclass(frozen=True)
class AttackReturns:
    """The returns that an attack is judged by; raw and undiscounted, exact in tabular games.

    Attributes:
        before_with: with whom the victim played before, in words; ``None`` where nobody is known.
        before: the victim's return then.
        under_attack: the victim's return with the adversary.
        adversary: the adversary's own return with the victim, with itself, and with each partner that knows it.
        partners: what those get who sit in the victim's place: by name, ``itself`` the adversary.
        floor: what shares are counted from: 0, or the lowest return of the victim's seats if that is less. That is the
            lowest possible one in tabular games, else the lowest of any episode that was played here.
        common_payoff: whether both seats always got the same.
        episodes: of each pairing; 0 where returns are exact.
    """

    before_with: str | None
    before: Score | None
    under_attack: Score
    adversary: Mapping[str, Score]
    partners: Mapping[str, Score]
    floor: float
    common_payoff: bool
    episodes: int

    @property
    def best_partner(self) -> str | None:
        """Who does best in the victim's place, if anybody was tried."""
        return max(self.partners, key=lambda name: self.partners[name].together.mean, default=None)

    @property
    def best_response_gap(self) -> Estimate | None:
        """What the victim loses against the adversary to the trained best response in its place, if there is one.

        As that is trained, the gap is bounded from below only; it is below 0 where training found nothing better.
        """
        best = self.partners.get(BEST_RESPONSE)
        return None if best is None else best.together.minus(self.under_attack.together)

    def share(self, value: Estimate) -> float | None:
        """``value`` as a share of the victim's return before; ``None`` where that is unknown or not above the floor."""
        if self.before is None or self.before.together.mean <= self.floor:
            return None
        return (value.mean - self.floor) / (self.before.together.mean - self.floor)

    def to_dict(self) -> dict[str, Any]:
        """Plain data."""
        best, gap = self.best_partner, self.best_response_gap
        return {
            "victim_return": {
                "before": None if self.before is None else {"with": self.before_with, **self.before.to_dict()},
                "under_attack": self.under_attack.to_dict(),
            },
            "adversary_return": {f"with_{name}": score.to_dict() for name, score in self.adversary.items()},
            "partner_return": {name: score.to_dict() for name, score in self.partners.items()},
            "best_partner": best,
            "best_response_gap": None if gap is None else gap.to_dict(),
            "floor": self.floor,
            "shares": {
                "victim_under_attack": self.share(self.under_attack.together),
                "best_partner": None if best is None else self.share(self.partners[best].together),
            },
            "common_payoff": self.common_payoff,
            "episodes": self.episodes,
        }


def measure_attack(
    environment: Environment,
    victim: Frozen,
    adversary: Frozen,
    partners: Mapping[str, Frozen],
    reference: Reference | None,
    seats: tuple[int, ...],
    *,
    episodes: int,
    seed: int,
) -> AttackReturns:
    """Play everything that an attack is judged by.

    Args:
        environment: the game.
        victim: sits in ``seats``.
        adversary: sits opposite.
        partners: who else can sit in the victim's place: the adversary's manipulator, its best response.
        reference: with whom the victim played before, if anybody is known.
        seats: the victim's.
        episodes: at least so many of each pairing, where returns cannot be computed.
        seed: of the episodes.
    """
    opposite = tuple(sorted(1 - seat for seat in seats))
    own_play = set(adversary[0].head_of_seat) == {0, 1}
    cast = {VICTIM: victim, ADVERSARY: adversary, **partners}
    before: dict[Place, float] = {}
    if reference is not None:
        cast |= {_BEFORE + name: agent for name, agent in reference.agents.items()}
        before = {place_of(VICTIM, reference.renamed(part)): part.weight for part in reference.mixture.parts}
    mixtures = {name: make_mixture({(ADVERSARY, seat): 1.0 for seat in seats}) for name in (VICTIM, *partners)}
    pairings = [place[0] for place in before]
    pairings += [place_of(name, part)[0] for name, mixture in mixtures.items() for part in mixture.parts]
    pairings += [Pairing(ADVERSARY, ADVERSARY)] if own_play else []
    matches = play_matches(environment, cast, pairings, episodes=episodes, seed=seed)
    sitting = {name: score(matches, mixture.places(name)) for name, mixture in mixtures.items()}
    against = {
        name: score(matches, make_mixture({(name, seat): 1.0 for seat in opposite}).places(ADVERSARY))
        for name in mixtures
    }
    if own_play:
        alone = Pairing(ADVERSARY, ADVERSARY)
        against[ITSELF] = score(matches, {(alone, 0): 0.5, (alone, 1): 0.5})
        sitting[ITSELF] = score(matches, {(alone, seat): 1 / len(seats) for seat in seats})
    return AttackReturns(
        before_with=None if reference is None else reference.told,
        before=score(matches, before) if before else None,
        under_attack=sitting.pop(VICTIM),
        adversary=against,
        partners=sitting,
        floor=float(np.mean([min(0.0, _lowest(environment, matches, seat)) for seat in seats])),
        common_payoff=_is_common(environment, matches),
        episodes=matches.episodes,
    )


def score(matches: Matches, weights: Mapping[Place, float]) -> Score:
    """What an agent gets in places of the given weights, which add up to 1."""
    by_seat = {}
    for seat in sorted({seat for _, seat in weights}):
        its = {place: weight for place, weight in weights.items() if place[1] == seat}
        by_seat[seat] = matches.estimate({place: weight / sum(its.values()) for place, weight in its.items()})
    return Score(matches.estimate(weights), by_seat)


def _lowest(environment: Environment, matches: Matches, seat: int) -> float:
    if not isinstance(environment, TabularGame):
        return min(float(returns[:, seat].min()) for returns in matches.returns.values())
    value = np.zeros(environment.num_states)
    for _ in range(environment.horizon):
        following = np.where(environment.next_state == END, 0.0, value[environment.next_state])
        value = (environment.payoffs[..., seat] + following).min(axis=(1, 2))
    return float(value[0])


def _is_common(environment: Environment, matches: Matches) -> bool:
    if isinstance(environment, TabularGame):
        return bool((environment.payoffs[..., 0] == environment.payoffs[..., 1]).all())
    return all(bool((returns[:, 0] == returns[:, 1]).all()) for returns in matches.returns.values())


def judge(returns: AttackReturns, thresholds: Thresholds | None = None, *, best_response: bool = True) -> Verdict:
    """The verdict on an attack, in this order.

    * *unclear* if the victim's return before is unknown or not above the floor: there is no share of it;
    * *robust* if the 95 % interval of the victim's return under attack reaches ``held``, and stays above
      ``brought_low``; *unclear* if it reaches both, or neither;
    * then the victim is brought low, and its best partner decides. *Real weakness* if the partner's whole interval lies
      at ``well`` or more; *sabotage* if it lies below ``little``, and so does the victim's, a best response was
      trained, and payoffs are common;
    * *unclear* otherwise. Where payoffs are not common nothing is called sabotage: who competes leaves others little.

    Intervals are those of the differences from the shares, so that the uncertainty of the return before counts too.

    Args:
        returns: what was measured.
        thresholds: the shares; the default ones if left out.
        best_response: whether a best response is among the partners.
    """
    thresholds = thresholds or Thresholds()
    before, floor = returns.before, returns.floor
    if before is None:
        return Verdict("unclear", "nobody is known with whom the victim played before")
    if before.together.low <= floor:
        return Verdict("unclear", f"before the attack the victim got no more than {floor:.4g}, the lowest return")
    height = Estimate(before.together.mean - floor, before.together.half_width)

    def beyond(value: Estimate, share: float) -> Estimate:
        return Estimate(value.mean - floor, value.half_width).minus(height, share)

    def percent(value: Estimate) -> str:
        return f"{(value.mean - floor) / height.mean:.0%}"

    under = returns.under_attack.together
    low, held = beyond(under, thresholds.brought_low), beyond(under, thresholds.held)
    counted = f", counted from {floor:.4g}, the lowest return" if floor < 0 else ""
    kept = f"under attack the victim keeps {percent(under)} of its return before{counted}"
    if held.high >= 0:
        wide = Verdict("unclear", f"{kept}, but the interval is too wide to tell; play more episodes")
        return wide if low.low < 0 else Verdict("robust", kept)
    if low.high >= 0:
        told = f"less than {thresholds.held:.0%}, not surely below {thresholds.brought_low:.0%}"
        return Verdict("unclear", f"{kept}: {told}")
    best = returns.best_partner
    if best is None:
        return Verdict("unclear", f"{kept}; nobody else was tried in its place")
    partner = returns.partners[best].together
    told = f"{kept}; in its place {_called(best)} gets {percent(partner)}"
    if beyond(partner, thresholds.well).low >= 0:
        return Verdict("real weakness", told)
    if beyond(partner, thresholds.little).high >= 0:
        between = f"neither surely {thresholds.well:.0%} nor surely below {thresholds.little:.0%}"
        return Verdict("unclear", f"{told}, {between}")
    if not best_response:
        return Verdict("unclear", f"{told}, but no best response was trained")
    if not returns.common_payoff:
        return Verdict("unclear", f"{told}, but payoffs differ, and an adversary that competes leaves others little")
    if beyond(under, thresholds.little).high >= 0:
        return Verdict("unclear", f"{told}, less than the victim; train the best response for longer")
    return Verdict("sabotage", f"{told}, the most of those that were tried")


def _called(name: str) -> str:
    return {ITSELF: "the adversary itself", BEST_RESPONSE: "a trained best response"}.get(name, f"the {name}")
