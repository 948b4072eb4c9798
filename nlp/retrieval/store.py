"""The two files of an index of documents: documents, their passages, the words and the vectors of those."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from nlp.retrieval.adding import Prepared
from nlp.retrieval.types import Passage
from nlp.retrieval.words import full_text_query
from shared.slots import Kind, SlotStore, open_store
from shared.types import Float32, Int64

_HEADING_WEIGHT = 2.0
"""A word of the heading counts as so many of the text."""
_KIND = Kind(
    name="index",
    table="chunks",
    schema="""
CREATE TABLE IF NOT EXISTS documents (id INTEGER PRIMARY KEY, path TEXT NOT NULL UNIQUE, sha256 TEXT NOT NULL,
  kind TEXT NOT NULL, title TEXT NOT NULL, encoding TEXT NOT NULL, pages INTEGER NOT NULL, passages INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS chunks (slot INTEGER PRIMARY KEY, document INTEGER NOT NULL, page INTEGER,
  heading TEXT NOT NULL, start INTEGER NOT NULL, stop INTEGER NOT NULL, text TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS by_document ON chunks (document);
CREATE VIRTUAL TABLE IF NOT EXISTS words USING fts5 (heading, text, content='chunks', content_rowid='slot',
  tokenize='porter unicode61 remove_diacritics 2');
CREATE TRIGGER IF NOT EXISTS chunk_came AFTER INSERT ON chunks BEGIN
  INSERT INTO words (rowid, heading, text) VALUES (new.slot, new.heading, new.text); END;
CREATE TRIGGER IF NOT EXISTS chunk_went AFTER DELETE ON chunks BEGIN
  INSERT INTO words (words, rowid, heading, text) VALUES ('delete', old.slot, old.heading, old.text); END;
""",
    begin="build it first (triptych index build)",
    rebound="Passages of two encoders or lengths cannot be compared: open it without naming them, or build another",
    tidy="INSERT INTO words (words) VALUES ('optimize')",
)
_BY_WORDS = "SELECT rowid FROM words WHERE words MATCH ? ORDER BY bm25(words, ?, 1.0), rowid LIMIT ?"
_PASSAGE = """SELECT path, page, heading, text, start, stop FROM chunks JOIN documents ON documents.id = document
  WHERE slot = ?"""
_NEW_DOCUMENT = """INSERT INTO documents (path, sha256, kind, title, encoding, pages, passages)
  VALUES (?, ?, ?, ?, ?, ?, ?) RETURNING id"""
_FORMAT = "1"
_FACTS = ("sha256", "kind", "title", "encoding", "pages", "passages")


class PassageStore:
    """Passages by slot. Open with :func:`open_passages`; see :class:`shared.slots.SlotStore` for transactions."""

    def __init__(self, slots: SlotStore) -> None:
        self.slots = slots
        self._alive: tuple[tuple[int, int], Int64] = ((-1, -1), np.empty(0, np.int64))

    def __len__(self) -> int:
        return int(self.slots.execute("SELECT count(*) FROM chunks")[0][0])

    def held(self, path: str, sha256: str) -> tuple[int, int] | None:
        """Pages and passages of a document, where it is there with that very content."""
        rows = self.slots.execute("SELECT pages, passages FROM documents WHERE path = ? AND sha256 = ?", (path, sha256))
        return (int(rows[0][0]), int(rows[0][1])) if rows else None

    def put(self, row: Prepared, vectors: Float32) -> bool:
        """Write a document, in the place of what was held of that file before; whether something was."""
        slots = self.slots.put(vectors)
        replaced = self.remove(row.path) > 0
        facts = (row.path, row.sha256, row.document.kind, row.document.title, row.document.encoding)
        number = self.slots.execute(_NEW_DOCUMENT, (*facts, row.pages, len(row.chunks)))[0][0]
        self.slots.many(
            "INSERT INTO chunks VALUES (?, ?, ?, ?, ?, ?, ?)",
            ((slot, number, c.page, c.heading, c.start, c.end, c.text) for slot, c in zip(slots, row.chunks)),
        )
        return replaced

    def remove(self, path: str) -> int:
        """Take a document out; how many passages it had. Their space is wiped by the next ``slots.erase()``."""
        found = self.slots.execute(
            "SELECT slot FROM chunks JOIN documents ON documents.id = document WHERE path = ?", (path,)
        )
        if found:
            self.slots.free([slot for (slot,) in found])
            self.slots.execute("DELETE FROM documents WHERE path = ?", (path,))
        return len(found)

    def documents(self) -> dict[str, dict[str, Any]]:
        """What is known of each document, by its path, in order of the paths."""
        rows = self.slots.execute(f"SELECT path, {', '.join(_FACTS)} FROM documents ORDER BY path")  # noqa: S608
        return {path: dict(zip(_FACTS, facts)) for path, *facts in rows}

    def by_words(self, question: str, count: int) -> list[int]:
        """Slots of the passages that fit the question's words best, best first."""
        query = full_text_query(question)
        rows = self.slots.execute(_BY_WORDS, (query, _HEADING_WEIGHT, count)) if query else []
        return [slot for (slot,) in rows]

    def vectors(self) -> Float32:
        """The vector of each slot, shape (slots, dimension), spare ones too."""
        return self.slots.vectors.read(self.slots.slots())

    def in_use(self) -> Int64:
        """The slots that hold passages, rising."""
        version = self.slots.version()
        if version != self._alive[0]:
            slots = [slot for (slot,) in self.slots.execute("SELECT slot FROM chunks ORDER BY slot")]
            self._alive = (version, np.array(slots, np.int64))
        return self._alive[1]

    def passage(self, slot: int, score: float) -> Passage:
        """What a slot holds."""
        path, page, heading, text, start, stop = self.slots.execute(_PASSAGE, (slot,))[0]
        return Passage(path, page, heading, text, start, stop, score)


def open_passages(folder: str | Path, facts: Mapping[str, object]) -> PassageStore:
    """Open or begin a store; see :func:`shared.slots.open_store`."""
    return PassageStore(open_store(folder, _KIND, {"format": _FORMAT, **facts}))
