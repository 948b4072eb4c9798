"""Every metric of the table: against its reference on random input, what leaves it as it is, its best value, its range.

A reference is a library's function where one exists that the metric does not itself call, else the definition written
out plainly.
"""

from __future__ import annotations

import string
from collections import Counter
from collections.abc import Callable
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sklearn.metrics as sk
from scipy.sparse import csr_matrix
from seqeval import metrics as seqeval
from test_detection_figures import random_scene
from test_detection_figures import reference as coco

from shared.evaluation.matching import Found, Things
from shared.evaluation.metrics import METRICS, MetricCard, find_metric, markdown, measure

Inputs = tuple[Any, ...]
NAMES = list(METRICS)
LABELS = ["a", "b", "c", "d"]
TAGS = {"a": "LOC", "b": "PER", "c": "ORG"}
K = 10


def sets(rng: np.random.Generator, n: int = 40, labels: int = 5) -> Any:
    table = rng.random((n, labels)) < 0.4
    table[:2] = [[True] * labels, [False] * labels]
    return table


def spans(rng: np.random.Generator, n: int = 20) -> list[set[tuple[int, int, str]]]:
    return [{(s, s + int(rng.integers(1, 3)), str(rng.choice(list(TAGS)))) for s in (0, 3, 6) if rng.random() < 0.7}
            for _ in range(n)]  # fmt: skip


def sentences(rng: np.random.Generator, n: int = 12) -> list[str]:
    return [" ".join(rng.choice(["the", "a", "cat", "dog", "sat", "ran", "far", "here"], 7)) for _ in range(n)]


def rewritten(rng: np.random.Generator, n: int = 12) -> Inputs:
    """References of several lengths, and the same with one word in five left out or replaced."""
    words = ["the", "a", "cat", "dog", "sat", "ran", "far", "here"]
    references = [rng.choice(words, int(rng.integers(6, 12))).tolist() for _ in range(n)]
    others = [[w if rng.random() < 0.8 else str(rng.choice([*words, ""])) for w in own] for own in references]
    return [" ".join(own) for own in references], [" ".join(" ".join(own).split()) for own in others]


def edited(rng: np.random.Generator, n: int = 12) -> Inputs:
    """References of words that stand once, and the same with words left out, put in and replaced by new ones.

    No stretch of a reference stands anywhere else in it, so shifts cannot help and plain edits are all that TER counts.
    """
    references, written = [], []
    for at in range(n):
        words = [f"w{at}x{i}" for i in range(int(rng.integers(5, 12)))]
        references.append(" ".join(words))
        fates = rng.choice(["keep", "drop", "swap", "more"], len(words), p=[0.7, 0.1, 0.1, 0.1])
        parts = {"keep": "{0}", "drop": "", "swap": "new{0}", "more": "{0} new{0}"}
        written.append(" ".join(" ".join(parts[f].format(w) for f, w in zip(fates, words)).split()))
    return references, written


def lists(rng: np.random.Generator, n: int = 15, items: int = 25) -> Any:
    return np.array([rng.permutation(items)[:8] for _ in range(n)])


def beyond(name: str, rng: np.random.Generator) -> Inputs:
    codes, counts, history = lists(rng), rng.integers(1, 30, 25), csr_matrix((rng.random((15, 25)) < 0.3) * 1.0)
    more = {
        "coverage": (),
        "novelty": (counts,),
        "popularity": (counts,),
        "popularity_lift": (history, counts),
        "diversity": (rng.normal(size=(25, 4)),),
        "serendipity": (rng.random((15, 8)) < 0.5, lists(rng)),
        "miscalibration": (history, rng.random((25, 3))),
    }
    return (rng.integers(0, 9, 25),) if name == "gini" else (codes, *more[name])


OPTIONS = {
    "pixels": {"classes": 4},
    "rankings": {"k": K},
    "graded rankings": {"k": K},
    "coverage": {"items": 25},
    "novelty": {"users": 40},
    "tar_at_far": {"far": 0.1},
    "top_k": {"k": 2},
    "pinball": {"quantile": 0.8},
}

