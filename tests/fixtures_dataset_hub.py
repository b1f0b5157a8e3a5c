"""A small hub of data sets on 127.0.0.1, with the addresses that `datasets` asks for.

Files are served from a folder laid out as on the hub: ROOT/OWNER/NAME/PATH.
"""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

COMMIT = "0123456789abcdef0123456789abcdef01234567"
REPO = r"(?P<repo>[^/]+/[^/]+)"
RESOLVE = re.compile(rf"/datasets/{REPO}/resolve/[^/]+/(?P<file>.+)")
INFO = re.compile(rf"/api/datasets/{REPO}(/revision/[^/]+)?")
TREE = re.compile(rf"/api/datasets/{REPO}/tree/[^/]+/?(?P<folder>.*)")
PATHS = re.compile(rf"/api/datasets/{REPO}/paths-info/[^/]+")


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    root: Path
    seen: list[str]

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def do_POST(self) -> None:
        content = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
        path = unquote(urlsplit(self.path).path)
        self.seen.append(f"POST {path}")
        if match := PATHS.fullmatch(path):
            asked = json.loads(content) if content.startswith("{") else parse_qs(content)
            folder = self.root / match["repo"]
            files = [folder / name for name in asked["paths"]]
            self._json([self._entry(folder, file) for file in files if file.exists()])
        else:
            self._refuse()

    def log_message(self, *_arguments: object) -> None:
        pass

    def _answer(self, *, body: bool) -> None:
        path = unquote(urlsplit(self.path).path)
        self.seen.append(f"{self.command} {path} {self.headers.get('Range') or ''}".strip())
        if match := RESOLVE.fullmatch(path):
            self._file(self.root / match["repo"] / match["file"], body=body)
        elif (match := TREE.fullmatch(path)) and (self.root / match["repo"]).is_dir():
            folder = self.root / match["repo"]
            whole = "recursive=True" in self.path or "recursive=true" in self.path
            found = sorted((folder / match["folder"]).glob("**/*" if whole else "*"))
            self._json([self._entry(folder, file) for file in found])
        elif (match := INFO.fullmatch(path)) and (self.root / match["repo"]).is_dir():
            folder = self.root / match["repo"]
            names = [str(f.relative_to(folder)) for f in folder.rglob("*") if f.is_file()]
            siblings = [{"rfilename": name} for name in sorted(names)]
            self._json(
                {"id": match["repo"], "sha": COMMIT, "siblings": siblings, "private": False,
                 "tags": [], "downloads": 0, "likes": 0, "gated": False}
            )  # fmt: skip
        else:
            self._refuse()

    def _entry(self, folder: Path, file: Path) -> dict[str, Any]:
        name = str(file.relative_to(folder))
        if file.is_dir():
            return {"type": "directory", "path": name, "oid": "0" * 40}
        oid = hashlib.sha1(name.encode(), usedforsecurity=False).hexdigest()
        return {"type": "file", "path": name, "size": file.stat().st_size, "oid": oid}

    def _file(self, path: Path, *, body: bool) -> None:
        if not path.is_file():
            self._refuse()
            return
        content = path.read_bytes()
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range") or "")
        start = int(asked[1]) if asked else 0
        end = min(int(asked[2]) + 1, len(content)) if asked and asked[2] else len(content)
        self.send_response(206 if asked else 200)
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("ETag", f'"{hashlib.sha256(content).hexdigest()[:40]}"')
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("Content-Length", str(end - start))
        if asked:
            self.send_header("Content-Range", f"bytes {start}-{end - 1}/{len(content)}")
        self.end_headers()
        if body:
            self.wfile.write(content[start:end])

    def _json(self, content: object) -> None:
        data = json.dumps(content).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _refuse(self) -> None:
        self.send_response(404)
        self.send_header("X-Error-Code", "EntryNotFound")
        self.send_header("Content-Length", "0")
        self.end_headers()


@contextmanager
def dataset_hub(root: Path) -> Iterator[tuple[str, list[str]]]:
    """Serve a folder of repositories; gives the address and what was asked so far."""
    seen: list[str] = []
    handler = type("Handler", (_Handler,), {"root": root, "seen": seen})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", seen
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
