import itertools
import subprocess
import sys

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest
import scipy.optimize
from hypothesis.extra.numpy import arrays
from numpy.testing import assert_allclose

import rpax
from rpax.errors import InputError
from rpax.evaluation.rationality import action_gaps, rationality

#: Figure 2's adversary: its actions C, D, E against A, B.
FIGURE_2_Y = [[1, 0], [0, 1], [-1, -1]]


@pytest.mark.parametrize(
    ("name", "seat", "gaps"),
    [
        ("matrix/figure-2", 0, [0, 0]),
        # Against q = (x, 1−x) on (A, B), E earns −1 and the better of C, D max(x, 1−x) ≥ 1/2: 1.5 at x = 1/2.
        ("matrix/figure-2", 1, [0, 0, 1.5]),
        ("matrix/figure-13", 0, [0, 0]),
        # C: x, D: 0.9x − (1−x), E: 1−x. D loses 1 − 0.9x to C and 2 − 2.9x to E; the former is least at x = 1: 0.1.
        ("matrix/figure-13", 1, [0, 0.1, 0]),
        ("matrix/figure-14", 0, [0, 0]),
        # C: 2x + (1−x), D: 3(1−x), E: −1. The better of C and D earns at least 1.5, at x = 1/2, so E loses 2.5.
        ("matrix/figure-14", 1, [0, 0, 2.5]),
        ("matrix/figure-17", 0, [0, 0, 0]),
        ("matrix/figure-17", 1, [0, 0, 0]),
    ],
)
def test_gaps_of_the_papers_actions(name, seat, gaps):
    assert_allclose(action_gaps(rpax.make(name).payoff_matrix(seat)), gaps, atol=1e-12)


def test_result_on_figure_2():
    """E is dominated by the even mixture of C and D: 1/2 against −1, whatever the victim plays."""
    result = rationality(FIGURE_2_Y, [0, 0, 1])
    assert not result.rational
    assert result.gap == pytest.approx(1.5, abs=1e-12)
    assert result.lower_bound == pytest.approx(1.5, abs=1e-12)
    assert_allclose(result.co_policy, [0.5, 0.5], atol=1e-12)
    assert_allclose(result.dominating_policy, [0.5, 0.5, 0], atol=1e-12)


@pytest.mark.parametrize("sabotage", [0, 1e-6, 0.002, 0.3, 1])
def test_gap_of_a_mixture_grows_with_the_sabotage_in_it(sabotage):
    """Y = ((1−e)/2, (1−e)/2, e) earns (1−e)/2 − e against anybody, a best response at least 1/2: the gap is 1.5 e."""
    result = rationality(FIGURE_2_Y, [(1 - sabotage) / 2, (1 - sabotage) / 2, sabotage])
    assert result.gap == pytest.approx(1.5 * sabotage, abs=1e-15)
    assert result.rational == (sabotage == 0)


def test_a_rational_mixture_needs_a_witness_that_makes_it_indifferent():
    """Figure 14: Y mixes its columns C and D only if 1 + x = 3(1 − x), where x = P(A): x = 1/2."""
    result = rationality(rpax.make("matrix/figure-14").payoff_matrix(1), [0.25, 0.75, 0])
    assert result.gap == pytest.approx(0, abs=1e-15)
    assert result.rational
    assert_allclose(result.co_policy, [0.5, 0.5], atol=1e-12)


def random_games(number, seed, most=12):
    """Own payoffs, real or small integers (with ties), and a policy: mixed, uniform or pure."""
    rng = np.random.default_rng(seed)
    for index in range(number):
        own, co = rng.integers(2, most + 1), rng.integers(1, most + 1)
        payoffs = rng.normal(size=(own, co)) if index % 2 else rng.integers(-2, 3, (own, co)).astype(float)
        pure = np.eye(own)[rng.integers(own)]
        policy = [rng.dirichlet(np.full(own, 0.3)), np.full(own, 1 / own), pure][index % 3]
        yield payoffs, policy


def test_witness_and_dominating_policy_prove_the_gap_in_random_games():
    irrational = 0
    for payoffs, policy in random_games(1000, seed=1):
        result = rationality(payoffs, policy)
        values = payoffs @ result.co_policy
        assert result.co_policy.min() >= 0
        assert result.co_policy.sum() == pytest.approx(1, abs=1e-14)
        assert result.gap == pytest.approx(values.max() - policy @ values, abs=1e-13)
        assert result.gap == pytest.approx(result.lower_bound, rel=1e-9, abs=1e-11)
        assert (result.gap > 1e-9) == (not result.rational)
        if not result.rational:
            irrational += 1
            better = result.dominating_policy
            assert better.min() >= 0
            assert better.sum() == pytest.approx(1, abs=1e-14)
            assert ((better - policy) @ payoffs).min() == pytest.approx(result.gap, rel=1e-9, abs=1e-11)
    assert 300 < irrational < 900