RANDOM: dict[str, Callable[[np.random.Generator], Inputs]] = {
    "labels": lambda r: (list(r.choice(LABELS, 60)), list(r.choice(LABELS, 60))),
    "ranked labels": lambda r: (list(r.choice(LABELS, 60)), [list(r.permutation(LABELS)) for _ in range(60)]),
    "confidence": lambda r: (r.random(80) < 0.6, r.random(80)),
    "probabilities": lambda r: (r.integers(0, 4, 50), r.dirichlet(np.ones(4), 50)),
    "scores": lambda r: (r.random(60) < 0.4, r.integers(0, 30, 60) / 30),
    "label tables": lambda r: (sets(r), sets(r)),
    "label scores": lambda r: (sets(r), r.integers(0, 30, (40, 5)) / 30),
    "numbers": lambda r: (r.uniform(1, 5, 50), r.uniform(1, 5, 50)),
    "groups": lambda r: (list(r.choice(LABELS, 50)), list(r.choice(["v", "w", "x", "y", "z"], 50))),
    "points": lambda r: (r.normal(size=(30, 3)), list(r.choice(LABELS, 30))),
    "boxes": lambda r: random_scene(int(r.integers(99)), images=12),
    "pixels": lambda r: (r.integers(0, 4, 300), r.integers(0, 4, 300)),
    "pairs": lambda r: (r.random(80) < 0.5, r.permutation(80) / 80),
    "spans": lambda r: (spans(r), spans(r)),
    "written text": rewritten,
    "answers": lambda r: ([[s, s[:9]] for s in sentences(r)], sentences(r)[:6] + ["The cat!"] * 6),
    "no answer": lambda r: (r.integers(0, 20, 60) / 20, r.random(60) < 0.4),
    "rankings": lambda r: ([set(r.permutation(25)[:6].tolist()) for _ in range(15)], lists(r).tolist()),
    "graded rankings": lambda r: (
        [dict(zip(r.permutation(25)[:6].tolist(), r.integers(1, 5, 6).tolist())) for _ in range(15)],
        lists(r).tolist(),
    ),
    "whole rankings": lambda r: (
        [set(r.permutation(25)[:6].tolist()) for _ in range(15)],
        [r.permutation(25).tolist() for _ in range(15)],
    ),
}


def case(card: MetricCard, seed: int = 0) -> tuple[Inputs, dict[str, Any]]:
    rng = np.random.default_rng(seed)
    if card.kind == "lists beyond accuracy":
        inputs = beyond(card.name, rng)
    else:
        inputs = edited(rng) if card.name == "ter" else RANDOM[card.kind](rng)
    return inputs, OPTIONS.get(card.name, OPTIONS.get(card.kind, {}))


def at(values: Any, order: Any) -> Any:
    return [values[i] for i in order] if isinstance(values, list) else values[order]


# what each metric must equal -----------------------------------------------------------------------------------------


def binned(right: Any, sure: Any, edges: Any) -> Any:
    """Share of items and gap of each bin (low, high]."""
    inside = [(sure > low) & (sure <= high) for low, high in zip([-1, *edges[1:-1]], [*edges[1:-1], 2])]
    return np.array([(i.mean(), abs(right[i].mean() - sure[i].mean())) for i in inside if i.any()])


def chance(table: Any) -> float:
    return float((table.sum(0) * table.sum(1)).sum() / table.sum() ** 2)


def kappa(t: Any, p: Any) -> float:
    table = sk.confusion_matrix(t, p)
    return float((np.trace(table) / table.sum() - chance(table)) / (1 - chance(table)))


def matthews(t: Any, p: Any) -> float:
    """The correlation of the two one-hot tables (J. Gorodkin 2004)."""
    x, y = (np.array([[v == label for label in LABELS] for v in side]) * 1.0 for side in (t, p))
    x, y = x - x.mean(0), y - y.mean(0)
    return float((x * y).sum() / np.sqrt((x * x).sum() * (y * y).sum()))


def pair_counts(t: Any, p: Any) -> tuple[int, int, int, int]:
    both = [(t[i] == t[j], p[i] == p[j]) for i, j in combinations(range(len(t)), 2)]
    return tuple(both.count(kind) for kind in ((True, True), (True, False), (False, True), (False, False)))  # type: ignore[return-value]


def adjusted_rand(t: Any, p: Any) -> float:
    a, b, c, d = pair_counts(t, p)
    return 2 * (a * d - b * c) / ((a + b) * (b + d) + (a + c) * (c + d))


