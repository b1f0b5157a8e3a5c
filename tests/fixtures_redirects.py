"""Servers on loopback addresses that lead elsewhere: /to/ADDRESS IN HEXADECIMAL/NAME."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@dataclass
class Redirecting:
    """A running server.

    Attributes:
        url: Its address.
        port: Its port.
        hub: Where requests as to the hub of models are led.
        requests: Path and headers of every request.
    """

    url: str
    port: int
    hub: str = ""
    requests: list[tuple[str, dict[str, str]]] = field(default_factory=list)

    def to(self, address: str, root: str = "") -> str:
        """Return an address of this server that leads to another one."""
        name = address.rpartition("/")[2]
        return f"{root or self.url}/to/{address.encode().hex()}/{name}"


class _Server6(ThreadingHTTPServer):
    address_family = socket.AF_INET6


@contextmanager
def serve_redirects(content: bytes) -> Iterator[Callable[[str], Redirecting]]:
    """Yield what starts a server on an address; each serves the content under any other path."""
    running: list[ThreadingHTTPServer] = []

    def start(host: str) -> Redirecting:
        state = Redirecting("", 0)

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def end_headers(self) -> None:
                # As servers do that are asked to close (RFC 9112, 9.6): a client would send the
                # next request by a connection that is about to end.
                if self.close_connection:
                    self.send_header("Connection", "close")
                super().end_headers()

            def answer(self) -> None:
                state.requests.append((self.path, dict(self.headers.items())))
                path = self.path.partition("?")[0]
                if state.hub and "/resolve/" in path:
                    self._lead(state.hub)
                elif path.startswith("/to/"):
                    coded, _, rest = path.removeprefix("/to/").partition("/")
                    address = bytes.fromhex(coded).decode()
                    self._lead(address + rest.removeprefix(address.rpartition("/")[2]))
                elif path.startswith("/loop/"):
                    self._lead(path)
                else:
                    self._send()

            def _lead(self, where: str) -> None:
                self.send_response(302)
                self.send_header("Location", where)
                self.send_header("X-Repo-Commit", COMMIT)
                self.send_header("X-Linked-Size", str(len(content)))
                self.send_header("X-Linked-ETag", '"0123456789"')
                self.send_header("Content-Length", "0")
                self.end_headers()

            def _send(self) -> None:
                first, last = 0, len(content) - 1
                asked = self.headers.get("Range", "").removeprefix("bytes=")
                if asked:
                    begin, _, end = asked.partition("-")
                    first, last = int(begin), min(int(end or last), last)
                self.send_response(206 if asked else 200)
                if asked:
                    self.send_header("Content-Range", f"bytes {first}-{last}/{len(content)}")
                self.send_header("Content-Length", str(last - first + 1))
                self.send_header("ETag", '"0123456789"')
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(content[first : last + 1])

            do_GET = do_HEAD = do_POST = answer

            def log_message(self, *_arguments: object) -> None:
                pass

        kind = _Server6 if ":" in host else ThreadingHTTPServer
        server = kind((host, 0), Handler)
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        running.append(server)
        state.port = server.server_port
        state.url = f"http://{f'[{host}]' if ':' in host else host}:{state.port}"
        return state

    try:
        yield start
    finally:
        for server in running:
            server.shutdown()
            server.server_close()
