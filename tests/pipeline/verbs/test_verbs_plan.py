"""Plans of the shipped workflows and of hard regions, all without a network."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import shapely
from odc.geo.crs import CRS

from s2s_map.cli.main import main
from s2s_map.config.batch import load_batch
from s2s_map.config.run import load_run_config
from s2s_map.pipeline.batch.batch_regions import every_map
from s2s_map.pipeline.batch.run_batch import plan_batch
from s2s_map.pipeline.job.job import resolve
from s2s_map.pipeline.verbs.plan import Plan, make_plan
from s2s_map.regions.extent import sample_points
from s2s_map.regions.place_region import whole_place
from s2s_map.regions.region_file import read_outline
from s2s_map.tiling.projections import distance_error, projection_of
from s2s_map.tiling.splitting import Piece

if TYPE_CHECKING:
    from fixtures_raster import MakeRaster

WORKFLOWS = Path(__file__).resolve().parents[3] / "workflows"
SWITZERLAND = WORKFLOWS / "switzerland_birdsong.yaml"


def box_of(piece: Piece) -> list[float]:
    assert isinstance(piece.region, str)
    return [float(edge) for edge in piece.region.split("[")[1].rstrip("]").split(",")]


def plan_of(region: str) -> Plan:
    config = load_run_config(SWITZERLAND).model_copy(update={"region": region})
    return make_plan(resolve(config))


BATCHES = [WORKFLOWS / "batch.yaml", WORKFLOWS / "france_batch.yaml"]


@pytest.mark.parametrize("path", sorted(set(WORKFLOWS.glob("*.yaml")) - set(BATCHES)), ids=str)
def test_every_workflow_plans_offline(path: Path) -> None:
    plan = make_plan(resolve(load_run_config(path)))
    assert min(plan.blocks, plan.patches, plan.cells, plan.read_bytes, plan.seconds) > 0
    assert plan.attribution


@pytest.mark.parametrize("path", BATCHES, ids=str)
def test_every_batch_plans_offline(path: Path, tmp_path: Path) -> None:
    _, runs = load_batch(path, every_map)
    away = [
        replace(run, config=run.config.model_copy(update={"output": str(tmp_path / run.name)}))
        for run in runs
    ]
    outcomes = [outcome for _, outcome in plan_batch(away)]
    assert {outcome.state for outcome in outcomes} == {"planned"}
    assert min(outcome.patches for outcome in outcomes) > 0
    if path.stem == "france_batch":
        regions = [run.region for run in runs]
        assert regions[:2] == ["france", "france-french-guiana"]
        assert {"france-reunion", "france-mayotte"} < set(regions)


@pytest.mark.parametrize(
    ("workflow", "parts", "crs"),
    [
        ("fiji_planetary_computer", ["Rotuma", "Ceva-i-Ra"], "+lat_0=-20 +lon_0=180"),
        ("chile_eox", ["Easter Island"], "+lat_0=-40 +lon_0=-60"),
        ("svalbard_planetary_computer", [], "EPSG:6931"),
    ],
)
def test_a_country_of_each_kind_is_valid_and_says_its_parts(
    capsys: pytest.CaptureFixture[str], workflow: str, parts: list[str], crs: str
) -> None:
    path = str(WORKFLOWS / f"{workflow}.yaml")
    for verb in ("validate", "plan"):
        with pytest.raises(SystemExit) as ended:
            main([verb, path])
        assert not ended.value.code
        shown = " ".join(capsys.readouterr().out.split())
        for part in parts:
            assert part in shown
        assert ("not mapped:" in shown) == bool(parts)
    assert "s2s-mini saw pixels of 10 to 30 m" in shown
    assert "no source of the catalog is nearer" in shown
    plan = make_plan(resolve(load_run_config(path)))
    assert crs in plan.crs
    assert [other.name for other in plan.others][: len(parts)] == parts
    assert plan.distance_error < 0.03
    # Either web tiles or scenes of a search are reckoned, with their requests.
    assert (plan.requests is None) != (plan.scenes is None)
    assert plan.scenes is None or plan.scenes.requests > plan.scenes.most > plan.scenes.tiles > 10


def test_norway_by_web_tiles_is_planned(tmp_path: Path) -> None:
    """Bouvet Island made a map of 14,000 km, and pixels of its picture took 4,096 of the tiles."""
    text = (WORKFLOWS / "kenya_eox.yaml").read_text()
    (tmp_path / "norway.yaml").write_text(text.replace("region: Kenya", "region: Norway"))
    plan = make_plan(resolve(load_run_config(tmp_path / "norway.yaml")))
    assert [other.name for other in plan.others] == ["Svalbard", "Jan Mayen", "Bouvet Island"]
    assert plan.distance_error < 0.01
    assert plan.land_share > 0.15
    # The map that went wrong, whole as it was.
    whole = read_outline("Norway", ()), whole_place("Norway")
    assert whole[0].extent.south > 57.0 > -54.0 > whole[1].extent.south


def test_switzerland_is_planned_credibly() -> None:
    plan = plan_of("CH")
    # 41,290 square kilometres in cells of 640 m.
    assert plan.cells == pytest.approx(41_290e6 / 640**2, rel=0.01)
    assert plan.cells <= plan.patches < 2 * plan.cells
    assert plan.crs == "EPSG:32632"
    assert plan.distance_error < 0.001
    assert plan.store_bytes == plan.cells * 256 * 2
    assert plan.warnings == ()


def test_a_large_region_is_planned_by_its_needed_blocks() -> None:
    plan = plan_of("Chile")
    assert plan.blocks < 300
    assert plan.cells == pytest.approx(752_000e6 / 640**2, rel=0.05)
    assert [other.name for other in plan.others] == [
        "Easter Island",
        "Juan Fernández Islands",
        "Desventuradas Islands",
    ]


@pytest.mark.parametrize("region", ["Russia", "Cabo Verde"])
def test_a_split_is_proposed(region: str) -> None:
    plan = plan_of(region)
    assert plan.distance_error > 0.03 or plan.land_share < 0.15
    assert 2 <= len(plan.split) <= 40
    assert max(box.distance_error for box in plan.split) <= 0.03
    # Ready to paste: each is a region, of that CRS and error, and together they are the land.
    for box in plan.split[:: max(1, len(plan.split) // 3)]:
        config = load_run_config(SWITZERLAND).model_copy(update={"region": box.region})
        job = resolve(config)
        named = projection_of(job.grid.crs)
        assert box.crs in (str(job.grid.crs), named.name if named else "")
        error = distance_error(job.grid.crs, sample_points(job.outline.lonlat))
        assert error == pytest.approx(box.distance_error, rel=0.15, abs=0.002)
    outline = read_outline(region, ())
    points = shapely.get_coordinates(shapely.point_on_surface(shapely.get_parts(outline.lonlat)))
    for lon, lat in points:
        assert any(
            (lon - west) % 360.0 <= (east - west) % 360.0 and south <= lat <= north
            for west, south, east, north in map(box_of, plan.split)
        )


def test_the_split_is_printed(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    text = SWITZERLAND.read_text().replace("region: Switzerland", "region: Cabo Verde")
    (tmp_path / "verde.yaml").write_text(text)
    with pytest.raises(SystemExit) as ended:
        main(["plan", str(tmp_path / "verde.yaml")])
    assert not ended.value.code
    shown = capsys.readouterr().out
    assert "split" in shown
    assert "region: Cabo Verde within [" in shown
    assert "regions: {NAME: Cabo Verde (all)}" in " ".join(shown.split())


def test_imagery_that_is_not_as_said_or_does_not_reach(
    tmp_path: Path, make_raster: MakeRaster
) -> None:
    west, south = 720_000.0, -2_786_000.0
    make_raster("a.tif", shape=(200, 200))
    (tmp_path / "catalog.yaml").write_text(
        "mine:\n  type: raster\n  title: t\n  uri: a.tif\n  sensor: {gsd_m: 10, patch_m: 2560}\n"
        "  licence: l\n  attribution: a\n"
    )
    corners = [(west, south), (west + 12_000, south), (west + 12_000, south + 6_000)]
    to_lonlat = CRS("EPSG:32621").transformer_to_crs(CRS("EPSG:4326"), always_xy=True)
    ring = [to_lonlat(*corner) for corner in (*corners, (west, south + 6_000))]
    update = {"source": "mine", "region": shapely.Polygon(ring).wkt}
    config = load_run_config(WORKFLOWS / "demo.yaml").model_copy(update=update)
    job = resolve(config, [tmp_path / "catalog.yaml"])
    said = " ".join(make_plan(job).warnings)
    assert "50.0% of the region lies outside the imagery of mine" in said
    assert "the files have 30 m a pixel, but the entry's sensor says 10 m" in said
    card = job.card.model_copy(update={"gsd_m": (0.5, 0.6)})
    said = " ".join(make_plan(replace(job, card=card)).warnings)
    assert "10 m a pixel, the model s2s-mini was trained on 0.5 to 0.6 m" in said
    demo = make_plan(resolve(load_run_config(WORKFLOWS / "demo.yaml")))
    assert demo.warnings == ()


def test_disputed_borders_are_said() -> None:
    assert any("Natural Earth" in warning for warning in plan_of("Kosovo").warnings)


def test_the_plan_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["plan", str(SWITZERLAND), "--json"])
    assert not ended.value.code
    assert json.loads(capsys.readouterr().out)["blocks"] == 13


def test_amsterdam_and_kenya_say_how_many_web_tiles_they_fetch() -> None:
    amsterdam = make_plan(resolve(load_run_config(WORKFLOWS / "amsterdam_city.yaml")))
    assert amsterdam.requests is not None
    # 20.2 x 16.2 km and halos; at 52 degrees web tiles of level 18 are 93 m wide.
    assert amsterdam.requests.count == pytest.approx(20_200 * 16_200 / 93.2**2, rel=0.1)
    # No more than a day allows; but the embedded model has seen nothing as fine.
    (warning,) = amsterdam.warnings
    assert "0.6 m a pixel, the model s2s-mini was trained on 10 to 30 m" in warning
    assert "web tiles of level 18" in amsterdam.requests.what
    kenya = make_plan(resolve(load_run_config(WORKFLOWS / "kenya_eox.yaml")))
    assert kenya.requests is not None
    # 581,000 square kilometres in web tiles of 2,446 m at level 14, and whole blocks at the border.
    assert 581_000e6 / 2446**2 < kenya.requests.count < 1.6 * 581_000e6 / 2446**2
    assert kenya.warnings == ()
    assert kenya.licence == "CC-BY-NC-SA-4.0"


def test_kenya_by_level_18_is_more_than_a_day_allows(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = (WORKFLOWS / "kenya_eox.yaml").read_text()
    text = text.replace("eox_s2cloudless_2020", "azure_maps_imagery").replace("1280", "180")
    config = tmp_path / "kenya.yaml"
    config.write_text(text.replace("block_cells: 32", "block_cells: 128"))
    plan = make_plan(resolve(load_run_config(config)))
    assert plan.requests is not None
    assert plan.requests.count == pytest.approx(26e6, rel=0.1)
    (warning,) = (said for said in plan.warnings if "a day" in said)
    assert "1,728,000 a day" in warning
    assert "days at least" in warning
    # The same is said of a small box, in a moment.
    few = config.read_text().replace("region: Kenya", "region: [36.8, -1.3, 36.9, -1.2]")
    config.write_text(few)
    with pytest.raises(SystemExit):
        main(["plan", str(config)])
    said = " ".join(capsys.readouterr().out.split())
    assert "to fetch about" in said
    assert "web tiles of level 18" in said


def test_memory_does_not_grow_with_the_map_beyond_a_region() -> None:
    config = load_run_config(SWITZERLAND)
    job = resolve(config.model_copy(update={"region": "CH"}))
    plan = make_plan(job)
    many = [{"name": f"q{i}", "text": f"sound {i}"} for i in range(400)]
    asked = config.model_validate({**config.model_dump(), "queries": many, "region": "CH"})
    more = make_plan(resolve(asked))
    assert more.maps_bytes == plan.maps_bytes * 400 // len(config.queries)
    # 128 MiB of answers in each of two regions, not layers held whole.
    assert more.memory_bytes - plan.memory_bytes < 300e6
    chile = asked.model_copy(update={"region": "Chile"})
    assert make_plan(resolve(chile)).memory_bytes - plan.memory_bytes < 300e6


def test_web_tiles_around_the_earth_cover_a_region_but_may_be_of_another_level(
    tmp_path: Path,
) -> None:
    def warnings_of(**fields: object) -> str:
        entry = {
            "type": "xyz",
            "title": "t",
            "url": "https://a.test/{z}/{x}/{y}.png",
            "bounds": [-180, -85, 180, 85],
            "sensor": {"gsd_m": 10.0, "patch_m": 2560.0},
            "licence": "l",
            "attribution": "a",
        }
        (tmp_path / "catalog.yaml").write_text(json.dumps({"mine": entry | fields}))
        config = load_run_config(WORKFLOWS / "demo.yaml")
        config = config.model_copy(update={"source": "mine", "region": [6.0, 46.0, 6.4, 46.3]})
        return " ".join(make_plan(resolve(config, [tmp_path / "catalog.yaml"])).warnings)

    assert warnings_of() == ""
    assert "% of the region lies outside" in warnings_of(bounds=[6.2, 46, 7, 47])
    for fields, size in (({"zoom": 10}, 106), ({"zoom": 17}, 0.83), ({"max_zoom": 11}, 53.1)):
        said = warnings_of(**fields)
        assert f"have {size:.3g} m a pixel here, but the entry's sensor says 10 m" in said
