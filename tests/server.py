"""A web server on loopback that can break off, forget and lie."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Site:
    """What the server serves. breaks: of how many of the next answers only `bytes_before` bytes
    come; ranges: whether it continues where it is asked to; requests: (path, Range header)."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.tags: dict[str, str] = {}
        self.status: dict[str, int] = {}
        self.declared: dict[str, int] = {}  # lengths other than the true ones
        self.breaks, self.bytes_before, self.ranges = 0, 0, True
        self.requests: list[tuple[str, str | None]] = []
        self.url = ""


@contextmanager
def serving() -> Iterator[Site]:
    site = Site()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked = self.headers.get("Range")
            site.requests.append((self.path, asked))
            content, tag = site.files.get(self.path), site.tags.get(self.path)
            if content is None or self.path in site.status:
                self.send_error(site.status.get(self.path, 404))
                return
            condition = self.headers.get("If-Range")
            start = 0
            if asked and site.ranges and condition in (None, tag):
                start = int(asked.removeprefix("bytes=").removesuffix("-"))
            if start and start >= len(content):
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{len(content)}")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            self.send_response(206 if start else 200)
            if start:
                self.send_header("Content-Range",
                                 f"bytes {start}-{len(content) - 1}/{len(content)}")
            if tag:
                self.send_header("ETag", tag)
            self.send_header("Content-Length",
                             str(site.declared.get(self.path, len(content) - start)))
            self.end_headers()
            body = content[start:]
            if site.breaks:
                site.breaks -= 1
                body = body[:site.bytes_before]
            self.wfile.write(body)

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    site.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield site
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
