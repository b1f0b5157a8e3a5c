"""How far the maps of one scene in several encodings agree, and how often a warning is false.

    python benchmarks/colours.py agree [--scene L1.tif] [--stride 640] [--out DIR]
    python benchmarks/colours.py alarms IMAGE.tif ...
    python benchmarks/colours.py pictures docs/images/colours

`agree` maps every encoding of tests/fixtures_encodings.py with s2s-mini and prints Spearman's rank
correlation of each concept with the map of the stretched picture. `alarms` judges whole true-colour
images and squares of them, and counts in how many of these exchanged red and blue are noticed.
`pictures` draws those of docs/colours.md.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections import Counter
from pathlib import Path

import numpy as np
import rasterio
import yaml

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from fixtures_encodings import FALSE_COLOUR, NUMBERS, encodings, write_encoding

from s2s_map import load_run_config, open_run, run
from s2s_map.config.catalog import RasterEntry
from s2s_map.imagery.judging import judge
from s2s_map.imagery.sample import Sample, thinned
from s2s_map.imagery.scaling import to_8bit
from s2s_map.imagery.sources.open_source import open_source
from s2s_map.models.registry import model_card
from s2s_map.scoring.occurrence import rank_correlation

QUERIES = {
    "waves": "waves lapping on a lake shore",
    "traffic": "traffic and car horns in a busy street",
    "forest": "birds and insects in a dense forest",
    "farm": "a tractor working a field",
}
SQUARES = (900, 600, 400, 200)


def agree(scene: Path, stride: float, out: Path) -> None:
    maps = {}
    print(f"| encoding | {' | '.join(QUERIES)} | said |\n|---|{'---|' * (len(QUERIES) + 1)}")
    for encoding in encodings(scene):
        folder = out / encoding.name
        folder.mkdir(parents=True, exist_ok=True)
        entry = encoding.entry(write_encoding(folder, encoding, scene))
        (folder / "data_catalog.yaml").write_text(yaml.safe_dump({"scene": entry}))
        config = {
            "output": str(folder / "out"),
            "source": "scene",
            "model": "s2s-mini",
            "queries": [{"name": name, "text": text} for name, text in QUERIES.items()],
            "grid": {"cell_m": 160},
            "patches": {"stride_m": stride},
        }
        (folder / "job.yaml").write_text(yaml.safe_dump(config))
        settings = load_run_config(folder / "job.yaml")
        run(settings, catalogs=[folder / "data_catalog.yaml"], overwrite=True)
        finished = open_run(folder / "out")
        maps[encoding.name] = finished.maps.similarity.values[:, 0]
        best, own = maps["stretched"], maps[encoding.name]
        row = []
        for one, other in zip(best, own, strict=True):
            known = np.isfinite(one) & np.isfinite(other)
            row.append(f"{rank_correlation(one[known], other[known]):.3f}")
        said = "; ".join(finished.record.remarks) or "nothing"
        print(f"| {encoding.name} | {' | '.join(row)} | {said} |", flush=True)


def alarms(paths: list[Path]) -> None:
    seen = model_card("s2s-mini").seen
    for path in paths:
        with rasterio.open(path) as image:
            rgb, valid = image.read((1, 2, 3)), image.dataset_mask() > 0
        valid &= rgb.any(axis=0)
        for side in (0, *SQUARES):
            high, wide = (side, side) if side else valid.shape
            said: Counter[str] = Counter()
            count = noticed = 0
            for top in range(0, valid.shape[0] - high + 1, high):
                for left in range(0, valid.shape[1] - wide + 1, wide):
                    part = np.s_[top : top + high, left : left + wide]
                    if valid[part].mean() < 0.6:
                        continue
                    count += 1
                    pixels = rgb[:, *part][:, valid[part]].astype(np.float32)
                    remarks = judge(Sample(thinned(pixels)), None, seen)
                    said["any"] += bool(remarks)
                    said.update(remark.split(":")[0] for remark in remarks)
                    exchanged = judge(Sample(thinned(pixels[::-1])), None, seen)
                    noticed += any("exchanged" in remark for remark in exchanged)
            if count:
                what = f"{side} px" if side else "whole"
                print(
                    f"{path.name}, {what}: {said.pop('any')} of {count} {dict(said)}; red and blue "
                    f"exchanged: {noticed}"
                )


def pictures(folder: Path) -> None:
    from PIL import Image

    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        for encoding in encodings():
            if encoding.name not in {"numbers", "one-range"}:
                continue
            path = write_encoding(Path(scratch), encoding)
            source = open_source(RasterEntry.model_validate(encoding.entry(path)))
            seen = model_card("s2s-mini").seen
            source = source.measured(source.sample((-180, -80, 180, 84)), seen)
            scene = source.coverage[0]
            block = source.read(scene.bounds, scene.shape, scene.crs)
            rgba = np.concatenate([block.pixels, block.valid[None] * np.uint8(255)])
            picture = Image.fromarray(rgba.transpose(1, 2, 0)).crop((0, 120, 320, 360))
            picture.save(folder / f"{encoding.name}.png", optimize=True)
    with rasterio.open(FALSE_COLOUR) as image:
        rgb = to_8bit(image.read().astype(np.float32), None)
    Image.fromarray(rgb.transpose(1, 2, 0)).save(folder / "false-colour.png", optimize=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    verbs = parser.add_subparsers(dest="verb", required=True)
    agreeing = verbs.add_parser("agree")
    agreeing.add_argument("--scene", type=Path, default=NUMBERS)
    agreeing.add_argument("--stride", type=float, default=640.0)
    agreeing.add_argument("--out", type=Path, default=Path("out/colours"))
    verbs.add_parser("alarms").add_argument("images", type=Path, nargs="+")
    verbs.add_parser("pictures").add_argument("folder", type=Path)
    given = parser.parse_args()
    if given.verb == "agree":
        agree(given.scene, given.stride, given.out)
    elif given.verb == "alarms":
        alarms(given.images)
    else:
        pictures(given.folder)


if __name__ == "__main__":
    main()
