"""A model's answers to entities: a word's tag is that of its first token, and the best allowed sequence is taken."""

from __future__ import annotations

import numpy as np

from nlp.ner.prepare import Prepared
from nlp.ner.tags import Tags, best_tags, log_softmax
from nlp.spans import parse_tag, spans_of_tags
from nlp.types import Entities, Entity
from shared.types import Float32, Float64


def decode(logits: Float32, item: Prepared, tags: Tags) -> Entities:
    """The entities of one text.

    An entity's score is the geometric mean, over its words, of the probability that the word has its label, whatever
    the prefix. A word without a token (control characters alone, say) never begins or ends one.

    Args:
        logits: of each token, shape (n, tags), float32.
        item: what the graph read.
        tags: the model's tags.
    """
    words, first = np.unique(item.owners, return_index=True)
    if len(words) and words[0] < 0:
        words, first = words[1:], first[1:]
    scores = log_softmax(logits[first])
    path = best_tags(scores, tags)
    spans = item.words.spans[words]
    labels = _label_scores(scores, tags)
    found = []
    for start, stop, label in spans_of_tags([tags.names[at] for at in path.tolist()]):
        left, right = int(spans[start, 0]), int(spans[stop - 1, 1])
        score = float(np.exp(labels[label][start:stop].mean()))
        found.append(Entity(item.words.text[left:right], label, left, right, min(score, 1.0)))
    return Entities(tuple(found))


def _label_scores(scores: Float64, tags: Tags) -> dict[str, Float64]:
    """The log-probability of each label at each word, shape (n,): over all its prefixes."""
    chances = np.exp(scores)
    columns: dict[str, list[int]] = {}
    for at, name in enumerate(tags.names):
        columns.setdefault(parse_tag(name)[1], []).append(at)
    least = np.finfo(np.float64).tiny
    return {label: np.log(np.maximum(chances[:, at].sum(axis=1), least)) for label, at in columns.items() if label}