def gap_by_enumeration(payoffs, policy):
    """The value of the zero-sum game "gain on the policy", over its square submatrices.

    Some optimal co-policy makes the own actions of a square submatrix indifferent, and only these (Shapley and Snow
    1950), so the least of max_a over all such co-policies is the gap.
    """
    gains = payoffs - policy @ payoffs
    rows, columns = gains.shape
    best = np.inf
    for size in range(1, min(rows, columns) + 1):
        for own in itertools.combinations(range(rows), size):
            for co in itertools.combinations(range(columns), size):
                # (D q)_own − v = 0 and the sum of q is 1
                system = np.ones((size + 1, size + 1))
                system[:size, :size], system[:size, size], system[size, size] = gains[np.ix_(own, co)], -1, 0
                if abs(np.linalg.det(system)) < 1e-9:
                    continue
                part = np.linalg.solve(system, np.eye(size + 1)[size])[:size]
                if part.min() >= -1e-12:
                    best = min(best, (gains[:, co] @ part).max())
    return best


def test_gap_equals_enumeration_of_the_zero_sum_games_kernels():
    for payoffs, policy in random_games(150, seed=2, most=4):
        assert rationality(payoffs, policy).gap == pytest.approx(gap_by_enumeration(payoffs, policy), abs=1e-11)


def test_gap_is_no_more_than_any_co_policy_shows_on_a_grid():
    grid = np.array([(a, b, 60 - a - b) for a in range(61) for b in range(61 - a)]) / 60
    for seed in range(20):
        rng = np.random.default_rng(seed)
        payoffs, policy = rng.normal(size=(4, 3)), rng.dirichlet(np.ones(4))
        values = payoffs @ grid.T
        on_grid = (values.max(axis=0) - policy @ values).min()
        # Moving q to the nearest grid point changes v − pᵀUq by at most twice the payoff times the distance (L1).
        assert -1e-12 <= on_grid - rationality(payoffs, policy).gap <= 2 * abs(payoffs).max() * 2 / 60


def test_unequally_scaled_columns_keep_small_gaps():
    """Row 0 beats row 2 by 1 in one column and by a thousand million in the other: the gap is 1, not rounding."""
    result = rationality([[1, 1e9], [0, 0], [0, 0]], [0, 0, 1])
    assert result.gap == pytest.approx(1, rel=1e-12)
    assert not result.rational


@pytest.mark.parametrize("offset", [0, 1e3, 1e9, -1e9])
def test_constant_payoffs_make_everything_rational(offset):
    result = rationality(np.full((3, 2), float(offset)), [0.2, 0.3, 0.5])
    assert result.gap == 0
    assert result.rational


@pytest.mark.parametrize("unit", [1e-300, 1e-12, 1e12, 1e300])
def test_tiny_and_huge_payoffs(unit):
    result = rationality(unit * np.array(FIGURE_2_Y), [0, 0, 1])
    assert result.gap / unit == pytest.approx(1.5, rel=1e-12)
    assert not result.rational


def test_offsets_far_larger_than_the_differences():
    payoffs = np.array(FIGURE_2_Y) + np.array([1e9, -3e12])
    assert rationality(payoffs, [0, 0, 1]).gap == pytest.approx(1.5, rel=1e-9)


def test_one_co_action():
    """Against the only co-action the policy earns 1.5 and action 1 earns 2."""
    result = rationality([[1], [2]], [0.5, 0.5])
    assert result.gap == pytest.approx(0.5)
    assert_allclose(result.dominating_policy, [0, 1])


def test_policies_in_single_precision_are_accepted():
    logits = np.array([0.1, 1.2, -40], np.float32)
    policy = np.exp(logits) / np.exp(logits).sum()
    assert policy.dtype == np.float32
    assert rationality(FIGURE_2_Y, policy).gap < 1e-12


def test_tolerance_decides_what_counts_as_rational():
    policy = [0.45, 0.45, 0.1]
    assert not rationality(FIGURE_2_Y, policy, tolerance=0.05).rational
    assert rationality(FIGURE_2_Y, policy, tolerance=0.15).rational


@st.composite
def games(draw):
    own, co = draw(st.integers(2, 5)), draw(st.integers(1, 5))
    payoffs = draw(arrays(np.float64, (own, co), elements=st.integers(-8, 8).map(float)))
    weights = draw(arrays(np.float64, own, elements=st.integers(0, 5).map(float)))
    hypothesis.assume(weights.sum() > 0)
    return payoffs, weights / weights.sum(), np.random.default_rng(draw(st.integers(0, 999)))


