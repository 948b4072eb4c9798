"""A running server that is told to open what aliases lead to now: ``POST /v1/models/TASK/VERSION/reload`` of each."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import quote
from urllib.request import Request, urlopen

from shared.errors import DataError, ServiceError, UsageError
from shared.weights.words import masked

SECONDS = 600.0
"""How long a server may take to open a model."""


def follow(url: str, *, task: str, name: str, key: str = "") -> tuple[str, ...]:
    """Have a server of ``triptych serve`` open anew every version of a registered model that it serves by an alias.

    Requests are answered by the old one until the new one is warm; where an alias has not moved nothing is opened.

    Args:
        url: where it answers, ``http(s)://``.
        task: of the model.
        name: of the model in the registry.
        key: an admin key of the server, where it has keys.

    Returns:
        What it serves of the name now, ``registry:NAME/3`` each.

    Raises:
        UsageError: it serves nothing of that name, or has no admin for this key.
        ServiceError: it does not answer, or could not open a version; that one stays what it was.
    """
    rows = _asked(url, "GET", "/v1/models", key)["models"]
    mine = [row for row in rows if row["task"] == task and str(row["source"]).startswith(f"registry:{name}/")]
    if not mine:
        served = ", ".join(sorted({str(row["source"]) for row in rows})) or "nothing"
        raise UsageError(
            f"{masked(url)} must serve registry:{name}@champion or another alias of it. It serves {served}"
        )
    paths = [f"/v1/models/{quote(task)}/{quote(str(row['version']), safe='')}/reload" for row in mine]
    return tuple(str(_asked(url, "POST", path, key)["source"]) for path in paths)


def read_key(path: Path) -> str:
    """The key in a file of one line.

    Raises:
        DataError: there is none.
    """
    try:
        key = path.read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} must be a file with an admin key of the server. {error}") from error
    if not key or len(key.split()) != 1:
        raise DataError(f"{path} must hold one key and nothing else")
    return key


def _asked(url: str, method: str, path: str, key: str) -> dict[str, Any]:
    if not url.startswith(("http://", "https://")):
        raise UsageError(f"a server's address must begin with http:// or https://. Got {masked(url)!r} instead")
    headers = {"x-api-key": key} if key else {}
    request = Request(url.rstrip("/") + path, method=method, headers=headers)  # noqa: S310 - its scheme was checked
    try:
        with urlopen(request, timeout=SECONDS) as answer:  # noqa: S310
            found: dict[str, Any] = json.load(answer)
            return found
    except HTTPError as error:
        said = _message(error)
        if error.code in (401, 403):
            raise UsageError(
                f"{masked(url)} needs a key of an admin, in the file that server_key names. {said}"
            ) from error
        raise ServiceError(f"{masked(url)} refused {method} {path} ({error.code}): {said}", kind="refused") from error
    except (URLError, OSError, ValueError) as error:
        raise ServiceError(f"{masked(url)} must be a server of triptych that answers. It did not: {error}") from error


def _message(error: HTTPError) -> str:
    try:
        return str(json.load(error)["error"]["message"])
    except (OSError, ValueError, KeyError, TypeError):
        return str(error.reason)
