"""A small hub on 127.0.0.1 with the addresses that huggingface_hub asks for, and its files.

Files are served from a folder laid out as on the hub: ROOT/OWNER/NAME/PATH.
"""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

COMMIT = "0123456789abcdef0123456789abcdef01234567"
LARGE = (".ckpt", ".safetensors")
"""Endings of files that the hub knows by their SHA-256."""


@dataclass
class Hub:
    """A running hub and what it should do wrong.

    Attributes:
        root: Where its files lie.
        endpoint: Its address.
        gated: Repositories that want a token.
        hidden: Repositories that do not exist for anybody.
        plain_status: Answers every request with this number and nothing more, as a mirror may.
        break_after: Bytes after which the next download breaks off, by file name; once each.
        wrong_hash: Files whose SHA-256 is given wrong.
        xet: Whether files are offered by Xet storage as well, as the real hub does.
        requests: Method, path and Range of every request.
    """

    root: Path
    endpoint: str = ""
    gated: set[str] = field(default_factory=set)
    hidden: set[str] = field(default_factory=set)
    plain_status: int | None = None
    break_after: dict[str, int] = field(default_factory=dict)
    wrong_hash: set[str] = field(default_factory=set)
    xet: bool = False
    requests: list[tuple[str, str, str | None]] = field(default_factory=list)
    hashes: dict[Path, str] = field(default_factory=dict)

    def sha256(self, path: Path) -> str:
        """Hash of a file, computed once."""
        if path not in self.hashes:
            with path.open("rb") as file:
                self.hashes[path] = hashlib.file_digest(file, "sha256").hexdigest()
        return self.hashes[path]


RESOLVE = re.compile(r"/(?P<repo>[^/]+/[^/]+)/resolve/(?P<revision>[^/]+)/(?P<file>.+)")
INFO = re.compile(r"/api/models/(?P<repo>[^/]+/[^/]+)(/revision/(?P<revision>[^/]+))?")


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: Hub

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def log_message(self, *_arguments: object) -> None:
        pass

    def _answer(self, *, body: bool) -> None:
        path = unquote(urlsplit(self.path).path)
        self.hub.requests.append((self.command, path, self.headers.get("Range")))
        if self.hub.plain_status is not None:
            self._refuse(self.hub.plain_status, "")
            return
        if match := RESOLVE.fullmatch(path):
            self._file(match["repo"], match["revision"], match["file"], body=body)
        elif match := INFO.fullmatch(path):
            self._info(match["repo"], match["revision"])
        else:
            self._refuse(404, "EntryNotFound")

    def _open(self, repo: str, revision: str | None) -> bool:
        if repo in self.hub.gated:
            self._refuse(403, "GatedRepo")
        elif repo in self.hub.hidden or not (self.hub.root / repo).is_dir():
            self._refuse(404, "RepoNotFound")
        elif revision not in (None, "main", COMMIT):
            self._refuse(404, "RevisionNotFound")
        else:
            return True
        return False

    def _file(self, repo: str, revision: str, name: str, *, body: bool) -> None:
        if not self._open(repo, revision):
            return
        path = self.hub.root / repo / name
        if not path.is_file():
            self._refuse(404, "EntryNotFound")
            return
        size = path.stat().st_size
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range") or "")
        start = int(asked[1]) if asked else 0
        etag = self.hub.sha256(path)
        if path.name in self.hub.wrong_hash:
            etag = "0" * 64
        self.send_response(206 if asked else 200)
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("ETag", f'"{etag if path.suffix in LARGE else etag[:40]}"')
        if self.hub.xet:
            self.send_header("X-Xet-Hash", "0" * 64)
            self.send_header("X-Xet-Refresh-Route", f"{self.hub.endpoint}/xet-token")
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("Content-Length", str(size - start))
        if asked:
            self.send_header("Content-Range", f"bytes {start}-{size - 1}/{size}")
        self.end_headers()
        if body:
            self._send(path, start)

    def _send(self, path: Path, start: int) -> None:
        left = self.hub.break_after.pop(path.name, None)
        with path.open("rb") as file:
            file.seek(start)
            while chunk := file.read(1 << 20 if left is None else min(1 << 20, left)):
                self.wfile.write(chunk)
                if left is not None:
                    left -= len(chunk)
        if left is not None:
            self.close_connection = True

    def _info(self, repo: str, revision: str | None) -> None:
        if not self._open(repo, revision):
            return
        files = [
            {"rfilename": str(path.relative_to(self.hub.root / repo))}
            for path in sorted((self.hub.root / repo).rglob("*"))
            if path.is_file()
        ]
        content = json.dumps({"id": repo, "sha": COMMIT, "siblings": files}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def _refuse(self, status: int, code: str) -> None:
        self.send_response(status)
        self.send_header("X-Error-Code", code)
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("Content-Length", "0")
        self.end_headers()


@contextmanager
def serve_hub(root: Path) -> Iterator[Hub]:
    """Serve a folder as a hub for as long as the context lasts."""
    hub = Hub(root)
    handler = type("Handler", (_Handler,), {"hub": hub})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    hub.endpoint = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