def entropy(values: list[Any]) -> float:
    shares = np.unique(np.array([str(v) for v in values]), return_counts=True)[1] / len(values)
    return float(-(shares * np.log(shares)).sum())


def homogeneity(t: Any, p: Any) -> float:
    return 1 - (entropy(list(zip(t, p))) - entropy(p)) / entropy(t)


def harmonic(a: float, b: float) -> float:
    return 2 * a * b / (a + b)


def v_measure(t: Any, p: Any) -> float:
    return harmonic(homogeneity(t, p), homogeneity(p, t))


def adjusted_information(t: Any, p: Any) -> float:
    """Chance by 4,000 shuffles in place of the closed form: equal within their error."""
    rng, h = np.random.default_rng(1), (entropy(t) + entropy(p)) / 2
    codes = np.unique(t, return_inverse=True)[1], np.unique(p, return_inverse=True)[1]

    def information(x: Any, y: Any) -> float:
        joint = np.bincount(x * 5 + y, minlength=25)
        shares = joint[joint > 0] / len(x)
        return float(entropy(t) + entropy(p) + (shares * np.log(shares)).sum())

    mean = np.mean([information(codes[0], rng.permutation(codes[1])) for _ in range(4000)])
    return float((information(*codes) - mean) / (h - mean))


def bcubed(t: Any, p: Any) -> float:
    shares = [np.mean([t[j] == t[i] for j in range(len(t)) if p[j] == p[i]]) for i in range(len(t))]
    return float(np.mean(shares))


def silhouette(x: Any, c: Any) -> float:
    far, c = np.linalg.norm(x[:, None] - x[None], axis=2), np.array(c)
    found = []
    for i in range(len(x)):
        own = far[i, (c == c[i]) & (np.arange(len(x)) != i)].mean()
        other = min(far[i, c == label].mean() for label in set(c.tolist()) - {c[i]})
        found.append((other - own) / max(own, other))
    return float(np.mean(found))


def tagged(side: Any) -> list[list[str]]:
    rows = [["O"] * 9 for _ in side]
    for row, item in zip(rows, side):
        for start, stop, label in item:
            row[start:stop] = [f"B-{TAGS[label]}", *[f"I-{TAGS[label]}"] * (stop - start - 1)]
    return rows


def grams(tokens: Any, n: int) -> Counter[Any]:
    return Counter(tuple(tokens[i : i + n]) for i in range(len(tokens) - n + 1))


def bleu(references: list[str], written: list[str]) -> float:
    """Papineni et al. 2002: brevity penalty times the geometric mean of four clipped precisions.

    The i-th precision without a match counts as half as much as the one before would: 1 / (2^i * total).
    """
    pairs = [(h.split(), r.split()) for h, r in zip(written, references)]
    logs, missed = [], 0
    for n in (1, 2, 3, 4):
        right = sum((grams(h, n) & grams(r, n)).total() for h, r in pairs)
        total = sum(grams(h, n).total() for h, _ in pairs)
        missed += right == 0
        logs.append(np.log(right / total if right else 1 / (2**missed * total)))
    long, wanted = (sum(len(pair[at]) for pair in pairs) for at in (0, 1))
    return float(100 * min(1.0, np.exp(1 - wanted / long)) * np.exp(np.mean(logs)))


def chrf(references: list[str], written: list[str]) -> float:
    """Popović 2015: F2 of the mean precision and recall of character n-grams up to six, blanks left out."""
    pairs = [(h.replace(" ", ""), r.replace(" ", "")) for h, r in zip(written, references)]
    shares = []
    for n in range(1, 7):
        right = sum((grams(h, n) & grams(r, n)).total() for h, r in pairs)
        shares.append([right / sum(grams(pair[at], n).total() for pair in pairs) for at in (0, 1)])
    precision, recall = np.mean(shares, axis=0)
    return float(100 * 5 * precision * recall / (4 * precision + recall))


def edits(a: list[str], b: list[str]) -> int:
    """The least number of words to put in, leave out or replace (V. Levenshtein 1966)."""
    row = list(range(len(b) + 1))
    for i, one in enumerate(a, 1):
        before, row = row, [i]
        for j, other in enumerate(b, 1):
            row.append(min(row[-1] + 1, before[j] + 1, before[j - 1] + (one != other)))
    return row[-1]


