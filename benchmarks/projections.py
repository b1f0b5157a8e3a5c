"""What the step of the lattice of projections costs and gives: errors, and neighbours on one grid.

    python benchmarks/projections.py

For the main part of each country that ships and fits in no UTM zone: the azimuthal equal-area
projection whose centre on a lattice is nearest to its farthest point, by steps of latitude and
longitude. `pairs` are those of neighbours, at most 0.05 degrees apart and both beyond UTM, that
share one.
"""

from __future__ import annotations

import argparse

import numpy as np
import shapely

from s2s_map.regions.extent import sample_points
from s2s_map.regions.place_region import place_region
from s2s_map.regions.places import shipped_places
from s2s_map.tiling.crs import choose_crs
from s2s_map.tiling.projections import FAR, unit_vectors
from s2s_map.tiling.splitting import crs_name

STEPS = ((10, 10), (15, 15), (20, 20), (20, 30), (25, 20), (25, 30), (30, 20), (30, 30))
FARTHEST = 75


def main() -> None:
    argparse.ArgumentParser(description=__doc__.splitlines()[0]).parse_args()
    outlines = {
        place.name: place_region(place.codes[0] if place.codes else place.name)
        for place in shipped_places()
        if not place.is_unit
    }
    chosen = {name: crs_name(choose_crs(None, outline)) for name, outline in outlines.items()}
    beyond = [name for name, crs in chosen.items() if not crs.startswith(("EPSG:326", "EPSG:327"))]
    points = {name: unit_vectors(sample_points(outlines[name].lonlat)) for name in beyond}
    pairs = neighbours({name: outlines[name].lonlat for name in beyond})
    print(f"{len(outlines)} countries, {len(beyond)} beyond UTM, {len(pairs)} pairs of neighbours")
    print("| step lat, lon | centres | used | median error | over 3 % | pairs on one |")
    for step in STEPS:
        centres = lattice(*step)
        nearest = {name: choose(centres, xyz) for name, xyz in points.items()}
        errors = [error for _, error in nearest.values()]
        far = sorted(
            (f"{name} {error:.1%}" for name, (_, error) in nearest.items() if error > FAR),
            key=lambda text: -float(text.split()[-1].rstrip("%")),
        )
        shared = sum(nearest[a][0] == nearest[b][0] for a, b in pairs) / len(pairs)
        used = len({centre for centre, _ in nearest.values()})
        print(
            f"| {step[0]}, {step[1]} | {len(centres)} | {used} | {np.median(errors):.2%} "
            f"| {', '.join(far)} | {shared:.0%} |"
        )
    shared = sum(chosen[a] == chosen[b] for a, b in pairs) / len(pairs)
    print(f"as mapped: {len({chosen[name] for name in beyond})} used, {shared:.0%} of pairs on one")


def lattice(lat_step: int, lon_step: int) -> np.ndarray:
    lats = [lat for lat in range(-90, 91) if lat % lat_step == 0 and abs(lat) <= FARTHEST]
    lons = range(-180 + lon_step, 181, lon_step)
    return np.array([*((lon, lat) for lat in lats for lon in lons), (0, 90), (0, -90)], float)


def choose(centres: np.ndarray, xyz: np.ndarray) -> tuple[int, float]:
    """The centre, and by what share distances are off at the farthest point (on the sphere)."""
    farthest = np.arccos(np.clip(unit_vectors(centres) @ xyz.T, -1.0, 1.0)).max(axis=1)
    best = int(np.argmin(np.round(farthest, 7)))
    return best, float(1.0 / np.cos(farthest[best] / 2.0) - 1.0)


def neighbours(outlines: dict[str, shapely.Geometry]) -> list[tuple[str, str]]:
    names, shapes = list(outlines), list(outlines.values())
    found = shapely.STRtree(shapes).query(shapes, predicate="dwithin", distance=0.05)
    return [(names[a], names[b]) for a, b in found.T if a < b]


if __name__ == "__main__":
    main()
