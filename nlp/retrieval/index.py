"""A persistent index of documents: their passages, in words and in vectors, in a folder of two files.

``index.sqlite`` holds the passages and an inverted index of their words (FTS5, ranked by BM25: S. Robertson and H.
Zaragoza, "The probabilistic relevance framework", 2009; English words by their stems), ``vectors.f32`` a vector for
each. :mod:`shared.slots` says what a kill, other processes and dropping do to them: what was reported added stays.
Search by vectors is exact. An index is bound to the encoder and the lengths that it was made with.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from nlp.encoder import DEFAULT_ENCODER, GRAPH, TEXTS_AT_ONCE, Encoder, open_encoder
from nlp.retrieval.adding import Indexed, Prepared, content, failed, plain_path, prepare
from nlp.retrieval.chunks import check_sizes
from nlp.retrieval.search import fused, nearest
from nlp.retrieval.store import PassageStore, open_passages
from nlp.retrieval.types import Passage
from shared.errors import DataError, UnknownNameError, UsageError
from shared.types import Float32
from shared.vectors import similarities

CHUNK_TOKENS, CHUNK_OVERLAP = 200, 40
CANDIDATES = 100
"""Passages of each ranking that are fused."""
WEIGHTS = (1.0, 1.0)
"""Of the ranking by words and the one by meaning."""
WAYS = ("hybrid", "words", "meaning")
_TOGETHER = 256
"""Passages, or files that need none, that are encoded, written and reported together; a document is never parted."""


class Index:
    """Open with :func:`open_index`; close it, or use it as a context. Threads may share it and take turns."""

    def __init__(self, store: PassageStore, *, device: str, threads: int | None) -> None:
        self.folder = store.slots.folder
        self.chunk_tokens, self.chunk_overlap = (
            int(store.slots.facts[name]) for name in ("chunk_tokens", "chunk_overlap")
        )
        self._store, self._device, self._threads = store, device, threads
        self._encoder: Encoder | None = None
        self._turn = threading.RLock()

    def __enter__(self) -> Index:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give both files back."""
        self._store.slots.close()

    def __len__(self) -> int:
        """How many passages it holds."""
        return len(self._store)

    @property
    def encoder(self) -> Encoder:
        """What turns texts into vectors; opened when it is first needed.

        Raises:
            DataError: the model of that name is not the one that the index was made with.
            WeightsError: a file of it cannot be had.
        """
        if self._encoder is None:
            facts = self._store.slots.facts
            found = open_encoder(facts["encoder"], device=self._device, threads=self._threads)
            if _fingerprint(found) != facts["encoder_sha256"]:
                raise DataError(
                    f"the index {self.folder} was made with an encoder {facts['encoder']!r} of sha256 "
                    f"{facts['encoder_sha256']}. The one of that name here has {_fingerprint(found)}: build it anew"
                )
            self._encoder = found
        return self._encoder

    def add(self, files: Iterable[str | Path], *, encoding: str | None = None) -> Iterator[Indexed]:
        """Add documents; each is on the disk before its row is given, and nothing is done before rows are taken.

        A file that is there already with the same content is passed over; one with another content is replaced.

        Args:
            files: paths of files.
            encoding: of text files; ``None`` looks, see :mod:`nlp.retrieval.encodings`.

        Returns:
            A row for each file, in order; one that cannot be used fails alone.

        Raises:
            UsageError: there is no such encoding.
            MissingDependencyError: a kind of document needs a library that is not installed.
        """
        waiting: list[Indexed | Prepared] = []
        for at, file in enumerate(files):
            path = plain_path(file)
            try:
                data, sha256 = content(file)
                known = self._store.held(path, sha256)
                if known:
                    waiting.append(Indexed(path, "unchanged", *known))
                else:
                    size, overlap = self.chunk_tokens, self.chunk_overlap
                    waiting.append(
                        prepare(path, sha256, data, self.encoder, size=size, overlap=overlap, encoding=encoding)
                    )
            except Exception as error:  # noqa: BLE001 - the isolation boundary: a file's fault stays with that file
                waiting.append(failed(path, at, error))
            if sum(len(row.chunks) if isinstance(row, Prepared) else 1 for row in waiting) >= _TOGETHER:
                yield from self._write(waiting)
                waiting = []
        yield from self._write(waiting)

    def _write(self, rows: Sequence[Indexed | Prepared]) -> list[Indexed]:
        """Put the prepared documents on the disk, all in one transaction; the row of each."""
        latest = {row.path: row for row in rows if isinstance(row, Prepared)}
        vectors = {path: self._encoded(row) for path, row in latest.items()}
        replaced: set[str] = set()
        with self._turn:
            if latest:
                with self._store.slots.writing():
                    replaced = {row.path for row in latest.values() if self._store.put(row, vectors[row.path])}
            if replaced:
                self._store.slots.erase(rewrite=False)
        return [self._row(row, replaced) if isinstance(row, Prepared) else row for row in rows]

    @staticmethod
    def _row(row: Prepared, replaced: set[str]) -> Indexed:
        return Indexed(row.path, "replaced" if row.path in replaced else "added", row.pages, len(row.chunks))

    def _encoded(self, row: Prepared) -> Float32:
        parts = range(0, len(row.tokens), TEXTS_AT_ONCE)
        return np.concatenate([self.encoder.vectors(row.tokens[at : at + TEXTS_AT_ONCE]) for at in parts])

    def drop(self, paths: Sequence[str | Path]) -> dict[str, int]:
        """Remove documents; when this returns, no file of the index holds their passages.

        Args:
            paths: of files, there still or not, or of folders for all below them.

        Returns:
            How many passages were removed of each document, by path.

        Raises:
            UnknownNameError: the index holds nothing of a path; then nothing is removed.
        """
        with self._turn:
            known = self.documents()
            wanted: dict[str, None] = {}
            for path in map(plain_path, paths):
                found = [name for name in known if name == path or name.startswith(path.rstrip("/") + "/")]
                if not found:
                    raise UnknownNameError("indexed document", path, known)
                wanted.update(dict.fromkeys(found))
            with self._store.slots.writing():
                gone = {name: self._store.remove(name) for name in wanted}
            if gone:
                self._store.slots.erase()
        return gone

    def documents(self) -> dict[str, dict[str, Any]]:
        """What is known of each document, by its path, in order of the paths."""
        return self._store.documents()

    def info(self) -> dict[str, Any]:
        """What the index is and holds, JSON-ready."""
        facts = {name: self._store.slots.facts[name] for name in ("encoder", "encoder_sha256")}
        lengths = {"chunk_tokens": self.chunk_tokens, "chunk_overlap": self.chunk_overlap}
        size = sum(path.stat().st_size for path in self.folder.iterdir() if path.is_file())
        counts = {"documents": len(self.documents()), "passages": len(self), "bytes": size}
        return {"index": str(self.folder), **facts, **lengths, **counts}

    def search(
        self,
        question: str,
        *,
        k: int = 10,
        way: str = "hybrid",
        candidates: int = CANDIDATES,
        weights: tuple[float, float] = WEIGHTS,
    ) -> list[Passage]:
        """The passages that fit a question best.

        Args:
            question: any text.
            k: passages at most, at least 1.
            way: ``"words"`` ranks by BM25, ``"meaning"`` by the cosine of the vectors, ``"hybrid"`` fuses both by
                reciprocal rank; see :mod:`nlp.retrieval.search`.
            candidates: passages of each ranking that are fused, at least 1.
            weights: of the ranking by words and the one by meaning, at least 0.

        Returns:
            Best first; ``score`` is the fused score, the cosine, or for ``"words"`` 1 / place.

        Raises:
            UsageError: an argument is out of its range.
            UnknownNameError: there is no such way.
            InputError: the question has no token.
        """
        if way not in WAYS:
            raise UnknownNameError("way of search", way, WAYS)
        if k < 1 or candidates < 1 or min(weights) < 0:
            raise UsageError(
                f"k and candidates must be at least 1 and weights at least 0. Got {k}, {candidates}, {weights} instead"
            )
        looked = max(k, candidates)
        vector = None if way == "words" else self._question(question)
        with self._turn, self._store.slots.transaction(), ThreadPoolExecutor(1) as beside:
            known = None if vector is None else self._store.vectors()
            waiting = None if vector is None or known is None else beside.submit(similarities, vector, known)
            by_words = [] if way == "meaning" else self._store.by_words(question, looked)
            products = None if waiting is None else waiting.result()[0]
            by_meaning = [] if products is None else nearest(products, self._store.in_use(), k=looked)
            ranked = fused((by_words, by_meaning), weights if way == "hybrid" else (1.0, 1.0))[:k]
            if way == "meaning" and products is not None:
                ranked = [(slot, float(products[slot])) for slot, _ in ranked]
            elif way == "words":
                ranked = [(slot, 1 / place) for place, (slot, _) in enumerate(ranked, 1)]
            return [self._store.passage(slot, score) for slot, score in ranked]

    def _question(self, question: str) -> Float32:
        prefix = str(self.encoder.card.options.get("query_prefix", ""))
        self.encoder.ids(question)  # refuses what has no token of its own
        return self.encoder.vectors([self.encoder.ids(prefix + question)])


