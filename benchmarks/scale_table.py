"""What a country takes: a table calculated from measured figures and stated assumptions.

    python benchmarks/scale_table.py [--read-ms 0.5 --write-ms 0.1 ...]

Prints the Markdown of docs/scale.md's table. Measured: the cores' milliseconds for reading and
writing, as printed by ``scale.py overhead``, and the encoder's rate on a CPU (encoder.py). Assumed:
the rest of the options; each is printed above the table.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass

PLACES = {"Switzerland": "CH", "Kenya": "KE", "Germany": "DE", "United States": "US"}
CELL_M, PATCH_M, GSD_M, DIM = 640, 2560, 10, 1024
FLEETS = (1, 8, 64)


@dataclass(frozen=True)
class Area:
    """A region on the grid.

    Attributes:
        name: Its name.
        cells: Cells inside, each a patch.
        blocks: Blocks that touch it; they are read whole.
    """

    name: str
    cells: int
    blocks: int


def main() -> None:
    """Print assumptions and table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--gpu-rate", type=float, default=5000, help="assumed patches/s of one H200"
    )
    parser.add_argument("--cpu-rate", type=float, help="measured patches/s of a 2-core CPU")
    parser.add_argument("--read-ms", type=float, required=True, help="measured, core ms a patch")
    parser.add_argument("--write-ms", type=float, required=True, help="measured, core ms a patch")
    parser.add_argument("--cores", type=int, default=16, help="assumed cores beside each GPU")
    parser.add_argument("--gbit", type=float, default=10, help="assumed network of each GPU")
    parser.add_argument("--store-gbit", type=float, default=100, help="assumed, imagery's server")
    parser.add_argument("--tasks", type=float, default=100, help="assumed blocks/s of a scheduler")
    parser.add_argument("--block-cells", type=int, default=32, help="cells along a block")
    args = parser.parse_args()
    limits = limits_of(args)
    print_assumptions(args)
    print("| region | blocks | patches | imagery | embeddings | hours, 1 | 8 | 64 |")
    print("|---|--:|--:|--:|--:|--:|--:|--:|")
    for area in areas(args.block_cells):
        hours = [hours_of(area, limits[n], args.block_cells) for n in FLEETS]
        read = area.blocks * args.block_cells**2 * patch_bytes(args)
        print(
            f"| {area.name} | {area.blocks:,} | {area.cells:,} "
            f"| {size(read)} | {size(area.cells * DIM * 2)} | "
            + " | ".join(f"{hours_text(h)}" for h in hours)
            + " |"
        )
    print("\n| H200 | " + " | ".join(limits[1]) + " | breaks first |")
    print("|---" + "|--:" * len(limits[1]) + "|---|")
    for n in FLEETS:
        figures = " | ".join(f"{rate:,.0f}" for rate in limits[n].values())
        print(f"| {n} | {figures} | {min(limits[n], key=lambda name: limits[n][name])} |")
    if args.cpu_rate:
        print(f"\nOn the CPU that was measured, {args.cpu_rate:g} patches/s: ", end="")
        parts = [
            f"{area.name} {area.cells / args.cpu_rate / 3600:,.3g} h"
            for area in areas(args.block_cells)
        ]
        print(", ".join(parts) + ".")


def limits_of(args: argparse.Namespace) -> dict[int, dict[str, float]]:
    """Return the patches a second that each part allows, by number of GPUs."""
    wire = patch_bytes(args)
    return {
        n: {
            "encoder": n * args.gpu_rate,
            "cores that read and write": n * args.cores * 1000 / (args.read_ms + args.write_ms),
            "network of the workers": n * args.gbit / 8 * 1e9 / wire,
            "server of the imagery": args.store_gbit / 8 * 1e9 / wire,
            "scheduler": args.tasks * args.block_cells**2,
        }
        for n in FLEETS
    }


def hours_of(area: Area, limits: dict[str, float], block_cells: int) -> float:
    """Return the hours of a region: patches inside are encoded, blocks at its edge read whole."""
    others = min(rate for name, rate in limits.items() if name != "encoder")
    return max(area.cells / limits["encoder"], area.blocks * block_cells**2 / others) / 3600


def patch_bytes(args: argparse.Namespace) -> float:
    """Uncompressed bytes of three 16-bit bands a patch, the halo of its block included."""
    halo = (PATCH_M - CELL_M) / CELL_M
    share = ((args.block_cells + halo) / args.block_cells) ** 2
    return share * (CELL_M / GSD_M) ** 2 * 3 * 2


def areas(block_cells: int) -> list[Area]:
    """Count cells and blocks of the shipped outlines in an equal-area projection (EPSG:6933)."""
    import geopandas
    import numpy as np
    import shapely
    from rasterio.features import rasterize
    from rasterio.transform import from_origin

    from s2s_map.regions.place_names import find_place
    from s2s_map.regions.places import place_outline, shipped_places

    places = shipped_places()
    wanted = {name: [find_place(code, places)] for name, code in PLACES.items()}
    wanted["Land of the Earth"] = [place for place in places if not place.is_unit]
    block_m = block_cells * CELL_M
    west, north = -17_367_530.0, 7_314_540.0
    shape = (int(2 * north // block_m) + 1, int(-2 * west // block_m) + 1)
    found = []
    for name, parts in wanted.items():
        outlines = geopandas.GeoSeries([place_outline(part) for part in parts], crs=4326)
        # Beyond its ends the projection has no place for points.
        clipped = outlines.clip_by_rect(-180, -89.9, 180, 89.9)
        there = shapely.make_valid(clipped.to_crs(6933).to_numpy())
        touched = rasterize(
            [shape for shape in there if not shape.is_empty],
            out_shape=shape,
            transform=from_origin(west, north, block_m, block_m),
            all_touched=True,
            dtype=np.uint8,
        )
        cells = round(float(sum(one.area for one in there)) / CELL_M**2)
        found.append(Area(name, cells, int(touched.sum())))
    return found


def print_assumptions(args: argparse.Namespace) -> None:
    print(
        f"Assumed, not measured: {args.gpu_rate:,.0f} patches/s on one H200 (the target), "
        f"{args.cores} cores and {args.gbit:g} Gbit/s beside each, a server of imagery at "
        f"{args.store_gbit:g} Gbit/s, one scheduler at {args.tasks:g} blocks/s, blocks of "
        f"{args.block_cells} cells, one date of imagery, three 16-bit bands that are not "
        f"compressed. Measured: {args.read_ms:g} ms to read and {args.write_ms:g} ms to write a "
        "patch, on one core, imagery on the local disk. Hours are those of the part that "
        "takes longest: patches over the encoder's limit, or the whole blocks' over the lowest of "
        "the others.\n"
    )


def hours_text(hours: float) -> str:
    """Write a time for people."""
    return (
        f"{hours:.2g} h" if hours >= 1 else f"{hours * 60:.2g} min" if hours > 1 / 60 else "< 1 min"
    )


def size(count: float) -> str:
    """Write bytes for people."""
    for unit in ("MB", "GB", "TB"):
        count /= 1000.0 if unit != "MB" else 1e6
        if count < 1000:
            break
    return f"{count:,.3g} {unit}"


if __name__ == "__main__":
    main()
