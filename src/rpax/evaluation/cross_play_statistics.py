"""Metrics of a cross-play matrix of agents from several training seeds, with intervals.

All take ``returns`` [agents, agents], the mean return of every cell (row = the agent in seat 0), ``errors``, their
standard errors (std / √episodes; ``None`` where returns are exact), and ``seeds``, the training seed of every agent.
Agents of a population that were trained together share a seed.

A cell belongs to two seeds, so cells that share one are dependent, and intervals that take cells for independent are
too narrow. With the mean Y_ij over the cells of seeds i and j (i in seat 0)::

    Y_ij = μ + a_i + b_j + c_ij + noise        u_ij = (Y_ij + Y_ji)/2 = μ + g_i + g_j + d_ij

Means over both orders only depend on u: how good a partner a seed is, g_i = (a_i + b_i)/2, and how two seeds go
together, d_ij, noise of episodes included. Cov(a_i, b_i) and Cov(c_ij, c_ji) may be anything.
"""

from collections.abc import Hashable, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from rpax.errors import InputError, shown
from rpax.evaluation.rationality import check_numbers
from rpax.evaluation.statistics import (
    RESAMPLES,
    Bootstrap,
    Centre,
    Estimate,
    Interval,
    Numbers,
    check_errors,
    interquartile_mean,
    over_seeds,
    summarise,
    t_quantile,
)

#: Half widths are no less than this many standard errors of a mean over pairs without any effect of seeds.
_FLOOR = 1.5
#: With fewer seeds nothing is known about their spread.
_FEWEST_SEEDS = 3


class PairEffects(NamedTuple):
    """The two-way layout u_ij = mean + g_i + g_j + d_ij of K ≥ 3 seeds, by least squares.

    Attributes:
        mean: [...].
        seed_effect: ĝ_i = Σ_{j≠i} (u_ij − mean) / (K − 2), [..., seeds]; they sum to 0.
        residual: the sum over the K (K − 1)/2 pairs of (u_ij − mean − ĝ_i − ĝ_j)², [...].
    """

    mean: Numbers
    seed_effect: Float[np.ndarray, "*batch seeds"]
    residual: Numbers


def pair_effects(pairs: Float[np.ndarray, "*batch seeds seeds"]) -> PairEffects:
    """Split means of seed pairs [..., K, K] (the diagonal is not looked at) into mean, seeds' effects and the rest."""
    count = pairs.shape[-1]
    apart = ~np.eye(count, dtype=bool)
    reference = pairs[..., :1, 1]
    shifted = np.where(apart, pairs - reference[..., None], 0.0)
    both = (shifted + np.swapaxes(shifted, -1, -2)) / 2
    mean = both.sum(axis=(-1, -2)) / (count * (count - 1))
    centred = np.where(apart, both - mean[..., None, None], 0.0)
    effect = centred.sum(axis=-1) / (count - 2)
    rest = np.where(apart, centred - effect[..., :, None] - effect[..., None, :], 0.0)
    return PairEffects(reference[..., 0] + mean, effect, (rest**2).sum(axis=(-1, -2)) / 2)


