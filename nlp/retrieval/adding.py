"""A file on its way into an index: read, cut and tokenised; or why it cannot be."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from nlp.encoder import Encoder
from nlp.retrieval.chunks import Chunk, chunks
from nlp.retrieval.documents import SUFFIXES, Document, read_bytes, read_document
from shared.batch.sources import files_below, files_matching
from shared.errors import InputError, MissingDependencyError, UsageError
from shared.types import Failure, Int64


@dataclass(frozen=True)
class Indexed:
    """What became of a file.

    Attributes:
        path: the file, as the index names it.
        status: ``"added"``; ``"replaced"`` where its content had changed; ``"unchanged"``; ``"failed"``, which leaves
            in the index whatever it held of that file.
        pages: of the document; 0 where it has none.
        passages: how many the index holds of it now.
        failure: why it failed, else ``None``.
    """

    path: str
    status: Literal["added", "replaced", "unchanged", "failed"]
    pages: int = 0
    passages: int = 0
    failure: Failure | None = None

    def to_json(self) -> dict[str, Any]:
        """One JSON-ready object, as ``triptych index add`` prints it."""
        if self.failure is not None:
            error = {"kind": self.failure.kind, "message": self.failure.message}
            return {"input": self.path, "ok": False, "error": error}
        facts = {"status": self.status, "pages": self.pages, "passages": self.passages}
        return {"input": self.path, "ok": True, **facts}


@dataclass(frozen=True)
class Prepared:
    """A document that is ready to be encoded.

    Attributes:
        path: as the index names it.
        sha256: of the file.
        document: what was read.
        chunks: its passages.
        tokens: what the encoder reads of each.
    """

    path: str
    sha256: str
    document: Document
    chunks: tuple[Chunk, ...]
    tokens: tuple[Int64, ...]

    @property
    def pages(self) -> int:
        """How many pages the document has; 0 where it has none."""
        return len(self.document.pages) if self.document.pages[0].number is not None else 0


def plain_path(path: str | Path) -> str:
    r"""A file's whole path as text that any database holds: a byte that is no text stands as ``\udcXX``."""
    return os.path.abspath(path).encode("utf-8", "backslashreplace").decode("utf-8")


def expand_documents(given: Sequence[str | Path]) -> Iterator[str]:
    """The files that paths, folders and globs stand for: of a folder those whose names end as documents' do.

    Raises:
        UsageError: a folder has no documents, or a glob matches nothing.
    """
    for item in map(str, given):
        if os.path.isdir(item):
            yield from files_below(item, frozenset(SUFFIXES))
        elif os.path.lexists(item) or not any(letter in item for letter in "*?["):
            yield item
        else:
            yield from files_matching(item)


def prepare(
    path: str, sha256: str, data: bytes, encoder: Encoder, *, size: int, overlap: int, encoding: str | None
) -> Prepared:
    """Read, cut and tokenise a document.

    Raises:
        InputError: it cannot be used; see :func:`nlp.retrieval.documents.read_document`.
        UsageError: there is no such encoding.
    """
    document = read_document(path, data=data, encoding=encoding)
    cut = tuple(chunks(document, encoder.tokenizer, size=size, overlap=overlap))
    if not cut:
        raise InputError("empty", "a document must hold words. It holds only characters that the tokeniser drops")
    return Prepared(path, sha256, document, cut, tuple(encoder.ids(chunk.shown) for chunk in cut))


def content(path: str | Path) -> tuple[bytes, str]:
    """A file's bytes and their sha256.

    Raises:
        InputError: there is no such file, or it is too large.
    """
    data = read_bytes(Path(path))
    return data, hashlib.sha256(data).hexdigest()


def failed(path: str, index: int, error: Exception) -> Indexed:
    """The row of a file that cannot be used; what is no fault of the file is raised again."""
    if isinstance(error, UsageError | MissingDependencyError):
        raise error
    kind = error.kind if isinstance(error, InputError) else type(error).__name__
    return Indexed(path, "failed", failure=Failure(index, kind, str(error) or kind))
