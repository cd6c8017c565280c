import json
import math

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest
import scipy.stats
from numpy.testing import assert_allclose

from rpax.errors import InputError
from rpax.evaluation.statistics import (
    Bootstrap,
    Estimate,
    Interval,
    difference,
    difference_of_means,
    episode_half_width,
    episode_interval,
    hierarchical_bootstrap,
    interquartile_mean,
    interval_over_episodes,
    iqm_over_seeds,
    mean_over_seeds,
    over_seeds,
)

#: Of this many simulated data sets, the fraction that an interval covers has a standard deviation of
#: √(0.95 · 0.05 / 8000) = 0.0024 (0.0034 of 4,000), so that 0.93 and 0.97 are 8 of them away from 0.95.
DATA_SETS = 8000
LOW, HIGH = 0.93, 0.97


def coverage(centre, truth):
    """The fraction of data sets whose interval holds the truth."""
    return np.mean(np.abs(centre.value - truth) <= centre.half_width)


def simulate_seed_means(rng, count, *, seed_spread, episode_spread, unequal=True):
    """Means [data sets, seeds] with expectation 3: normal seeds, 300 to 2,000 normal episodes each.

    A single episode's standard deviation differs up to 10-fold between seeds where it is ``unequal``.
    """
    episodes = np.linspace(300, 2000, count)
    spread = episode_spread * (np.geomspace(1, 10, count)[::-1] if unequal else np.ones(count))
    noise = spread / np.sqrt(episodes) * rng.normal(size=(DATA_SETS, count))
    return 3 + seed_spread * rng.normal(size=(DATA_SETS, count)) + noise


@pytest.mark.parametrize("count", [2, 3, 5, 10])
@pytest.mark.parametrize(
    ("seed_spread", "episode_spread", "unequal"),
    [(1, 0, False), (1, 0.2, True), (1, 1, True), (1, 4, False), (0, 1, False)],
)
def test_interval_over_seeds_covers(count, seed_spread, episode_spread, unequal):
    rng = np.random.default_rng(count)
    spreads = {"seed_spread": seed_spread, "episode_spread": episode_spread, "unequal": unequal}
    means = simulate_seed_means(rng, count, **spreads)
    assert LOW <= coverage(mean_over_seeds(means), 3) <= HIGH
    assert LOW <= coverage(iqm_over_seeds(means), 3) <= HIGH


@pytest.mark.parametrize("count", [3, 5, 10])
def test_interval_over_seeds_is_never_too_narrow_where_unequal_noise_is_all_there_is(count):
    means = simulate_seed_means(np.random.default_rng(count), count, seed_spread=0, episode_spread=1)
    assert coverage(mean_over_seeds(means), 3) >= LOW
    assert coverage(iqm_over_seeds(means), 3) >= LOW


@pytest.mark.parametrize("count", [3, 5, 10])
def test_interval_over_seeds_covers_for_returns_of_counted_deliveries(count):
    """An episode is 20 points in 12 deliveries, each made with the seed's own probability: the mean is 120."""
    rng = np.random.default_rng(count)
    probability = np.clip(0.5 + 0.08 * rng.normal(size=(DATA_SETS, count)), 0, 1)
    episodes = np.linspace(200, 1000, count).astype(int)
    means = 20 * rng.binomial(12 * episodes, probability) / episodes
    assert LOW <= coverage(mean_over_seeds(means), 120) <= HIGH


@pytest.mark.parametrize("episodes", [2, 5, 30])
def test_interval_over_episodes_covers(episodes):
    returns = np.random.default_rng(episodes).normal(7, 2, size=(DATA_SETS, episodes))
    half_width = episode_half_width(returns.std(axis=1, ddof=1), episodes)
    assert LOW <= np.mean(np.abs(returns.mean(axis=1) - 7) <= half_width) <= HIGH


@pytest.mark.parametrize(("first", "second"), [(3, 3), (3, 5), (3, 10), (5, 5), (10, 10)])
@pytest.mark.parametrize("spread", [0.4, 1, 3])
def test_difference_of_independent_algorithms_covers(first, second, spread):
    rng = np.random.default_rng(first + second)
    one = mean_over_seeds(rng.normal(5, 1, (DATA_SETS, first)))
    other = mean_over_seeds(rng.normal(2, spread, (DATA_SETS, second)))
    assert LOW <= coverage(difference_of_means(one, other, degrees=(first - 1, second - 1)), 3) <= HIGH


def test_intervals_by_hand():
    """Two values 1 and 3 lie ±1 about 2, s = √2, and t_1's 97.5 % quantile is tan(0.475 π): 2 ± tan(0.475 π)."""
    half_width = math.tan(0.475 * math.pi)
    for interval in (interval_over_episodes([1, 3]), episode_interval(2, math.sqrt(2), 2), over_seeds([1, 3]).interval):
        assert interval.mean == pytest.approx(2)
        assert interval.half_width == pytest.approx(half_width, rel=1e-9)
        assert interval.low == pytest.approx(2 - half_width)