def ter(references: list[str], written: list[str]) -> float:
    pairs = [(h.split(), r.split()) for h, r in zip(written, references)]
    return 100 * sum(edits(h, r) for h, r in pairs) / sum(len(r) for _, r in pairs)


def answer_words(text: str) -> list[str]:
    """SQuAD's normal form: small letters, no punctuation, no article."""
    plain = "".join(letter for letter in text.lower() if letter not in string.punctuation)
    return [word for word in plain.split() if word not in ("a", "an", "the")]


def exact_match(golds: list[list[str]], given: list[str]) -> float:
    return float(np.mean([any(answer_words(g) == answer_words(p) for g in own) for own, p in zip(golds, given)]))


def token_f1(golds: list[list[str]], given: list[str]) -> float:
    def one(gold: list[str], own: list[str]) -> float:
        shared = (Counter(gold) & Counter(own)).total()
        return harmonic(shared / len(own), shared / len(gold)) if shared else 0.0

    best = [max(one(answer_words(g), answer_words(p)) for g in own) for own, p in zip(golds, given)]
    return float(np.mean(best))


def swept(same: Any, alike: Any) -> Any:
    far, tar, _ = sk.roc_curve(same, alike, drop_intermediate=False)
    return far, tar


def eer(same: Any, alike: Any) -> float:
    far, tar = swept(same, alike)
    fine = np.linspace(0, 1, 100_001)
    return float(fine[np.argmin(np.abs(np.interp(fine, far + 1e-12 * np.arange(len(far)), tar) - (1 - fine)))])


def label_order(t: Any, s: Any, *, loss: bool) -> float:
    found = []
    for true, given in zip(t, s):
        if true.all() or not true.any():
            found.append(float(not loss))
        elif loss:
            found.append(float(np.mean(given[true][:, None] <= given[~true][None])))
        else:
            found.append(float(np.mean([(given[true] >= v).sum() / (given >= v).sum() for v in given[true]])))
    return float(np.mean(found))


def over_users(one: Callable[[Any, list[bool]], float]) -> Callable[..., float]:
    """The mean over users of a function of how many are relevant and of which places hit."""
    return lambda truth, ranked: float(np.mean([one(len(t), [i in t for i in r[:K]]) for t, r in zip(truth, ranked)]))


def dcg(gains: Any) -> float:
    return float(sum(gain / np.log2(place + 2) for place, gain in enumerate(gains)))


def graded(truth: Any, ranked: Any) -> float:
    found = [dcg([t.get(i, 0) for i in r[:K]]) / dcg(sorted(t.values())[::-1][:K]) for t, r in zip(truth, ranked)]
    return float(np.mean(found))


def cosine_far(codes: Any, features: Any) -> float:
    far = 1 - sk.pairwise.cosine_similarity(features)
    return float(np.mean([np.mean([far[i, j] for i, j in combinations(row, 2)]) for row in codes]))


def popularity_lift(codes: Any, history: Any, counts: Any) -> float:
    own = [counts[row > 0].mean() for row in history.toarray()]
    return float(np.mean([counts[row].mean() / mean - 1 for row, mean in zip(codes, own)]))


def miscalibration(codes: Any, history: Any, genres: Any) -> float:
    genres, found = genres / genres.sum(1, keepdims=True), []
    for row, past in zip(codes, history.toarray()):
        p, q = genres[past > 0].mean(0), genres[row].mean(0)
        found.append((p * np.log(p / (0.99 * q + 0.01 * p))).sum())
    return float(np.mean(found))


def gini(x: Any) -> float:
    return float(np.abs(x[:, None] - x[None]).mean() / (2 * x.mean()))


def averaged(function: Any, average: str, **options: Any) -> Callable[..., float]:
    return lambda t, p: float(function(t, p, average=average, **options))


