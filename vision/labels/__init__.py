"""The class names that models were trained on, as small tables: ``id,name`` and whatever else names a class.

Sources of the facts: the ImageNet-1k order of synsets (the order of their WordNet ids) with the short names that
torchvision publishes, the 80 categories of COCO 2017 with their category ids (1 to 90, with gaps) and again counted
from 0 without gaps (``coco80``), and the 20 classes of Pascal VOC 2012 behind 0 for everything else.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from importlib.resources import files

from shared.errors import DataError, UnknownNameError

LABEL_SETS = ("coco", "coco80", "imagenet1k", "voc")


@dataclass(frozen=True, eq=False)
class LabelSet:
    """The classes of a model.

    Attributes:
        names: name of each class by its number.
        wnids: WordNet ids by number, where the classes are synsets; else empty.

    Example:
        >>> classes = label_set("imagenet1k")
        >>> classes.names[207], classes.find("n02099601"), classes.find("Golden_Retriever")
        ('golden retriever', 207, 207)
    """

    names: Mapping[int, str]
    wnids: Mapping[int, str] = field(default_factory=dict)

    @cached_property
    def _exact(self) -> dict[str, int]:
        return {text: number for table in (self.names, self.wnids) for number, text in table.items()}

    @cached_property
    def _plain(self) -> dict[str, int]:
        """By plain spelling, where that names one class only: ImageNet has a Cardigan that barks and a cardigan."""
        counts = Counter(map(_plain, self._exact))
        return {_plain(text): number for text, number in self._exact.items() if counts[_plain(text)] == 1}

    def find(self, text: str) -> int:
        """The number of the class of that name or WordNet id.

        Case, ``_`` and ``-`` do not count where the name is still that of one class.

        Raises:
            UnknownNameError: no class is called that; the message lists the nearest names.
        """
        number = self._exact.get(text, self._plain.get(_plain(text)))
        if number is None:
            raise UnknownNameError("class of this model", text, self.names.values())
        return number

    def only(self, wanted: Sequence[str]) -> LabelSet:
        """The classes of these names or WordNet ids; all of them where none is wanted in particular.

        Raises:
            UnknownNameError: no class is called that; the message lists the nearest names.
        """
        if not wanted:
            return self
        numbers = {self.find(text) for text in wanted}
        return LabelSet({n: self.names[n] for n in numbers}, {n: self.wnids[n] for n in numbers if n in self.wnids})


def label_set(labels: str | Sequence[str] | Mapping[str, str]) -> LabelSet:
    """The classes that a card's ``labels`` stand for.

    Args:
        labels: one of :data:`LABEL_SETS`, a table that ships with this package; or the names themselves, by position
            (an empty name for a number without a class) or by number written as text, as TOML's keys are.

    Raises:
        UnknownNameError: there is no such table.
        DataError: the names are no text, or their numbers are no whole numbers from 0 on.

    Example:
        >>> label_set(["cat", "", "dog"]).names == label_set({"0": "cat", "2": "dog"}).names
        True
    """
    if isinstance(labels, str):
        return _shipped(labels)
    pairs = list(labels.items()) if isinstance(labels, Mapping) else list(enumerate(labels))
    wrong = [pair for pair in pairs if not isinstance(pair[1], str) or not str(pair[0]).isdecimal()]
    if wrong or not pairs:
        raise DataError(
            f"labels must be one of {', '.join(LABEL_SETS)}, or names by number. Got {wrong[:3] or 'none'} instead"
        )
    return LabelSet({int(number): name for number, name in pairs if name})


@lru_cache(maxsize=len(LABEL_SETS))
def _shipped(name: str) -> LabelSet:
    if name not in LABEL_SETS:
        raise UnknownNameError("label set", name, LABEL_SETS)
    text = (files(__name__) / f"{name}.csv").read_text("utf-8")
    rows = list(csv.DictReader(text.splitlines()))
    wnids = {int(row["id"]): row["wnid"] for row in rows if "wnid" in row}
    return LabelSet({int(row["id"]): row["name"] for row in rows}, wnids)


def _plain(text: str) -> str:
    return " ".join(text.casefold().replace("_", " ").replace("-", " ").split())
