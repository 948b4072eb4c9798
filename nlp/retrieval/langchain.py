"""The retriever as LangChain knows one: a ``BaseRetriever`` over an index of ours."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from nlp.retrieval.types import Passage
from shared.lazy import require


def langchain_retriever(search: Callable[..., list[Passage]], *, k: int = 5) -> Any:
    """A LangChain retriever.

    Args:
        search: ``index.search``, or ``finder.passages`` of :func:`nlp.qa.ask.open_finder` for re-ranked ones; called
            with a question and ``k``.
        k: passages at most, at least 1.

    Returns:
        A ``langchain_core.retrievers.BaseRetriever``. Its documents hold a passage's text, and in their metadata
        ``source``, ``page``, ``heading``, ``start``, ``end`` and ``score``.

    Raises:
        MissingDependencyError: the extra ``langchain`` is not installed.
    """
    base = require("langchain_core.retrievers", extra="langchain").BaseRetriever
    document = require("langchain_core.documents", extra="langchain").Document

    class PassageRetriever(base):  # type: ignore[misc,valid-type]  # imported late
        """Passages of an index."""

        def _get_relevant_documents(self, query: str, *, run_manager: Any) -> list[Any]:
            return [document(page_content=found.text, metadata=metadata(found)) for found in search(query, k=k)]

    return PassageRetriever()


def metadata(passage: Passage) -> dict[str, str | int | float | None]:
    """Where a passage stands, as plain values."""
    place = {"source": passage.path, "page": passage.page, "heading": passage.heading}
    return {**place, "start": passage.start, "end": passage.end, "score": passage.score}
