"""Settings of object stores, which only the environment holds."""

from __future__ import annotations

import os
from collections.abc import Mapping

_PREFIXES = ("AWS_", "GOOGLE_", "AZURE_")
_ENDPOINTS = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")


def cloud_settings() -> tuple[tuple[str, str], ...]:
    """Return what the environment says of object stores, sorted: clients are kept by it."""
    return tuple(sorted((k, v) for k, v in os.environ.items() if k.startswith(_PREFIXES)))


def s3_endpoint(settings: Mapping[str, str]) -> str | None:
    """Return the address of another server of S3's interface, if one is named."""
    return next((settings[name] for name in _ENDPOINTS if settings.get(name)), None)
