"""Settings of object stores, which only the environment holds: what counts, and what is secret."""

from __future__ import annotations

import os
from collections.abc import Mapping

from s2s_map.config.secrets import remember

_PREFIXES = ("AWS_", "GOOGLE_", "AZURE_")
_ENDPOINTS = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")
_SECRETS = (
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AZURE_STORAGE_ACCOUNT_KEY",
    "AZURE_STORAGE_ACCESS_KEY",
    "AZURE_STORAGE_SAS_TOKEN",
    "AZURE_STORAGE_SAS_KEY",
    "AZURE_STORAGE_TOKEN",
    "AZURE_CLIENT_SECRET",
    "GOOGLE_SERVICE_ACCOUNT_KEY",
)


def cloud_settings() -> tuple[tuple[str, str], ...]:
    """Return what the environment says of object stores, sorted: clients are kept by it."""
    return tuple(sorted((k, v) for k, v in os.environ.items() if k.startswith(_PREFIXES)))


def remember_cloud_keys(settings: Mapping[str, str]) -> None:
    """Have the keys among settings taken out of texts; other processes have their own."""
    for name in _SECRETS:
        if name in settings:
            remember(name, settings[name], sent=False)


def s3_endpoint(settings: Mapping[str, str]) -> str | None:
    """Return the address of another server of S3's interface, if one is named."""
    return next((settings[name] for name in _ENDPOINTS if settings.get(name)), None)
