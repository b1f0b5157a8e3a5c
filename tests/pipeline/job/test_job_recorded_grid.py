"""A run goes on in the CRS, and with the parts of a place, that it was begun with."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rasterio
import yaml
from fixtures_job import write_job
from odc.geo.crs import CRS
from rasterio.transform import from_origin

from s2s_map.cli.main import main
from s2s_map.config.run import load_run_config
from s2s_map.errors import OutputMismatchError
from s2s_map.pipeline.job.job import resolve
from s2s_map.pipeline.verbs.explain import explain
from s2s_map.pipeline.verbs.open_run import open_run
from s2s_map.pipeline.verbs.plan import make_plan
from s2s_map.pipeline.verbs.run import run
from s2s_map.regions.place_region import whole_place
from s2s_map.reporter import Reporter
from s2s_map.tiling.projections import named_projection

# By which the whole of Saint Helena, three islands, was mapped before version 0.2.
OLD = "Africa"
NEW_CRS = "EPSG:32730"


class Notes(Reporter):
    """Keeps what a run says."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def note(self, text: str) -> None:
        self.said.append(text)


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A config of Saint Helena, with imagery in degrees, which has no CRS for maps of its own."""
    folder = tmp_path_factory.mktemp("helena")
    path = write_job(folder)
    pixels = np.random.default_rng(0).integers(1, 255, (3, 700, 220), dtype=np.uint8)
    with rasterio.open(
        folder / "scene.tif",
        "w",
        driver="GTiff",
        dtype="uint8",
        count=3,
        width=220,
        height=700,
        crs="EPSG:4326",
        transform=from_origin(-15.5, -7.0, 0.05, 0.05),
    ) as dataset:
        dataset.write(pixels)
    catalog = yaml.safe_load((folder / "data_catalog.yaml").read_text())
    catalog["noise"]["sensor"] = {"gsd_m": 5000.0, "patch_m": 80_000.0}
    (folder / "data_catalog.yaml").write_text(yaml.safe_dump(catalog))
    config = yaml.safe_load(path.read_text())
    config |= {
        "region": "Saint Helena",
        "grid": {"cell_m": 5000, "block_cells": 64},
        "patches": {"stride_m": 40_000},
    }
    path.write_text(yaml.safe_dump(config))
    return path


@pytest.fixture(scope="module")
def old(job: Path) -> Path:
    """What an earlier version made of it: all three islands, in the CRS of its list."""
    config = load_run_config(job)
    whole = whole_place("Saint Helena").geometry
    earlier = config.model_copy(
        update={"region": whole.wkt, "grid": config.grid.model_copy(update={"crs": OLD})}
    )
    run(earlier)
    return Path(config.output)


def test_by_itself_it_is_mapped_in_another_crs_now(job: Path) -> None:
    anew = resolve(load_run_config(job))
    assert str(anew.grid.crs) == NEW_CRS
    assert len(anew.outline.others) == 3


def test_what_was_begun_is_gone_on_with(job: Path, old: Path) -> None:
    before = open_run(old).record.counts
    finished = run(job)
    assert finished.record.counts["patches_embedded_now"] == 0
    assert finished.record.counts["valid_cells"] == before["valid_cells"]
    assert finished.embeddings.grid.crs == _old_crs()
    # The plan and the check say the same, and who explains a map reads its blocks as they are.
    for verb in ("validate", "plan"):
        with pytest.raises(SystemExit) as ended:
            main([verb, str(job)])
        assert not ended.value.code
    assert make_plan(resolve(load_run_config(job), (), old)).others == ()


def test_a_place_is_explained_in_the_crs_of_its_map(job: Path, old: Path) -> None:
    found = explain(old, -5.7, -15.95, "waves", catalogs=[job.parent / "data_catalog.yaml"])
    assert found is not None


def test_another_crs_by_name_is_refused_in_one_line(job: Path, old: Path) -> None:
    config = load_run_config(job)
    other = config.model_copy(update={"grid": config.grid.model_copy(update={"crs": NEW_CRS})})
    with pytest.raises(OutputMismatchError, match=r"grid\.crs: \+proj=laea .* -> EPSG:32730") as no:
        run(other)
    assert "\n" not in str(no.value)


def test_started_anew_it_gets_todays(job: Path, old: Path) -> None:
    notes = Notes()
    finished = run(job, overwrite=True, reporter=notes)
    assert any("not mapped: Ascension Island" in text for text in notes.said)
    assert finished.embeddings.grid.crs == CRS(NEW_CRS)
    # And goes on in that.
    assert run(job).record.counts["patches_embedded_now"] == 0


def _old_crs():  # type: ignore[no-untyped-def]
    projection = named_projection(OLD)
    assert projection is not None
    return projection.crs