def test_interval_over_seeds_agrees_with_scipy():
    values = np.random.default_rng(0).gamma(2, size=7)
    expected = scipy.stats.ttest_1samp(values, 0).confidence_interval(0.95)
    estimate = over_seeds(values)
    assert_allclose((estimate.interval.low, estimate.interval.high), expected, rtol=1e-9)
    assert estimate.standard_error == pytest.approx(scipy.stats.sem(values))
    assert (estimate.seeds, estimate.n, estimate.degrees) == (7, 7, 6)


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 7, 8, 12, 13])
def test_interquartile_mean_is_scipys_trimmed_mean(count):
    values = np.random.default_rng(count).normal(size=(6, count))
    assert_allclose(interquartile_mean(values), scipy.stats.trim_mean(values, 0.25, axis=1), rtol=1e-12)


def test_interval_of_the_interquartile_mean_agrees_with_yuens_test():
    """Yuen's test of two groups adds up both groups' squared errors: of two equal groups they are twice the one's."""
    values = np.random.default_rng(1).standard_t(3, size=9)
    test = scipy.stats.ttest_ind(values, values + 1, trim=0.25)
    error = 1 / abs(test.statistic) / math.sqrt(2)
    centre = iqm_over_seeds(values)
    assert centre.half_width == pytest.approx(scipy.stats.t.ppf(0.975, 9 - 2 * 2 - 1) * error)


def test_interquartile_mean_of_up_to_three_seeds_is_the_mean():
    values = np.array([[0.0, 10, 2], [5, 5, 6]])
    mean, iqm = mean_over_seeds(values), iqm_over_seeds(values)
    assert_allclose(iqm.value, mean.value)
    assert_allclose(iqm.half_width, mean.half_width)


def test_equal_values_have_no_width():
    estimate = over_seeds([0.1] * 7, [0] * 7)
    assert estimate.interval == Interval(0.1, 0.1, 0.1)
    assert estimate.iqm is not None
    assert estimate.iqm.half_width == 0
    assert estimate.bootstrap is not None
    assert estimate.bootstrap.standard_error == pytest.approx(0, abs=1e-15)
    assert interval_over_episodes([0.1] * 9) == Interval(0.1, 0.1, 0.1)
    assert difference(estimate, estimate) == Interval(0, 0, 0)


def test_one_seed_or_episode_tells_nothing_about_others():
    estimate = over_seeds([4.0], [0.5])
    assert estimate.mean == 4
    assert math.isnan(estimate.interval.low)
    assert math.isnan(estimate.standard_error)
    assert math.isnan(interval_over_episodes([4.0]).high)
    assert_allclose(episode_half_width([0, np.nan], [10, 1]), [0, np.nan])
    assert math.isnan(difference(estimate, over_seeds([1, 2, 3])).low)


def test_plain_data_has_none_for_what_is_not_known():
    content = over_seeds([4.0], resamples=0).to_dict()
    expected = {"mean": 4.0, "ci_low": None, "ci_high": None}
    assert content == expected | {"iqm": expected, "bootstrap_over_seeds": None, "seeds": 1, "n": 1}
    content = json.loads(json.dumps(over_seeds([1, 2, 4]).to_dict(), allow_nan=False))
    assert set(content["bootstrap_over_seeds"]) == {"standard_error", "low", "high", "resamples"}


def test_difference_agrees_with_welchs_test():
    one, other = np.random.default_rng(2).normal(size=(2, 6))
    expected = scipy.stats.ttest_ind(one, 3 * other, equal_var=False).confidence_interval(0.95)
    interval = difference(over_seeds(one), over_seeds(3 * other))
    assert_allclose((interval.low, interval.high), expected, rtol=1e-9)


def test_difference_from_a_certain_value_is_the_other_interval():
    """An algorithm whose seeds are all alike adds no error, and leaves the other's degrees of freedom."""
    estimate = over_seeds([1, 5, 6])
    interval = difference(estimate, over_seeds([2] * 10))
    assert interval.mean == pytest.approx(2)
    assert interval.half_width == pytest.approx(estimate.interval.half_width)


def test_difference_of_normal_intervals_is_normal():
    """3 and 4 standard errors are 5."""
    one, other = (
        Estimate(Interval.around(mean, 1.959963984540054 * error), None, None, 5, 20, math.inf)
        for mean, error in ((10, 3), (7, 4))
    )
    assert one.standard_error == pytest.approx(3)
    assert difference(one, other).mean == 3
    assert difference(one, other).half_width == pytest.approx(5 * 1.959963984540054)


def test_bootstrap_without_noise_of_episodes_agrees_with_scipy():
    means = np.random.default_rng(3).normal(size=6)
    expected = scipy.stats.bootstrap(
        (means,), np.mean, n_resamples=40_000, method="percentile", rng=np.random.default_rng(4)
    )
    ours = over_seeds(means, resamples=40_000).bootstrap
    of_episodes = hierarchical_bootstrap([[mean] * 3 for mean in means], resamples=40_000)
    for bootstrap in (ours, of_episodes):
        assert bootstrap is not None
        assert bootstrap.standard_error == pytest.approx(expected.standard_error, rel=0.02)
        interval = expected.confidence_interval
        assert_allclose((bootstrap.low, bootstrap.high), (interval.low, interval.high), atol=0.03)


