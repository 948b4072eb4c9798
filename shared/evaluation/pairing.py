"""Greedy matching of all images at once: the array work beneath :mod:`shared.evaluation.matching`.

Predictions and things of one class in one image form a group. Nothing passes between groups, so the best prediction of
every group takes its thing in one step, then the next best of every group that has one, and so on: as many steps as
one group has predictions that touch anything, whatever the number of images and classes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from shared.types import AnyArray, Bool, Float64, Int64

Cover: TypeAlias = Callable[[Int64, Int64], Float64]
_COUNTING = 1 << 24
"""Added to the place of a thing that counts, so that it goes before every one that is beside the point."""
_HELD = 1 << 18


@dataclass(frozen=True)
class Layout:
    """Predictions by class and falling score, and the same by group.

    Attributes:
        order: positions in the input, shape (n,), by class, then score; of equal scores the earlier one comes first.
            At most so many of a group as were asked for.
        rank: shape (n,), in that order: how many of its group come before.
        by_group: shape (n,), places in that order, sorted by image, class and rank.
        starts: shape (groups,), where each group begins in ``by_group``.
    """

    order: Int64
    rank: Int64
    by_group: Int64
    starts: Int64


def lay_out(scores: Float64, classes: Int64, images: Int64, *, most: int) -> Layout:
    """Sort predictions once for all that is asked of them.

    Args:
        scores: shape (n,).
        classes: shape (n,), the class of each as a number from 0.
        images: shape (n,), the image of each as a number from 0.
        most: predictions of a group that count; those with the best scores.
    """
    order = np.argsort(-scores, kind="stable")
    order = order[np.argsort(_small(classes[order]), kind="stable")]
    by_group = np.argsort(_small(images[order]), kind="stable")
    place = order[by_group]
    within, starts = places_within((images[place], classes[place]))
    rank = np.empty_like(within)
    rank[by_group] = within
    kept = rank < most
    if not kept.all():
        by_group = (np.cumsum(kept) - 1)[by_group[kept[by_group]]]
        order, rank = order[kept], rank[kept]
        starts = np.flatnonzero(rank[by_group] == 0)
    return Layout(order, rank, by_group, starts)


def places_within(columns: tuple[AnyArray, ...]) -> tuple[Int64, Int64]:
    """The place of each row within its run of equal rows, shape (n,), and where the runs begin, shape (runs,)."""
    new = np.ones(columns[0].size, np.bool_)
    if new.size:
        new[1:] = columns[0][1:] != columns[0][:-1]
        for column in columns[1:]:
            new[1:] |= column[1:] != column[:-1]
    starts = np.flatnonzero(new)
    sizes = np.diff(starts, append=new.size)
    return np.arange(new.size) - np.repeat(starts, sizes), starts


def spread(starts: Int64, sizes: Int64) -> Int64:
    """``starts[0]``, ``starts[0] + 1`` and so on for ``sizes[0]`` numbers, then the same of the next; shape (sum,)."""
    ends = np.cumsum(sizes)
    total = int(ends[-1]) if ends.size else 0
    places: Int64 = np.arange(total) + np.repeat(starts - (ends - sizes), sizes)
    return places


@dataclass(frozen=True)
class Groups:
    """Predictions and things of one class in one image, wherever there are both.

    Attributes:
        found: positions of the predictions in the input, shape (n,), sorted by image, class and rank: all of them.
        things: positions of the things in the input, shape (m,), sorted by image and class: all of them.
        found_cuts: shape (groups, 2), where each group's predictions begin and end in ``found``.
        things_cuts: shape (groups, 2), where its things begin and end in ``things``.
    """

    found: Int64
    things: Int64
    found_cuts: Int64
    things_cuts: Int64


@dataclass(frozen=True)
class Pairs:
    """Predictions and things of one group that overlap far enough to match.

    Attributes:
        owners: the prediction of each, a place in :attr:`Groups.found`, shape (pairs,), rising.
        groups: the group of each, shape (pairs,), rising.
        things: the thing of each, a position in the input, shape (pairs,); rising within a prediction.
        overlaps: of each, shape (pairs,), in [0, 1].
    """

    owners: Int64
    groups: Int64
    things: Int64
    overlaps: Float64


def in_groups(layout: Layout, classes: Int64, images: Int64, true_classes: Int64, true_images: Int64) -> Groups:
    """Bring predictions and things together.

    Args:
        layout: of the predictions.
        classes: shape (n,), the class of each prediction of the input.
        images: shape (n,), its image.
        true_classes: shape (m,), the class of each thing.
        true_images: shape (m,), its image.
    """
    found = layout.order[layout.by_group]
    many = int(max(classes.max(initial=0), true_classes.max(initial=0))) + 1
    keys = true_images * many + true_classes
    things = np.argsort(keys, kind="stable")
    keys, first = keys[things], found[layout.starts]
    wanted = images[first] * many + classes[first]
    its = np.stack([np.searchsorted(keys, wanted, side="left"), np.searchsorted(keys, wanted, side="right")], axis=1)
    cuts = np.stack([layout.starts, np.append(layout.starts[1:], found.size)[: layout.starts.size]], axis=1)
    some = its[:, 1] > its[:, 0]
    return Groups(found, things, cuts[some], its[some])


def near_pairs(groups: Groups, cover: Cover, *, least: float, held: int = _HELD) -> Pairs:
    """The pairs of each group that overlap at least so far.

    Args:
        groups: from :func:`in_groups`.
        cover: from positions of predictions and of things, both (pairs,), to their overlaps; it is given whole groups,
            prediction by prediction.
        least: what is kept.
        held: about how many pairs are asked for at once, so that crowded images do not fill the memory.
    """
    found, things = (
        groups.found_cuts[:, 1] - groups.found_cuts[:, 0],
        groups.things_cuts[:, 1] - groups.things_cuts[:, 0],
    )
    turn = (np.cumsum(found * things) - found * things) // held
    parts = [(np.zeros(0, np.int64),) * 3 + (np.zeros(0),)]
    for mine in np.split(np.arange(turn.size), np.flatnonzero(np.diff(turn)) + 1) if turn.size else []:
        owners = spread(groups.found_cuts[mine, 0], found[mine])
        codes, many = np.repeat(mine, found[mine]), np.repeat(things[mine], found[mine])
        its = groups.things[spread(groups.things_cuts[codes, 0], many)]
        owners, codes = np.repeat(owners, many), np.repeat(codes, many)
        overlaps = cover(groups.found[owners], its)
        near = np.flatnonzero(overlaps >= least)
        parts.append((owners[near], codes[near], its[near], overlaps[near]))
    return Pairs(*map(np.concatenate, zip(*parts)))


def match_greedily(pairs: Pairs, *, crowd: Bool, skip: Bool, least: Float64) -> tuple[Int64, Bool, Bool]:
    """Give each prediction, best first, the thing that it overlaps most and that is left.

    A thing that counts goes before one that is beside the point, and of equal overlaps the later thing is taken. All
    areas and least overlaps are matched side by side.

    Args:
        pairs: from :func:`near_pairs`.
        crowd: shape (things,), what may be taken any number of times.
        skip: shape (areas, things), what is beside the point.
        least: shape (overlaps,).

    Returns:
        The predictions that are in a pair, shape (m,), and of each whether it has a thing, and whether that one is
        beside the point, both of shape (m, areas * overlaps).
    """
    owners, areas, levels = pairs.owners, len(skip), least.size
    turn = np.lexsort((pairs.overlaps, owners))  # within a prediction the last that is free is the one to take
    things, enough = pairs.things[turn], pairs.overlaps[turn][:, None] >= least
    places, starts = places_within((owners,))
    sizes = np.diff(starts, append=owners.size)
    step, _ = places_within((pairs.groups[starts],))
    taken = np.zeros((crowd.size, areas * levels), np.bool_)
    matched, beside = np.zeros((2, starts.size, areas * levels), np.bool_)
    by_step = np.argsort(step, kind="stable")
    for mine in np.split(by_step, np.cumsum(np.bincount(step))[:-1]) if step.size else []:
        at = spread(starts[mine], sizes[mine])
        thing = things[at]
        value = np.where(skip[:, thing].T, 0, _COUNTING) + places[at][:, None] + 1  # (pairs, areas)
        free = enough[at][:, None, :] & ~taken[thing].reshape(-1, areas, levels)
        worth = np.where(free, value[:, :, None], 0).reshape(at.size, -1)
        if at.size > mine.size:
            worth = np.maximum.reduceat(worth, np.cumsum(sizes[mine]) - sizes[mine], axis=0)
        hit = worth > 0
        matched[mine], beside[mine] = hit, hit & (worth < _COUNTING)
        row, column = np.nonzero(hit)
        best = things[starts[mine[row]] + worth[row, column] % _COUNTING - 1]
        lone = ~crowd[best]
        taken[best[lone], column[lone]] = True
    return owners[starts], matched, beside


def _small(codes: Int64) -> AnyArray:
    """The same numbers in 16 bits where they fit: NumPy sorts those by radix, many times as fast."""
    return codes.astype(np.uint16) if codes.size and int(codes.max()) < 1 << 16 else codes
