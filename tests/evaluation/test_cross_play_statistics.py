import math
import subprocess
import sys

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest
import scipy.stats
from numpy.testing import assert_allclose

from rpax.errors import InputError
from rpax.evaluation.cross_play_statistics import (
    gap,
    gap_over_pairs,
    iqm_over_pairs,
    mean_over_pairs,
    pair_effects,
    paper_metric,
    self_play,
    strict_metric,
    within_seed,
)
from rpax.evaluation.statistics import over_seeds

#: Of this many simulated data sets, the fraction that an interval covers has a standard deviation of
#: √(0.95 · 0.05 / 8000) = 0.0024 (0.0034 of 4,000), so that 0.93 and 0.97 are 8 of them away from 0.95.
DATA_SETS = 8000
LOW, HIGH = 0.93, 0.97
TRUTH = 100.0

#: Spread of seeds' effects, of pairs' effects, of a cell's mean over its episodes.
SEEDS_ONLY, SEEDS_MOSTLY, EVEN = (10, 0, 0.1), (10, 3, 1), (10, 10, 2)
MIXES = [SEEDS_ONLY, SEEDS_MOSTLY, EVEN, (10, 20, 2), (10, 50, 2), (0, 10, 1), (0, 0, 5), (10, 0, 10), (5, 10, 10)]
#: Correlation of a seed's effects in seat 0 and seat 1, of the two orders of a pair, and whether cells' noise differs.
LAYOUTS = [(1.0, 1.0, False), (1.0, 1.0, True), (0.5, 0.0, True)]


def coverage(centre, truth=TRUTH):
    """The fraction of data sets whose interval holds the truth."""
    return np.mean(np.abs(centre.value - truth) <= centre.half_width)


def correlated(rng, correlation, shape):
    """Two standard normal arrays of the given correlation."""
    common, own = rng.normal(size=shape), rng.normal(size=shape)
    return common, correlation * common + math.sqrt(1 - correlation**2) * own


def simulate(rng, count, mix, layout, data_sets=DATA_SETS):
    """Cross-play [data sets, seeds, seeds] with expectation 100, and the effect of every seed in seat 0.

    Cells' standard errors differ up to 8-fold where noise differs: 1,000 episodes of standard deviations from 3 to 24,
    say.
    """
    seed_spread, pair_spread, noise_spread = mix
    seat_correlation, order_correlation, differs = layout
    in_seat_0, in_seat_1 = correlated(rng, seat_correlation, (data_sets, count))
    one_order, other_order = correlated(rng, order_correlation, (data_sets, count, count))
    pair = np.triu(one_order, 1) + np.swapaxes(np.triu(other_order, 1), 1, 2)
    noise = noise_spread * (np.exp2(rng.uniform(-1.5, 1.5, (count, count))) if differs else np.ones((count, count)))
    seeds = seed_spread * (in_seat_0[:, :, None] + in_seat_1[:, None, :])
    return TRUTH + seeds + pair_spread * pair + noise * rng.normal(size=pair.shape), in_seat_0


def at_most(share):
    """A share and three standard errors of one that so many data sets give."""
    return share + 3 * math.sqrt(share * (1 - share) / DATA_SETS)


@pytest.mark.parametrize("count", [5, 10])
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("mix", MIXES)
def test_interval_of_cross_play_covers(count, mix, layout):
    pairs, _ = simulate(np.random.default_rng(count), count, mix, layout)
    assert LOW <= coverage(mean_over_pairs(pairs)) <= HIGH
    assert LOW <= coverage(iqm_over_pairs(pairs)) <= HIGH


