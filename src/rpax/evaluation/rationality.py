"""The rationality gap of a policy in a normal-form game: how far it is from a best response to anybody.

A policy is rational when some co-policy makes it a best response. That is a linear program; its solution names either
the co-policy (the witness) or a mixture of own actions that is better against every co-action (the dominating policy).
"""

import dataclasses

import numpy as np
from jaxtyping import Float

from rpax.errors import InputError, shown

#: A gap up to this fraction of the payoff difference that own actions make against the witness counts as 0.
TOLERANCE = 1e-9

_NEGATIVE_MOST, _SUM_ERROR_MOST = 1e-6, 1e-4
#: Tight tolerances first. HiGHS now and then gives a degenerate program up at the tightest ones.
_SOLVERS = (("highs-ds", 1e-10), ("highs-ds", 1e-9), ("highs-ipm", 1e-9), ("highs", 1e-7))


@dataclasses.dataclass(frozen=True, eq=False)
class Rationality:
    """The rationality gap of a policy, with the proof of both its sides.

    Attributes:
        gap: what the policy loses against ``co_policy`` to the best own action, in units of payoff. No co-policy makes
            it less, so 0 means that the policy is a best response to ``co_policy``. Computed from ``co_policy``, so it
            is never below the true gap.
        lower_bound: what the solver's own mixture gains on the policy at least, whatever the co-player does; equal to
            ``gap`` up to rounding (strong duality), and never above the true gap. Column scales a million times apart
            show in the difference.
        co_policy: the witness, [m] probabilities.
        dominating_policy: [n] probabilities that do better than the policy by the gap or more against every co-action;
            ``None`` where the policy is rational.
    """

    gap: float
    lower_bound: float
    co_policy: Float[np.ndarray, " co_actions"]
    dominating_policy: Float[np.ndarray, " own_actions"] | None

    @property
    def rational(self) -> bool:
        """Whether the gap is 0 within the tolerance it was computed with."""
        return self.dominating_policy is None


def rationality(payoffs: object, policy: object, *, tolerance: float = TOLERANCE) -> Rationality:
    """The rationality gap of ``policy`` in the normal-form game with own payoffs ``payoffs``.

    With own payoff matrix U and policy p::

        gap(p) = min over q in Δ_m of  max_a (U q)_a − pᵀ U q  =  max over μ in Δ_n of  min_b (μ − p)ᵀ U e_b

    q is the witness co-policy, μ the dominating policy. The gap does not change when a constant is added to a column
    of U. (Lauffer et al. 2025 define rationality as being a best response; the program is its linear form.)

    Args:
        payoffs: [n, m], the seat's own payoffs: its n ≥ 2 actions are the rows, the co-player's m ≥ 1 the columns.
        policy: [n] probabilities of the own actions; small rounding is taken out.
        tolerance: the gap that counts as 0, as a fraction of the difference that own actions make in a column,
            averaged over the columns with the witness's probabilities.

    Raises:
        InputError: payoffs are no matrix of finite numbers, or the policy is no probability vector of length n.
    """
    matrix = _check_own_payoffs(payoffs)
    policy = check_distribution(policy, len(matrix))
    highest, lowest = matrix.max(axis=0), matrix.min(axis=0)
    centred = matrix - (highest / 2 + lowest / 2)
    gains = centred - policy @ centred
    co_policy, better = _solve_zero_sum(gains)
    gap = max(0.0, float((gains @ co_policy).max()))
    lower_bound = max(0.0, float((better @ gains).min()))
    rational = gap <= tolerance * float((highest - lowest) @ co_policy)
    return Rationality(gap, lower_bound, co_policy, None if rational else better)


def action_gaps(payoffs: object) -> Float[np.ndarray, " own_actions"]:
    """The rationality gap of each pure action: 0 where it is a best response to some co-policy.

    >>> action_gaps([[1, 0], [0, 1], [-1, -1]])
    array([0. , 0. , 1.5])

    Args:
        payoffs: [n, m], as for :func:`rationality`.

    Raises:
        InputError: payoffs are no matrix of finite numbers with at least two own actions.
    """
    matrix = _check_own_payoffs(payoffs)
    return np.array([rationality(matrix, action).gap for action in np.eye(len(matrix))])