def mean_over_pairs(pairs: Float[np.ndarray, "*batch seeds seeds"]) -> Centre:
    """The mean over ordered pairs of K different seeds, with an interval in which the seeds are the units.

    With ĝ and the residual sum of squares S of :class:`PairEffects`::

        J = 4 Σ ĝ_i² / (K (K − 1))                           delete-one-seed jackknife
        V = J − 4 S / (K² (K − 1) (K − 2))
        half width = max( t_{K−1} √V,  1.5 √(2 M / (K (K − 1))) )
        M = ((K − 2) Σ ĝ_i² + S) / (K (K − 1)/2 − 1)          mean square of u over all pairs

    The mean's variance is 4 σ_g²/K + 2 σ_d²/(K (K − 1)). The jackknife is exact for the first term, but expects
    4 σ_d²/(K (K − 2)) for the second, 2 σ_d²/((K − 1)(K − 2)) too much; V takes the part (K − 3)/K of that away. All of
    it would leave intervals with K − 1 degrees of freedom too short (92 % of 5 seeds), none of it too long (99 %). The
    other member of the maximum is for data in which seeds happen to differ less than pairs do.

    Measured coverage over all ratios of σ_g to σ_d, with equal and unequal noise in the cells: 94 to 97 % of 5 and more
    seeds, 94 to 97.5 % of 4. Of 3 seeds: 95 % where seeds make the difference, up to 99 % where pairs do and 99.5 %
    where only noise does that differs from cell to cell. There no interval mean ± k · (spread of u) can be between 93
    and 97 % in both cases: the spread of u_12, u_13, u_23 only tells σ_g² + σ_d², while the mean's variance is
    4/3 of that if all is σ_g² and 1/3 if all is σ_d². A k that covers
    93 % in the first case covers 98.1 % in the second; the k used is right in the first. Differences between Y_ij and
    Y_ji do not help, as their covariances are unknown. Two seeds have one pair and no spread: NaN.

    The intervals are for effects that are about normal; heavy tails (t_5) do no harm, uniform ones cost 3 % of 3 seeds
    and 1 to 2 % of 5. Where seeds are very skewed (one in five is excellent) few seeds cannot show it, and coverage is
    nearer 90 %; where returns have a few levels only (partners match or do not), three seeds are often all alike, and
    the interval then has no width.
    """
    if pairs.shape[-1] < _FEWEST_SEEDS:
        return _without_interval(_off_diagonal(pairs).mean(axis=-1))
    effects = pair_effects(pairs)
    return Centre(effects.mean, _half_width(_variance(2 * effects.seed_effect), effects.residual, pairs.shape[-1]))


def iqm_over_pairs(pairs: Float[np.ndarray, "*batch seeds seeds"]) -> Centre:
    """The interquartile mean of the ordered seed pairs' means, with an interval as in :func:`mean_over_pairs`.

    J is the delete-one-seed jackknife of the IQM itself; S is that of the winsorised values (the quarters that are cut
    are replaced by the nearest value left) divided by the square of the part that is left. Measured coverage: 93 to 97
    % of 5 and more seeds, 95 to 99.5 % of 3. It is for the expectation of the IQM of K seeds, which is the mean where
    effects spread symmetrically.
    """
    count = pairs.shape[-1]
    if count < _FEWEST_SEEDS:
        return _without_interval(interquartile_mean(_off_diagonal(pairs)))
    number = count * (count - 1)
    cut = number // 4
    ordered = np.sort(_off_diagonal(pairs), axis=-1)
    lowest, highest = ordered[..., cut], ordered[..., number - cut - 1]
    winsorised = np.clip(pairs, lowest[..., None, None], highest[..., None, None])
    residual = pair_effects(winsorised).residual / (1 - 2 * cut / number) ** 2
    left_out = [interquartile_mean(_off_diagonal(_without_seed(pairs, seed))) for seed in range(count)]
    variance = _variance((count - 1) * np.stack(left_out, axis=-1))
    return Centre(interquartile_mean(ordered), _half_width(variance, residual, count))


def gap_over_pairs(
    self_play: Float[np.ndarray, "*batch seeds"], pairs: Float[np.ndarray, "*batch seeds seeds"]
) -> Centre:
    """Mean self-play over seeds minus mean cross-play over pairs of different seeds, which the same seeds have part in.

    With S_i the self-play of seed i, the seeds enter through S_i − 2 g_i, whose spread holds the covariance of the two;
    so V is that of :func:`mean_over_pairs` with J the variance of the mean of S_i − 2 ĝ_i. Measured coverage: 93.5 to
    97 % of 4 and more seeds, 95 to 98.8 % of 3.
    """
    if pairs.shape[-1] < _FEWEST_SEEDS:
        return _without_interval(self_play.mean(axis=-1) - _off_diagonal(pairs).mean(axis=-1))
    effects = pair_effects(pairs)
    reference = self_play[..., :1]
    variance = _variance(self_play - reference - 2 * effects.seed_effect)
    mean = reference[..., 0] + (self_play - reference).mean(axis=-1)
    return Centre(mean - effects.mean, _half_width(variance, effects.residual, pairs.shape[-1]))


