"""The retriever as LlamaIndex knows one: a ``BaseRetriever`` over an index of ours."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from nlp.retrieval.langchain import metadata
from nlp.retrieval.types import Passage
from shared.lazy import require


def llamaindex_retriever(search: Callable[..., list[Passage]], *, k: int = 5) -> Any:
    """A LlamaIndex retriever.

    Args:
        search: ``index.search``, or ``finder.passages`` of :func:`nlp.qa.ask.open_finder` for re-ranked ones; called
            with a question and ``k``.
        k: passages at most, at least 1.

    Returns:
        A ``llama_index.core.retrievers.BaseRetriever``. Its nodes hold a passage's text with its score, and in their
        metadata ``source``, ``page``, ``heading``, ``start`` and ``end``.

    Raises:
        MissingDependencyError: the extra ``llamaindex`` is not installed.
    """
    base = require("llama_index.core.retrievers", extra="llamaindex").BaseRetriever
    schema = require("llama_index.core.schema", extra="llamaindex")

    class PassageRetriever(base):  # type: ignore[misc,valid-type]  # imported late
        """Passages of an index."""

        def _retrieve(self, query_bundle: Any) -> list[Any]:
            return [
                schema.NodeWithScore(node=schema.TextNode(text=found.text, metadata=metadata(found)), score=found.score)
                for found in search(query_bundle.query_str, k=k)
            ]

    return PassageRetriever()
