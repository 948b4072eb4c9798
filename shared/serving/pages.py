"""The demo pages under a path of the service, for people beside the programs that ask it.

They are another distribution's room, reached by name alone: nothing of them is imported where no path is configured.
Their requests pass no gate: a page has its own queue and its own bound of uploads. Where the service asks for keys,
the pages ask for a name and its key.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from shared.lazy import require
from shared.serving.keys import Keys

if TYPE_CHECKING:
    from fastapi import FastAPI


def add_pages(app: FastAPI, path: str, keys: Keys | None) -> None:
    """Put the pages under a path of an application.

    Args:
        app: the application; it is changed.
        path: for example ``"/ui"``.
        keys: who may come in, each with the key's name for user and the key for password; everybody when ``None``.

    Raises:
        MissingDependencyError: the extra ``demos`` is not installed.
        UsageError: the path is malformed.
    """

    def known(user: str, password: str) -> bool:
        found = None if keys is None else keys.find(password.encode())
        return found is not None and found.name == user

    require("demos.lean", extra="demos").import_gradio()
    require("demos.embedding", extra="demos").attach(app, path, auth=None if keys is None else known)


class Streams:
    """Answers that last as long as a visitor's page is open, and end when the server does."""

    def __init__(self) -> None:
        self._over = asyncio.Event()

    def end(self) -> None:
        """End all of them, and every later one at once."""
        self._over.set()

    async def run(self, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        """Let an application answer one request, until :meth:`end`."""
        open_ended = False

        async def sent(message: Message) -> None:
            nonlocal open_ended
            open_ended = message["type"] == "http.response.start" or bool(message.get("more_body"))
            await send(message)

        answer = asyncio.ensure_future(app(scope, receive, sent))
        over = asyncio.ensure_future(self._over.wait())
        try:
            await asyncio.wait((answer, over), return_when=asyncio.FIRST_COMPLETED)
        finally:
            over.cancel()
            cut = answer.cancel()
        if not cut:
            answer.result()
            return
        await asyncio.wait((answer,))
        if open_ended:
            await send({"type": "http.response.body", "body": b"", "more_body": False})


def under(path: str, ui: str) -> bool:
    """Whether an address is one of the pages.

    Example:
        >>> [under(path, "/ui") for path in ("/ui", "/ui/detect", "/uix", "/")], under("/ui", "")
        ([True, True, False, False], False)
    """
    return bool(ui) and (path == ui or path.startswith(f"{ui}/"))
