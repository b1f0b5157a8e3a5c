"""The connection to an object store: settings from the environment, errors in one line."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import lru_cache
from typing import Any

from s2s_map.config.cloud import cloud_settings, s3_endpoint
from s2s_map.errors import OutputError, OutputUnavailableError
from s2s_map.redaction import redacted
from s2s_map.redaction.logs import redact_logs

RETRY_S, REQUEST_S = 60.0, 60.0
"""For how long a request is tried again, and how long one try may take, seconds.

Together less than a lease holds: what a run that has lost its prefix still puts comes before
another may take it.
"""
_SERVER_LINE = re.compile(r"status code: (\d+)")
_CODE = re.compile(r"<Code>(\w+)</Code>")
# Where machines of a cloud are asked for credentials when the environment has none.
_MACHINES = ("169.254.169.254", "169.254.170.2", "/latest/api/token", "/latest/meta-data")
_NOT_ACCEPTED = ("InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken")
_CREDENTIALS = "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
_RIGHTS = "let these credentials list, read, write and delete below that prefix"
_KEPT = "finished blocks are kept; start the same run again later"


def object_client(url: str, *, patient: bool = True) -> Any:
    """Return obstore's client of a bucket or prefix, one per process and settings.

    Credentials, region and endpoint are those of the environment. Plain http is allowed only to
    an endpoint that is named there as such. The client must not be pickled or kept: who needs it
    elsewhere asks for it there.

    Args:
        url: Such as ``s3://bucket``; keys are counted from there.
        patient: Whether to try again for a minute, as in the middle of a run, or for seconds.
    """
    return _client(url, patient, cloud_settings(), os.getpid())


@lru_cache(maxsize=16)
def _client(url: str, patient: bool, settings: tuple[tuple[str, str], ...], _: int) -> Any:
    from obstore.store import from_url

    redact_logs()
    known = dict(settings)
    endpoint = s3_endpoint(known)
    options: dict[str, Any] = {}
    if url.startswith("s3://") and endpoint:
        options["endpoint"] = endpoint
    return from_url(
        url,
        client_options={
            "allow_http": bool(endpoint and endpoint.startswith("http://")),
            "connect_timeout": timedelta(seconds=5),
            "timeout": timedelta(seconds=REQUEST_S),
        },
        retry_config={
            "max_retries": 12 if patient else 2,
            "retry_timeout": timedelta(seconds=RETRY_S if patient else 20),
            "backoff": {
                "init_backoff": timedelta(milliseconds=100),
                "max_backoff": timedelta(seconds=15),
                "base": 2.0,
            },
        },
        **options,
    )


@contextmanager
def object_errors(where: object) -> Iterator[None]:
    """Turn what the client raises into one line that says what to do, without request or keys.

    Raises:
        FileNotFoundError: For an object that is not there.
        FileExistsError: If a condition on a put was not met.
        OutputUnavailableError: If the store cannot be reached, or refuses for the time being.
        OutputError: For anything else.
    """
    from obstore import exceptions

    try:
        yield
    except (exceptions.AlreadyExistsError, exceptions.PreconditionError):
        # Nothing of the client's error is kept: it may quote the key's name.
        raise FileExistsError(str(where)) from None
    except (exceptions.BaseError, FileNotFoundError) as error:
        if isinstance(error, FileNotFoundError) and "NoSuchBucket" not in str(error):
            raise FileNotFoundError(str(where)) from None
        kind, reason, remedy = _explained(error)
        raise kind(f"cannot use {where}: {reason}", remedy=remedy) from None


def _explained(error: Exception) -> tuple[type[OutputError], str, str]:
    """Return what to raise, whose words are ours: the client's quote requests and keys."""
    text = str(error)
    status = next(iter(_SERVER_LINE.findall(text)), "")
    code = next(iter(_CODE.findall(text)), "")
    if any(place in text for place in _MACHINES):
        return OutputError, "no credentials in the environment", _CREDENTIALS
    if status or code:
        return _answered(status, code)
    if "redirect" in text.partition("\n")[0]:
        return OutputError, "the bucket lies in another region", "set AWS_REGION to its region"
    if "HTTP error" in text and "scheme is not allowed" not in text:
        endpoint = s3_endpoint(os.environ) or "the server"
        return (
            OutputUnavailableError,
            f"{redacted(endpoint)} cannot be reached",
            "check the network and AWS_ENDPOINT_URL, and start the same command again",
        )
    line = text.partition("\n")[0].partition("Error performing")[0] or type(error).__name__
    return OutputError, redacted(line)[:200], "check the bucket and the environment"


def _answered(status: str, code: str) -> tuple[type[OutputError], str, str]:
    """Return what to raise for a refusal by the server."""
    answer = f"{status} {code}".strip()
    if status in ("429", "500", "502", "503", "504"):
        busy = f"the server refuses for the time being ({answer}), tried repeatedly"
        return OutputUnavailableError, busy, _KEPT
    if code == "NoSuchBucket":
        return OutputError, "there is no such bucket", "make it, or correct output:"
    if status == "401" or code in _NOT_ACCEPTED:
        return OutputError, f"the credentials are not accepted ({answer})", _CREDENTIALS
    if status == "403":
        return OutputError, f"access denied ({answer})", _RIGHTS
    return OutputError, f"the server answers {answer}", "check the bucket and AWS_ENDPOINT_URL"