@pytest.mark.parametrize("mix", MIXES)
def test_interval_of_cross_play_of_four_seeds(mix):
    """Two degrees of freedom for pairs: half a per cent too wide where only they differ."""
    pairs, _ = simulate(np.random.default_rng(4), 4, mix, LAYOUTS[0])
    assert LOW <= coverage(mean_over_pairs(pairs)) <= HIGH + 0.005
    assert LOW <= coverage(iqm_over_pairs(pairs)) <= HIGH + 0.01


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("mix", MIXES)
def test_interval_of_cross_play_of_three_seeds(mix, layout):
    """Seeds and pairs cannot be told apart: right where seeds make the difference, else too wide, at most 99.5 %."""
    pairs, _ = simulate(np.random.default_rng(3), 3, mix, layout)
    most = HIGH if mix in (SEEDS_ONLY, SEEDS_MOSTLY, EVEN) else at_most(0.995)
    assert LOW <= coverage(mean_over_pairs(pairs)) <= most
    assert LOW <= coverage(iqm_over_pairs(pairs)) <= most


def test_three_seeds_allow_no_better():
    """The spread of u_12, u_13, u_23 is σ_g² + σ_d², whichever of the two it is; their mean's variance is not.

    For mean ± k s the coverage is P(|t_2| < k √3/2) if all is σ_g² (variance 4/3 of it), P(|t_2| < k √3) if all is
    σ_d² (1/3 of it). Where the first is 93 %, the second is above 98 %.
    """
    rng = np.random.default_rng(0)
    for mix, variance in (((10, 0, 0), 4 / 3), ((0, 10, 0), 1 / 3)):
        pairs, _ = simulate(rng, 3, mix, LAYOUTS[0], 200_000)
        values = pairs[:, [0, 0, 1], [1, 2, 2]]
        assert values.var(axis=1, ddof=1).mean() == pytest.approx(mix[0] ** 2 + mix[1] ** 2, rel=0.02)
        assert values.mean(axis=1).var() == pytest.approx(variance * 100, rel=0.02)
    twice = 2 * scipy.stats.t.ppf(0.965, 2)
    assert scipy.stats.t.cdf(twice, 2) - scipy.stats.t.cdf(-twice, 2) > 0.98


@pytest.mark.parametrize("count", [3, 5, 10])
def test_interval_of_cross_play_covers_for_returns_of_counted_deliveries(count):
    """300 episodes a cell of 12 deliveries, 20 points each, all made with the pair's own probability: mean 120."""
    rng = np.random.default_rng(count)
    effects, _ = simulate(rng, count, (0.04, 0.04, 0), LAYOUTS[0])
    probability = np.clip(0.5 + effects - TRUTH, 0, 1)
    pairs = 20 * rng.binomial(12 * 300, probability) / 300
    assert LOW <= coverage(mean_over_pairs(pairs), 120) <= HIGH


@pytest.mark.parametrize("count", [3, 5, 10])
@pytest.mark.parametrize("correlation", [-0.5, 0, 0.8])
@pytest.mark.parametrize(("mix", "self_spread"), [(SEEDS_ONLY, 10), (SEEDS_MOSTLY, 20), (EVEN, 10), ((10, 20, 2), 5)])
def test_interval_of_the_gap_covers(count, correlation, mix, self_spread):
    """Self-play is correlated with how good a partner the seed is, either way or not at all."""
    rng = np.random.default_rng(count)
    pairs, effect = simulate(rng, count, mix, LAYOUTS[0])
    own = correlation * effect + math.sqrt(1 - correlation**2) * rng.normal(size=effect.shape)
    alone = 140 + self_spread * own + mix[2] * rng.normal(size=effect.shape)
    highest = HIGH if count > 3 else at_most(0.988)
    assert LOW <= coverage(gap_over_pairs(alone, pairs), 40) <= highest


def test_gap_of_three_seeds_is_exact_where_seeds_make_the_difference():
    rng = np.random.default_rng(3)
    pairs, _ = simulate(rng, 3, (5, 1, 0.1), LAYOUTS[0])
    assert LOW <= coverage(gap_over_pairs(140 + 20 * rng.normal(size=(DATA_SETS, 3)), pairs), 40) <= HIGH


