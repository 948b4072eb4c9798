"""``hf:owner/repo@revision/path``: a file of the Hugging Face hub, or of the mirror that ``HF_ENDPOINT`` names.

The hub's documented address layout and metadata come through ``huggingface_hub``; the bytes come through our own
resumable download. ``HF_TOKEN`` travels to the hub alone: a redirect to another host goes without it.
"""

from __future__ import annotations

import hashlib
import os
import re
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import get_hf_file_metadata, get_token, hf_hub_url
from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled

from shared.catalogue import SOURCES, ModelFile
from shared.errors import HashMismatchError, SourceError
from shared.weights import http
from shared.weights.words import masked

_METADATA_SECONDS = 5.0
_MAX_FILE = 64 << 30


@dataclass(frozen=True)
class Stated:
    """What the hub says of a file at a pinned commit.

    Attributes:
        etag: 64 hex digits are the content's sha256 (a large file); 40 are its git blob id.
        size: length in bytes, where said.
    """

    etag: str
    size: int | None


def fetch(source: str, file: ModelFile, staging: Path, *, progress: bool) -> None:
    """Leave the file's bytes at ``staging``; a file without a known hash is checked against what the hub states.

    Raises:
        SourceError: the hub does not answer, refuses, or does not state what the file must be.
        HashMismatchError: the bytes are not those that the hub states. They were deleted.
    """
    asked = SOURCES["hf"].fullmatch(source)
    if asked is None:
        raise SourceError(f"{source} must be hf:owner/repo@revision/path")
    endpoint = os.environ.get("HF_ENDPOINT") or None
    url = hf_hub_url(asked["repo"], asked["path"], revision=asked["revision"], endpoint=endpoint)
    http.check_scheme(url)
    token = get_token()
    stated = None if file.sha256 else _stated(url, asked["revision"], token, endpoint)
    size = stated.size if stated else file.size
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    limit = size or _MAX_FILE
    with http.new_client() as client:
        http.download(client, url, staging, what=file.name, limit=limit, size=size, headers=headers, progress=progress)
    if stated and not _is(staging, stated.etag):
        staging.unlink()
        raise HashMismatchError(f"the bytes are not those that the hub states ({stated.etag}). They were deleted")


def _stated(url: str, revision: str, token: str | None, endpoint: str | None) -> Stated:
    with http.answering(url):
        try:
            found = get_hf_file_metadata(url, token=token or False, timeout=_METADATA_SECONDS, endpoint=endpoint)
        except OfflineModeIsEnabled as error:
            raise SourceError("HF_HUB_OFFLINE is set, so the hub was not asked") from error
        except HfHubHTTPError as error:
            http.check_status(error.response)
            raise SourceError(f"{masked(url)} gave no metadata ({type(error).__name__})") from error
    if found.commit_hash != revision:
        raise SourceError(f"the hub answered for commit {found.commit_hash} where {revision} was asked for")
    if not found.etag or not re.fullmatch(r"[0-9a-f]{40}|[0-9a-f]{64}", found.etag):
        raise SourceError(f"the hub states no hash of this file. Its etag is {found.etag!r}")
    return Stated(found.etag, found.size)


def _is(path: Path, etag: str) -> bool:
    digest = hashlib.sha256() if len(etag) == 64 else hashlib.sha1(usedforsecurity=False)
    if len(etag) == 40:
        digest.update(b"blob %d\x00" % path.stat().st_size)
    with path.open("rb") as stream:
        while piece := stream.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest() == etag
