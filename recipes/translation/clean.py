"""Which pairs of strings are worth learning from, and in what form.

Dropped are pairs that are the same on both sides, too short or too long, of unlike length, mostly signs, of another
script or another language than they should be, seen before, or found in a test set.
"""

from __future__ import annotations

import html
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator

from nlp.translation.masking import mask

LONGEST_WORDS = 60
RATIO, SLACK = 2.0, 12
LETTERS = 0.6
SHARED_WORDS = 9
"""Words in a row that a pair may not share with a sentence of a test set."""

_TAG = re.compile(r"</?[A-Za-z][^<>]{0,300}>")
_LATIN = re.compile(r"[A-Za-zÀ-ÖØ-öø-ÿŒœŸ]")
_SENTENCE_END = re.compile(r"(?<=[a-zà-ÿß)\"”»][.!?])\s+(?=[\"“«„(]?[A-ZÀ-Þ])")

Pair = tuple[str, str]


def plain(text: str) -> str:
    """A string of a catalogue as running text: no mark-up beyond a tag or two, no marks of keyboard shortcuts."""
    text = unicodedata.normalize("NFC", text.replace("\\n", " ").replace("\\<", "<").replace("\\>", ">"))
    text = re.sub(r"\b[BIFCSE]<([^<>]*)>", r"\1", text).replace("\\-", "-").replace("\\(en", "–")
    if len(_TAG.findall(text)) > 2:
        text = _TAG.sub("", text)
    text = html.unescape(text) if "&" in text else text
    text = re.sub(r"(?<!\w)[_&~](?=[A-Za-zÀ-ÿ])", "", text)
    text = re.sub(r"(?<=[a-zà-ÿ])[_&~](?=[a-zà-ÿ])", "", text) if "_" not in mask(text).text.strip("_")[1:-1] else text
    return " ".join(text.split())


def sentences(pair: Pair) -> Iterator[Pair]:
    """The sentences of a paragraph and of its translation, where both have as many; the whole otherwise."""
    left, right = (_SENTENCE_END.split(text) for text in pair)
    if len(left) == len(right) > 1:
        yield from zip(left, right)
    else:
        yield pair


def words(text: str) -> list[str]:
    """Letters and figures alone, lower case: how texts are compared."""
    return re.findall(r"\w+", text.casefold())


class TestSets:
    """Sentences that may not be learnt from."""

    def __init__(self, texts: Iterable[str]) -> None:
        self._whole: set[tuple[str, ...]] = set()
        self._parts: set[tuple[str, ...]] = set()
        for text in texts:
            seen = tuple(words(text))
            self._whole.add(seen)
            self._parts |= {seen[at : at + SHARED_WORDS] for at in range(len(seen) - SHARED_WORDS + 1)}

    def hold(self, text: str) -> bool:
        """Whether a test set has this sentence, or a long run of its words."""
        seen = tuple(words(text))
        runs = (seen[at : at + SHARED_WORDS] for at in range(len(seen) - SHARED_WORDS + 1))
        return seen in self._whole or any(run in self._parts for run in runs)


def kept(
    pairs: Iterable[Pair],
    languages: Pair,
    *,
    tests: TestSets,
    detect: Callable[[str], str],
    seen: set[tuple[str, ...]],
) -> Iterator[Pair]:
    """The pairs that pass.

    Args:
        pairs: raw strings.
        languages: codes of the left and of the right side.
        tests: what is kept apart.
        detect: from a text to the code of its language.
        seen: what passed before, by its words; grows.
    """
    for pair in pairs:
        for left, right in sentences((plain(pair[0]), plain(pair[1]))):
            key = (*words(left), "|", *words(right))
            if key not in seen and _fits(left, right) and not tests.hold(left) and not tests.hold(right):
                long = min(len(left), len(right)) >= 25
                if not long or (detect(left), detect(right)) == languages:
                    seen.add(key)
                    yield left, right


def _fits(left: str, right: str) -> bool:
    lengths = len(left), len(right)
    if min(lengths) < 2 or max(lengths) > RATIO * min(lengths) + SLACK or left.casefold() == right.casefold():
        return False
    if max(len(left.split()), len(right.split())) > LONGEST_WORDS:
        return False
    for text in (left, right):
        bare = re.sub(r"<m\d+>|\s", "", mask(text).text)
        letters = [sign for sign in bare if sign.isalpha()]
        latin = sum(1 for sign in letters if _LATIN.match(sign))
        if len(letters) < 2 or len(letters) < LETTERS * len(bare) or latin < len(letters):
            return False
    return True
