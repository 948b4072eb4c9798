"""Tags and spans: schemes, what may follow what, the best allowed sequence; seqeval as the reference."""

from __future__ import annotations

import itertools
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from seqeval.metrics.sequence_labeling import get_entities
from seqeval.scheme import IOB2, IOBES
from seqeval.scheme import Entities as Reference

from nlp.ner.tags import best_tags, log_softmax, make_tags
from nlp.spans import SCHEMES, Span, parse_tag, spans_of_tags, strict_spans_of_tags, tags_of_spans, without_overlaps
from shared.errors import DataError, UnknownNameError, UsageError

TAGS = {
    "BIO": ["O", "B-A", "I-A", "B-B", "I-B"],
    "BIOES": ["O", "B-A", "I-A", "E-A", "S-A", "B-B", "I-B", "E-B", "S-B"],
    "IOB1": ["O", "I-A", "B-A", "I-B", "B-B"],
    "IO": ["O", "A", "B"],
}


@st.composite
def some_spans(draw: st.DrawFn, n: int = 10) -> list[Span]:
    edges = sorted(draw(st.sets(st.integers(0, n), max_size=8)))
    return [(a, b, draw(st.sampled_from("AB"))) for a, b in itertools.pairwise(edges) if draw(st.booleans())]


@settings(deadline=None)
@given(some_spans(), st.sampled_from(["BIO", "BIOES", "IOB1"]))
def test_tags_and_spans_are_two_ways_to_say_one_thing(spans: list[Span], scheme: str) -> None:
    tags = tags_of_spans(spans, 10, scheme=scheme)
    assert spans_of_tags(tags) == spans
    assert strict_spans_of_tags(tags, scheme=scheme) == spans


@pytest.mark.parametrize(
    ("tags", "spans"),
    [
        ([], []),
        (["O", ""], []),
        (["I-A"], [(0, 1, "A")]),
        (["I-A", "I-A", "B-A"], [(0, 2, "A"), (2, 3, "A")]),
        (["B-A", "I-B"], [(0, 1, "A"), (1, 2, "B")]),
        (["B-A", "E-A", "I-A"], [(0, 2, "A"), (2, 3, "A")]),
        (["S-A", "S-A", "E-A"], [(0, 1, "A"), (1, 2, "A"), (2, 3, "A")]),
        (["U-A", "B-A", "M-A", "L-A"], [(0, 1, "A"), (1, 4, "A")]),
        (["PER", "PER", "O", "LOC"], [(0, 2, "PER"), (3, 4, "LOC")]),
        (["B-WORK-OF-ART", "I-WORK-OF-ART"], [(0, 2, "WORK-OF-ART")]),
        (["X-ray"], [(0, 1, "X-ray")]),
    ],
)
def test_spans_that_tags_mark(tags: list[str], spans: list[Span]) -> None:
    assert spans_of_tags(tags) == spans


def test_a_broken_span_is_none_in_the_strict_reading() -> None:
    assert strict_spans_of_tags(["B-A", "I-A", "O", "S-A", "B-A", "E-B", "E-A"], scheme="BIOES") == [(3, 4, "A")]
    assert strict_spans_of_tags(["I-A", "I-A", "B-A", "I-B"], scheme="BIO") == [(2, 3, "A")]


@settings(deadline=None)
@given(st.lists(st.sampled_from(TAGS["BIO"]), max_size=12))
def test_spans_of_bio_are_those_of_seqeval(tags: list[str]) -> None:
    assert spans_of_tags(tags) == _seqeval(tags)
    assert strict_spans_of_tags(tags, scheme="BIO") == _seqeval(tags, "IOB2")


@settings(deadline=None)
@given(st.lists(st.sampled_from(TAGS["BIOES"]), max_size=12))
def test_spans_of_bioes_are_those_of_seqeval(tags: list[str]) -> None:
    assert spans_of_tags(tags) == _seqeval(tags)
    assert strict_spans_of_tags(tags, scheme="BIOES") == _seqeval(tags, "IOBES")


def _seqeval(tags: list[str], strict: str = "") -> list[Span]:
    if not strict:
        return [(start, stop + 1, label) for label, start, stop in get_entities(tags)]
    found = Reference([tags], {"IOB2": IOB2, "IOBES": IOBES}[strict])
    return [(entity.start, entity.end, entity.tag) for entity in found.entities[0]]