def strict_metric(
    returns: object, errors: object, seeds: Sequence[Hashable], *, resamples: int = RESAMPLES, seed: int = 0
) -> Estimate | None:
    """Cross-play of different training seeds: the mean over ordered pairs of different seeds of the pair's mean.

    Agents that were trained together are never paired, and each pair of seeds weighs the same, however many agents
    they have. Unlike :func:`paper_metric` its interval tells what new seeds would give. See :func:`mean_over_pairs` and
    :func:`iqm_over_pairs` for the intervals, NaN with fewer than three seeds; the bootstrap draws seeds (a seed is not
    paired with its own copies; draws of one seed only are drawn again), then every cell's mean from its standard error.

    Args:
        returns: [agents, agents], row = seat 0; cells within a seed may be NaN.
        errors: [agents, agents] standard errors, or ``None`` for exact returns.
        seeds: the training seed of every agent.
        resamples: bootstrap samples; none are drawn for 0.
        seed: of the bootstrap.

    Returns:
        ``None`` where all agents are of one seed.

    Raises:
        InputError: shapes do not fit, a number that is used is not finite, or a standard error is negative.
    """
    layout = _seed_pairs(returns, errors, seeds)
    if len(layout.pairs) < 2:
        return None
    draw = _bootstrap(layout, resamples, seed, with_self_play=False) if resamples else None
    mean, iqm = mean_over_pairs(layout.pairs), iqm_over_pairs(layout.pairs)
    return _estimate(mean.interval(), iqm.interval(), draw, len(layout.pairs))


def gap(
    returns: object, errors: object, seeds: Sequence[Hashable], *, resamples: int = RESAMPLES, seed: int = 0
) -> Estimate | None:
    """:func:`self_play` minus :func:`strict_metric`: what agents lose with partners from other training seeds.

    The interval allows for what the two have in common (see :func:`gap_over_pairs`), which the difference of two
    independent estimates would not. Arguments, result and errors as :func:`strict_metric`; the diagonal is needed too.
    """
    layout = _seed_pairs(returns, errors, seeds, with_self_play=True)
    if len(layout.pairs) < 2:
        return None
    draw = _bootstrap(layout, resamples, seed, with_self_play=True) if resamples else None
    interval = gap_over_pairs(layout.self_play, layout.pairs).interval()
    return _estimate(interval, None, draw, len(layout.pairs))


def paper_metric(returns: object, seeds: Sequence[Hashable]) -> Estimate | None:
    """Cross-play as the paper's bar charts have it: all ordered pairs of different agents, as if independent.

    The interval is mean ± 1.96 s / √n with n = A (A − 1) cells. It is reported to be compared with published numbers,
    not to be believed. The cells are of A agents only, and each agent is in 2 (A − 1) of them, so an agent or seed that
    is a good partner raises many cells at once; where seeds differ, the interval is too narrow by a factor of up to
    √(2 (A − 1)), however many cells there are. Pairs of agents that were trained together are counted in, although
    they say nothing about strangers: they raise the mean of algorithms that train agents to play with each other.

    Args:
        returns: [agents, agents], row = seat 0; the diagonal may be NaN.
        seeds: the training seed of every agent.

    Returns:
        ``None`` where there is but one agent.

    Raises:
        InputError: shapes do not fit, or a number that is used is not finite.
    """
    count = len(seeds)
    returns, _ = _checked(returns, None, ~np.eye(count, dtype=bool))
    if count < 2:
        return None
    cells = _off_diagonal(returns)
    degrees = float("inf")
    half_width = t_quantile(degrees) * float((cells - cells[0]).std(ddof=1)) / len(cells) ** 0.5
    mean = float(cells[0] + (cells - cells[0]).mean())
    return Estimate(Interval.around(mean, half_width), None, None, seeds=len(set(seeds)), n=len(cells), degrees=degrees)


