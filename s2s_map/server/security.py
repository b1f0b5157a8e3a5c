"""What every request passes before it is answered, and every answer on its way out.

A page of anybody's may send requests to this machine's ports. So the name that a request is for
must be one of this server's (or a name of theirs that they point at 127.0.0.1, DNS rebinding, would
do), whatever costs or writes needs the token that only the printed address holds, and nothing that
is answered can be framed, or run as a script.
"""

from __future__ import annotations

import hmac
import json
import secrets
from dataclasses import dataclass, field
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

TOKEN_HEADER = "x-s2s-map-token"  # noqa: S105
LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
_SAFE = ("GET", "HEAD")


def new_token() -> str:
    """Return a token that nobody can guess."""
    return secrets.token_urlsafe(24)


def content_policy(elsewhere: str = "") -> str:
    """Return the content security policy: scripts, styles and data of this server alone.

    Args:
        elsewhere: Origin of a basemap that the user named; empty for none.
    """
    of = f"'self' {elsewhere}".strip()
    return "; ".join(
        (
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            "worker-src 'self'",
            f"img-src {of} data: blob:",
            f"connect-src {of}",
            "media-src blob:",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
        )
    )


@dataclass(frozen=True)
class Guard:
    """ASGI middleware: names, token and headers.

    Attributes:
        app: What answers.
        names: Hosts, without ports, that this server is called by.
        port: Its port.
        token: What requests that are not mere reading carry.
        policy: The content security policy.
    """

    app: ASGIApp
    names: tuple[str, ...]
    port: int
    token: str = field(repr=False)
    policy: str

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or refuse it."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        refused = self._refusal(scope)

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers["Content-Security-Policy"] = self.policy
                headers["X-Content-Type-Options"] = "nosniff"
                headers["Referrer-Policy"] = "no-referrer"
                headers["Cross-Origin-Resource-Policy"] = "same-origin"
                headers["Cross-Origin-Opener-Policy"] = "same-origin"
                headers["Permissions-Policy"] = "camera=(), geolocation=(), microphone=(self)"
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        if refused is None:
            await self.app(scope, receive, guarded)
        else:
            await _refuse(guarded, *refused)

    def _refusal(self, scope: Scope) -> tuple[int, str] | None:
        headers = Headers(scope=scope)
        if headers.get("host", "").lower() not in self._hosts():
            return 421, "this server is not called that; open the address that s2s-map view printed"
        origin = headers.get("origin")
        if origin is not None and origin.lower().partition("://")[2] not in self._hosts():
            return 403, "pages of others may not ask this server"
        if scope["method"] in _SAFE:
            return None
        if not hmac.compare_digest(headers.get(TOKEN_HEADER, "").encode(), self.token.encode()):
            return 403, (
                "asking needs the whole address that s2s-map view printed, with what follows "
                "#ask=; open that"
            )
        return None

    def _hosts(self) -> set[str]:
        with_port = {f"{name}:{self.port}".lower() for name in self.names}
        return with_port | ({name.lower() for name in self.names} if self.port == 80 else set())


async def _refuse(send: Send, status: int, reason: str) -> None:
    body = json.dumps({"error": reason}).encode()
    length = str(len(body)).encode()
    headers: list[Any] = [(b"content-type", b"application/json"), (b"content-length", length)]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
