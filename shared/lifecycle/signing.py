"""Ed25519 signatures (RFC 8032) over canonical JSON, and the key that makes them."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from shared.errors import DataError, UsageError
from shared.lazy import require
from shared.lifecycle.commits import commit, sync_folder
from shared.lifecycle.hashing import canonical

EXTRA = "lifecycle"


def signed(content: Mapping[str, Any], key: Any) -> bytes:
    """The content as JSON with its signature in it.

    Raises:
        UsageError: it is no JSON, or holds NaN.
    """
    try:
        signature = key.sign(canonical(content))
    except (TypeError, ValueError) as error:
        raise UsageError(f"a decision must be JSON-ready, without NaN. {error}") from error
    whole = {**content, "signature": base64.b64encode(signature).decode("ascii")}
    return (json.dumps(whole, indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode()


def holds(content: Mapping[str, Any], key: Any) -> bool:
    """Whether the signature in a content is of this public key and of the rest of it."""
    invalid = require("cryptography.exceptions", extra=EXTRA).InvalidSignature
    bare = {name: value for name, value in content.items() if name != "signature"}
    try:
        key.verify(base64.b64decode(str(content.get("signature")), validate=True), canonical(bare))
    except (invalid, ValueError):
        return False
    return True


def signing_key(path: Path) -> Any:
    """The private key; made now, readable by its owner alone, where there is none.

    Raises:
        UsageError: others may read it.
        DataError: it is none, or cannot be written.
        MissingDependencyError: the extra is not installed.
    """
    ed25519 = require("cryptography.hazmat.primitives.asymmetric.ed25519", extra=EXTRA)
    forms = require("cryptography.hazmat.primitives.serialization", extra=EXTRA)
    if not path.exists():
        made = ed25519.Ed25519PrivateKey.generate()
        private = made.private_bytes(forms.Encoding.PEM, forms.PrivateFormat.PKCS8, forms.NoEncryption())
        _keep(path, private)
    if os.name == "posix" and path.stat().st_mode & 0o077:
        raise UsageError(f"{path} must be readable by its owner alone, for whoever reads it can sign: chmod 600 {path}")
    try:
        key = forms.load_pem_private_key(path.read_bytes(), password=None)
    except (OSError, ValueError, TypeError) as error:
        raise DataError(f"{path} must be a private key in PEM. {error}") from error
    if not isinstance(key, ed25519.Ed25519PrivateKey):
        raise DataError(f"{path} must be an Ed25519 key. Got a {type(key).__name__}")
    public = path.with_suffix(".pub")
    if not public.exists():
        commit(public, key.public_key().public_bytes(forms.Encoding.PEM, forms.PublicFormat.SubjectPublicKeyInfo))
    return key


def _keep(path: Path, private: bytes) -> None:
    """Write the key where none is; of two processes that come at once the first one's stays."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with open(handle, "wb") as file:
            file.write(private)
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileExistsError):
            os.link(temporary, path)
        sync_folder(path.parent)
    except OSError as error:
        raise DataError(f"{path} could not be written: {error.strerror}. Mend this, then go on") from error
    finally:
        temporary.unlink(missing_ok=True)


def verifying_key(path: Path) -> Any:
    """The key to verify by.

    Raises:
        DataError: it is none.
        MissingDependencyError: the extra is not installed.
    """
    forms = require("cryptography.hazmat.primitives.serialization", extra=EXTRA)
    try:
        key = forms.load_pem_public_key(path.read_bytes())
    except (OSError, ValueError) as error:
        raise DataError(f"{path} must be the public key that records are verified by. {error}") from error
    if not hasattr(key, "verify"):
        raise DataError(f"{path} must be an Ed25519 key. Got a {type(key).__name__}")
    return key