REFERENCES: dict[str, Callable[..., float]] = {
    "accuracy": sk.accuracy_score,
    "balanced_accuracy": sk.balanced_accuracy_score,
    "macro_f1": averaged(sk.f1_score, "macro"),
    "kappa": kappa,
    "matthews": matthews,
    "top_k": lambda t, r: float(np.mean([label in given[:2] for label, given in zip(t, r)])),
    "ece": lambda r, s: float(np.prod(binned(r, s, np.linspace(0, 1, 16)), axis=1).sum()),
    "mce": lambda r, s: float(binned(r, s, np.linspace(0, 1, 16))[:, 1].max()),
    "ace": lambda r, s: float(np.prod(binned(r, s, np.quantile(s, np.linspace(0, 1, 16))), axis=1).sum()),
    "log_loss": lambda t, p: sk.log_loss(t, p, labels=range(4)),
    "brier": lambda t, p: float(((p - np.eye(4)[t]) ** 2).sum(1).mean()),
    "roc_auc": sk.roc_auc_score,
    "average_precision": sk.average_precision_score,
    "subset_accuracy": sk.accuracy_score,
    "hamming": sk.hamming_loss,
    "micro_f1": averaged(sk.f1_score, "micro"),
    "labels_f1": averaged(sk.f1_score, "macro"),
    "samples_f1": averaged(sk.f1_score, "samples", zero_division=1.0),
    "micro_jaccard": averaged(sk.jaccard_score, "micro"),
    "macro_jaccard": averaged(sk.jaccard_score, "macro"),
    "samples_jaccard": averaged(sk.jaccard_score, "samples", zero_division=1.0),
    "macro_roc_auc": averaged(sk.roc_auc_score, "macro"),
    "macro_average_precision": averaged(sk.average_precision_score, "macro"),
    "label_ranking": lambda t, s: label_order(t, s, loss=False),
    "label_ranking_loss": lambda t, s: label_order(t, s, loss=True),
    "rmse": sk.root_mean_squared_error,
    "mae": sk.mean_absolute_error,
    "r2": sk.r2_score,
    "explained_variance": lambda t, p: float(1 - np.var(t - p) / np.var(t)),
    "mape": lambda t, p: float(np.mean(np.abs(t - p) / np.abs(t))),
    "smape": lambda t, p: float(np.mean([abs(a - b) / ((a + b) / 2) for a, b in zip(t, p)])),
    "median_absolute": lambda t, p: float(np.median(np.abs(t - p))),
    "pinball": lambda t, p: float(np.mean(np.maximum(0.8 * (t - p), -0.2 * (t - p)))),
    "adjusted_rand": adjusted_rand,
    "nmi": v_measure,
    "ami": adjusted_information,
    "homogeneity": homogeneity,
    "completeness": lambda t, p: homogeneity(p, t),
    "v_measure": v_measure,
    "bcubed_precision": bcubed,
    "bcubed_recall": lambda t, p: bcubed(p, t),
    "bcubed_f1": lambda t, p: harmonic(bcubed(t, p), bcubed(p, t)),
    "pairwise_f1": lambda t, p: 2 * (c := pair_counts(t, p))[0] / (2 * c[0] + c[1] + c[2]),
    "silhouette": silhouette,
    "miou": averaged(sk.jaccard_score, "macro"),
    "dice": averaged(sk.f1_score, "macro"),
    "pixel_accuracy": sk.accuracy_score,
    "auc": sk.roc_auc_score,
    "eer": eer,
    "tar_at_far": lambda t, s: float(swept(t, s)[1][swept(t, s)[0] <= 0.1].max()),
    "span_precision": lambda t, p: seqeval.precision_score(tagged(t), tagged(p)),
    "span_recall": lambda t, p: seqeval.recall_score(tagged(t), tagged(p)),
    "span_f1": lambda t, p: seqeval.f1_score(tagged(t), tagged(p)),
    "span_macro_f1": lambda t, p: seqeval.f1_score(tagged(t), tagged(p), average="macro"),
    "bleu": bleu,
    "chrf": chrf,
    "ter": ter,
    "exact_match": exact_match,
    "token_f1": token_f1,
    "no_answer_auc": lambda s, t: sk.roc_auc_score(t, s),
    "precision@k": over_users(lambda n, hits: sum(hits) / K),
    "recall@k": over_users(lambda n, hits: sum(hits) / n),
    "f1@k": over_users(lambda n, hits: harmonic(sum(hits) / K, sum(hits) / n) if any(hits) else 0.0),
    "hit@k": over_users(lambda n, hits: float(any(hits))),
    "mrr@k": over_users(lambda n, hits: 1 / (hits.index(True) + 1) if any(hits) else 0.0),
    "map@k": over_users(lambda n, hits: sum(sum(hits[: i + 1]) / (i + 1) for i, hit in enumerate(hits) if hit) / n),
    "ndcg@k": over_users(lambda n, hits: dcg(hits) / dcg([1] * min(n, K))),
    "rbp@k": over_users(lambda n, hits: 0.15 * sum(0.85**i for i, hit in enumerate(hits) if hit)),
    "graded_ndcg@k": graded,
    "user_auc": lambda t, r: float(
        np.mean([sk.roc_auc_score([i in own for i in row], -np.arange(len(row))) for own, row in zip(t, r)])
    ),
    "coverage": lambda codes: len(set(codes.ravel().tolist())) / 25,
    "gini": gini,
    "novelty": lambda codes, counts: float(-np.log2(counts[codes] / 40).mean()),
    "popularity": lambda codes, counts: float(counts[codes].mean()),
    "popularity_lift": popularity_lift,
    "diversity": cosine_far,
    "serendipity": lambda codes, useful, plain: float(
        np.mean([[u and i not in p for i, u in zip(*row)] for *row, p in zip(codes, useful, plain.tolist())])
    ),
    "miscalibration": miscalibration,
}


