"""An S3 server on loopback, and a proxy before it that can misbehave."""

from __future__ import annotations

import logging
import os
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import pytest

from s2s_map.outputs.path import ObjectPath

SECRET = "a-secret-key-that-nobody-else-uses"  # noqa: S105


@contextmanager
def serve_s3() -> Iterator[str]:
    """Serve moto's S3 on a free loopback port; yields its address."""
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    _, port = server.get_host_and_port()
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.stop()


def use_s3(patch: pytest.MonkeyPatch, endpoint: str) -> None:
    """Have this process, and those it starts, use an endpoint and nothing else of AWS."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        patch.delenv(name)
    for name, value in {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": "an-access-key",
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_REGION": "us-east-1",
    }.items():
        patch.setenv(name, value)


def new_bucket(endpoint: str) -> str:
    """Make a bucket; returns its name."""
    name = f"maps-{uuid.uuid4().hex[:12]}"
    httpx.put(f"{endpoint}/{name}").raise_for_status()
    return name


def copy_objects(endpoint: str, source: ObjectPath, target: ObjectPath) -> None:
    """Copy all below a prefix within a server, e_tags too: a finished run for each test."""
    with httpx.Client(base_url=endpoint) as client:
        for path in source.files():
            copy = target / str(path.relative_to(source))
            bucket, _, key = str(path).removeprefix("s3://").partition("/")
            to = str(copy).removeprefix("s3://")
            client.put(
                f"/{to}", headers={"x-amz-copy-source": f"/{bucket}/{key}"}
            ).raise_for_status()


@dataclass
class Proxy:
    """A server before another one.

    Attributes:
        url: Its address.
        answer: Given method, path and how many requests came before: a status and an error code
            to answer with, or None to pass the request on.
        drop: Names of request headers that are not passed on.
        reply: Changes headers of replies.
        requests: Methods and paths, in order.
    """

    url: str = ""
    answer: Callable[[str, str, int], tuple[int, str] | None] = lambda method, path, n: None
    drop: tuple[str, ...] = ()
    reply: dict[str, str] = field(default_factory=dict)
    requests: list[tuple[str, str]] = field(default_factory=list)


@contextmanager
def proxied(upstream: str) -> Iterator[Proxy]:
    """Serve a proxy before an S3 server, and have this process use it meanwhile."""
    state = Proxy()
    client = httpx.Client(base_url=upstream, timeout=30.0)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_any(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            number = len(state.requests)
            state.requests.append((self.command, self.path))
            refused = state.answer(self.command, self.path, number)
            if refused is not None:
                status, code = refused
                self._send(status, {}, f"<Error><Code>{code}</Code></Error>".encode())
                return
            names = {name.lower() for name in (*state.drop, "host", "content-length")}
            headers = {k: v for k, v in self.headers.items() if k.lower() not in names}
            headers["Accept-Encoding"] = "identity"
            try:
                found = client.request(self.command, self.path, content=body, headers=headers)
            except RuntimeError:  # The test is over.
                return
            kept = {
                k: v
                for k, v in found.headers.items()
                if k.lower() not in ("transfer-encoding", "connection", "server", "date")
            }
            self._send(found.status_code, {**kept, **state.reply}, found.content)

        def _send(self, status: int, headers: dict[str, str], body: bytes) -> None:
            self.send_response(status)
            lowered = {k.lower(): v for k, v in headers.items()}
            if self.command != "HEAD":
                lowered["content-length"] = str(len(body))
            for name, value in lowered.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = handle_any

        def log_message(self, *args: Any) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    state.url = f"http://127.0.0.1:{server.server_port}"
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("AWS_ENDPOINT_URL", state.url)
            yield state
    finally:
        server.shutdown()
        server.server_close()
        client.close()


def object_bytes(root: Any) -> dict[str, bytes]:
    """Every byte of the embeddings and of the published maps' values, as `result_bytes` has it."""
    from s2s_map.outputs.output import open_output

    results, home = open_output(root).finished_results(), open_output(root).finished_home()
    found = {}
    for base, part in (
        (home, "embeddings.zarr/embedding/c"),
        (results, "maps.zarr/probability"),
        (results, "maps.zarr/similarity"),
    ):
        for path in (base / part).files():
            if path.name not in ("zarr.json", ".zattrs"):
                found[str(path.relative_to(base))] = path.read_bytes()
    return dict(sorted(found.items()))
