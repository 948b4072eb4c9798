"""What every sequential recommender is beside a recommender: it knows in which order things were done."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from recsys.data import Csr
from recsys.histories import Folded
from recsys.model import Recommender
from recsys.sequential.paths import Paths, from_matrix
from recsys.types import Recommendations
from shared.errors import UsageError
from shared.types import AnyArray, Float32, Id, Int32


@dataclass(frozen=True, eq=False, repr=False)
class Sequential(Recommender):
    """A recommender of next items. A family gives :meth:`score_paths`; histories are lists of items, oldest first.

    The values of ``histories`` tell the order: for each user and item the place from 1 where the item last came.

    Attributes:
        paths: what each user of training did, in order; an item may come again.
    """

    task: ClassVar[str] = "recsys.sequential"
    paths: Paths

    @abstractmethod
    def score_paths(self, paths: Paths) -> Float32:
        """Scores of all items as the next of each path: shape (len(paths), items), finite, the caller's own.

        Args:
            paths: none is empty.
        """

    def score_users(self, codes: Int32) -> Float32:
        """See :meth:`recsys.model.Recommender.score_users`."""
        return self.score_paths(self.paths.take(codes))

    def score_histories(self, histories: Csr) -> Float32:
        """See :meth:`recsys.model.Recommender.score_histories`: lower values came earlier, equal ones go by column.

        A history of nothing scores as popularity does.
        """
        paths = from_matrix(histories)
        scores = np.repeat(self.popularity[None].astype(np.float32), len(paths), axis=0)
        some = np.flatnonzero(paths.lengths)
        if len(some):
            scores[some] = self.score_paths(paths.take(some))
        return scores

    def fold_in_many(
        self,
        histories: Sequence[Sequence[Id] | Mapping[Id, float]],
        k: int = 10,
        *,
        exclude_seen: bool = True,
        among: Iterable[Id] | None = None,
        without: Iterable[Id] = (),
    ) -> list[Recommendations]:
        """The next items for people who were not in training; see :meth:`recsys.model.Recommender.fold_in`.

        Args:
            histories: of each the items from the oldest to the newest; an item may come again. Of a mapping the order
                is that of its keys, and its values do not matter.
            k: how many, at least 1.
            exclude_seen: leave out the items of the history; ``False`` where people come back to things.
            among: as in :meth:`recommend`.
            without: as in :meth:`recommend`.

        Raises:
            UsageError: an argument is wrong.
        """
        folded = [self._fold(history) for history in histories]
        lengths = [len(one.items) for one in folded]
        items = np.concatenate([np.zeros(0, dtype=np.int32), *(one.items for one in folded)])
        paths = Paths(items, np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64))
        some = np.flatnonzero(paths.lengths)
        known = paths.take(some)
        allowed = self._allowed(among, without)
        blocks = np.arange(len(some))
        ranking = self._top(
            known.matrix(len(self.item_ids)),
            lambda block: self.score_paths(known.take(blocks[block])),
            k,
            exclude_seen,
            allowed,
        )
        ranked = iter(zip(ranking.items, ranking.scores))
        return [
            self._answer(None, *next(ranked), one.reason("fold-in"))
            if len(one.items)
            else self._answer(None, *self._popular(k, allowed), one.reason("popular"))
            for one in folded
        ]

    def _fold(self, history: Sequence[Id] | Mapping[Id, float]) -> Folded:
        if isinstance(history, str | bytes):
            raise UsageError(f"a history must be a list of item ids, oldest first. Got {history!r} instead")
        if isinstance(history, Mapping) and not all(np.isfinite(value) for value in history.values()):
            raise UsageError(f"values of a history must be finite numbers. Got {history!r} instead")
        named = list(history)
        codes = self.item_ids.encode(named)
        unknown = dict.fromkeys(repr(item) for item, code in zip(named, codes) if code < 0)
        kept = codes[codes >= 0]
        return Folded(kept, np.ones(len(kept), dtype=np.float32), tuple(unknown))

    def arrays(self) -> Mapping[str, AnyArray]:
        """See :meth:`recsys.model.Recommender.arrays`."""
        return {"paths.items": self.paths.items, "paths.starts": self.paths.starts}
