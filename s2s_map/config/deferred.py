"""Entries of types that are not built in, until they are asked for."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from s2s_map.config.entry import Entry

SHOWN = ("type", "title", "sensor", "licence", "attribution", "env")
"""Fields that every type has as `Entry` has them: enough to list a catalog."""


class DeferredEntry(Entry):
    """An entry whose type is of a package or a module, which listing a catalog does not import.

    `s2s_map.catalog.catalog.get_entry` and `find_entry` return it as its type's own schema has it.
    """

    fields: dict[str, Any] = Field(description="All fields, as they were read.")
    where: str = Field(description="What to call it in a message.")
    catalog: str = Field(description="Path of the catalog file.")