def test_every_metric_has_a_reference() -> None:
    boxes = {name for name, card in METRICS.items() if card.kind == "boxes"}
    assert set(REFERENCES) | boxes == set(METRICS)


@pytest.mark.parametrize("name", list(REFERENCES))
@pytest.mark.parametrize("seed", [0, 1])
def test_equals_its_reference_on_random_input(name: str, seed: int) -> None:
    inputs, options = case(METRICS[name], seed)
    near = {"ami": 5e-3, "eer": 1e-4}.get(name, 1e-9)  # the references of these two are approximations themselves
    assert measure(name, *inputs, **options) == pytest.approx(REFERENCES[name](*inputs), abs=near)


def test_detection_equals_coco() -> None:
    scene = random_scene(5, images=12)
    for name, value in coco(*scene).items():
        assert measure(name, *scene) == pytest.approx(value, abs=1e-9), name


def test_answers_have_the_worked_values() -> None:
    answers, given = [["the Rhine"], ["a b c"], []], ["Rhine!", "b c d", ""]
    assert measure("exact_match", answers, given) == pytest.approx(2 / 3)
    assert measure("token_f1", answers, given) == pytest.approx((1 + 0.8 + 1) / 3)  # "a" is an article: 2 x 2 / 5


# what leaves a metric as it is ---------------------------------------------------------------------------------------


def distinct(card: MetricCard, inputs: Inputs) -> Inputs:
    """Boxes with scores of their own: between equal ones the earlier image counts first, by COCO's rule."""
    if card.kind != "boxes":
        return inputs
    rng = np.random.default_rng(3)
    return inputs[0], [Found(p.boxes, p.class_ids, rng.random(len(p.scores))) for p in inputs[1]]


@pytest.mark.parametrize("name", NAMES)
def test_the_order_of_items_does_not_count(name: str) -> None:
    card = METRICS[name]
    inputs, options = case(card)
    inputs = distinct(card, inputs)
    order = np.random.default_rng(7).permutation(len(inputs[0]))
    by_user = len(order)  # of catalogue figures only what has a row a user turns; 15 users, 25 items
    turned = [at(values, order) if len_of(values) == by_user else values for values in inputs]
    assert measure(name, *turned, **options) == pytest.approx(measure(name, *inputs, **options), abs=1e-9)


def len_of(values: Any) -> int:
    return int(values.shape[0]) if hasattr(values, "shape") else len(values)


