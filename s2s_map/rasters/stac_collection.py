"""``collection.json``: a STAC collection over the items of several runs."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

import pystac

from s2s_map.errors import StoreError
from s2s_map.outputs.atomic import replacing_file
from s2s_map.outputs.path import OutputPath, relative_name
from s2s_map.redaction import file_json


def write_collection(path: OutputPath, title: str, items: Sequence[OutputPath]) -> None:
    """Write a collection that links to the items of runs, with the extent of all.

    Args:
        path: File to make or replace, usually ``collection.json``.
        title: Its title.
        items: The ``item.json`` of each run, at least one, in folders below that of `path`.

    Raises:
        StoreError: For an item that cannot be read.
        OutputError: For a full disk, a read-only folder and the like.
    """
    read = [pystac.Item.from_dict(_content(item)) for item in items]
    licences = {str(item.properties.get("license", "other")) for item in read}
    collection = pystac.Collection(
        id=re.sub(r"[^\w.-]+", "-", title).strip("-") or "s2s-map",
        title=title,
        description="Maps of where sounds are likely, one item per run.",
        extent=pystac.Extent.from_items(read),
        license=licences.pop() if len(licences) == 1 else "other",
    )
    for item, file in zip(read, items, strict=True):
        href = f"./{relative_name(file, path.parent)}"
        collection.add_link(
            pystac.Link("item", href, "application/geo+json", item.properties.get("title"))
        )
    content = collection.to_dict(include_self_link=False, transform_hrefs=False)
    content["links"] = [link for link in content["links"] if link["rel"] != "root"]
    with replacing_file(path) as partial:
        partial.write_text(file_json(content), "utf-8")


def _content(item: OutputPath) -> dict[str, Any]:
    try:
        content: dict[str, Any] = json.loads(item.read_text(encoding="utf-8"))
        pystac.Item.from_dict(content)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, pystac.STACError) as error:
        raise StoreError(
            f"{item} is damaged ({type(error).__name__})", remedy="remove it and start again"
        ) from None
    return content
