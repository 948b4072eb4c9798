"""Every family of models that a folder can hold, by name: the algorithms, and what needs more than interactions."""

from __future__ import annotations

from recsys.collaborative.algorithms import ALGORITHMS
from recsys.content.ease import EaseContent
from recsys.content.model import Content
from recsys.content.tfidf import TfidfContent
from recsys.hybrid.blend import Blend
from recsys.hybrid.rerank import Reranked
from recsys.model import Recommender
from recsys.sequential.gru4rec import Gru4Rec
from recsys.sequential.markov import Markov
from recsys.sequential.sasrec import Sasrec
from recsys.sequential.session_knn import SessionKnn
from shared.errors import UnknownNameError

BEYOND: tuple[type[Recommender], ...] = (
    Blend,
    Content,
    EaseContent,
    Gru4Rec,
    Markov,
    Reranked,
    Sasrec,
    SessionKnn,
    TfidfContent,
)
"""Families that are no row of :data:`~recsys.collaborative.algorithms.ALGORITHMS`, because they need items' content,
other models or the order of the interactions beside them."""


def find_family(name: str) -> type[Recommender]:
    """The class of a family.

    Raises:
        UnknownNameError: no family is called that.
    """
    known = {key: row.model for key, row in ALGORITHMS.items()} | {model.family: model for model in BEYOND}
    if name not in known:
        raise UnknownNameError("algorithm", name, known)
    return known[name]