def renamed(card: MetricCard, inputs: Inputs) -> Inputs:
    """Labels or ids changed one to one, both sides alike but for groups, whose two sides have names of their own."""
    one, *rest = inputs
    two = rest[0] if rest else None
    new = {"a": "q", "b": "m", "c": "z", "d": "e"}
    turn = np.random.default_rng(9).permutation({"pixels": 4, "probabilities": 4}.get(card.kind, 25))
    back = np.argsort(turn)
    match card.kind:
        case "labels":
            return [new[v] for v in one], [new[v] for v in two]
        case "ranked labels":
            return [new[v] for v in one], [[new[v] for v in row] for row in two]
        case "groups":
            return [new[v] for v in one], [{"v": 4, "w": 0, "x": 9, "y": 2, "z": 1}[v] for v in two]
        case "points":
            return one, [new[v] for v in two]
        case "probabilities":
            return turn[one], two[:, back]
        case "pixels":
            return turn[one], turn[two]
        case "label tables" | "label scores":
            return one[:, ::-1], two[:, ::-1]
        case "spans":
            return tuple([{(s, e, new[c]) for s, e, c in item} for item in side] for side in (one, two))
        case "boxes":
            return (
                [Things(t.boxes, 20 - t.class_ids, t.areas, t.crowd) for t in one],
                [Found(p.boxes, 20 - p.class_ids, p.scores) for p in two],
            )
        case "graded rankings":
            return [{f"i{turn[i]}": g for i, g in own.items()} for own in one], [
                [f"i{turn[i]}" for i in r] for r in two
            ]
        case "rankings" | "whole rankings":
            return [{f"i{turn[i]}" for i in own} for own in one], [[f"i{turn[i]}" for i in row] for row in two]
    codes = one[back] if card.name == "gini" else turn[one]
    by_item = [v[:, back] if len_of(v) == 15 and v.shape[1] == 25 else v[back] if len_of(v) == 25 else v for v in rest]
    return codes, *(turn[v] if card.name == "serendipity" and v.dtype != np.bool_ else v for v in by_item)


@pytest.mark.parametrize("name", [name for name, card in METRICS.items() if "names" in card.keeps])
def test_names_do_not_count(name: str) -> None:
    inputs, options = case(METRICS[name])
    wanted = measure(name, *inputs, **options)
    assert measure(name, *renamed(METRICS[name], inputs), **options) == pytest.approx(wanted, abs=1e-9)


@pytest.mark.parametrize("name", [name for name, card in METRICS.items() if "monotone" in card.keeps])
def test_only_the_order_of_scores_counts(name: str) -> None:
    inputs, options = case(METRICS[name])
    if METRICS[name].kind == "boxes":
        risen = inputs[0], [Found(p.boxes, p.class_ids, p.scores**3) for p in inputs[1]]
    elif METRICS[name].kind == "no answer":
        risen = np.exp(3 * inputs[0]), inputs[1]
    else:
        risen = inputs[0], np.exp(3 * inputs[1])
    assert measure(name, *risen, **options) == pytest.approx(measure(name, *inputs, **options), abs=1e-9)


SYMMETRIC = {
    *("accuracy", "macro_f1", "kappa", "matthews"),
    *("subset_accuracy", "hamming", "micro_f1", "labels_f1", "samples_f1"),
    *("micro_jaccard", "macro_jaccard", "samples_jaccard"),
    *("rmse", "mae", "smape", "median_absolute"),
    *("adjusted_rand", "nmi", "ami", "v_measure", "bcubed_f1", "pairwise_f1"),
    *("miou", "dice", "pixel_accuracy", "span_f1", "span_macro_f1"),
}
"""What cannot tell the truth from the prediction."""
TWO_ALIKE = {"labels", "label tables", "numbers", "groups", "pixels", "spans", "written text"}


@pytest.mark.parametrize("name", [name for name, card in METRICS.items() if card.kind in TWO_ALIKE])
def test_truth_and_prediction_change_places_only_where_they_are_alike(name: str) -> None:
    inputs, options = case(METRICS[name])
    if METRICS[name].kind == "labels":
        inputs = inputs[0], ["a" if v == "b" else v for v in inputs[1]]  # a label less, so that the sides differ
    value, turned = measure(name, *inputs, **options), measure(name, *reversed(inputs), **options)
    assert (turned == pytest.approx(value, abs=1e-9)) == (name in SYMMETRIC)


ONCE_ONLY = {
    "adjusted_rand": "an item and its double are a pair that both sides join",
    "pairwise_f1": "so they are here",
    "ami": "what chance gives falls as items grow",
    "silhouette": "its double is nearer to an item than all others",
}
"""Why figures change when every item comes twice."""


