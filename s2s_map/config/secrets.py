"""Keys of the environment, taken out of every text.

`catalog.environment.expanded` puts them into addresses. Once put in, a value is known to this
process, and `redacted` gives ``${NAME}`` back.
"""

from __future__ import annotations

import logging
import re
import threading
import traceback
from urllib.parse import quote, quote_plus, unquote

_PLACE = re.compile(r"\$\{([^}]*)\}")
# Signatures and keys that servers hand out, which no variable names.
_SIGNED = re.compile(
    r"(?i)\b(sig|signature|x-amz-signature|x-amz-credential|x-amz-security-token|x-goog-signature"
    r"|x-goog-credential|awsaccesskeyid|subscription-key|access_token|api[_-]?key|apikey|key|token"
    r"|password)=[^&\s\"'<>|,;)\]}]+"
)
_LOGIN = re.compile(r"(?<=://)[^/@\s:]+:[^/@\s]+@")
# Shorter values would take ordinary words out of texts; no real key is as short.
_SHORTEST = 6

_known: dict[str, str] = {}
_sent: set[str] = set()
_lock = threading.Lock()
_factories: list[object] = []
# What httpx leaves as it is in a query.
_HTTPX_SAFE = "/+=:@"


def remember(name: str, value: str, *, sent: bool = True) -> None:
    """Have a secret taken out of texts from now on, logs of every library included.

    Args:
        name: What is put in its place.
        value: The secret.
        sent: Whether processes that work for us are told, as they must for what stands in the
            addresses that they are given; not for what each finds in its own environment.
    """
    if len(value) < _SHORTEST:
        return
    redact_logs()
    forms = (
        value,
        quote(value, safe=""),
        quote(value, safe=_HTTPX_SAFE),
        quote_plus(value),
        repr(value)[1:-1],
    )
    with _lock:
        for form in forms:
            _known[form] = name
            if sent:
                _sent.add(form)


def remember_query(query: str) -> None:
    """Have the signatures of a query, such as a token of Azure's, taken out of texts."""
    for match in _SIGNED.finditer(query):
        name, _, value = match[0].partition("=")
        for form in {value, unquote(value)}:
            remember(name, form)


def remembered() -> tuple[tuple[str, str], ...]:
    """Return names and values of what is sent to processes that work for us."""
    with _lock:
        return tuple((name, form) for form, name in _known.items() if form in _sent)


def redacted(text: str) -> str:
    """Return a text without known secrets, signatures, or logins in addresses.

    Examples:
        >>> redacted("GET https://a.test/1.png?v=2&sig=abc failed")
        'GET https://a.test/1.png?v=2&sig=[hidden] failed'
    """
    # Longest first: a secret may contain another.
    for form in sorted(_known, key=len, reverse=True):
        text = text.replace(form, f"${{{_known[form]}}}")
    text = _SIGNED.sub(_hide, text)
    return _LOGIN.sub("", text)


def _hide(match: re.Match[str]) -> str:
    name, _, value = match[0].partition("=")
    # A text may pass here twice; the pattern leaves the closing bracket out.
    hidden = _PLACE.match(value) or value == "[hidden"
    return match[0] if hidden else f"{name}=[hidden]"


def redacted_traceback() -> str:
    """Return the traceback of the exception being handled, without secrets."""
    return redacted(traceback.format_exc())


def redact_logs() -> None:
    """Have every log record of this process redacted from now on, signatures included."""
    with _lock:
        if not _factories:
            _redact_logs()


def _redact_logs() -> None:
    # Where records are made, not at a handler: libraries bring handlers of their own.
    make = logging.getLogRecordFactory()

    def make_redacted(*args: object, **kwargs: object) -> logging.LogRecord:
        record = make(*args, **kwargs)
        try:
            message = record.getMessage()
        except (TypeError, ValueError):
            return record
        clean = redacted(message)
        if clean != message:
            record.msg, record.args = clean, None
        if record.exc_info and record.exc_info[0] is not None:
            # Formatters take a text that is there already.
            record.exc_text = redacted("".join(traceback.format_exception(*record.exc_info))[:-1])
        return record

    _factories.append(make_redacted)
    logging.setLogRecordFactory(make_redacted)