def close(gap):
    return pytest.approx(gap, rel=1e-9, abs=1e-11)


@hypothesis.settings(deadline=None, max_examples=60)
@hypothesis.given(games())
def test_gap_does_not_change_with_what_is_irrelevant(game):
    payoffs, policy, rng = game
    gap = rationality(payoffs, policy).gap
    own, co = rng.permutation(len(payoffs)), rng.permutation(payoffs.shape[1])
    assert rationality(payoffs[own], policy[own]).gap == close(gap), "own actions relabelled"
    assert rationality(payoffs[:, co], policy).gap == close(gap), "co-actions relabelled"
    assert rationality(payoffs + rng.normal(size=len(co)), policy).gap == close(gap), "a constant added to a column"
    assert rationality(np.hstack([payoffs, payoffs[:, :1]]), policy).gap == close(gap), "a co-action doubled"
    assert rationality(4.7 * payoffs, policy).gap == close(4.7 * gap), "payoffs in another unit"


@hypothesis.settings(deadline=None, max_examples=60)
@hypothesis.given(games())
def test_gap_is_bounded_and_more_co_actions_only_lower_it(game):
    payoffs, policy, rng = game
    gap = rationality(payoffs, policy).gap
    assert 0 <= gap <= np.ptp(payoffs, axis=0).max() + 1e-11
    extra = rng.integers(-8, 9, (len(payoffs), 1))
    assert rationality(np.hstack([payoffs, extra]), policy).gap <= gap + 1e-11
    # A best response to any co-policy is rational.
    best = (payoffs @ rng.dirichlet(np.ones(payoffs.shape[1]))).argmax()
    assert action_gaps(payoffs)[best] == pytest.approx(0, abs=1e-11)


@pytest.mark.parametrize(
    ("payoffs", "message"),
    [
        ([[1, 2], [3]], "rows of equal length"),
        ([["1", "2"], ["3", "4"]], "must be real numbers"),
        ([[1j, 0], [0, 1]], "must be real numbers"),
        ([[1, np.nan], [0, 0]], "contains nan"),
        ([[1, np.inf], [0, 0]], "contains inf"),
        ([1, 2], r"shape \(2,\)"),
        (np.zeros((2, 2, 2)), r"shape \(2, 2, 2\)"),
        ([[1, 2]], "are 1×2; give at least 2 own actions"),
        ([[], []], "are 2×0"),
        ([[1e308, 0], [-1e308, 0]], "scale them"),
        (None, "give"),
    ],
)
def test_wrong_payoffs(payoffs, message):
    with pytest.raises(InputError, match=message) as caught:
        rationality(payoffs, [0.5, 0.5])
    assert "\n" not in str(caught.value)
    with pytest.raises(InputError, match=message):
        action_gaps(payoffs)


@pytest.mark.parametrize(
    ("policy", "message"),
    [
        ([0.5, 0.5, 0], r"shape \(3,\); give one probability for each of the 2 actions"),
        ([[0.5, 0.5]], r"shape \(1, 2\)"),
        ([1.1, -0.1], "contains -0.1; no probability may be negative"),
        ([0.5, 0.501], "sums to 1.001; probabilities must sum to 1"),
        ([np.nan, 1], "contains nan"),
        ("ab", "'ab': must be real numbers"),
        (None, "contains nan"),
    ],
)
def test_wrong_policy(policy, message):
    with pytest.raises(InputError, match=message) as caught:
        rationality([[1, 0], [0, 1]], policy)
    assert "\n" not in str(caught.value)


def test_rounding_in_a_policy_is_taken_out():
    result = rationality(FIGURE_2_Y, [0.50004, 0.50004, -5e-7])
    assert result.gap == pytest.approx(0, abs=1e-12)


def test_a_solver_that_gives_up_is_tried_again_and_then_reported(monkeypatch):
    solve, tried = scipy.optimize.linprog, []

    def gives_up_once(*arguments, **options):
        tried.append(options["method"])
        solved = solve(*arguments, **options)
        if len(tried) == 1:
            solved.status = 4
        return solved

    monkeypatch.setattr(scipy.optimize, "linprog", gives_up_once)
    assert rationality(FIGURE_2_Y, [0, 0, 1]).gap == pytest.approx(1.5)
    assert len(tried) == 2
    failed = scipy.optimize.OptimizeResult(status=4, message="numerical difficulties")
    monkeypatch.setattr(scipy.optimize, "linprog", lambda *arguments, **options: failed)
    with pytest.raises(RuntimeError, match="numerical difficulties"):
        rationality(FIGURE_2_Y, [0, 0, 1])


def test_importing_it_loads_neither_jax_nor_scipy():
    code = "import sys, rpax.evaluation.rationality; print(any(m in sys.modules for m in ('jax', 'scipy')))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "False\n"
