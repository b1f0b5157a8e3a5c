"""Cut recorded STAC items of the public APIs down to what decides how a scene is read.

    python make.py CHECKOUTS

`CHECKOUTS` holds checkouts of the public repositories that README.md lists, by their names.
Metadata are left as they were served, but for links and assets that are not read.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
HLS_BLOBS = "https://hls2euwest.blob.core.windows.net/hls2"


def features(path: Path) -> list[dict[str, Any]]:
    """Return the items of a file: an item, a list or an item collection."""
    content = json.loads(path.read_text())
    if isinstance(content, list):
        return content
    found: list[dict[str, Any]] = content.get("features", [content])
    return found


def hls(path: Path, folder: str) -> dict[str, Any]:
    """Return an item of NASA's program as Planetary Computer serves it, at its addresses."""
    (item,) = features(path)
    name = item["id"]
    for asset in item["assets"].values():
        asset["href"] = f"{HLS_BLOBS}/{folder}/{name}/{asset['href'].rpartition('/')[2]}"
    # As the API has it; newer versions of pystac write the code.
    item["properties"]["proj:epsg"] = int(item["properties"].pop("proj:code").split(":")[1])
    return {**item, "collection": f"hls2-{name.split('.')[1].lower()}"}


def main(checkouts: Path) -> None:
    """Write the items beside this file."""
    recorded = checkouts / "stac-geoparquet" / "tests" / "data"
    nasa = checkouts / "hls-cmr_stac"
    fixture = "S2B_T38XNF_20250422T091553_L2A.json"
    items = {
        "landsat-c2-l2_planetary_computer": features(recorded / "landsat-c2-l2-pc.json")[0],
        "naip_planetary_computer": features(recorded / "naip-pc.json")[0],
        "sentinel-2-l2a_planetary_computer": features(recorded / "sentinel-2-l2a-pc.json")[0],
        "sentinel-2-c1-l2a_earth_search": features(
            checkouts / "stac-factory" / "tests" / "fixtures" / fixture
        )[0],
        "hls2-s30_planetary_computer": hls(
            nasa / "HLS.S30.T35VLJ.2021168T100559.v2.0.json", "S30/35/V/LJ/2021/06/17"
        ),
        "hls2-l30_planetary_computer": hls(
            nasa / "HLS.L30.T19LBJ.2020239T144556.v2.0.json", "L30/19/L/BJ/2020/08/26"
        ),
    }
    read = {"red", "green", "blue", "qa_pixel", "image", "visual", "scl", "SCL", "Fmask"}
    read |= {"B02", "B03", "B04"}
    for name, item in items.items():
        item["links"] = []
        item["assets"] = {key: item["assets"][key] for key in sorted(read & set(item["assets"]))}
        for asset in item["assets"].values():
            asset.pop("classification:bitfields", None)
        text = json.dumps(item, indent=1, ensure_ascii=False, sort_keys=True)
        (HERE / f"{name}.json").write_text(f"{text}\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
