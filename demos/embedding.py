"""The pages in other applications: one as a ``gr.Blocks``, or all under a path of one of FastAPI's."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any, TypeAlias

import gradio as gr

from demos.app import JOBS, appearance, build, environment, give_back_memory
from demos.models import Models, declare
from demos.pages import KEPT_SECONDS
from shared.errors import UnknownNameError, UsageError

if TYPE_CHECKING:
    from fastapi import FastAPI


Auth: TypeAlias = tuple[str, str] | Callable[[str, str], bool] | None


def page(name: str, *, models: Models | None = None) -> gr.Blocks:
    """One page, not yet served; no model is opened by it.

    Launch it, or render it inside another ``gr.Blocks``. The look of the pages is ``theme``, ``CSS`` and ``HEAD`` of
    :mod:`demos.theme`, which are given to ``launch``.

    Args:
        name: last part of its address, for example ``"detect"``.
        models: of :func:`demos.models.declare`, so that several pages share what they opened; ``None`` for new ones.

    Raises:
        UnknownNameError: there is no page of that name; the message lists near ones.

    Example:
        >>> import demos
        >>> demos.page("detekt")
        Traceback (most recent call last):
        ...
        shared.errors.UnknownNameError: unknown page 'detekt'
    """
    known = {job.PAGE.path: job for job in JOBS}
    if name not in known:
        raise UnknownNameError("page", name, known)
    job = known[name]
    blocks = gr.Blocks(title=job.PAGE.name, delete_cache=(60, KEPT_SECONDS), analytics_enabled=False)
    with blocks:
        job.build(declare() if models is None else models)
    return blocks


def mount(app: FastAPI, path: str = "/ui", *, auth: Auth = None) -> FastAPI:
    """Put every page under a path of an application; home answers at the path itself.

    Uploads lie in the folder that ``GRADIO_TEMP_DIR`` names, or in one of the system's, and are deleted within a
    quarter of an hour, as long as the application's lifespan runs.

    Args:
        app: the application; it is changed.
        path: begins with a slash and does not end with one.
        auth: user and password that visitors are asked for, or a function that says whether both are right.

    Returns:
        The same application.

    Raises:
        UsageError: ``path`` is malformed.
    """
    if not path.startswith("/") or path.endswith("/"):
        raise UsageError(f'path must begin with a slash and not end with one, as "/ui" does. Got {path!r} instead')
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "SSR mode is not supported")  # it was told not to
        mounted: FastAPI = gr.mount_gradio_app(app, build(), path, auth=auth, **appearance())
    return mounted


def attach(app: FastAPI, path: str, *, auth: Auth = None) -> None:
    """As :func:`mount`, for a process that serves nothing else: uploads lie in a folder that goes when it stops.

    Raises:
        UsageError: ``path`` is malformed.
    """
    give_back_memory()
    kept = ExitStack()
    kept.enter_context(environment(kept.enter_context(tempfile.TemporaryDirectory(prefix="triptych-demo-"))))
    mount(app, path, auth=auth)
    within = app.router.lifespan_context

    @asynccontextmanager
    async def lifespan(served: FastAPI) -> AsyncIterator[Any]:
        with kept:
            async with within(served) as state:
                yield state

    app.router.lifespan_context = lifespan
