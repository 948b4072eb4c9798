"""A small HTTP server that speaks the chat protocol, and misbehaves when asked to."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Chat(BaseHTTPRequestHandler):
    """Answers with ``server.reply`` in pieces; ``server.way`` says how it misbehaves."""

    protocol_version = "HTTP/1.1"
    server: Any

    def do_GET(self) -> None:
        self.server.seen.append(("GET", self.path, None, dict(self.headers)))
        if self.server.way == "no models":
            self.plain(200, {"data": []})
        else:
            self.plain(200, {"object": "list", "data": [{"id": "tiny-model", "object": "model"}]})

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.seen.append(("POST", self.path, asked, dict(self.headers)))
        way = self.server.way
        if way == "unauthorised":
            self.plain(401, {"error": {"message": "bad key"}})
        elif way == "broken":
            self.plain(500, {"error": {"message": "out of memory"}})
        elif way == "elsewhere":
            self.send_response(307)
            self.send_header("Location", "http://127.0.0.1:1/v1/chat/completions")
            self.send_header("Content-Length", "0")
            self.end_headers()
        elif way == "nowhere":
            self.plain(404, {"detail": "not found"})
        elif way == "whole":
            message = {"role": "assistant", "content": self.server.reply}
            self.plain(200, {"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]})
        elif way == "silent":
            time.sleep(30)
        else:
            self.stream()

    def stream(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream; charset=utf-8")
        self.send_header("Connection", "close")
        self.end_headers()
        self.event({"choices": [{"index": 0, "delta": {"role": "assistant"}}]})
        self.wfile.write(b": a comment that keeps the line open\n\n")
        for at in range(0, len(self.server.reply), 7):
            self.event({"choices": [{"index": 0, "delta": {"content": self.server.reply[at : at + 7]}}]})
            if self.server.way == "breaks off":
                return
        if self.server.way == "rubbish":
            self.wfile.write(b"data: {not json\n\n")
        self.event({"choices": [], "usage": {"total_tokens": 9}})
        self.wfile.write(b"data: [DONE]\n\n")
        self.close_connection = True

    def event(self, data: Any) -> None:
        self.wfile.write(f"data: {json.dumps(data)}\n\n".encode())
        self.wfile.flush()

    def plain(self, status: int, body: Any) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def chat_server(reply: str = "", *, way: str = "") -> Iterator[Any]:
    """Serve until the block ends; ``address`` is its base, ``seen`` the requests that came."""
    server: Any = ThreadingHTTPServer(("127.0.0.1", 0), Chat)
    server.daemon_threads, server.reply, server.way, server.seen = True, reply, way, []
    server.address = f"http://127.0.0.1:{server.server_address[1]}/v1"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