@pytest.mark.parametrize("count", [3, 5, 10])
def test_pairs_as_if_independent_are_too_narrow(count):
    """The paper's interval on the same data covers less than 60 % where seeds differ."""
    pairs, _ = simulate(np.random.default_rng(count), count, SEEDS_MOSTLY, LAYOUTS[0], 1000)
    intervals = [paper_metric(matrix, range(count)).interval for matrix in pairs]
    assert np.mean([interval.low <= TRUTH <= interval.high for interval in intervals]) < 0.6


def by_definition(returns, seeds):
    """Mean over ordered pairs of different seeds of the mean over their agents, in plain loops."""
    labels = sorted(set(seeds))
    means = []
    for one in labels:
        for other in labels:
            if one != other:
                rows = [i for i, seed in enumerate(seeds) if seed == one]
                columns = [j for j, seed in enumerate(seeds) if seed == other]
                means.append(sum(returns[i][j] for i in rows for j in columns) / (len(rows) * len(columns)))
    return means


@pytest.mark.parametrize("seeds", [[0, 1, 2], [0, 0, 1, 1, 2, 2], [2, 0, 1, 0, 3, 3, 3]])
def test_strict_metric_is_what_it_says(seeds):
    """Populations of equal and unequal size; cells within a seed have no part in it, so they may be missing."""
    returns = np.random.default_rng(0).normal(size=(len(seeds), len(seeds)))
    same = np.equal.outer(seeds, seeds)
    means = by_definition(returns, seeds)
    estimate = strict_metric(np.where(same, np.nan, returns), np.where(same, np.nan, 0.1), seeds)
    assert estimate.mean == pytest.approx(np.mean(means))
    assert estimate.iqm.mean == pytest.approx(scipy.stats.trim_mean(means, 0.25))
    assert (estimate.seeds, estimate.n) == (len(set(seeds)), len(means))
    assert estimate.degrees == len(set(seeds)) - 1


def test_effects_of_an_exact_two_way_layout():
    """u_ij = 10 + g_i + g_j with g = (3, −1, −2, 0), whatever else Y_ij − Y_ji is."""
    effect = np.array([3.0, -1, -2, 0])
    skew = np.random.default_rng(0).normal(size=(4, 4))
    effects = pair_effects(10 + np.add.outer(effect, effect) + skew - skew.T)
    assert effects.mean == pytest.approx(10)
    assert_allclose(effects.seed_effect, effect, atol=1e-12)
    assert effects.residual == pytest.approx(0, abs=1e-20)


def test_interval_of_an_exact_two_way_layout_is_that_of_twice_the_seeds_effects():
    """Without effects of pairs the mean is μ + 2 ḡ, so the interval is Student's over 2 g_i: s² = 4 · 14/3."""
    effect = np.array([3.0, -1, -2, 0])
    estimate = strict_metric(10 + np.add.outer(effect, effect), None, "abcd")
    half_width = scipy.stats.t.ppf(0.975, 3) * math.sqrt(4 * 14 / 3 / 4)
    assert estimate.interval.half_width == pytest.approx(half_width)


#: Of the pairs of four seeds {0,1}, {2,3} go together well, {0,2}, {1,3} badly: no seed is better than another.
PAIRS_ONLY = np.array([[0.0, 1, -1, 0], [1, 0, 0, -1], [-1, 0, 0, 1], [0, -1, 1, 0]])


def test_interval_without_effects_of_seeds_by_hand():
    """ĝ = 0 and S = 1 + 1 + 1 + 1 = 4; M = 4/5, and the half width is 1.5 √(2 · 0.8 / 12)."""
    effects = pair_effects(10 + PAIRS_ONLY)
    assert_allclose(effects.seed_effect, 0, atol=1e-15)
    assert effects.residual == pytest.approx(4)
    assert mean_over_pairs(10 + PAIRS_ONLY).half_width == pytest.approx(1.5 * math.sqrt(1.6 / 12))


