"""A server on loopback that repeats what it is sent, in every way that servers do."""

from __future__ import annotations

import base64
import html
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import quote, unquote
from xml.sax.saxutils import escape

CUT = 12


@dataclass
class Echo:
    """A running server.

    Attributes:
        port: Its port on 127.0.0.1.
        elsewhere: Where the mode "redirect" leads.
        content: Files that are served as they are, by the end of the path.
        is_well: Whether they are; else they are answered as all else.
        requests: Path and headers of every request.
    """

    port: int = 0
    elsewhere: str = "http://127.0.0.2:9"
    content: dict[str, bytes] = field(default_factory=dict)
    is_well: bool = True
    requests: list[tuple[str, dict[str, str]]] = field(default_factory=list)


def _said(handler: BaseHTTPRequestHandler) -> list[str]:
    """Return what a request said: its line and headers; a login in base64 also decoded."""
    said = [handler.path, unquote(handler.path), quote(handler.path)]
    for name, value in handler.headers.items():
        said.append(f"{name}: {value}")
        scheme, _, coded = value.partition(" ")
        if scheme.lower() == "basic":
            said.append(base64.b64decode(coded).decode("latin-1"))
    return said


def _values(handler: BaseHTTPRequestHandler) -> list[str]:
    own = ("host", "accept", "user-agent", "range", "connection", "accept-encoding")
    found = [v for k, v in handler.headers.items() if k.lower() not in own]
    found += [part.partition("=")[2] for part in handler.path.partition("?")[2].split("&")]
    return [unquote(value).rpartition(" ")[2] for value in found if value]


def _text(handler: BaseHTTPRequestHandler) -> tuple[int, str, str]:
    return 403, "text/plain", "\n".join(["you sent", *_said(handler)])


def _xml(handler: BaseHTTPRequestHandler) -> tuple[int, str, str]:
    access, token = (
        handler.headers.get("Authorization", ""),
        handler.headers.get("x-amz-security-token", ""),
    )
    said = escape("\n".join(_said(handler)))
    return (
        400,
        "application/xml",
        "<?xml version='1.0'?><Error><Code>ExpiredToken</Code>"
        f"<Message>The provided token {escape(token)} has expired: {said}</Message>"
        f"<AWSAccessKeyId>{escape(access)}</AWSAccessKeyId><Token-0>{escape(token)}</Token-0>"
        f"<StringToSign>{said}</StringToSign></Error>",
    )


def _json(handler: BaseHTTPRequestHandler) -> tuple[int, str, str]:
    said = {"description": "; ".join(_said(handler)), "sent": dict(handler.headers.items())}
    text = json.dumps(said).replace("/", "\\/").replace("&", "\\u0026")
    return 401, "application/json", text


def _html(handler: BaseHTTPRequestHandler) -> tuple[int, str, str]:
    said = "<br>".join(html.escape(line) for line in _said(handler))
    return 404, "text/html", f"<html><title>{said}</title><body>{said}</body></html>"


def _wrong_type(handler: BaseHTTPRequestHandler) -> tuple[int, str, str]:
    return 200, "image/tiff", "\n".join(_said(handler))


def _cut(handler: BaseHTTPRequestHandler) -> tuple[int, str, str]:
    return 403, "text/plain", "no key like " + ", ".join(v[:CUT] + "..." for v in _values(handler))


def _coded(handler: BaseHTTPRequestHandler) -> tuple[int, str, str]:
    said = "\n".join(_said(handler)).encode()
    texts = [base64.b64encode(b"x" * n + said).decode() for n in range(3)]
    return 403, "text/plain", " ".join([*texts, said.hex()])


WAYS: dict[str, Callable[[BaseHTTPRequestHandler], tuple[int, str, str]]] = {
    "text": _text,
    "xml": _xml,
    "json": _json,
    "html": _html,
    "wrong-type": _wrong_type,
    "cut": _cut,
    "coded": _coded,
    "redirect": _text,
    "reason": _text,
    "chunked": _text,
}
"""How a request is answered, by the first folder of its path."""


@contextmanager
def serve_echo() -> Iterator[Echo]:
    """Serve on a free port of 127.0.0.1."""
    state = Echo()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            state.requests.append((self.path, dict(self.headers.items())))
            path = self.path.removeprefix(f"http://127.0.0.1:{state.port}")
            found = next(
                (c for e, c in state.content.items() if path.split("?")[0].endswith(e)), b""
            )
            if found and state.is_well:
                self._send_part(found)
                return
            way = path.strip("/").partition("/")[0]
            status, kind, text = WAYS.get(way, _text)(self)
            body = text.encode("utf-8", "replace")
            if way == "redirect":
                self.send_response(302)
                self.send_header("Location", f"{state.elsewhere}/?said={quote(text)}")
            elif way == "reason":
                self.send_response(status, " ".join(text.split())[:2000])
            else:
                self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("X-Said", quote(text)[:4000])
            if way == "chunked":
                self.send_header("Transfer-Encoding", "chunked")
                body = (
                    b"".join(
                        b"%x\r\n%s\r\n" % (len(body[i : i + 50]), body[i : i + 50])
                        for i in range(0, len(body), 50)
                    )
                    + b"0\r\n\r\n"
                )
            else:
                self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        def _send_part(self, content: bytes) -> None:
            start, end = 0, len(content) - 1
            asked = self.headers.get("Range", "").removeprefix("bytes=")
            if asked:
                first, _, last = asked.partition("-")
                start, end = int(first), min(int(last or end), end)
            self.send_response(206 if asked else 200)
            if asked:
                self.send_header("Content-Range", f"bytes {start}-{end}/{len(content)}")
            self.send_header("Content-Length", str(end - start + 1))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(content[start : end + 1])

        do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = answer

        def do_CONNECT(self) -> None:
            state.requests.append((self.path, dict(self.headers.items())))
            self.send_response(407, " ".join(" ".join(_said(self)).split()))
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    state.port = server.server_port
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