@pytest.mark.parametrize("spans", [[(0, 2, "A"), (1, 3, "A")], [(2, 2, "A")], [(3, 5, "A")], [(-1, 1, "A")]])
def test_spans_that_cannot_be_tagged_are_refused(spans: list[Span]) -> None:
    with pytest.raises(UsageError, match=r"must not overlap and must lie in 0\.\.4"):
        tags_of_spans(spans, 4)


def test_the_first_given_of_spans_that_overlap_stays() -> None:
    rng = np.random.default_rng(0)
    for _ in range(200):
        spans = [(int(a), int(a + b), k) for k, (a, b) in enumerate(zip(rng.integers(0, 30, 8), rng.integers(0, 6, 8)))]
        kept = without_overlaps(spans)
        assert kept == sorted(kept)
        assert all(before[1] <= after[0] for before, after in itertools.pairwise(kept))
        for span in spans:
            in_the_way = [other for other in kept if other[2] < span[2] and other[0] < span[1] and span[0] < other[1]]
            assert (span in kept) == (span[0] < span[1] and not in_the_way)


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("learned", [False, True])
def test_the_best_sequence_is_that_of_trying_all(scheme: str, learned: bool) -> None:
    rng = np.random.default_rng(3)
    names = TAGS[scheme][:5]
    extra = rng.normal(size=(len(names), len(names))) if learned else None
    tags = make_tags(names, scheme, None if extra is None else extra.tolist())
    for _ in range(40):
        n = int(rng.integers(1, 5))
        scores = log_softmax(rng.normal(scale=2, size=(n, len(names))).astype(np.float32))
        ways = list(itertools.product(range(len(names)), repeat=n))
        best = max(ways, key=lambda way: _total(way, scores, tags))
        found = tuple(best_tags(scores, tags).tolist())
        assert _total(found, scores, tags) == pytest.approx(_total(best, scores, tags))
        assert np.isfinite(_total(found, scores, tags))


def _total(way: tuple[int, ...], scores: np.ndarray, tags: object) -> float:
    steps = sum(tags.steps[a, b] for a, b in itertools.pairwise(way))
    return float(tags.first[way[0]] + tags.last[way[-1]] + steps + sum(scores[at, tag] for at, tag in enumerate(way)))


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from(["BIO", "BIOES"]))
def test_what_is_decoded_is_well_formed(seed: int, scheme: str) -> None:
    rng = np.random.default_rng(seed)
    tags = make_tags(TAGS[scheme], scheme)
    scores = log_softmax(rng.normal(scale=3, size=(12, len(tags.names))).astype(np.float32))
    path = [tags.names[at] for at in best_tags(scores, tags).tolist()]
    assert strict_spans_of_tags(path, scheme=scheme) == spans_of_tags(path)
    assert tags_of_spans(spans_of_tags(path), 12, scheme=scheme) == path


def test_no_words_have_no_tags() -> None:
    assert best_tags(np.empty((0, 5)), make_tags(TAGS["BIO"], "BIO")).shape == (0,)


@pytest.mark.parametrize(
    ("names", "scheme"),
    [(TAGS["BIOES"], "BIOES"), (TAGS["BIO"], "IOB1"), (["O", "L-A", "B-A"], "BIOES"), (["A"], "IOB1")],
)
def test_a_scheme_is_seen_in_the_prefixes(names: list[str], scheme: str) -> None:
    assert make_tags(names).scheme == scheme


@pytest.mark.parametrize(
    ("arguments", "kind", "message"),
    [
        (([],), DataError, "tags must be different names, one at least"),
        ((["O", "O"],), DataError, "different names"),
        ((["O", 3],), DataError, "different names"),
        ((["O"], "IOB3"), UnknownNameError, "no scheme of tags is called 'IOB3'. Nearest: IOB1"),
        ((["O", "A"], "IO", [[1.0]]), DataError, r"transitions must be \(2, 2\) finite numbers"),
        ((["O", "A"], "IO", [[1.0, 0], [0, float("nan")]]), DataError, "finite numbers"),
    ],
)
def test_tags_that_make_no_sense_are_refused(arguments: tuple, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        make_tags(*arguments)


def test_a_large_logit_does_not_overflow() -> None:
    found = log_softmax(np.float32([[3e38, -3e38], [0, 0]]))
    with warnings.catch_warnings():
        assert np.exp(found).sum(axis=1).tolist() == [1.0, 1.0]


def test_tags_are_parsed() -> None:
    assert [parse_tag(tag) for tag in ("B-a-b", "W-X", "Q-X", "")] == [
        ("B", "a-b"),
        ("S", "X"),
        ("I", "Q-X"),
        ("O", ""),
    ]
