"""Servers on this machine that stand in for a publisher, a hub and a package index, with every way to misbehave."""

from __future__ import annotations

import hashlib
import io
import re
import socket
import sys
import tarfile
import threading
import time
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def noise(size: int, seed: int = 0) -> bytes:
    """Bytes that do not compress, the same for the same seed."""
    return hashlib.shake_128(bytes([seed])).digest(size)


@dataclass
class Page:
    """What is served under one path.

    Attributes:
        body: the content.
        ranges: whether parts are served.
        etag: sent as ``ETag`` where not empty.
        headers: further headers.
        status: status of a whole answer.
        drop_after: bytes after which a longer answer is cut off, once for each entry.
        range_status: status of an answer to a range request, where ranges are refused.
        pause: seconds between pieces of 16 KiB.
        claim: a ``Content-Length`` other than the true one.
    """

    body: bytes = b""
    ranges: bool = True
    etag: str = '"v1"'
    headers: Mapping[str, str] = field(default_factory=dict)
    status: int = 200
    drop_after: list[int] = field(default_factory=list)
    pause: float = 0.0
    claim: int | None = None
    range_status: int = 0


@dataclass
class Asked:
    """One request that came."""

    method: str
    path: str
    headers: Message


class _Server(ThreadingHTTPServer):
    """One that says nothing of clients which hang up, as tests of time-outs and kills do."""

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class StandIn:
    """A web server whose pages are a plain mapping; ``asked`` records every request."""

    def __init__(self) -> None:
        self.pages: dict[str, Page] = {}
        self.asked: list[Asked] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                outer._answer(self, with_body=True)

            def do_HEAD(self) -> None:
                outer._answer(self, with_body=False)

            def log_message(self, *args: object) -> None:
                pass

        self._server = _Server(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.host = f"127.0.0.1:{self._server.server_address[1]}"
        self.url = f"http://{self.host}"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def ranges(self, path: str) -> list[str]:
        """The ``Range`` headers of the GET requests for a path; empty text where one had none."""
        return [a.headers.get("Range", "") for a in self.asked if a.path == path and a.method == "GET"]

    def _answer(self, handler: BaseHTTPRequestHandler, *, with_body: bool) -> None:
        self.asked.append(Asked(handler.command, handler.path, handler.headers))
        page = self.pages.get(handler.path.partition("?")[0], Page(b"nothing here", status=404))
        status, body, headers = page.status, page.body, dict(page.headers)
        wanted = re.fullmatch(r"bytes=(\d*)-(\d*)", handler.headers.get("Range", ""))
        same = handler.headers.get("If-Range", page.etag) == page.etag
        if page.range_status and wanted:
            status, body = page.range_status, b""
        elif page.ranges and page.status == 200 and wanted and same:
            first = int(wanted[1]) if wanted[1] else max(0, len(body) - int(wanted[2]))
            last = min(len(body) - 1, int(wanted[2])) if wanted[1] and wanted[2] else len(body) - 1
            if first >= len(body):
                status, headers["Content-Range"], body = 416, f"bytes */{len(body)}", b""
            else:
                status, headers["Content-Range"] = 206, f"bytes {first}-{last}/{len(body)}"
                body = body[first : last + 1]
        handler.send_response(status)
        headers |= {"ETag": page.etag} if page.etag else {}
        if "Transfer-Encoding" not in headers:
            headers["Content-Length"] = str(len(body) if page.claim is None else page.claim)
        for name, value in headers.items():
            handler.send_header(name, value)
        handler.end_headers()
        if with_body:
            self._send(handler, page, body)

    @staticmethod
    def _send(handler: BaseHTTPRequestHandler, page: Page, body: bytes) -> None:
        cut = page.drop_after.pop(0) if page.drop_after and page.drop_after[0] < len(body) else None
        if cut is not None:
            body = body[:cut]
        try:
            for start in range(0, len(body), 1 << 14):
                handler.wfile.write(body[start : start + (1 << 14)])
                if page.pause:
                    handler.wfile.flush()
                    time.sleep(page.pause)
        except (BrokenPipeError, ConnectionResetError):
            handler.close_connection = True
        if cut is not None:
            handler.close_connection = True
            with suppress(OSError):
                handler.connection.shutdown(socket.SHUT_RDWR)


@contextmanager
def standing_in() -> Iterator[StandIn]:
    server = StandIn()
    try:
        yield server
    finally:
        server.close()


@contextmanager
def mute_port(came: list[object] | None = None) -> Iterator[str]:
    """An address where connections are taken and never answered; ``came`` has them once the block ends."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(8)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        listener.setblocking(False)
        with suppress(BlockingIOError):
            while came is not None:
                connection, address = listener.accept()
                connection.close()
                came.append(address)


_HELD: list[socket.socket] = []


def closed_port() -> str:
    """An address where nothing listens, held so that nobody else takes it meanwhile."""
    _HELD.append(socket.socket())
    _HELD[-1].bind(("127.0.0.1", 0))
    return f"http://127.0.0.1:{_HELD[-1].getsockname()[1]}"


def wheel(members: Mapping[str, bytes], *, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """A zip of these members, in order."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return out.getvalue()


def sdist(members: Mapping[str, bytes | tarfile.TarInfo]) -> bytes:
    """A gzipped tar of these members, in order; a ``TarInfo`` goes in as it stands, with no content."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        for name, content in members.items():
            if isinstance(content, tarfile.TarInfo):
                archive.addfile(content)
            else:
                entry = tarfile.TarInfo(name)
                entry.size = len(content)
                archive.addfile(entry, io.BytesIO(content))
    return out.getvalue()


def serve_index(server: StandIn, dist: str, files: Mapping[str, Page]) -> str:
    """Put a project with these files on a simple index; returns the index's address."""
    links = "".join(f'<a href="/files/{name}">{name}</a>\n' for name in files)
    html = f"<!DOCTYPE html><html><body>{links}</body></html>".encode()
    server.pages[f"/simple/{dist}/"] = Page(html, headers={"Content-Type": "text/html"}, etag="")
    server.pages |= {f"/files/{name}": page for name, page in files.items()}
    return f"{server.url}/simple"


def row(name: str, content: bytes | None, *sources: str, file: str = "model.bin", **changes: object) -> str:
    """A catalogue row of one file in TOML; without content the hash and size are left out."""
    facts = {} if content is None else {"size": len(content), "sha256": f'"{sha256(content)}"'}
    lines = "".join(f"{key} = {value}\n" for key, value in (facts | changes).items())
    listed = ", ".join(f'"{source}"' for source in sources)
    return f"""
[models.{name}]
task = "test.weights"
family = "any"
backend = "fake"
licence = "Apache-2.0"
summary = "stands in for a model in tests"
[[models.{name}.files]]
name = "{file}"
{lines}sources = [{listed}]
"""


def write_rows(home: Path, *rows: str) -> None:
    (home / "models.toml").write_text("".join(rows), "utf-8")
