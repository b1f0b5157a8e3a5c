"""The secrets that this process knows: of its environment, and those put into addresses."""

from __future__ import annotations

import re
import threading
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import unquote, urlsplit

from s2s_map.redaction.forms import PREFIX, SHORTEST, forms
from s2s_map.redaction.variables import Secret, environment_secrets, file_secrets, login

NAMES_OF_KEYS = (
    r"(?:x-amz-(?:signature|credential|security-token)|x-goog-(?:signature|credential)"
    r"|awsaccesskeyid|googleaccessid|sig|signature|app_?id|app_?key|app_?code"
    r"|(?:ocp-apim-)?subscription[_-]?key|(?:x-)?api[_-]?key|map_?key|access[_-]?key(?:[_-]?id)?"
    r"|secret(?:[_-]?access)?[_-]?key|client[_-]?secret|secret|key|[a-z_-]*token|jwt|auth"
    r"|password|passwd|pwd|passphrase|credentials?|sas)"
)
"""Names of parameters and fields that hold a key, as a pattern."""

_IS_SECRET_NAME = re.compile(f"(?i){NAMES_OF_KEYS}")
_PLACE = re.compile(r"\$?\{[^}]*\}")
# What an address says in the open: numbers, dates, versions, media types, single words.
_OPEN = re.compile(
    r"(?i)[\d.,:;+/-]*|\d{4}-\d\d-\d\d.*|[a-z]+/[a-z0-9.+-]+|epsg:\d+|[a-z_]{1,15}|v?\d[\d.]*"
)
_CLASSES = (re.compile(r"[a-z]+"), re.compile(r"[A-Z]+"), re.compile(r"[0-9]+"))

_lock = threading.Lock()
_values: dict[str, str] = {}
_listeners: list[Callable[[], None]] = []
_sent: set[str] = set()


def remember(name: str, value: str, *, sent: bool = True) -> None:
    """Have a secret taken out of all texts from now on.

    Args:
        name: What is put in its place, ``${NAME}``.
        value: The secret; one of less than `forms.SHORTEST` characters is not taken out.
        sent: Whether processes that work for us are given it, as they must for what stands in the
            addresses that they are given; not for what each finds in its own environment.
    """
    value = value.strip()
    if len(value) < SHORTEST:
        return
    for call in _listeners:
        call()
    with _lock:
        _values.setdefault(value, name)
        if sent:
            _sent.add(value)


def when_remembered(call: Callable[[], None]) -> None:
    """Have a function called before each secret is remembered."""
    _listeners.append(call)


def remember_address(address: str) -> None:
    """Have the login of an address, and the keys in its query, taken out of all texts."""
    try:
        query = urlsplit(address).query
    except ValueError:
        return
    is_template = _PLACE.search(address) is not None
    for name, value in login(address) if "@" in address else ():
        remember(name, value)
    for part in query.split("&"):
        name, _, value = part.partition("=")
        if _PLACE.search(value) or not value:
            continue
        value = unquote(value)
        # What a template asks for, such as layers, is not a secret; what else a query says may be.
        is_key = looks_like_key(value) if is_template else not _OPEN.fullmatch(value)
        if is_secret_name(name) or is_key:
            remember(name, value)


def is_secret_name(name: str) -> bool:
    """Return whether a parameter or header of this name holds a key."""
    return _IS_SECRET_NAME.fullmatch(name) is not None


def looks_like_key(value: str) -> bool:
    """Return whether a text is as random as a key: long, without words, of letters and digits."""
    runs = re.findall(r"[A-Za-z0-9+/=]+", value)
    longest = max(runs, key=len, default="")
    switches = sum(len(kind.findall(longest)) for kind in _CLASSES)
    return len(longest) >= 16 and any(c.isdigit() for c in longest) and switches >= 6


def remembered() -> tuple[Secret, ...]:
    """Return names and values of what is sent to processes that work for us."""
    with _lock:
        return tuple((name, value) for value, name in _values.items() if value in _sent)


@dataclass(frozen=True)
class Matcher:
    """Finds every form of some secrets, and beginnings of them.

    Attributes:
        heads: Matches the first `PREFIX` characters of any form; None if there are none.
        by_head: The forms that begin so, each with the name of the secret.
    """

    heads: re.Pattern[str] | None
    by_head: dict[str, tuple[Secret, ...]]

    def replace(self, text: str) -> str:
        """Return a text with ``${NAME}`` for every secret, and for what is left of a cut one."""
        if self.heads is None:
            return text
        pieces, at = [], 0
        while (match := self.heads.search(text, at)) is not None:
            start = match.start()
            name, length = max(
                ((name, _shared(text, start, form)) for name, form in self.by_head[match[0]]),
                key=lambda found: found[1],
            )
            pieces += [text[at:start], f"${{{name}}}"]
            at = start + length
        return "".join((*pieces, text[at:]))


def matcher() -> Matcher:
    """Return what finds the secrets that are known now."""
    with _lock:
        own = tuple((name, value) for value, name in _values.items())
    return _matcher((*environment_secrets(), *file_secrets(), *own))


@lru_cache(maxsize=4)
def _matcher(secrets: tuple[Secret, ...]) -> Matcher:
    by_head: dict[str, dict[str, str]] = defaultdict(dict)
    for name, given in secrets:
        value = given.strip()
        if len(value) < SHORTEST or value.lower() in ("true", "false", "disabled", "anonymous"):
            continue
        for form in forms(value):
            by_head[form[:PREFIX]].setdefault(form, name)
    if not by_head:
        return Matcher(None, {})
    # Longest first: a short secret may be the beginning of a longer one.
    heads = sorted(by_head, key=len, reverse=True)
    return Matcher(
        re.compile("|".join(map(re.escape, heads))),
        {
            head: tuple((name, form) for form, name in found.items())
            for head, found in by_head.items()
        },
    )


def _shared(text: str, start: int, form: str) -> int:
    """Return how many characters of a form stand in a text from a place on."""
    if text.startswith(form, start):
        return len(form)
    there = text[start : start + len(form)]
    pairs = zip(there, form, strict=False)
    return next((n for n, (a, b) in enumerate(pairs) if a != b), len(there))
