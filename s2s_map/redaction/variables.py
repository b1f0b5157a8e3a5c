"""Which variables of the environment, and which files they lead to, hold secrets."""

from __future__ import annotations

import base64
import configparser
import json
import netrc
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from urllib.parse import unquote, urlsplit

_CREDENTIAL = re.compile(
    r"AWS_(ACCESS_KEY_ID|SECRET_ACCESS_KEY|SESSION_TOKEN|SECURITY_TOKEN|TOKEN"
    r"|CONTAINER_AUTHORIZATION_TOKEN)"
    r"|(GOOGLE|GS|GCS|OSS|SWIFT)_[A-Z0-9_]*(KEY|KEY_ID|SECRET|TOKEN|PASSWORD|KEY_CONTENT|CONTENTS)"
    r"|GOOGLE_ACCESS_TOKEN|GOOGLE_SERVICE_ACCOUNT_KEY|GS_OAUTH2_[A-Z0-9_]+"
    r"|AZURE_[A-Z0-9_]*(KEY|SECRET|TOKEN|SAS|PASSWORD|CONNECTION_STRING)"
    r"|PC_SDK_SUBSCRIPTION_KEY|HF_TOKEN|HUGGING_?FACE_?HUB_TOKEN|PREFECT_API_KEY"
    r"|PREFECT_API_AUTH_STRING|(EARTHDATA|EARTHACCESS)_[A-Z0-9_]*(PASSWORD|TOKEN|USERNAME)"
    r"|GDAL_HTTP_(USERPWD|PROXYUSERPWD|BEARER|HEADERS|COOKIE|KEYPASSWD)"
    r"|GDAL_HTTP_HEADER_[A-Z0-9_]+|CDSE_[A-Z0-9_]*(KEY|SECRET|TOKEN|PASSWORD)"
)
_PROXY = re.compile(r"(?i)(https?|all|ftp|gdal_https?)_proxy")
_WORD = re.compile(r"[A-Za-z-]+")
# Settings that an entry may list in `env:` and that are not secrets.
_SETTING = re.compile(
    r".*_(REGION|ENDPOINT|ENDPOINT_URL|ENDPOINT_URL_S3|PROFILE|BUCKET|ACCOUNT|ACCOUNT_NAME|FILE"
    r"|PATH|DIR|HOST|PORT|URL|VERSION|SIGN_REQUEST|HTTPS|VIRTUAL_HOSTING|ALLOW_HTTP|PROJECT)"
    r"|GOOGLE_APPLICATION_CREDENTIALS|HOME|USER|PATH|PWD|TMPDIR"
)
_AWS = ("aws_access_key_id", "aws_secret_access_key", "aws_session_token")
_GOOGLE = ("private_key", "private_key_id", "client_secret", "refresh_token")

Secret = tuple[str, str]
"""What is put in its place, and a value."""


def is_setting(name: str) -> bool:
    """Return whether a variable that an entry needs is a setting, such as a region, not a key."""
    return _SETTING.fullmatch(name) is not None


def environment_secrets(environment: Mapping[str, str] = os.environ) -> tuple[Secret, ...]:
    """Return name and value of every secret that the environment holds or leads to.

    Files are those of AWS's tools, netrc, a Google service account and the hub's token; each
    is read once.

    Args:
        environment: This process's if not given.
    """
    found: list[Secret] = []
    for name, value in environment.items():
        if _CREDENTIAL.fullmatch(name):
            found += _parts(name, value)
        elif _PROXY.fullmatch(name) or ("://" in value and "@" in value):
            found += login(value)
    return tuple(found)


def file_secrets(environment: Mapping[str, str] = os.environ) -> tuple[Secret, ...]:
    """Return the secrets of credential files; a file that cannot be read has none."""
    home = environment.get("HOME") or "/"
    hub = environment.get("HF_HOME") or f"{home}/.cache/huggingface"
    return _of_files(
        environment.get("AWS_SHARED_CREDENTIALS_FILE") or f"{home}/.aws/credentials",
        environment.get("GDAL_HTTP_NETRC_FILE") or environment.get("NETRC") or f"{home}/.netrc",
        environment.get("GOOGLE_APPLICATION_CREDENTIALS") or "",
        environment.get("HF_TOKEN_PATH") or f"{hub}/token",
    )


def login(address: str) -> Iterator[Secret]:
    """Yield what is secret of the user part of an address: the password, and both in base64."""
    try:
        parts = urlsplit(address if "://" in address else f"http://{address}")
        user, password = parts.username or "", parts.password or ""
    except ValueError:
        return
    for value in dict.fromkeys((password, unquote(password))):
        if value:
            yield "password", value
            for who in dict.fromkeys((user, unquote(user))):
                yield "login", base64.b64encode(f"{who}:{value}".encode()).decode()
    if user and not password:
        # A token alone, as some services have it.
        yield "login", user


def _parts(name: str, value: str) -> Iterator[Secret]:
    if "HEADER" in name or name.endswith("COOKIE"):
        # Their names and schemes are not secrets.
        for line in re.split(r"[\r\n,]+", value):
            yield name, line.partition(":")[2] or line
            for part in re.split(r"[;:\s]+", line):
                if not _WORD.fullmatch(part):
                    yield name, part
        return
    yield name, value
    if name.endswith("USERPWD"):
        yield name, value.partition(":")[2]
        yield name, base64.b64encode(value.encode()).decode()
    elif name.endswith("CONNECTION_STRING"):
        for part in value.split(";"):
            key, _, inner = part.partition("=")
            if key in ("AccountKey", "SharedAccessSignature"):
                yield name, inner
                yield from _signature(name, inner)
    elif "sig=" in value:
        yield from _signature(name, value)


def _signature(name: str, query: str) -> Iterator[Secret]:
    for part in query.lstrip("?").split("&"):
        key, _, value = part.partition("=")
        if key.lower() == "sig":
            yield name, value
            yield name, unquote(value)


@lru_cache(maxsize=16)
def _of_files(aws: str, logins: str, google: str, hub: str) -> tuple[Secret, ...]:
    found: list[Secret] = []
    with suppress(OSError, configparser.Error, UnicodeDecodeError):
        parser = configparser.RawConfigParser()
        parser.read(aws, encoding="utf-8")
        for section in parser.sections():
            found += [(k.upper(), v) for k, v in parser.items(section) if k.lower() in _AWS]
    with suppress(OSError, netrc.NetrcParseError, UnicodeDecodeError):
        for who, _, password in netrc.netrc(logins).hosts.values():
            found += login(f"http://{who}:{password}@host")
            found.append(("password", password or ""))
    with suppress(OSError, ValueError, AttributeError):
        if google:
            account = json.loads(Path(google).read_text(encoding="utf-8"))
            for name in _GOOGLE:
                for line in str(account.get(name) or "").splitlines():
                    if "-----" not in line:
                        found.append((name, line))
    with suppress(OSError, UnicodeDecodeError):
        found.append(("HF_TOKEN", Path(hub).read_text(encoding="utf-8").strip()))
    return tuple(found)