def check_distribution(probabilities: object, size: int, what: str = "policy") -> Float[np.ndarray, " size"]:
    """``probabilities`` as a float64 vector that is nowhere negative and sums to 1 to rounding.

    Args:
        probabilities: ``size`` numbers, at least −1e-6 and with a sum within 1e-4 of 1.
        size: how many actions there are.
        what: what the message calls the vector.

    Raises:
        InputError: not numbers, another length, not finite, negative, or another sum.
    """
    array = check_numbers(probabilities, what, f"give {size} probabilities")
    if array.shape != (size,):
        raise InputError(f"{what} has shape {array.shape}; give one probability for each of the {size} actions")
    if array.min() < -_NEGATIVE_MOST:
        raise InputError(f"{what} contains {array.min():.6g}; no probability may be negative, give values in 0 … 1")
    total = float(array.sum())
    if abs(total - 1) > _SUM_ERROR_MOST:
        raise InputError(f"{what} sums to {total:.6g}; probabilities must sum to 1, divide them by their sum")
    array = np.maximum(array, 0.0)
    return array / array.sum()


def check_numbers(values: object, what: str, remedy: str) -> np.ndarray:
    """``values`` as a float64 array of finite numbers.

    Raises:
        InputError: text, complex numbers, rows of unequal length, infinity or NaN.
    """
    try:
        array = np.asarray(values)
        if array.dtype.kind in "USc":
            raise TypeError
        array = array.astype(np.float64)
    except (TypeError, ValueError):
        message = f"{what} {shown(values)}: must be real numbers, in rows of equal length; {remedy}"
        raise InputError(message) from None
    if not np.isfinite(array).all():
        raise InputError(f"{what} contains {array[~np.isfinite(array)][0]}; every number must be finite, {remedy}")
    return array


def solve_program(
    objective: np.ndarray, at_most_zero, equal, equal_to: np.ndarray, *, num_free: int
) -> tuple[np.ndarray, np.ndarray]:
    """Solve  min cᵀx  s.t.  G x ≤ 0,  H x = h,  x ≥ 0 but for its last ``num_free`` entries.

    Args:
        objective: c.
        at_most_zero: G, dense or sparse.
        equal: H, dense or sparse.
        equal_to: h.
        num_free: how many of the last variables may be negative.

    Returns:
        x, and the multipliers of G x ≤ 0, both with the solver's rounding still in them.

    Raises:
        RuntimeError: the solver gave up at every tolerance.
    """
    from scipy.optimize import linprog

    size = len(objective)
    bounds = [(0, None)] * (size - num_free) + [(None, None)] * num_free
    message = ""
    for method, accuracy in _SOLVERS:
        options = {"primal_feasibility_tolerance": accuracy, "dual_feasibility_tolerance": accuracy}
        solved = linprog(
            objective,
            A_ub=at_most_zero,
            b_ub=np.zeros(at_most_zero.shape[0]),
            A_eq=equal,
            b_eq=equal_to,
            bounds=bounds,
            method=method,
            options=options,
        )
        if solved.status == 0:
            return solved.x, -solved.ineqlin.marginals
        message = solved.message
    raise RuntimeError(f"the linear program of {size} variables was not solved: {message}")


def _solve_zero_sum(gains: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Optimal q and μ of the zero-sum game in which μ gains and q loses ``gains`` [n, m]; its value is not negative."""
    rows, columns = gains.shape
    worst, size = gains.max(axis=0), np.abs(gains).max(axis=0)
    settled = np.flatnonzero(worst <= 4 * np.finfo(float).eps * size)
    if len(settled):
        column = settled[0]
        return np.eye(columns)[column], np.eye(rows)[gains[:, column].argmax()]
    # The value lies in 0 … min(worst): with that as the unit, the solver's absolute tolerances are relative ones.
    unit = max(worst.min(), 1e-9 * size.max())
    x, multipliers = solve_program(
        np.append(np.zeros(columns), 1.0),
        np.hstack([gains / unit, -np.ones((rows, 1))]),
        np.append(np.ones(columns), 0.0)[None],
        np.ones(1),
        num_free=1,
    )
    return _to_simplex(x[:columns]), _to_simplex(multipliers)


def _to_simplex(vector: np.ndarray) -> np.ndarray:
    vector = np.maximum(vector, 0.0)
    return vector / vector.sum()


def _check_own_payoffs(payoffs: object) -> np.ndarray:
    matrix = check_numbers(payoffs, "payoffs", "give [[…], […]], own actions × co-actions")
    if matrix.ndim != 2:
        raise InputError(f"payoffs have shape {matrix.shape}; give a matrix of own actions × co-actions")
    if matrix.shape[0] < 2 or matrix.shape[1] < 1:
        raise InputError(
            f"payoffs are {matrix.shape[0]}×{matrix.shape[1]}; give at least 2 own actions (rows) and 1 co-action"
        )
    with np.errstate(over="ignore"):
        spread = matrix.max() - matrix.min()
    if not np.isfinite(spread):
        raise InputError(f"payoffs reach from {matrix.min():.3g} to {matrix.max():.3g}; scale them to a smaller range")
    return matrix