def test_interval_with_effects_of_seeds_and_pairs_by_hand():
    """Σ ĝ² = 14 and S = 4: V = 4 · 14/12 − 4 · 4/(16 · 3 · 2) = 4.5, with t_3."""
    effect = np.array([3.0, -1, -2, 0])
    centre = mean_over_pairs(10 + np.add.outer(effect, effect) + PAIRS_ONLY)
    assert centre.half_width == pytest.approx(scipy.stats.t.ppf(0.975, 3) * math.sqrt(4.5))


def test_three_seeds_by_hand():
    """u_12, u_13, u_23 = 1, 2, 6: the jackknife is (2/3) · Σ (u − 3)² = (2/3) · 14, with t_2.

    The IQM is that of 1, 1, 2, 2, 6, 6, of which one is cut on each side; without a seed it is the pair left, too.
    """
    pairs = np.array([[0.0, 1, 2], [1, 0, 6], [2, 6, 0]])
    mean, iqm = mean_over_pairs(pairs), iqm_over_pairs(pairs)
    assert (mean.value, iqm.value) == pytest.approx((3, 2.75))
    half_width = scipy.stats.t.ppf(0.975, 2) * math.sqrt(2 / 3 * 14)
    assert (mean.half_width, iqm.half_width) == pytest.approx((half_width, half_width))


@pytest.mark.parametrize("count", [3, 5, 8])
def test_without_residuals_the_variance_is_the_jackknifes(count):
    """4 Σ ĝ²/(K (K − 1)) equals the delete-one-seed jackknife computed by deleting seeds one at a time."""
    pairs = np.random.default_rng(count).normal(size=(count, count))
    left_out = [np.mean(by_definition(np.delete(np.delete(pairs, k, 0), k, 1), range(count - 1))) for k in range(count)]
    jackknife = (count - 1) / count * np.sum((left_out - np.mean(left_out)) ** 2)
    effects = pair_effects(pairs)
    assert 4 * np.sum(effects.seed_effect**2) / (count * (count - 1)) == pytest.approx(jackknife)


def test_gap_without_pair_effects_is_students_over_seeds():
    """S_i − 2 g_i: with S = 2 g + (1, 2, 4, 5) and g cancelled, the interval is that of (1, 2, 4, 5) − 10."""
    effect = np.array([3.0, -1, -2, 0])
    returns = 10 + np.add.outer(effect, effect)
    np.fill_diagonal(returns, 2 * effect + [1, 2, 4, 5])
    estimate = gap(returns, None, range(4))
    expected = over_seeds([-9, -8, -6, -5]).interval
    assert_allclose((estimate.interval.low, estimate.interval.high), (expected.low, expected.high))
    assert estimate.iqm is None
    assert estimate.mean == pytest.approx(
        self_play(returns, None, range(4)).mean - strict_metric(returns, None, range(4)).mean
    )


def test_self_play_and_within_seed_by_hand():
    """Seeds a (two agents) and b (two agents), c (one): diagonals 1, 3 | 5, 5 | 9; within 2, 4 | 6, 8 | none."""
    returns = np.full((5, 5), np.nan)
    np.fill_diagonal(returns, [1, 3, 5, 5, 9])
    returns[0, 1], returns[1, 0], returns[2, 3], returns[3, 2] = 2, 4, 6, 8
    seeds = ["a", "a", "b", "b", "c"]
    assert self_play(returns, None, seeds).interval == over_seeds([2, 5, 9]).interval
    assert within_seed(returns, None, seeds).interval == over_seeds([3, 7]).interval
    assert within_seed(returns, None, seeds).seeds == 2


def test_errors_reach_the_bootstrap_of_self_play():
    """Two agents a seed with standard errors e are √(e² + e²)/2 together."""
    returns, errors = np.zeros((4, 4)), np.full((4, 4), 3.0)
    estimate = self_play(returns, errors, [0, 0, 1, 1])
    assert estimate.bootstrap == over_seeds([0, 0], [3 / math.sqrt(2)] * 2).bootstrap
    assert estimate.interval.half_width == 0