def within_seed(
    returns: object, errors: object, seeds: Sequence[Hashable], *, resamples: int = RESAMPLES, seed: int = 0
) -> Estimate | None:
    """Cross-play of agents that were trained together: the mean over a seed's ordered pairs, then over seeds.

    See :func:`rpax.evaluation.statistics.over_seeds`. Seeds with a single agent are left out.

    Returns:
        ``None`` where no seed has two agents.

    Raises:
        InputError: shapes do not fit, a number that is used is not finite, or a standard error is negative.
    """
    together = _same_seed(seeds) & ~np.eye(len(seeds), dtype=bool)
    return _over_blocks(returns, errors, seeds, together, resamples, seed)


def self_play(
    returns: object, errors: object, seeds: Sequence[Hashable], *, resamples: int = RESAMPLES, seed: int = 0
) -> Estimate | None:
    """The returns of agents with themselves: the mean over a seed's agents, then over seeds.

    See :func:`rpax.evaluation.statistics.over_seeds`.

    Returns:
        ``None`` where there is no agent.

    Raises:
        InputError: shapes do not fit, a number that is used is not finite, or a standard error is negative.
    """
    return _over_blocks(returns, errors, seeds, np.eye(len(seeds), dtype=bool), resamples, seed)


class _Layout(NamedTuple):
    """Returns seed by seed.

    Attributes:
        pairs: means over the cells of two different seeds, [seeds, seeds]; 0 on the diagonal.
        pair_variance: their squared standard errors, [seeds, seeds].
        self_play: means over the agents of a seed, [seeds]; 0 where the diagonal was not asked for.
        self_play_variance: their squared standard errors, [seeds].
    """

    pairs: Float[np.ndarray, "seeds seeds"]
    pair_variance: Float[np.ndarray, "seeds seeds"]
    self_play: Float[np.ndarray, " seeds"]
    self_play_variance: Float[np.ndarray, " seeds"]


def _seed_pairs(returns: object, errors: object, seeds: Sequence[Hashable], with_self_play: bool = False) -> _Layout:
    apart = ~_same_seed(seeds)
    itself = np.eye(len(seeds), dtype=bool) & with_self_play
    returns, errors = _checked(returns, errors, apart | itself)
    labels = list(dict.fromkeys(seeds))
    member = np.array([[float(seed == label) for seed in seeds] for label in labels]).reshape(len(labels), len(seeds))
    share = member / member.sum(axis=1, keepdims=True)
    return _Layout(
        share @ np.where(apart, returns, 0.0) @ share.T,
        share**2 @ np.where(apart, errors**2, 0.0) @ share.T**2,
        share @ returns.diagonal(),
        share**2 @ errors.diagonal() ** 2,
    )


def _over_blocks(
    returns: object,
    errors: object,
    seeds: Sequence[Hashable],
    used: Bool[np.ndarray, "agents agents"],
    resamples: int,
    seed: int,
) -> Estimate | None:
    """Means over the used cells, which are of one seed each, then over the seeds that have any."""
    returns, errors = _checked(returns, errors, used)
    rows = {label: np.array([other == label for other in seeds])[:, None] & used for label in dict.fromkeys(seeds)}
    blocks = [cells for cells in rows.values() if cells.any()]
    if not blocks:
        return None
    means = [float(returns[cells].mean()) for cells in blocks]
    noise = [float(np.sqrt((errors[cells] ** 2).sum()) / cells.sum()) for cells in blocks]
    return over_seeds(means, noise, resamples=resamples, seed=seed)


def _same_seed(seeds: Sequence[Hashable]) -> Bool[np.ndarray, "agents agents"]:
    same = [[one == other for other in seeds] for one in seeds]
    return np.array(same, dtype=bool).reshape(len(seeds), len(seeds))


