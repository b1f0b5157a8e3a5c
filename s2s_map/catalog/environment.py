"""Environment variables of an entry: there before a run, and put in only where declared."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping

from s2s_map.config.entry import Entry
from s2s_map.errors import CatalogError
from s2s_map.redaction import remember
from s2s_map.redaction.variables import is_setting

_REFERENCE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")


def check_environment(entry: Entry, environment: Mapping[str, str] | None = None) -> None:
    """Check that the variables an entry needs are set and not empty.

    Args:
        entry: The entry.
        environment: Where to look; this process's if None.

    Raises:
        CatalogError: With the names that are missing.
    """
    found = os.environ if environment is None else environment
    remember_variables(entry, found)
    missing = [name for name in entry.env if not found.get(name)]
    if missing:
        many = len(missing) > 1
        raise CatalogError(
            f"{entry.title} needs the environment variable{'s' * many} {', '.join(missing)}",
            remedy=f"set {'them' if many else 'it'} before the run; values are never stored",
        )


def remember_variables(entry: Entry, environment: Mapping[str, str] | None = None) -> None:
    """Have the values of an entry's `env:` taken out of all texts, but for settings."""
    found = os.environ if environment is None else environment
    for name in entry.env:
        if not is_setting(name):
            # Workers have their own; what is put into addresses goes along with these.
            remember(name, found.get(name, ""), sent=False)


def expanded(text: str, entry: Entry, environment: Mapping[str, str] | None = None) -> str:
    """Return text with ``${NAME}`` replaced, for the variables that the entry declares only.

    Nothing else is expanded: no other variable, no ``$NAME``, no ``~``, no command. What is put
    in is taken out of all that is printed or stored, see `redaction`.

    Raises:
        CatalogError: For a variable that is not declared, or not set.
    """
    check_environment(entry, environment)
    found = os.environ if environment is None else environment

    def value(match: re.Match[str]) -> str:
        if match[1] not in entry.env:
            raise CatalogError(
                f"{entry.title} uses ${{{match[1]}}}",
                expected="variables listed in its env: alone",
                remedy=f"add {match[1]} to env:",
            )
        if not is_setting(match[1]):
            remember(match[1], found[match[1]])
        return found[match[1]]

    return _REFERENCE.sub(value, text)