def open_index(
    folder: str | Path,
    *,
    create: bool = False,
    encoder: str | Path | None = None,
    chunk_tokens: int = CHUNK_TOKENS,
    chunk_overlap: int = CHUNK_OVERLAP,
    device: str = "auto",
    threads: int | None = None,
) -> Index:
    """Open an index of documents, or begin one.

    Args:
        folder: where it lies.
        create: make it where there is none, or open one that was made with the same encoder and lengths.
        encoder: with ``create``: catalogue name or model folder of the sentence encoder; ``None`` for the default.
        chunk_tokens: with ``create``: tokens of a passage at most, at least 16.
        chunk_overlap: with ``create``: tokens that neighbouring passages share at most, in 0..chunk_tokens/2.
        device: ``"auto"``, ``"cpu"`` or ``"gpu"``.
        threads: processor threads in all; ``None`` uses every processor of this process.

    Raises:
        DataError: the folder holds something else, an index that was made with other settings, or none.
        UnknownNameError: no encoder is called that.
        UsageError: a length is out of its range.
        WeightsError: a file of the encoder cannot be had.
    """
    facts: dict[str, object] = dict.fromkeys(("encoder", "encoder_sha256", "dimension", "chunk_tokens"))
    opened: Encoder | None = None
    if create:
        check_sizes(chunk_tokens, chunk_overlap)
        named = encoder or DEFAULT_ENCODER
        opened = open_encoder(named, device=device, threads=threads)
        if chunk_tokens > opened.size:
            raise UsageError(f"chunk_tokens must be at most {opened.size} for {opened.card.name}. Got {chunk_tokens}")
        name = opened.card.name if isinstance(named, str) and not Path(named).exists() else str(Path(named).resolve())
        facts = {
            "encoder": name,
            "encoder_sha256": _fingerprint(opened),
            "dimension": opened.dim * len(opened.poolings),
        }
        facts |= {"chunk_tokens": chunk_tokens, "chunk_overlap": chunk_overlap}
    index = Index(open_passages(folder, facts), device=device, threads=threads)
    index._encoder = opened
    return index


def _fingerprint(encoder: Encoder) -> str:
    return str(encoder.card.file(GRAPH).sha256)