def test_paper_metric_by_hand():
    """Cells 1 … 6 off the diagonal: mean 3.5, s² = 3.5, 1.96 √(3.5/6)."""
    returns = [[math.nan, 1, 2], [3, math.nan, 4], [5, 6, math.nan]]
    estimate = paper_metric(returns, [0, 0, 1])
    assert estimate.mean == pytest.approx(3.5)
    assert estimate.interval.half_width == pytest.approx(1.959963985 * math.sqrt(3.5 / 6))
    assert (estimate.seeds, estimate.n) == (2, 6)


def test_bootstrap_over_seeds_agrees_with_plain_loops():
    """Seeds, then every drawn cell anew; copies of a seed are not paired; one seed drawn alone is drawn again."""
    rng = np.random.default_rng(7)
    returns, errors = rng.normal(size=(4, 4)), rng.uniform(0, 1, size=(4, 4))
    cross_play, gaps = [], []
    while len(cross_play) < 6000:
        seeds = rng.integers(4, size=4)
        cells = [(i, j) for a, i in enumerate(seeds) for b, j in enumerate(seeds) if a != b and i != j]
        if cells:
            strict = np.mean([rng.normal(returns[cell], errors[cell]) for cell in cells])
            cross_play.append(strict)
            gaps.append(np.mean([rng.normal(returns[i, i], errors[i, i]) for i in seeds]) - strict)
    for drawn, metric in ((cross_play, strict_metric), (gaps, gap)):
        bootstrap = metric(returns, errors, range(4), resamples=40_000).bootstrap
        # A standard deviation of 6,000 is off by 0.9 %, a quantile in a tail by about 0.035 of them.
        spread = np.std(drawn)
        assert bootstrap.standard_error == pytest.approx(spread, rel=0.05)
        assert_allclose((bootstrap.low, bootstrap.high), np.quantile(drawn, [0.025, 0.975]), atol=0.14 * spread)


def test_equal_cells_have_no_width():
    seeds = [0, 0, 1, 1, 2, 2, 3]
    returns = np.full((7, 7), 0.1)
    for metric in (strict_metric, gap, within_seed, self_play):
        estimate = metric(returns, None, seeds)
        assert estimate.interval.half_width == pytest.approx(0, abs=1e-15)
        assert estimate.bootstrap.standard_error == pytest.approx(0, abs=1e-15)
    assert strict_metric(returns, None, seeds).iqm.half_width == pytest.approx(0, abs=1e-15)
    assert paper_metric(returns, seeds).interval.half_width == 0


def test_too_few_seeds_have_no_interval():
    returns = np.array([[5.0, 1], [3, 7]])
    for metric, mean in ((strict_metric, 2), (gap, 4)):
        estimate = metric(returns, None, [0, 1])
        assert estimate.mean == pytest.approx(mean)
        assert math.isnan(estimate.interval.low)
        assert math.isnan(estimate.interval.high)
        assert math.isnan(estimate.standard_error)
    assert strict_metric(returns, None, [0, 1]).iqm.mean == pytest.approx(2)
    assert strict_metric(returns, None, [0, 0]) is None
    assert gap(returns, None, [0, 0]) is None
    assert within_seed(returns, None, [0, 1]) is None
    assert math.isnan(within_seed(returns, None, [0, 0]).interval.low)
    assert paper_metric([[1.0]], [0]) is None
    assert strict_metric(np.zeros((0, 0)), None, []) is None
    assert self_play(np.zeros((0, 0)), None, []) is None


METRICS = {
    "strict": strict_metric,
    "gap": gap,
    "within": within_seed,
    "self": self_play,
    "paper": lambda returns, errors, seeds, resamples: paper_metric(returns, seeds),
}


