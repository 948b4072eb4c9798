"""Masks as COCO writes them: run lengths down the columns, packed into short text.

The format is that of the COCO annotations (T.-Y. Lin et al., "Microsoft COCO: common objects in context", ECCV 2014,
and its reference code): runs of absent and present pixels in turn, column after column, the first run absent; each run
from the fourth on as its difference to the run two before; each number in groups of five bits, lowest first, a group as
one character from ``0`` on, bit 5 set where more groups follow. Areas, boxes and overlaps are computed on the runs, so
that no mask is unpacked for them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from shared.errors import UsageError
from shared.types import AnyArray, Bool, Float32, Float64, Int64, Result

_GROUP = 5
_MORE = 0x20
_FIRST = 48
_LONGEST = 7
"""Groups of one number at most: no picture has a run of 2**34 pixels."""


@dataclass(frozen=True, eq=False)
class Rle(Result):
    """One mask. Its JSON form is what COCO's tools read.

    Attributes:
        size: height and width in pixels.
        counts: the packed runs.

    Example:
        >>> encode_mask(np.array([[0, 1], [0, 1]], np.bool_))
        Rle(size=(2, 2), counts='22')
    """

    size: tuple[int, int]
    counts: str

    def check(self, axes: Mapping[str, int]) -> None:
        height, width = self.size
        if height < 1 or width < 1:
            raise UsageError(f"Rle.size must be (height, width) in pixels, each at least 1. Got {self.size} instead")
        runs = rle_runs(self)
        if (runs < 0).any() or runs.sum() != height * width:
            raise UsageError(
                f"Rle.counts must be runs that add up to {height} x {width} pixels. Got {int(runs.sum())} pixels in "
                f"{runs.size} runs, the shortest {int(runs.min(initial=0))}"
            )


def encode_mask(mask: AnyArray) -> Rle:
    """A mask packed.

    Args:
        mask: shape (height, width), bool, or numbers of which all but 0 are present.

    Raises:
        UsageError: the mask has another number of axes, or no pixel.
    """
    height, width = _checked_shape(mask)
    flat = np.asarray(mask, np.bool_).T.reshape(-1)
    edges = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    starts = np.concatenate([[0] if not flat[0] else [0, 0], edges, [flat.size]])
    return Rle((height, width), _pack(np.diff(starts)))


def encode_region(mask: AnyArray, top: int, left: int, size: tuple[int, int]) -> Rle:
    """A mask packed of which only a part is given; there is nothing outside of it.

    Args:
        mask: shape (rows, columns), bool: the part.
        top: row of the whole mask where it begins.
        left: column of the whole mask where it begins.
        size: height and width of the whole mask.

    Raises:
        UsageError: the part has no pixel, or does not lie in the whole.

    Example:
        >>> decode_mask(encode_region(np.array([[1, 0], [1, 1]]), 1, 2, (3, 5))).astype(int)
        array([[0, 0, 0, 0, 0],
               [0, 0, 1, 0, 0],
               [0, 0, 1, 1, 0]])
    """
    rows, columns = _checked_shape(mask)
    height, width = size
    if not (0 <= top <= height - rows and 0 <= left <= width - columns):
        raise UsageError(f"a part of {rows} x {columns} from row {top}, column {left} on must lie in a mask of {size}")
    part = np.zeros((columns, rows + 1), np.bool_)  # an absent row between columns keeps their runs apart
    part[:, :rows] = np.asarray(mask, np.bool_).T
    flat = part.reshape(-1)
    edges = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    edges = np.concatenate([[0], edges]) if flat[0] else edges
    column, row = np.divmod(edges, rows + 1)
    return Rle(size, _pack(_runs_between((left + column) * height + top + row, height * width)))


def encode_classes(class_map: AnyArray) -> dict[int, Rle]:
    """The mask of every class that is in a map, in order of the numbers, found in one pass.

    Args:
        class_map: shape (height, width), integers.

    Raises:
        UsageError: the map has another number of axes, or no pixel.

    Example:
        >>> {number: rle.counts for number, rle in encode_classes(np.array([[0, 7], [0, 7]])).items()}
        {0: '022', 7: '22'}
    """
    height, width = _checked_shape(class_map)
    flat = np.asarray(class_map).T.reshape(-1)
    edges = np.concatenate([[0], np.flatnonzero(flat[1:] != flat[:-1]) + 1, [flat.size]])
    values = flat[edges[:-1]]
    found: dict[int, Rle] = {}
    for number in np.unique(values).tolist():
        mine = np.flatnonzero(values == number)
        bounds = np.stack([edges[mine], edges[mine + 1]], axis=1).reshape(-1)
        found[number] = Rle((height, width), _pack(_runs_between(bounds, flat.size)))
    return found


def decode_mask(rle: Rle) -> Bool:
    """The mask itself, shape (height, width), bool.

    Example:
        >>> decode_mask(Rle((2, 2), "22")).astype(int)
        array([[0, 1],
               [0, 1]])
    """
    height, width = rle.size
    runs = rle_runs(rle)
    flat = np.repeat(np.arange(runs.size) % 2 == 1, runs)
    return np.ascontiguousarray(flat.reshape(width, height).T)


def rle_runs(rle: Rle) -> Int64:
    """Lengths of the runs, absent and present in turn, shape (runs,), int64.

    Raises:
        UsageError: the text is no packed runs.
    """
    codes = np.frombuffer(rle.counts.encode("ascii", "replace"), np.uint8).astype(np.int64) - _FIRST
    last = np.flatnonzero(codes & _MORE == 0)
    if codes.size and ((codes < 0).any() or (codes >= 2 * _MORE).any() or last.size == 0 or last[-1] != codes.size - 1):
        raise UsageError(f"Rle.counts must be packed runs as COCO writes them. Got {rle.counts[:40]!r} instead")
    first = np.concatenate([[0], last[:-1] + 1])[: last.size]
    place = np.arange(codes.size) - np.repeat(first, last - first + 1)
    if place.size and place.max() >= _LONGEST:
        raise UsageError(f"Rle.counts must hold runs shorter than a picture. Got {rle.counts[:40]!r} instead")
    values = np.add.reduceat((codes & (_MORE - 1)) << (_GROUP * place), first) if last.size else codes
    bits = _GROUP * (last - first + 1)
    values = np.where(codes[last] & (_MORE >> 1) != 0, values - (1 << bits), values)
    runs = values.copy()
    runs[1::2], runs[2::2] = np.cumsum(values[1::2]), np.cumsum(values[2::2])
    return runs


def rle_area(rle: Rle) -> int:
    """Pixels that are present.

    Example:
        >>> rle_area(Rle((2, 2), "22"))
        2
    """
    return int(rle_runs(rle)[1::2].sum())


def rle_box(rle: Rle) -> Float32:
    """The smallest box around a mask: x1, y1, x2, y2 in pixels, shape (4,), float32; zeros for an empty mask.

    The far edges lie behind the last pixels, so that width times height counts pixels.

    Example:
        >>> rle_box(encode_mask(np.array([[0, 0, 0], [0, 1, 1]])))
        array([1., 1., 3., 2.], dtype=float32)
    """
    height = rle.size[0]
    bounds = np.cumsum(rle_runs(rle))
    starts, ends = bounds[0:-1:2], bounds[1::2] - 1
    present = ends >= starts
    starts, ends = starts[present], ends[present]
    if not starts.size:
        return np.zeros(4, np.float32)
    left, right = starts // height, ends // height
    within = left == right  # a run that goes on into the next column touches both ends of a column
    top = np.where(within, starts % height, 0).min()
    bottom = np.where(within, ends % height, height - 1).max()
    return np.array([left.min(), top, right.max() + 1, bottom + 1], np.float32)


def rle_iou(first: Sequence[Rle], second: Sequence[Rle], *, crowd: AnyArray | None = None) -> Float64:
    """Intersection over union of every mask of one list with every mask of another.

    Args:
        first: n masks.
        second: m masks of the same picture.
        crowd: shape (m,), bool: masks of ``second`` that hold many things. The overlap with such a mask is the
            intersection over the area of the first mask alone, as in COCO's evaluation. ``None``: none is.

    Returns:
        Shape (n, m), float64, in [0, 1]; 0 where both masks are empty.

    Raises:
        UsageError: the masks are not all of one size.

    Example:
        >>> left, all_of_it = encode_mask(np.array([[1, 0]])), encode_mask(np.array([[1, 1]]))
        >>> rle_iou([left], [left, all_of_it])
        array([[1. , 0.5]])
    """
    sizes = {rle.size for rle in (*first, *second)}
    if len(sizes) > 1:
        raise UsageError(f"masks must be of one size to overlap. Got {sorted(sizes)} instead")
    if not first or not second:
        return np.zeros((len(first), len(second)))
    bounds = [_present_bounds(rle) for rle in first]
    own = np.array([(b[1::2] - b[::2]).sum() for b in bounds], np.float64)
    ends = np.cumsum([b.size // 2 for b in bounds])
    every = np.concatenate(bounds)
    starts = np.concatenate([[0], ends[:-1]])
    overlap = np.zeros((len(first), len(second)))
    for column, rle in enumerate(second):
        theirs = _present_bounds(rle)
        lengths = theirs[1::2] - theirs[::2]
        knots = np.concatenate([[0], theirs, [rle.size[0] * rle.size[1]]])
        before = np.concatenate([[0], np.stack([np.cumsum(lengths) - lengths, np.cumsum(lengths)], 1).reshape(-1)])
        filled = np.interp(every, knots, np.append(before, lengths.sum()))  # present pixels of theirs before each bound
        shared = np.append((filled[1::2] - filled[::2]).cumsum(), 0.0)
        shared = shared[ends - 1] - np.where(starts > 0, shared[starts - 1], 0.0)
        is_crowd = crowd is not None and bool(crowd[column])
        whole = own if is_crowd else own + lengths.sum() - shared
        overlap[:, column] = np.divide(shared, whole, out=np.zeros_like(shared), where=whole > 0)
    return overlap


def rle_union(rles: Sequence[Rle]) -> Rle:
    """The mask of what is present in any of at least one mask of one size.

    Raises:
        UsageError: there is no mask, or they are not all of one size.

    Example:
        >>> decode_mask(rle_union([encode_mask(np.array([[1, 0, 0]])), encode_mask(np.array([[0, 1, 0]]))])).astype(int)
        array([[1, 1, 0]])
    """
    sizes = {rle.size for rle in rles}
    if len(sizes) != 1:
        raise UsageError(f"a union must be of at least one mask, all of one size. Got sizes {sorted(sizes)} instead")
    bounds = np.concatenate([_present_bounds(rle) for rle in rles])
    order = np.argsort(bounds, kind="stable")
    # Inside several masks the depth stays above 0; a run begins where it rises from 0 and ends where it falls to 0.
    at, step = bounds[order], np.where(order % 2 == 0, 1, -1)
    depth = np.cumsum(step)
    last = np.append(at[1:] != at[:-1], True) if at.size else np.zeros(0, np.bool_)
    at, depth = at[last], depth[last]
    change = np.flatnonzero((depth > 0) != np.concatenate([[False], depth[:-1] > 0])) if at.size else at
    (size,) = sizes
    return Rle(size, _pack(_runs_between(at[change], size[0] * size[1])))


def pack_runs(runs: AnyArray) -> str:
    """Runs, absent and present in turn, as COCO's text; runs of length 0 in the middle are joined away.

    Example:
        >>> pack_runs(np.array([2, 2]))
        '22'
    """
    runs = np.asarray(runs, np.int64)
    bounds = np.cumsum(runs)
    total = int(bounds[-1]) if bounds.size else 0
    return _pack(_runs_between(bounds[:-1] if runs.size % 2 == 1 else bounds, total))


def _present_bounds(rle: Rle) -> Int64:
    """Start and end of each run of present pixels, shape (2 * runs,)."""
    bounds = np.cumsum(rle_runs(rle))
    present: Int64 = bounds[: bounds.size - bounds.size % 2]
    return present


def _runs_between(bounds: Int64, total: int) -> Int64:
    """Runs of a mask that is present from each even bound to the odd bound after it; bounds that meet are joined."""
    twice = np.flatnonzero(bounds[1:] == bounds[:-1])
    if twice.size:
        at, counts = np.unique(bounds, return_counts=True)
        bounds = at[counts % 2 == 1]
    runs = np.diff(np.concatenate([[0], bounds, [total]]))
    return runs if runs[-1] or runs.size == 1 else runs[:-1]


def _pack(runs: Int64) -> str:
    values = runs.astype(np.int64)
    values[3:] = runs[3:] - runs[1:-2]
    rows, more = [], np.ones(values.size, np.bool_)
    left = values.copy()
    for _ in range(_LONGEST):
        low = left & (_MORE - 1)
        left = left >> _GROUP
        goes_on = np.where(low & (_MORE >> 1) != 0, left != -1, left != 0)
        rows.append(np.where(more, low + _FIRST + np.where(goes_on, _MORE, 0), 0))
        more = more & goes_on
        if not more.any():
            break
    letters = np.stack(rows, axis=1).reshape(-1).astype(np.uint8) if rows else np.zeros(0, np.uint8)
    return letters[letters > 0].tobytes().decode("ascii")


def _checked_shape(mask: AnyArray) -> tuple[int, int]:
    if np.ndim(mask) != 2 or not np.size(mask):
        raise UsageError(f"a mask must have shape (height, width), each at least 1. Got {np.shape(mask)} instead")
    height, width = np.shape(mask)
    return height, width
