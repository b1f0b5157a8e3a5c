"""Reading requests with bounds, and answering with one line whatever goes wrong."""

from __future__ import annotations

import asyncio
import functools
import json
import math
from collections.abc import Awaitable, Callable
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response

from s2s_map.errors import S2SMapError

MOST_JSON_BYTES = 64_000
_LARGEST = 1e30

type Endpoint = Callable[[Request], Awaitable[Response]]


class Refused(S2SMapError):  # noqa: N818  (what a page is told, no error of the program)
    """A request that is not taken, with the status that says why.

    Args:
        status: Of HTTP.
        found: What was found.
        expected: What was expected.
    """

    def __init__(self, status: int, found: str, *, expected: str = "") -> None:
        super().__init__(found, expected=expected)
        self.status = status


def answered(endpoint: Endpoint) -> Endpoint:
    """Give an endpoint whose errors are JSON of one line, never a traceback."""

    @functools.wraps(endpoint)
    async def safe(request: Request) -> Response:
        try:
            return await endpoint(request)
        except ClientDisconnect:
            return Response(status_code=499)
        except Refused as error:
            return failed(error.status, str(error))
        except S2SMapError as error:
            return failed(400, str(error))
        except Exception as error:
            from s2s_map.foreign import fault_of_ours, translated

            known = translated(error)
            if known is None:
                return failed(500, fault_of_ours(error))
            return failed(400, str(known))

    return safe


def failed(status: int, reason: str) -> JSONResponse:
    """Return an error as the page reads it."""
    return JSONResponse({"error": reason}, status_code=status)


async def on_http_error(_request: Request, error: Exception) -> Response:
    """Answer addresses and methods that there are not."""
    status = error.status_code if isinstance(error, HTTPException) else 500
    reason = error.detail if isinstance(error, HTTPException) else type(error).__name__
    return failed(status, str(reason))


async def body_of(request: Request, most: int) -> bytes:
    """Return a request's body.

    Raises:
        Refused: If it is larger than `most` bytes; it is not read to its end.
    """
    declared = request.headers.get("content-length", "")
    found = bytearray()
    if not (declared.isdecimal() and int(declared) > most):
        async for part in request.stream():
            found += part
            if len(found) > most:
                break
        else:
            return bytes(found)
    raise Refused(413, "a request that is too large", expected=f"at most {most / 1e6:g} MB")


async def json_of(request: Request) -> dict[str, Any]:
    """Return a request's JSON object.

    Raises:
        Refused: For anything else, or a larger one than any question.
    """
    try:
        content = json.loads(await body_of(request, MOST_JSON_BYTES))
    except (ValueError, RecursionError):
        content = None
    if not isinstance(content, dict):
        raise Refused(400, "a request that is no JSON object")
    return content


def texts_of(content: dict[str, Any], key: str) -> list[str]:
    """Return a list of texts of a request.

    Raises:
        Refused: For anything else.
    """
    found = content.get(key, [])
    if not isinstance(found, list) or not all(isinstance(text, str) for text in found):
        raise Refused(400, f"{key} that is no list of texts")
    return [text for text in found if text.strip()]


def text_of(content: dict[str, Any], key: str) -> str | None:
    """Return a text of a request; None if there is none.

    Raises:
        Refused: For anything but a text.
    """
    found = content.get(key)
    if found is not None and not isinstance(found, str):
        raise Refused(400, f"{key} that is no text")
    return found or None


def number_of(value: Any, what: str) -> float:
    """Return a finite number of a request, at most 1e30 in size.

    Raises:
        Refused: For anything else.
    """
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    # Values are float32: a larger number would overflow as soon as one is compared with it.
    if not abs(number) <= _LARGEST:
        raise Refused(400, f"{what} that is no number")
    return number


class Workers:
    """Threads for what computes, some at a time; who asks for more than is bearable is refused.

    Args:
        at_once: How many compute at once.
        waiting: How many may wait.
    """

    def __init__(self, at_once: int, waiting: int) -> None:
        self._at_once, self._most = at_once, at_once + waiting
        self._turns: asyncio.Semaphore | None = None
        self._count = 0

    @property
    def busy(self) -> int:
        """How many compute or wait."""
        return self._count

    async def run[Result](
        self, work: Callable[[], Result], request: Request | None = None
    ) -> Result:
        """Do something in a thread.

        Args:
            work: What is done.
            request: Who asks; once they have gone, what has not begun is not done.

        Raises:
            Refused: If too many wait already.
            ClientDisconnect: If they have gone.
        """
        if self._count >= self._most:
            raise Refused(429, "too much at work", expected="a moment's patience")
        if self._turns is None:
            self._turns = asyncio.Semaphore(self._at_once)
        self._count += 1
        try:
            async with self._turns:
                if request is not None and await request.is_disconnected():
                    raise ClientDisconnect
                return await run_in_threadpool(work)
        finally:
            self._count -= 1