@pytest.mark.parametrize("name", METRICS)
@hypothesis.given(st.integers(0, 2**32 - 1), st.floats(-50, 50), st.floats(0.1, 9))
@hypothesis.settings(max_examples=15, deadline=None)
def test_invariances(name, number, shift, factor):
    """Order of agents, names of seeds, swapped seats; intervals move and grow with the returns."""
    rng = np.random.default_rng(number)
    seeds = np.repeat(np.arange(4), rng.integers(2, 4, size=4))
    returns = rng.normal(size=(len(seeds), len(seeds)))
    order = rng.permutation(len(seeds))
    moved = factor * returns[np.ix_(order, order)].T
    moved += 0 if name == "gap" else shift
    names = [f"run:{seed}" for seed in seeds[order]]
    before = METRICS[name](returns, None, seeds.tolist(), resamples=0)
    after = METRICS[name](moved, None, names, resamples=0)
    shift = 0 if name == "gap" else shift
    pairs = [(before.interval, after.interval)]
    pairs += [(before.iqm, after.iqm)] if before.iqm else []
    for old, new in pairs:
        assert new.mean == pytest.approx(shift + factor * old.mean, abs=1e-9)
        assert new.half_width == pytest.approx(factor * old.half_width, rel=1e-7)


def test_gap_is_not_moved_by_a_constant():
    returns = np.random.default_rng(0).normal(size=(5, 5))
    before, after = gap(returns, None, range(5)), gap(returns + 1e6, None, range(5))
    assert after.mean == pytest.approx(before.mean, abs=1e-8)
    assert after.interval.half_width == pytest.approx(before.interval.half_width, rel=1e-8)


def test_one_agent_a_seed_is_the_seed_pair_itself():
    returns = np.random.default_rng(1).normal(size=(6, 6))
    estimate = strict_metric(returns, None, range(6), resamples=0)
    for interval, centre in ((estimate.interval, mean_over_pairs(returns)), (estimate.iqm, iqm_over_pairs(returns))):
        assert interval.mean == pytest.approx(float(centre.value))
        assert interval.half_width == pytest.approx(float(centre.half_width))
    assert gap(returns, None, range(6)).interval.half_width == pytest.approx(
        float(gap_over_pairs(returns.diagonal(), returns).half_width)
    )


def test_data_sets_in_a_batch_are_independent():
    pairs = np.random.default_rng(2).normal(size=(2, 3, 5, 5))
    for function in (mean_over_pairs, iqm_over_pairs, lambda x: gap_over_pairs(x.diagonal(axis1=-2, axis2=-1), x)):
        whole, one = function(pairs), function(pairs[1, 2])
        assert whole.value.shape == (2, 3)
        assert_allclose(whole.value[1, 2], one.value)
        assert_allclose(whole.half_width[1, 2], one.half_width)


def test_results_repeat():
    returns, errors = np.random.default_rng(3).uniform(size=(2, 4, 4))
    assert strict_metric(returns, errors, range(4)) == strict_metric(returns, errors, range(4))
    one, other = (strict_metric(returns, errors, range(4), seed=seed).bootstrap for seed in (1, 2))
    assert one != other


@pytest.mark.parametrize(
    ("returns", "errors", "message"),
    [
        (np.zeros((2, 3)), None, r"returns have shape \(2, 3\); they must be \[agents, agents\]"),
        (np.zeros((2, 2)), None, "seeds name 3 agents"),
        ([[1, 2], [3]], None, "give numbers in rows of equal length"),
        (np.full((3, 3), np.nan), None, "returns contains nan; every number must be finite, play every cell"),
        (np.zeros((3, 3)), np.zeros(3), r"errors have shape \(3,\)"),
        (np.zeros((3, 3)), np.full((3, 3), -1.0), "a standard error is not negative"),
    ],
)
def test_wrong_input(returns, errors, message):
    for metric in (strict_metric, gap, self_play):
        with pytest.raises(InputError, match=message) as error:
            metric(returns, errors, [0, 1, 2])
        assert "\n" not in str(error.value)


def test_statistics_need_no_jax():
    code = "import sys, rpax.evaluation.cross_play_statistics; sys.exit('jax' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
