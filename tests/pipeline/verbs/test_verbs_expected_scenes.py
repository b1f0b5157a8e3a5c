"""What a plan expects of a search, and which source it names as the nearest."""

from __future__ import annotations

from pathlib import Path

import pytest

from s2s_map.catalog.catalog import load_catalog
from s2s_map.config.run import load_run_config
from s2s_map.models.registry import model_card
from s2s_map.pipeline.job.job import resolve
from s2s_map.pipeline.verbs.expected_scenes import nearest_sources, source_hint
from s2s_map.pipeline.verbs.plan import make_plan

WORKFLOWS = Path(__file__).resolve().parents[3] / "workflows"


@pytest.mark.parametrize(("region", "area_km2"), [("Kenya", 586_000), ("Denmark", 43_000)])
def test_scenes_are_as_many_as_the_tiles_of_the_region(region: str, area_km2: float) -> None:
    config = load_run_config(WORKFLOWS / "denmark_planetary_computer.yaml")
    job = resolve(config.model_copy(update={"region": region}))
    scenes = make_plan(job).scenes
    assert scenes is not None
    # Cells of 2 degrees, 49,000 square kilometres at most, by two pieces of five months.
    assert 2 * area_km2 / 49e3 < scenes.parts < 2 * (area_km2 / 49e3 + 14)
    # Tiles of 100 km, those on the border and between zones included.
    assert area_km2 / 1e4 < scenes.tiles < 4.0 * area_km2 / 1e4 + 20
    most = scenes.tiles * job.entry.max_per_tile * 1.6  # type: ignore[union-attr]
    assert scenes.most == pytest.approx(most, abs=1)
    assert scenes.requests > 4 * scenes.most


def test_sources_with_pixels_as_the_model_saw_are_nearest() -> None:
    entries = load_catalog()
    card = model_card("s2s-mini")
    assert nearest_sources(card, entries, "sentinel2_earthsearch")[0] == "sentinel2_earthsearch"
    hint = source_hint(card, entries, "sentinel2_earthsearch", 10.0)
    assert hint.endswith("has 10 m: no source of the catalog is nearer")
    # One of 30 m is within what it saw as well, one of 0.6 m is not.
    assert "no source" in source_hint(card, entries, "iguacu_landsat8", 30.0)
    hint = source_hint(card, entries, "azure_maps_imagery", 0.6)
    assert "has 0.6 m; nearest without a key eox_s2cloudless_2020 (10 m) or" in hint

    fine = card.model_copy(update={"gsd_m": (0.5, 0.6)})
    free = nearest_sources(fine, entries, "sentinel2_earthsearch")
    every = nearest_sources(fine, entries, "sentinel2_earthsearch", keys=True)
    assert free[0] == "sentinel2_earthsearch"
    assert not any(entries[name].env for name in free)
    assert all(entries[name].env and entries[name].sensor.gsd_m < 1.0 for name in every)
    hint = source_hint(fine, entries, "sentinel2_earthsearch", 10.0)
    assert "saw pixels of 0.5 to 0.6 m, sentinel2_earthsearch has 10 m; nearest with a key" in hint
    assert every[0] in hint
    assert not any(name in hint for name in free[1:])

    unknown = card.model_copy(update={"gsd_m": None})
    assert source_hint(unknown, entries, "sentinel2_earthsearch", 10.0) == ""