@pytest.mark.parametrize("name", [name for name in NAMES if METRICS[name].kind != "boxes"])
def test_every_item_twice_is_the_same_figure(name: str) -> None:
    inputs, options = case(METRICS[name])
    n = len_of(inputs[0])
    twice = [at(values, np.tile(np.arange(n), 2)) if len_of(values) == n else values for values in inputs]
    same = measure(name, *twice, **options) == pytest.approx(measure(name, *inputs, **options), abs=1e-9)
    assert same == (name not in ONCE_ONLY)


def changed(inputs: Inputs, change: Callable[[Any], Any]) -> Inputs:
    def one(values: Any) -> Any:
        if isinstance(values, np.ndarray):
            return change(values)
        return [{i: change(g) for i, g in v.items()} if isinstance(v, dict) else v for v in values]

    return tuple(one(values) for values in inputs)


@pytest.mark.parametrize(
    ("name", "keep"), [(n, k) for n, c in METRICS.items() for k in c.keeps if k in {"scale", "shift", "proportional"}]
)
def test_scale_and_shift_do_what_the_table_says(name: str, keep: str) -> None:
    inputs, options = case(METRICS[name])
    wanted = measure(name, *inputs, **options) * (3 if keep == "proportional" else 1)
    other = changed(inputs, (lambda v: v + 2.5) if keep == "shift" else (lambda v: 3 * v))
    assert measure(name, *other, **options) == pytest.approx(wanted, abs=1e-9)


# the best value and the range ----------------------------------------------------------------------------------------


def perfect(card: MetricCard, inputs: Inputs) -> Inputs | None:
    """Input with nothing wrong; ``None`` for figures that have no truth."""
    one, *rest = inputs
    match card.kind:
        case "labels" | "label tables" | "numbers" | "groups" | "pixels" | "spans" | "written text":
            return one, one
        case "ranked labels":
            return one, [[label] for label in one]
        case "confidence":
            return one, one * 1.0
        case "probabilities":
            return one, np.eye(4)[one]
        case "scores" | "label scores" | "pairs":
            return one, one * 1.0
        case "no answer":
            return rest[0] * 1.0, rest[0]
        case "answers":
            return one, [own[0] for own in one]
        case "boxes":
            few = [Things(t.boxes, np.arange(len(t.class_ids)) + 1, t.areas, t.crowd & False) for t in one]
            return few, [Found(t.boxes, t.class_ids, np.ones(len(t.class_ids))) for t in few]
        case "rankings":
            full = [set(range(u, u + K)) for u in range(15)]
            return full, [sorted(own) for own in full]
        case "graded rankings":
            return one, [sorted(own, key=own.get, reverse=True) for own in one]
        case "whole rankings":
            return one, [sorted(range(25), key=lambda i, own=own: i not in own) for own in one]
    return None


BELOW_ONE = {"rbp@k"}
"""With ten relevant ids on top it is 1 - 0.85^10: its greatest value takes endlessly many."""


@pytest.mark.parametrize("name", NAMES)
def test_perfect_input_has_the_best_value_and_other_input_lies_in_the_range(name: str) -> None:
    card = METRICS[name]
    inputs, options = case(card)
    value = measure(name, *inputs, **options)
    assert card.low <= value <= card.high
    best = perfect(card, inputs)
    if best is None:
        assert card.kind in {"points", "lists beyond accuracy"}
        return
    reached = measure(name, *best, **options)
    wanted = 1 - 0.85**K if name in BELOW_ONE else card.high if card.better == "higher" else card.low
    assert reached == pytest.approx(wanted, abs=1e-9)
    assert abs(value - wanted) > 1e-3, "the random input must not be as good"


# the table itself ----------------------------------------------------------------------------------------------------


def test_the_page_holds_the_table() -> None:
    page = (Path(__file__).parents[2] / "docs" / "evaluation-metrics.md").read_text(encoding="utf-8")
    assert markdown() in page, "write shared.evaluation.metrics.markdown() into docs/evaluation-metrics.md"


@pytest.mark.parametrize("name", NAMES)
def test_a_card_is_whole(name: str) -> None:
    card = find_metric(name)
    assert card.low < card.high
    assert card.inputs
    assert card.source
    assert card.function.__doc__
    suffix = card.function.__name__.rsplit("_", 1)[1]
    assert suffix in {"score", "scores", "error", "loss", "lift"}
    assert (card.better == "lower") == (suffix in {"error", "loss"})
