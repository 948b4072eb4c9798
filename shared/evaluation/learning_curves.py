"""Learning curves: figures at growing training sizes, a power law through them, and what more data would give.

The law is ``limit - scale * n ** -exponent`` (``+`` for errors): J. Hestness et al., "Deep learning scaling is
predictable, empirically", 2017 (arXiv 1712.00409), equation 1 with a limit. T. Viering and M. Loog, "The shape of
learning curves: a review", IEEE TPAMI 45 (2022), find that it fits many learners and that some have other shapes,
whence the check on the largest size, which the curve of the others has to foretell.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from shared.errors import UsageError
from shared.evaluation.intervals import CONFIDENCE, RESAMPLES, percentile_interval
from shared.evaluation.report import Metric
from shared.types import AnyArray, Float64, Int64

LEAST_SIZES = 4
"""A curve of three free numbers through fewer points leaves nothing to tell how well it fits."""
_EXPONENTS = (0.02, 3.0)
"""What is searched. Hestness et al. find 0.07 to 0.5 in deep learning; simple learners come near 1."""


@dataclass(frozen=True)
class LearningCurve:
    """A power law through figures at several sizes.

    Attributes:
        sizes: items learnt from, int64, shape (k,), rising.
        figures: mean of the runs at each with its interval, length k.
        exponent: how fast it flattens, above 0, with its interval.
        limit: where it ends with endless data, with its interval; often far from certain.
        foretold: the largest size's figure as the curve through the smaller ones foretells it, with the interval of the
            mean of as many runs. None where fewer than 5 sizes (6 with one run each) leave too few.
        draws: float64, shape (1 + resamples, 3): signed distance from the limit at the largest size, exponent and
            limit, of the fit itself and of each resample.
        confidence: coverage of the intervals, in (0, 1).

    Raises:
        UsageError: the fields disagree.
    """

    sizes: Int64
    figures: tuple[Metric, ...]
    exponent: Metric
    limit: Metric
    foretold: Metric | None
    draws: Float64
    confidence: float

    def __post_init__(self) -> None:
        if len(self.sizes) != len(self.figures) or (np.diff(self.sizes) <= 0).any():
            raise UsageError(f"sizes must rise, one for each of {len(self.figures)} figures. Got {self.sizes} instead")
        if self.draws.ndim != 2 or self.draws.shape[1] != 3:
            raise UsageError(f"draws must have shape (1 + resamples, 3). Got {self.draws.shape} instead")

    @property
    def fits(self) -> bool | None:
        """Whether the largest size came out as foretold; None where that could not be asked."""
        if self.foretold is None:
            return None
        return self.foretold.low <= self.figures[-1].value <= self.foretold.high

    def at(self, size: float) -> Metric:
        """The curve at a size, measured or not. The interval is of the mean of many runs, if the law holds.

        Raises:
            UsageError: the size is not above 0.
        """
        if not 0 < size < math.inf:
            raise UsageError(f"size must be above 0. Got {size} instead")
        values = _curve(self.draws, size / self.sizes[-1])
        return percentile_interval(float(values[0]), values[1:], confidence=self.confidence)

    def gain(self, times: float = 2.0) -> Metric:
        """What so many times the largest size would change, in the figure's own unit; errors fall below 0.

        Raises:
            UsageError: ``times`` is not above 0.
        """
        if not 0 < times < math.inf:
            raise UsageError(f"times must be above 0. Got {times} instead")
        values = _curve(self.draws, times) - _curve(self.draws, 1.0)
        return percentile_interval(float(values[0]), values[1:], confidence=self.confidence)

    def sentence(self, times: float = 2.0) -> str:
        """What more data would give, in plain words."""
        most, then, gain = int(self.sizes[-1]), self.at(times * self.sizes[-1]), self.gain(times)
        how = "twice" if times == 2 else f"{times:g} times"
        said = (
            f"{how} the data ({times * most:,.0f} instead of {most:,}) would give {then.value:.4g} "
            f"({then.low:.4g} to {then.high:.4g}), a change of {gain.value:+.2g} ({gain.low:+.2g} to {gain.high:+.2g})"
        )
        if gain.low <= 0 <= gain.high:
            said += ", which may be none at all"
        if self.fits is False:
            said += "; do not rely on it: the largest size came out other than the smaller ones foretold"
        return said


def learning_curve(
    sizes: Sequence[int] | AnyArray,
    figures: AnyArray,
    *,
    higher_is_better: bool = True,
    best: float | None = None,
    rng: np.random.Generator,
    resamples: int = RESAMPLES,
    confidence: float = CONFIDENCE,
) -> LearningCurve:
    """Fit a power law by least squares, weighted by runs, and draw again to say how sure it is.

    Each size's mean is drawn from a Student's distribution whose variance is the greater of two: that of the runs about
    their means, pooled, and that of the means about the curve. Both are taken to be alike at all sizes; as small sizes
    mostly scatter more, intervals at large ones are rather too wide.

    Args:
        sizes: items learnt from, shape (k,), at least 4 different ones (5 where there is one run a size).
        figures: shape (k,) or (k, runs), of runs with other draws of items; NaN where a size has fewer.
        higher_is_better: whether the figure rises towards its limit (a score) or falls (an error).
        best: what no figure can pass: 1 for accuracy, 0 for an error rate. None sets no bound.
        rng: source of randomness.
        resamples: how often the means are drawn again, at least 1.
        confidence: coverage of the intervals, in (0, 1).

    Raises:
        UsageError: there are too few sizes, they do not reach from one to four times as many, or an argument is out of
            range.

    Example:
        >>> sizes = np.array([100, 200, 400, 800, 1600])
        >>> curve = learning_curve(sizes, 0.9 - 2 * sizes**-0.5, best=1.0, rng=np.random.default_rng(0))
        >>> round(curve.exponent.value, 2), round(curve.limit.value, 2), round(curve.at(3200).value, 3)
        (0.5, 0.9, 0.865)
    """
    size, table = _checked(sizes, figures, best, higher_is_better)
    if resamples < 1 or not 0 < confidence < 1:
        raise UsageError(f"resamples must be at least 1 and confidence in (0, 1). Got {resamples} and {confidence}")
    sign = -1.0 if higher_is_better else 1.0
    runs = (~np.isnan(table)).sum(axis=1)
    means = np.nanmean(table, axis=1)
    spread, freedom = _spread(size, means, table, sign, best)
    draws = _fits(size, means, runs, sign=sign, best=best, spread=spread, freedom=freedom, count=resamples, rng=rng)
    wide = _student(freedom, confidence) * spread / np.sqrt(runs)
    foretold = None
    if len(size) > LEAST_SIZES and (runs.max() > 1 or len(size) > LEAST_SIZES + 1):
        foretold = _foretold(size, table, sign, best, count=resamples, confidence=confidence, rng=rng)
    return LearningCurve(
        sizes=size,
        figures=tuple(Metric(float(m), float(m - w), float(m + w)) for m, w in zip(means, wide)),
        exponent=percentile_interval(float(draws[0, 1]), draws[1:, 1], confidence=confidence),
        limit=percentile_interval(float(draws[0, 2]), draws[1:, 2], confidence=confidence),
        foretold=foretold,
        draws=draws,
        confidence=confidence,
    )


def _checked(
    sizes: Sequence[int] | AnyArray, figures: AnyArray, best: float | None, rising: bool
) -> tuple[Int64, Float64]:
    size, table = np.asarray(sizes), np.asarray(figures, np.float64)
    table = table[:, None] if table.ndim == 1 else table
    if size.ndim != 1 or table.ndim != 2 or len(table) != len(size) or size.dtype.kind not in "iu":
        raise UsageError(
            "sizes must be whole numbers of shape (k,), and figures have shape (k,) or (k, runs). "
            f"Got {size.dtype} of {size.shape} and {np.shape(figures)} instead"
        )
    order = np.argsort(size, kind="stable")
    size, table = size[order].astype(np.int64), table[order]
    runs = (~np.isnan(table)).sum(axis=1)
    least = LEAST_SIZES + (runs.max(initial=0) < 2)
    if len(size) < least or size[0] < 1 or (np.diff(size) == 0).any() or size[-1] < 4 * size[0]:
        raise UsageError(
            f"a power law needs {least} different sizes at least, above 0, the largest 4 times the smallest or more. "
            f"Got {size.tolist()}: measure more, or put runs of one size into one row"
        )
    if not runs.all() or np.isinf(table).any():
        raise UsageError(f"each size must have a finite figure. Got none at {size[runs == 0].tolist()}")
    if best is not None and (table[~np.isnan(table)] > best if rising else table[~np.isnan(table)] < best).any():
        raise UsageError(f"no figure can pass best={best}. Got some that do: say whether higher_is_better")
    return size, table


def _spread(size: Int64, means: Float64, table: Float64, sign: float, best: float | None) -> tuple[float, int]:
    """Standard deviation of one run, and its degrees of freedom."""
    runs = (~np.isnan(table)).sum(axis=1)
    fit = _fit(size / size[-1], means[None], runs, sign, best)
    about = float((runs * (means - _curve(fit, size / size[-1])[0]) ** 2).sum()) / max(1, len(size) - 3)
    within = int((runs - 1).sum())
    pooled = float(np.nansum((table - means[:, None]) ** 2)) / within if within else 0.0
    return math.sqrt(max(about, pooled)), (within if pooled >= about and within else len(size) - 3)


def _fits(
    size: Int64,
    means: Float64,
    runs: Int64,
    *,
    sign: float,
    best: float | None,
    spread: float,
    freedom: int,
    count: int,
    rng: np.random.Generator,
) -> Float64:
    noise = rng.standard_t(freedom, (count, len(size))) * spread / np.sqrt(runs)
    return _fit(size / size[-1], np.concatenate([means[None], means + noise]), runs, sign, best)


def _foretold(
    size: Int64,
    table: Float64,
    sign: float,
    best: float | None,
    *,
    count: int,
    confidence: float,
    rng: np.random.Generator,
) -> Metric:
    means, runs = np.nanmean(table, axis=1), (~np.isnan(table)).sum(axis=1)
    spread, freedom = _spread(size[:-1], means[:-1], table[:-1], sign, best)
    options = {"sign": sign, "best": best, "spread": spread, "freedom": freedom, "count": count, "rng": rng}
    draws = _fits(size[:-1], means[:-1], runs[:-1], **options)  # type: ignore[arg-type]
    values = _curve(draws, size[-1] / size[-2])
    values[1:] += rng.standard_t(freedom, count) * spread / math.sqrt(runs[-1])
    return percentile_interval(float(values[0]), values[1:], confidence=confidence)


def _fit(relative: Float64, means: Float64, runs: Int64, sign: float, best: float | None) -> Float64:
    """Least squares for each row of means, shape (rows, 3).

    For a given exponent the other two have a closed form, so that the exponent alone is searched, on a grid and then on
    finer ones about its best.
    """
    rows = np.arange(len(means))
    grid = np.broadcast_to(np.geomspace(*_EXPONENTS, 40), (len(means), 40))
    for _ in range(4):
        loss, scale, limit = _given_exponent(relative, means, runs, grid, sign=sign, best=best)
        at = loss.argmin(axis=1)
        found = np.column_stack([sign * scale[rows, at], grid[rows, at], limit[rows, at]])
        low, high = grid[rows, np.maximum(at - 1, 0)], grid[rows, np.minimum(at + 1, grid.shape[1] - 1)]
        grid = low[:, None] + (high - low)[:, None] * np.linspace(0, 1, 11)
    return found


def _given_exponent(
    relative: Float64, means: Float64, runs: Int64, exponents: Float64, *, sign: float, best: float | None
) -> tuple[Float64, Float64, Float64]:
    weights = runs / runs.sum()
    basis = sign * np.exp(-exponents[:, :, None] * np.log(relative))  # (rows, exponents, k)
    target = means[:, None, :]
    centre, middle = (basis * weights).sum(axis=2), (target * weights).sum(axis=2)
    apart = basis - centre[:, :, None]
    scale = (weights * apart * (target - middle[:, :, None])).sum(axis=2) / (weights * apart**2).sum(axis=2)
    scale = np.maximum(scale, 0)  # a curve that runs the wrong way is flat
    limit = middle - scale * centre
    if best is not None:
        over = (limit - best) * -sign > 0
        bound = np.maximum((weights * basis * (target - best)).sum(axis=2) / (weights * basis**2).sum(axis=2), 0)
        scale, limit = np.where(over, bound, scale), np.where(over, best, limit)
    left = target - scale[:, :, None] * basis - limit[:, :, None]
    return (weights * left**2).sum(axis=2), scale, limit


def _curve(fits: Float64, relative: float | Float64) -> Float64:
    """Each fit's value at sizes over the largest: shape (fits,), or (fits, k) for k of them."""
    at = np.asarray(relative, np.float64)
    scale, exponent, limit = fits.T if at.ndim == 0 else fits.T[:, :, None]
    value: Float64 = limit + scale * at**-exponent
    return value


def _student(freedom: int, confidence: float) -> float:
    from scipy.special import stdtrit  # noqa: PLC0415 - the only use of SciPy here

    return float(stdtrit(freedom, 0.5 + confidence / 2))
