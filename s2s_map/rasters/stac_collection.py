"""``collection.json``: a STAC collection over the items of several runs."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Sequence
from pathlib import Path

import pystac

from s2s_map.embeddings.replacing import replacing_file


def write_collection(path: str | os.PathLike[str], title: str, items: Sequence[Path]) -> None:
    """Write a collection that links to the items of runs, with the extent of all.

    Args:
        path: File to make or replace, by custom ``collection.json``.
        title: Its title.
        items: The ``item.json`` of each run, at least one, in folders below that of `path`.

    Raises:
        OutputError: For a full disk, a read-only folder and the like.
    """
    target = Path(path)
    read = [pystac.Item.from_dict(json.loads(item.read_text(encoding="utf-8"))) for item in items]
    licences = {str(item.properties.get("license", "other")) for item in read}
    collection = pystac.Collection(
        id=re.sub(r"[^\w.-]+", "-", title).strip("-") or "s2s-map",
        title=title,
        description="Maps of where sounds are likely, one item per run.",
        extent=pystac.Extent.from_items(read),
        license=licences.pop() if len(licences) == 1 else "other",
    )
    for item, file in zip(read, items, strict=True):
        href = os.path.relpath(file, target.parent)
        collection.add_link(
            pystac.Link("item", f"./{href}", "application/geo+json", item.properties.get("title"))
        )
    content = collection.to_dict(include_self_link=False, transform_hrefs=False)
    content["links"] = [link for link in content["links"] if link["rel"] != "root"]
    with replacing_file(target) as partial:
        partial.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", "utf-8")
