"""Two texts in one window, as a model was trained to read them: premise and hypothesis, question and passage."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nlp.tokenize import TextTokenizer
from shared.errors import DataError
from shared.types import Int64


@dataclass(frozen=True)
class PairTemplate:
    """Where special tokens stand around two texts.

    Attributes:
        before: ids that open the window, shape (a,).
        between: ids between the two texts, shape (b,).
        after: ids that close the window, shape (c,).
        types: type ids of the five parts: before, first text, between, second text, after. Within ``between`` they are
            those of the first text.
    """

    before: Int64
    between: Int64
    after: Int64
    types: tuple[int, int, int, int, int]

    @property
    def special(self) -> int:
        """How many tokens of a window are special."""
        return len(self.before) + len(self.between) + len(self.after)

    def second_start(self, first: Int64) -> int:
        """Where the second text's tokens begin in the window of a first text of these tokens."""
        return len(self.before) + len(first) + len(self.between)

    def join(self, first: Int64, second: Int64) -> tuple[Int64, Int64]:
        """A window of two texts.

        Args:
            first: tokens of the first text, shape (m,), int64.
            second: tokens of the second, shape (n,), int64.

        Returns:
            The window's tokens and their type ids, each of shape (special + m + n,), int64.

        Example:
            >>> template = PairTemplate(np.array([1]), np.array([2]), np.array([2]), (0, 0, 0, 1, 1))
            >>> tokens, types = template.join(np.array([7, 8]), np.array([9]))
            >>> tokens.tolist(), types.tolist()
            ([1, 7, 8, 2, 9, 2], [0, 0, 0, 0, 1, 1])
        """
        parts = (self.before, first, self.between, second, self.after)
        types = np.repeat(np.array(self.types, dtype=np.int64), [len(part) for part in parts])
        return np.concatenate(parts), types


def pair_template(tokenizer: TextTokenizer) -> PairTemplate:
    """How a model's tokeniser joins two texts, seen from what it makes of a pair.

    Raises:
        DataError: it puts nothing between them, so that a model could not tell them apart.
    """
    probe = tokenizer.tokenizer.encode("a", "a")
    sides = [-1 if side is None else side for side in probe.sequence_ids]
    first, second = ([at for at, side in enumerate(sides) if side == wanted] for wanted in (0, 1))
    if not first or not second or second[0] - first[-1] < 2:
        raise DataError(
            "this model's tokenizer.json must say how two texts are joined, with a special token between them. "
            f"It makes {probe.tokens} of 'a' and 'a'"
        )
    ids, types = np.array(probe.ids, dtype=np.int64), [int(kind) for kind in probe.type_ids]
    stops = (first[0], first[-1] + 1, second[0], second[-1] + 1)
    before, _, between, _, after = np.split(ids, stops)
    kinds = [types[0] if first[0] else 0, types[first[0]], types[stops[1]], types[second[0]], types[-1]]
    return PairTemplate(before, between, after, (kinds[0], kinds[1], kinds[2], kinds[3], kinds[4]))