@pytest.mark.parametrize("statistic", ["mean", "iqm"])
def test_hierarchical_bootstrap_agrees_with_plain_loops(statistic):
    rng = np.random.default_rng(5)
    episodes = [rng.normal(mean, 1 + mean, size=size).tolist() for mean, size in enumerate((5, 9, 40, 7, 3))]
    drawn = []
    for _ in range(10_000):
        means = []
        for seed in rng.integers(5, size=5):
            cell = episodes[seed]
            means.append(sum(cell[index] for index in rng.integers(len(cell), size=len(cell))) / len(cell))
        drawn.append(sum(means) / 5 if statistic == "mean" else sum(sorted(means)[1:4]) / 3)
    bootstrap = hierarchical_bootstrap(episodes, statistic=statistic, resamples=40_000, seed=6)
    # A standard deviation of 10,000 is off by 0.7 %, a quantile in a tail by about 0.03 of them.
    spread = np.std(drawn)
    assert bootstrap.standard_error == pytest.approx(spread, rel=0.04)
    assert_allclose((bootstrap.low, bootstrap.high), np.quantile(drawn, [0.025, 0.975]), atol=0.12 * spread)
    assert bootstrap.resamples == 40_000


def test_standard_error_of_the_bootstrap_counts_noise_twice():
    """SE² = (K − 1)/K · s²/K + mean(e²)/K, which is why the intervals do not use it as it is."""
    means, errors = np.array([1.0, 4, 2, 8]), np.array([0.5, 2, 1, 0.1])
    expected = 3 / 4 * means.var(ddof=1) / 4 + np.mean(errors**2) / 4
    bootstrap = over_seeds(means, errors, resamples=40_000).bootstrap
    assert bootstrap is not None
    assert bootstrap.standard_error**2 == pytest.approx(expected, rel=0.04)


def test_bootstrap_in_blocks_is_as_good(monkeypatch):
    """However few episodes are drawn at a time, the numbers are the same, as they are drawn in the same order."""
    episodes = [[1.0, 2, 5], [0.0, 4], [7.0]]
    whole = hierarchical_bootstrap(episodes, resamples=500)
    monkeypatch.setattr("rpax.evaluation.statistics._BLOCK", 7)
    assert hierarchical_bootstrap(episodes, resamples=500) == whole


def test_results_repeat_and_seeds_matter():
    assert over_seeds([1, 2, 4], [1, 1, 1]) == over_seeds([1, 2, 4], [1, 1, 1])
    assert over_seeds([1, 2, 4], seed=1).bootstrap != over_seeds([1, 2, 4], seed=2).bootstrap


finite = st.floats(-1e3, 1e3).map(lambda number: round(number, 3))


@hypothesis.given(
    st.lists(finite, min_size=2, max_size=9),
    st.floats(-100, 100),
    st.floats(-5, 5).filter(lambda factor: abs(factor) > 1e-2),
    st.randoms(use_true_random=False),
)
@hypothesis.settings(max_examples=25, deadline=None)
def test_order_shift_and_scale(values, shift, factor, random):
    """Intervals move with the returns, whatever the order of the seeds; a negative factor swaps their ends."""
    moved = [shift + factor * value for value in values]
    random.shuffle(moved)
    for function in (mean_over_seeds, iqm_over_seeds):
        before, after = function(np.array(values)), function(np.array(moved))
        assert_allclose(after.value, shift + factor * before.value, atol=1e-8)
        assert_allclose(after.half_width, abs(factor) * before.half_width, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: over_seeds([]), "at least one number"),
        (lambda: over_seeds([1, math.nan]), "every number must be finite"),
        (lambda: over_seeds(["a"]), "must be real numbers"),
        (lambda: over_seeds([1, 2], [1]), "give one standard error for each mean"),
        (lambda: over_seeds([1, 2], [1, -1]), "a standard error is not negative"),
        (lambda: interval_over_episodes([[1, 2]]), "must be a list"),
        (lambda: episode_half_width(-1, 3), "a standard deviation is not negative"),
        (lambda: episode_half_width(1, [2, 0]), "at least 1 episode"),
        (lambda: hierarchical_bootstrap([]), "at least one seed"),
        (lambda: hierarchical_bootstrap([[1.0], []]), "at least one number"),
        (lambda: hierarchical_bootstrap([[1.0]], resamples=1), "at least 2"),
    ],
)
def test_wrong_input(call, message):
    with pytest.raises(InputError, match=message) as error:
        call()
    assert "\n" not in str(error.value)


def test_an_estimate_needs_no_bootstrap():
    estimate = over_seeds([1, 2], resamples=0)
    assert isinstance(estimate, Estimate)
    assert estimate.bootstrap is None
    assert isinstance(over_seeds([1, 2], resamples=2).bootstrap, Bootstrap)
