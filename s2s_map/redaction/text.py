"""Texts, and what JSON holds, without what is secret in them."""

from __future__ import annotations

import json
import re
import traceback
from collections.abc import Mapping
from typing import Any

from s2s_map.redaction.known import NAMES_OF_KEYS, Matcher, matcher

# Addresses: what stands between quotes, brackets and blanks.
_STOP = r"\s'\"<>`|"
_USER = re.compile(rf"(?i)(\b[a-z][a-z0-9+.-]*:(?://|\\/\\/))[^/@{_STOP}]*@")
_QUERY = re.compile(rf"(?i)((?:\b[a-z][a-z0-9+.-]*:(?://|\\/\\/)|/vsi)[^?#{_STOP}]*)[?][^{_STOP}]*")
_FIELD = re.compile(
    rf"(?i)(?<![\w-])({NAMES_OF_KEYS})(=|%3d|\\?[\"']\s*[:=]\s*\\?[\"'])(?![\"'\\])[^&\s\"'<>|,;)\]}}\\]+"
)
_HEADER = re.compile(
    r"(?i)(?<![\w-])((?:proxy-)?authorization|(?:set-)?cookie|ocp-apim-subscription-key|x-api-key"
    # Possessive: what is hidden already is not passed over by giving up the blank before it.
    r"|x-amz-security-token|x-ms-copy-source)(\\?[\"']?\s*[:=]\s*+\\?+[\"']?+)"
    r"(?!\\?\[hidden\])[^\r\n\"'<>]+"
)
_ELEMENT = re.compile(
    r"(?i)<(awsaccesskeyid|accesskeyid|secretaccesskey|sessiontoken|securitytoken|token"
    r"|signatureprovided|canonicalrequest|stringtosign|token-0|credential)>(?!\[hidden\])[^<]+"
)
_HIDDEN = "[hidden]"
_PASSES = 8


def redacted(text: str) -> str:
    """Return a text as it may be printed or stored.

    Taken out are known secrets (of credential variables, of an entry's `env:` and addresses) in
    every form that a server may repeat them in; the login and query of every address; and the
    values of fields, headers and elements whose name says that they are keys. What an address is
    recognised by, scheme, host and path, stays.

    Examples:
        >>> redacted("https://me:pw@host/a.tif?sig=abc not found; token=xyz")
        'https://host/a.tif not found; token=[hidden]'
    """
    return _redacted(text, matcher())


def _redacted(text: str, known: Matcher) -> str:
    # What is left when something is taken out may be an address again.
    for _ in range(_PASSES):
        before = text
        text = known.replace(text)
        text = _USER.sub(r"\1", _QUERY.sub(r"\1", text))
        text = _HEADER.sub(rf"\1\2{_HIDDEN}", text)
        text = _FIELD.sub(_field, text)
        text = _ELEMENT.sub(rf"<\1>{_HIDDEN}", text)
        if text == before:
            break
    return text


def cleaned(value: Any) -> Any:
    """Return what JSON can hold with all its texts redacted, names of keys included."""
    # The environment is searched for secrets once, not for each text.
    return _cleaned(value, matcher())


def _cleaned(value: Any, known: Matcher) -> Any:
    if isinstance(value, str):
        return _redacted(value, known)
    if isinstance(value, Mapping):
        return {_cleaned(key, known): _cleaned(part, known) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_cleaned(part, known) for part in value]
    return value


def file_json(content: Any) -> str:
    """Return the text of a JSON file, redacted."""
    return json.dumps(cleaned(content), indent=2, ensure_ascii=False) + "\n"


def redacted_traceback() -> str:
    """Return the traceback of the exception being handled, without secrets."""
    return redacted(traceback.format_exc())


def _field(match: re.Match[str]) -> str:
    value = match[0][len(match[1]) + len(match[2]) :]
    # A text may pass here twice; the pattern leaves closing brackets out.
    hidden = value.startswith(("${", "[hidden", "\\[hidden"))
    return match[0] if hidden else f"{match[1]}{match[2]}{_HIDDEN}"
