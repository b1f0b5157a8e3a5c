"""The time that files are said to be made at."""

from __future__ import annotations

import os
from datetime import UTC, datetime

from s2s_map.errors import ConfigError

VARIABLE = "SOURCE_DATE_EPOCH"
"""Seconds since 1970 that are written in place of now, as reproducible-builds.org has it."""


def making_time() -> datetime:
    """Return now in UTC, or the time that the environment's SOURCE_DATE_EPOCH says.

    Raises:
        ConfigError: For a SOURCE_DATE_EPOCH that is not a time.
    """
    stated = os.environ.get(VARIABLE, "")
    if not stated:
        return datetime.now(UTC)
    try:
        if not (stated.isascii() and stated.isdigit()):
            raise ValueError(stated)
        return datetime.fromtimestamp(int(stated), UTC)
    except (ValueError, OverflowError, OSError):
        raise ConfigError(
            f"{VARIABLE} is {stated[:40]!r}",
            expected="whole seconds since 1970, such as 1767225600",
            remedy="set it so, or unset it",
        ) from None
