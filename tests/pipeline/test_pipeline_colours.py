"""Whole runs on imagery of other encodings: maps agree, scales are frozen, remarks are kept."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import yaml
from fixtures_cli import call
from fixtures_encodings import FALSE_COLOUR, NUMBERS, encodings, write_encoding
from fixtures_job import write_job
from numpy.typing import NDArray

from s2s_map.config.run import load_run_config
from s2s_map.errors import OutputMismatchError
from s2s_map.models.checkpoints.reading import read_card, write_card
from s2s_map.models.registry import model_card
from s2s_map.pipeline.batch.run_batch import is_up_to_date
from s2s_map.pipeline.job.colour_remarks import colour_remarks, unseen_note
from s2s_map.pipeline.job.frozen_search import freeze
from s2s_map.pipeline.job.job import resolve
from s2s_map.pipeline.verbs.explain import explain
from s2s_map.pipeline.verbs.plan import make_plan
from s2s_map.pipeline.verbs.run import run
from s2s_map.scoring.occurrence import rank_correlation

ENTRY = {
    "type": "raster",
    "title": "Landsat 8",
    "sensor": {"gsd_m": 30.0, "patch_m": 1280.0},
    "licence": "public domain",
    "attribution": "USGS",
}
MINI = {
    "model": "s2s-mini",
    "grid": {"cell_m": 160},
    "patches": {"stride_m": 2560},
    "queries": [
        {"name": "waves", "text": "waves lapping on a lake shore"},
        {"name": "forest", "text": "birds and insects in a dense forest"},
        {"name": "farm", "text": "a tractor working a field"},
    ],
}


def job_of(folder: Path, entry: dict[str, Any], **changes: Any) -> Path:
    config = write_job(folder, **{"source": "scene", **changes})
    (folder / "data_catalog.yaml").write_text(yaml.safe_dump({"scene": {**ENTRY, **entry}}))
    return config


def similarity(folder: Path, config: Path) -> NDArray[np.float32]:
    finished = run(load_run_config(config), catalogs=[folder / "data_catalog.yaml"])
    values: NDArray[np.float32] = finished.maps.similarity.values[:, 0]
    return values


def test_maps_of_one_scene_in_five_encodings_agree(tmp_path: Path) -> None:
    # Takes seconds: five whole runs of s2s-mini, of some 40 patches each.
    maps = {}
    for encoding in encodings():
        if encoding.name in {"match", "one-range"}:
            continue
        folder = tmp_path / encoding.name
        config = job_of(folder, {}, **MINI)
        entry = encoding.entry(write_encoding(folder, encoding))
        (folder / "data_catalog.yaml").write_text(yaml.safe_dump({"scene": entry}))
        maps[encoding.name] = similarity(folder, config)
    best = maps.pop("stretched")
    assert set(maps) == {"numbers", "reflectance", "hazy", "collar"}
    known = np.isfinite(best[0])
    assert 0.5 < known.mean() < 0.8
    for name, found in maps.items():
        assert (np.isfinite(found[0]) == known).all(), name
        for one, other in zip(best, found, strict=True):
            assert rank_correlation(one[known], other[known]) >= 0.95, name


@pytest.mark.parametrize("scale", ["auto", "match"])
def test_a_measured_scale_is_frozen(tmp_path: Path, scale: str) -> None:
    config = job_of(tmp_path, {"uri": str(NUMBERS), "scale": scale})
    if scale == "match":
        own = read_card(tmp_path / "model").model_copy(update={"seen": model_card("s2s-mini").seen})
        write_card(tmp_path / "model", own)
    settings, catalogs = load_run_config(config), [tmp_path / "data_catalog.yaml"]
    finished = run(settings, catalogs=catalogs)
    kept = json.loads((tmp_path / "out" / "search.json").read_text())["s2s_map:scale"]
    identity = finished.embeddings.attributes["identity"]["source"]
    assert identity["scale"] == kept
    assert identity["collars"] == [NUMBERS.name]
    # A run that goes on takes it from there, whatever a sample would say now.
    measured = freeze(resolve(settings, catalogs), None).source.scale
    numbers = "bands" if scale == "auto" else "curves"
    kept_record = {"s2s_map:scale": kept}
    changed = json.loads(json.dumps(kept_record))
    if scale == "auto":
        changed["s2s_map:scale"][numbers][0]["max"] += 1
    else:
        changed["s2s_map:scale"][numbers][0][0][0] -= 1
    (tmp_path / "out" / "search.json").write_text(json.dumps(changed))
    again = freeze(resolve(settings, catalogs), tmp_path / "out").source.scale
    assert again != measured
    with pytest.raises(OutputMismatchError, match=r"source\.scale"):
        run(settings, catalogs=catalogs)
    (tmp_path / "out" / "search.json").write_text(json.dumps(kept_record))
    assert is_up_to_date(resolve(settings, catalogs))
    run(settings, catalogs=catalogs)
    explain(tmp_path / "out", -54.95, -25.35, "waves", catalogs=catalogs)


def test_neighbours_share_the_scale_of_a_file(tmp_path: Path) -> None:
    catalogs = [tmp_path / "data_catalog.yaml"]
    scales = []
    for region in ([-55.06, -25.36, -55.03, -25.33], [-54.99, -25.36, -54.95, -25.33]):
        config = job_of(tmp_path, {"uri": str(NUMBERS), "scale": "auto"}, region=region)
        scales.append(freeze(resolve(load_run_config(config), catalogs), None).source.scale)
    assert scales[0] == scales[1]


def test_another_question_to_the_sample_is_measured_anew(tmp_path: Path) -> None:
    catalogs = [tmp_path / "data_catalog.yaml"]
    config = job_of(tmp_path, {"uri": str(NUMBERS), "scale": "auto"})
    run(load_run_config(config), catalogs=catalogs)
    job_of(tmp_path, {"uri": str(NUMBERS), "scale": {"percentiles": [2, 98]}})
    with pytest.raises(OutputMismatchError, match="percentiles"):
        run(load_run_config(config), catalogs=catalogs)


def test_false_colour_is_kept_in_the_record_and_on_the_preview(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = job_of(tmp_path, {"uri": str(FALSE_COLOUR), "sensor": "landsat"}, **MINI)
    assert call("validate", str(config), "--catalog", str(tmp_path / "data_catalog.yaml")) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "imagery: looks like false colour: vegetation is red" in out
    assert "is valid" in out
    settings, catalogs = load_run_config(config), [tmp_path / "data_catalog.yaml"]
    plan = make_plan(resolve(settings, catalogs))
    assert any("false colour" in warning for warning in plan.warnings)
    finished = run(settings, catalogs=catalogs)
    record = json.loads((tmp_path / "out" / "run.json").read_text())
    assert any("vegetation is red" in remark for remark in record["remarks"])
    assert finished.record.remarks == tuple(record["remarks"])
    with_remarks = (tmp_path / "out" / "preview.png").stat().st_size
    assert with_remarks > 0


def test_the_demo_is_silent() -> None:
    job = resolve(load_run_config("workflows/demo.yaml"))
    assert colour_remarks(job) == ()
    assert unseen_note(job) == ()


def test_a_model_that_does_not_say_is_said_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = write_job(tmp_path)
    assert call("validate", str(config), "--catalog", str(tmp_path / "data_catalog.yaml")) == 0
    assert " ".join(capsys.readouterr().out.split()).count("does not say what imagery it saw") == 1
    job_of(tmp_path, {"uri": str(NUMBERS), "scale": "match"})
    code = call("run", str(config), "--catalog", str(tmp_path / "data_catalog.yaml"))
    assert code == 2
    said = " ".join(capsys.readouterr().err.split())
    assert "models reference" in said


def test_imagery_that_breaks_is_no_obstacle_to_a_plan(tmp_path: Path) -> None:
    config = job_of(tmp_path, {"uri": "scene.tif"})
    whole = (tmp_path / "scene.tif").read_bytes()
    (tmp_path / "scene.tif").write_bytes(whole[: len(whole) // 2])
    job = resolve(load_run_config(config), [tmp_path / "data_catalog.yaml"])
    (said,) = colour_remarks(job)
    assert "could not be looked at" in said


def test_a_reference_is_made_of_images_a_source_or_a_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = job_of(tmp_path, {"uri": str(NUMBERS), "scale": "auto"})
    catalog = ["--catalog", str(tmp_path / "data_catalog.yaml")]
    model = str(tmp_path / "model")
    image = write_encoding(tmp_path, encodings()[0])
    assert call("models", "reference", model, str(image), "--dry-run") == 0
    assert read_card(tmp_path / "model").seen is None
    assert call("models", "reference", model, str(image), "--about", "a test") == 0
    first = read_card(tmp_path / "model").seen
    assert first is not None
    assert first.source == "a test"
    assert call("models", "reference", model, "--source", "scene", *catalog) == 0
    second = read_card(tmp_path / "model").seen
    assert second is not None
    # Stretched in the file or while it is read: the same colours.
    for one, other in zip(first.bands, second.bands, strict=True):
        assert one.mean == pytest.approx(other.mean, abs=1.0)
    assert call("models", "reference", model, "--config", str(config), *catalog) == 0
    assert "replaced: scene" in " ".join(capsys.readouterr().out.split())
    assert call("models", "show", model) == 0
    assert "Landsat 8" in capsys.readouterr().out
    for wrong in ([], [str(image), "--source", "scene"]):
        assert call("models", "reference", model, *wrong, *catalog) == 2
    assert "IMAGE files, --source or --config" in " ".join(capsys.readouterr().err.split())
    with rasterio.open(image) as opened:
        assert opened.count == 3


def test_check_prints_numbers_that_can_be_written_back(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    job_of(tmp_path, {"uri": str(NUMBERS), "scale": "auto"})
    catalog = ["--catalog", str(tmp_path / "data_catalog.yaml")]
    assert call("catalog", "check", "scene", *catalog) == 0
    out = capsys.readouterr().out
    (line,) = [one for one in out.splitlines() if "scale: measured as" in one]
    numbers = yaml.safe_load(line.split("measured as ")[1])
    assert [band["gamma"] for band in numbers] == [1.3] * 3
    assert "exactly 0 in a collar" in out
    job_of(tmp_path, {"uri": str(NUMBERS), "scale": numbers, "nodata": 0})
    assert call("catalog", "check", "scene", *catalog) == 0
    assert "colours: like what the model saw" in capsys.readouterr().out