def _checked(
    returns: object, errors: object, used: Bool[np.ndarray, "agents agents"]
) -> tuple[Float[np.ndarray, "agents agents"], Float[np.ndarray, "agents agents"]]:
    """Both matrices in float64, 0 where they are not used."""
    returns = check_numbers(_used_cells(returns, "returns", used), "returns", "play every cell that the metric uses")
    errors = None if errors is None else _used_cells(errors, "errors", used)
    return returns, check_errors(errors, used.shape)


def _used_cells(values: object, what: str, used: Bool[np.ndarray, "agents agents"]) -> np.ndarray:
    rule = f"must be [agents, agents], rows = seat 0, and seeds name {len(used)} agents"
    try:
        array = np.asarray(values, np.float64)
    except (TypeError, ValueError):
        raise InputError(f"{what} {shown(values)}: {rule}; give numbers in rows of equal length") from None
    if array.shape != used.shape:
        raise InputError(f"{what} have shape {array.shape}; they {rule}: give one row and one column for each agent")
    return np.where(used, array, 0.0)


def _estimate(interval: Interval, iqm: Interval | None, bootstrap: Bootstrap | None, count: int) -> Estimate:
    degrees = count - 1 if count >= _FEWEST_SEEDS else 0
    return Estimate(interval, iqm, bootstrap, seeds=count, n=count * (count - 1), degrees=degrees)


def _variance(pseudo_values: Float[np.ndarray, "*batch seeds"]) -> Numbers:
    """The variance of the mean of one number for each seed."""
    return pseudo_values.var(axis=-1, ddof=1) / pseudo_values.shape[-1]


def _half_width(variance: Numbers, residual: Numbers, count: int) -> Numbers:
    """The half width of :func:`mean_over_pairs` from J and S; Σ ĝ_i² is J K (K − 1)/4."""
    corrected = variance - 4 * residual / (count**2 * (count - 1) * (count - 2))
    of_seeds = t_quantile(count - 1) * np.sqrt(np.maximum(corrected, 0.0))
    pairs = count * (count - 1) / 2
    mean_square = ((count - 2) * variance * pairs / 2 + residual) / (pairs - 1)
    return np.maximum(of_seeds, _FLOOR * np.sqrt(mean_square / pairs))


def _without_interval(value: Numbers) -> Centre:
    return Centre(value, np.full_like(value, np.nan))


def _off_diagonal(matrix: Float[np.ndarray, "*batch rows rows"]) -> Float[np.ndarray, "*batch cells"]:
    return matrix[..., ~np.eye(matrix.shape[-1], dtype=bool)]


def _without_seed(pairs: Float[np.ndarray, "*batch seeds seeds"], seed: int) -> np.ndarray:
    return np.delete(np.delete(pairs, seed, axis=-1), seed, axis=-2)


def _bootstrap(layout: _Layout, resamples: int, seed: int, *, with_self_play: bool) -> Bootstrap:
    """Seeds drawn with replacement; a cell that is drawn w times has w independent draws of its episodes."""
    rng = np.random.default_rng(seed)
    count = len(layout.pairs)
    times = _draw_seeds(rng, count, resamples)
    copies = times[:, :, None] * times[:, None, :] * ~np.eye(count, dtype=bool)
    total = copies.sum(axis=(1, 2))
    drawn = np.einsum("rij,ij->r", copies, layout.pairs) / total
    variance = np.einsum("rij,ij->r", copies, layout.pair_variance) / total**2
    if with_self_play:
        drawn = times @ layout.self_play / count - drawn
        variance = variance + times @ layout.self_play_variance / count**2
    return summarise(drawn + np.sqrt(variance) * rng.standard_normal(resamples))


def _draw_seeds(rng: np.random.Generator, count: int, resamples: int) -> np.ndarray:
    """How often each seed is drawn, [resamples, seeds]; never one seed only, which leaves no pair."""
    times = rng.multinomial(count, np.full(count, 1 / count), size=resamples)
    while (alone := times.max(axis=1) == count).any():
        times[alone] = rng.multinomial(count, np.full(count, 1 / count), size=int(alone.sum()))
    return times
