"""The verdict on an attack: its rules one by one, and what shares are counted from."""

import numpy as np
import pytest
import small_game  # noqa: F401

import rpax
from rpax.environments.matrix import normal_form
from rpax.evaluation.attack import AttackReturns, Reference, Score, judge, measure_attack
from rpax.evaluation.best_response import make_mixture
from rpax.evaluation.matches import Estimate
from rpax.policies.fixed import resolve_fixed_agent


def attacked(before, under, partner=None, *, half=0.0, floor=0.0, common=True):
    def score(mean):
        return Score(Estimate(mean, half), {0: Estimate(mean, half)})

    partners = {} if partner is None else {"best_response": score(partner)}
    before = None if before is None else score(before)
    return AttackReturns("itself", before, score(under), {}, partners, floor, common, episodes=9)


@pytest.mark.parametrize(
    ("returns", "name", "says"),
    [
        # Shares are of 200: 0.9 is 180, 0.75 is 150, 0.5 is 100.
        (attacked(200, 181), "robust", "keeps 90% of"),
        (attacked(200, 250), "robust", "keeps 125%"),
        (attacked(200, 170, 200), "unclear", "less than 90%, not surely below 75%"),
        (attacked(200, 149, 151), "real weakness", "keeps 74% of its return before; in its place a trained best"),
        (attacked(200, 10, 99), "sabotage", "gets 50%, the most of those that were tried"),
        (attacked(200, 10, 120), "unclear", "gets 60%, neither surely 75% nor surely below 50%"),
        (attacked(200, 10), "unclear", "nobody else was tried"),
        (attacked(200, 10, 20, common=False), "unclear", "an adversary that competes leaves others little"),
        (attacked(200, 10, 190, common=False), "real weakness", "gets 95%"),
        (attacked(None, 10, 190), "unclear", "nobody is known"),
        (attacked(0, 0, 10), "unclear", "no more than 0, the lowest return"),
        # Half-widths of 10: that of u − s·b is 10·√(1 + s²), 12.5 for s = 0.75, 13.5 for 0.9 and 11.2 for 0.5.
        (attacked(200, 167, half=10.0), "robust", "keeps 84%"),
        (attacked(200, 166, half=10.0), "unclear", "less than 90%"),
        (attacked(200, 138, 163, half=10.0), "unclear", "less than 90%"),
        (attacked(200, 137, 163, half=10.0), "real weakness", "gets 82%"),
        (attacked(200, 137, 162, half=10.0), "unclear", "neither surely 75%"),
        (attacked(200, 88, 88, half=10.0), "sabotage", "gets 44%"),
        (attacked(200, 89, 88, half=10.0), "unclear", "gets 44%, less than the victim; train the best response"),
        (attacked(200, 137, 88, half=10.0), "unclear", "gets 44%, less than the victim"),
        (attacked(200, 137, 89, half=10.0), "unclear", "nor surely below 50%"),
        (attacked(200, 160, half=60.0), "unclear", "too wide to tell; play more episodes"),
        # From the floor −100, a return of 35 is 0.45 of the way to 200, and 5 is 0.35.
        (attacked(200, 35, 5, floor=-100.0), "sabotage", "keeps 45% of its return before, counted from -100, the"),
        (attacked(-50, -95, -60, floor=-100.0), "real weakness", "gets 80%"),
        (attacked(-100, -100, 5, floor=-100.0), "unclear", "no more than -100"),
    ],
)  # fmt: skip
def test_rules(returns, name, says):
    verdict = judge(returns)
    assert verdict.name == name
    assert says in verdict.reason


def test_without_a_best_response_nothing_is_sabotage_but_a_known_partner_may_do_well():
    assert judge(attacked(200, 10, 20), best_response=False).name == "unclear"
    assert "no best response was trained" in judge(attacked(200, 10, 20), best_response=False).reason
    assert judge(attacked(200, 10, 199), best_response=False).name == "real weakness"


def play(game, tables, partners=(), seats=(0,), reference=None):
    """An attack of policies that are written down, seat 0 and seat 1 by name."""
    frozen = {
        name: resolve_fixed_agent(name, table, game, seats if name != "adversary" else tuple(1 - s for s in seats))
        for name, table in tables.items()
    }
    others = {name: frozen[name] for name in partners}
    return measure_attack(game, frozen["victim"], frozen["adversary"], others, reference, seats, episodes=400, seed=0)


def test_the_best_partner_is_whoever_does_best_and_shares_count_from_the_lowest_payoff():
    game = rpax.make("matrix/figure-2")
    before = Reference("C", make_mixture({("c", 0): 1.0}), {"c": resolve_fixed_agent("c", [1, 0, 0], game, (1,))})
    tables = {"victim": [0.8, 0.2], "adversary": [0, 1, 0], "manipulator": [0, 1.0], "best_response": [0.5, 0.5]}
    found = play(game, tables, ("manipulator", "best_response"), reference=before)
    assert found.before.together.mean == pytest.approx(0.8)
    assert found.under_attack.together.mean == pytest.approx(0.2)
    assert found.adversary["manipulator"].by_seat[1].mean == pytest.approx(1.0)
    assert found.partners["best_response"].together.mean == pytest.approx(0.5)
    # It gets 0.5 against D, the victim 0.2.
    assert found.best_response_gap.mean == pytest.approx(0.3)
    assert (found.best_partner, found.floor, found.episodes) == ("manipulator", -1.0, 0)
    assert found.share(found.under_attack.together) == pytest.approx(1.2 / 1.8)
    assert judge(found).name == "real weakness"


def test_seats_with_different_payoffs_are_no_common_game():
    game = normal_form("game", [[[4, 2], [1, 3]], [[-2, 5], [0, 1]]])
    found = play(game, {"victim": [1.0, 0.0], "adversary": [0.5, 0.5]})
    # The victim gets (4 + 2) / 2, the adversary (−2 + 5) / 2; the victim's lowest payoff is 1, so it counts from 0.
    assert found.under_attack.together.mean == pytest.approx(3.0)
    assert found.adversary["victim"].together.mean == pytest.approx(1.5)
    assert not found.common_payoff
    assert found.floor == 0.0
    assert found.before is None
    assert found.to_dict()["victim_return"]["before"] is None


def test_played_both_ways_seats_are_told_apart_and_pooled():
    game = rpax.make("small/ring")
    uniform = {name: resolve_fixed_agent(name, "uniform", game, (0, 1)) for name in ("victim", "adversary")}
    found = measure_attack(game, *uniform.values(), {}, Reference.itself((0, 1)), (0, 1), episodes=400, seed=2)
    # Five chances in five to meet, which pays 3 to seat 0 and 2 to seat 1.
    for score in (found.before, found.under_attack, found.adversary["itself"]):
        assert abs(score.by_seat[0].mean - 3.0) < 2 * score.by_seat[0].half_width
        assert abs(score.by_seat[1].mean - 2.0) < 2 * score.by_seat[1].half_width
        assert score.together.mean == pytest.approx((score.by_seat[0].mean + score.by_seat[1].mean) / 2)
    # With itself one pairing is played, whose seats rise and fall together; under attack there are two.
    halves = [
        [found.before.by_seat[s].half_width for s in (0, 1)],
        [found.under_attack.by_seat[s].half_width for s in (0, 1)],
    ]
    assert found.before.together.half_width == pytest.approx(sum(halves[0]) / 2, rel=1e-6)
    assert found.under_attack.together.half_width == pytest.approx(np.hypot(*halves[1]) / 2, rel=1e-6)
    assert not found.common_payoff
    assert found.episodes >= 400
