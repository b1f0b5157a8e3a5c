"""Packages that bring a source, an encoder, a probability and a format: whole runs with each."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import yaml
from fixtures_cli import call
from fixtures_job import GSD_M, NORTH, WEST, write_job, write_scene
from fixtures_models import TINY
from fixtures_plain_model import write_plain_job
from fixtures_plugins import PACKAGES, install, write_metadata

from s2s_map.config.model import ModelConfig
from s2s_map.config.run import load_run_config
from s2s_map.errors import ConfigError, OutputMismatchError, S2SMapError
from s2s_map.pipeline.verbs.query import query
from s2s_map.pipeline.verbs.run import run
from s2s_map.pipeline.verbs.status import run_status, verify
from s2s_map.plugins.registry import look_again, used_packages

BROUGHT = ("s2s_map_npy", "s2s_map_colours", "s2s_map_logistic", "s2s_map_csv")


def write_npy(folder: Path, **fields: Any) -> None:
    """The scene of a job as an array, and a catalog entry for it."""
    with rasterio.open(folder / "scene.tif") as scene:
        np.save(folder / "scene.npy", scene.read())
    catalog = yaml.safe_load((folder / "data_catalog.yaml").read_text())
    entry = {key: value for key, value in catalog["noise"].items() if key != "uri"}
    place = {"crs": "EPSG:32721", "west": WEST, "north": NORTH, "pixel": GSD_M}
    catalog["array"] = {**entry, "type": "npy", "file": "scene.npy", **place, **fields}
    (folder / "data_catalog.yaml").write_text(yaml.safe_dump(catalog))


@pytest.fixture
def plugged(tmp_path: Path, site: Path) -> Path:
    """A job that uses all four packages; the path of its config."""
    for package in PACKAGES.iterdir():
        install(package.name, site)
    network = ModelConfig.model_validate({**TINY.model_dump(), "image": {"kind": "colours"}})
    path = write_job(
        tmp_path / "job",
        network=network,
        source="array",
        queries=[{"name": "waves", "text": "waves on a shore"}],
        probability={"method": "logistic", "even": 0.1},
        formats=[{"format": "csv", "least": 0.5}],
    )
    write_npy(tmp_path / "job")
    return path


@pytest.mark.slow  # a run and its query with a network
def test_a_run_with_a_source_an_encoder_a_probability_and_a_format(
    plugged: Path, site: Path, tmp_path: Path
) -> None:
    done = run(plugged)
    out = Path(load_run_config(plugged).output)
    assert set(used_packages()) == {name.replace("_", "-") for name in BROUGHT}
    # The probability is the package's, of the similarity beside it.
    with rasterio.open(out / "waves.tif") as tiff:
        probability, similarity = tiff.read()
        assert "probability (logistic)" in tiff.descriptions[0]
    known = ~np.isnan(similarity)
    assert 0.0 < known.mean() < 1.0
    expected = 1.0 / (1.0 + np.exp((0.1 - similarity[known]) / np.float32(0.05)))
    np.testing.assert_allclose(probability[known], expected, rtol=1e-5)
    # The format has every cell from its bound on, at its place.
    lines = (out / "waves.csv").read_text().splitlines()
    assert lines[0] == "x,y,probability,similarity"
    assert len(lines) - 1 == int((probability >= 0.5).sum())
    x, y, first, _ = map(float, lines[1].split(","))
    with rasterio.open(out / "waves.tif") as tiff:
        assert next(tiff.sample([(x, y)]))[0] == pytest.approx(first, rel=1e-5)
    # What they are is written wherever results say what made them.
    record = json.loads((out / "run.json").read_text())
    assert {k: v for k, v in record["software"].items() if k.startswith("s2s-map-")} == {
        name.replace("_", "-"): "1.0" for name in BROUGHT
    }
    about = record["concepts"]["waves"]["query"]
    assert about["plugin"] == {"package": "s2s-map-logistic", "version": "1.0"}
    assert about["settings"]["even"] == 0.1
    identity = done.embeddings.attributes["identity"]
    assert identity["source"]["plugin"] == {"package": "s2s-map-npy", "version": "1.0"}
    assert identity["model"]["plugins"]["image"]["package"] == "s2s-map-colours"
    item = json.loads((out / "item.json").read_text())
    assert item["assets"]["waves-csv"]["type"] == "text/csv"
    assert item["assets"]["waves-csv"]["file:size"] == (out / "waves.csv").stat().st_size

    # Another question is answered in the same ways; the layer that was there keeps its files.
    asked = query(out, "traffic", name="traffic")
    assert asked.concepts == ["waves", "traffic"]
    assert (out / "traffic.csv").exists()
    assert (out / "waves.csv").read_text().splitlines() == lines
    assert not verify(out)

    # Embeddings of another version of the source are not gone on with.
    install("s2s-map-npy", site, version="2.0")
    look_again()
    with pytest.raises(OutputMismatchError, match=r"source\.plugin\.version: 1\.0 -> 2\.0"):
        run(plugged)
    # Without the packages an output can still be looked at; what needs them says so.
    for module in (BROUGHT[0], *BROUGHT[2:]):
        (site / f"{module}.py").unlink()
        sys.modules.pop(module)
    look_again()
    assert run_status(out).state == "complete"
    assert "s2s_map_logistic" not in sys.modules
    with pytest.raises(ConfigError, match=r"logistic comes with the package s2s-map-logistic 1\.0"):
        query(out, "rain", name="rain")


def test_the_source_of_a_package_maps_what_files_do(tmp_path: Path, site: Path) -> None:
    install("s2s-map-npy", site)
    write_job(tmp_path / "a")
    write_npy(tmp_path / "a")
    maps = []
    for source in ("noise", "array"):
        config = {**yaml.safe_load((tmp_path / "a/job.yaml").read_text()), "source": source}
        config["output"] = str(tmp_path / source)
        (tmp_path / "a" / f"{source}.yaml").write_text(yaml.safe_dump(config))
        run(tmp_path / "a" / f"{source}.yaml")
        with rasterio.open(tmp_path / source / "waves.tif") as tiff:
            maps.append(tiff.read())
    np.testing.assert_array_equal(maps[0], maps[1])


def test_one_of_a_module_needs_no_package(tmp_path: Path, site: Path) -> None:
    module = (PACKAGES / "s2s-map-npy" / "s2s_map_npy.py").read_text()
    (site / "own_arrays.py").write_text(module)
    path = write_job(tmp_path / "job", source="array")
    write_npy(tmp_path / "job", type="python:own_arrays:NPY")
    done = run(path)
    assert "plugin" not in done.embeddings.attributes["identity"]["source"]
    assert used_packages() == {}
    # A catalog can be listed without running the code that it names.
    sys.modules.pop("own_arrays")
    look_again()
    assert call("catalog", "list", "--catalog", tmp_path / "job/data_catalog.yaml") == 0
    assert "own_arrays" not in sys.modules


@pytest.mark.slow  # a process of its own imports all that a run does
def test_a_run_of_built_in_kinds_imports_no_package(plugged: Path, site: Path) -> None:
    for module in BROUGHT:
        (site / f"{module}.py").write_text("raise SystemExit('imported')\n")
    write_plain_job(plugged.parent / "plain", blocks=2)
    both = {
        **yaml.safe_load((plugged.parent / "data_catalog.yaml").read_text()),
        **yaml.safe_load((plugged.parent / "plain/data_catalog.yaml").read_text()),
    }
    (plugged.parent / "plain/data_catalog.yaml").write_text(yaml.safe_dump(both))
    code = f"""
import sys
sys.path[:0] = [{str(site)!r}, {str(Path(__file__).parents[1])!r}]
from s2s_map.pipeline.verbs.run import run
from s2s_map.pipeline.verbs.query import query
run({str(plugged.parent / "plain/job.yaml")!r})
query({str(plugged.parent / "plain/out")!r}, "rain")
print(sorted(m for m in sys.modules if m.startswith(('s2s_map_', 'torchgeo', 'lightning'))))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "[]", done.stderr


def misspelt(plugged: Path, **changes: Any) -> str:
    config = {**yaml.safe_load(plugged.read_text()), **changes}
    plugged.write_text(yaml.safe_dump(config))
    with pytest.raises(S2SMapError) as refused:
        run(plugged)
    assert "\n" not in str(refused.value)
    return str(refused.value)


def test_settings_are_validated_by_the_packages_own_schema(plugged: Path) -> None:
    said = misspelt(plugged, probability={"method": "logistic", "even": 0.1, "widht": 0.1})
    assert "unknown key 'probability.logistic.widht'; did you mean 'width'?" in said
    said = misspelt(plugged, probability={"method": "logistic"})
    assert "'probability.logistic.even' is missing" in said
    said = misspelt(plugged, probability={"method": "logistic", "even": 7})
    assert "probability.logistic.even: input should be less than or equal to 1 (found 7)" in said
    said = misspelt(plugged, probability={"method": "softmax"}, formats=[{"format": "csv", "l": 1}])
    assert "unknown key 'formats.0.csv.l'" in said
    said = misspelt(plugged, formats=["cvs"])
    assert "no formats: 'cvs'; expected formats: geotiff (built in), or of packages: csv" in said
    assert "did you mean 'csv'?" in said
    write_npy(plugged.parent, wets=1.0)
    said = misspelt(plugged, formats=[])
    assert "data_catalog.yaml: array: unknown key 'wets'; did you mean 'west'?" in said


def test_what_a_package_gets_wrong_is_one_line(plugged: Path, site: Path) -> None:
    (site / "s2s_map_npy.py").write_text("import missing_module\n")
    look_again()
    sys.modules.pop("s2s_map_npy", None)
    said = misspelt(plugged)
    assert "type: npy comes with the package s2s-map-npy 1.0, which cannot be imported" in said
    assert "No module named 'missing_module'" in said
    (site / "s2s_map_npy.py").write_text("class Npy:\n    interface = 1\nNPY = Npy()\n")
    look_again()
    assert "is a Npy without schema, open" in misspelt(plugged)
    sys.modules.pop("s2s_map_npy")
    (site / "s2s_map_npy.py").write_text(
        "class Npy:\n    interface = 2\n    schema = open = None\nNPY = Npy()\n"
    )
    look_again()
    said = misspelt(plugged)
    assert "was written for version 2 of the interface; expected version 1" in said
    write_metadata(site, "other-npy", "3.1", ["[s2s_map.sources]", "npy = s2s_map_npy:NPY"])
    look_again()
    assert "comes with 2 packages: other-npy 3.1, s2s-map-npy 1.0" in misspelt(plugged)
    write_npy(plugged.parent, type="numpy")
    said = misspelt(plugged)
    assert "type: 'numpy'; expected type: raster or stac or xyz or zarr or torchgeo" in said
    assert "of packages: npy (other-npy 3.1, s2s-map-npy 1.0)" in said


def test_built_in_names_cannot_be_taken(
    site: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (site / "evil.py").write_text("raise SystemExit('imported')\n")
    write_metadata(site, "evil", "6.6", ["[s2s_map.sources]", "raster = evil:KIND"])
    look_again()
    write_scene(tmp_path / "scene.tif")
    assert call("doctor") == 2
    said = " ".join(capsys.readouterr().out.split())
    assert "type: raster is built in, that of evil 6.6 is not used" in said
    assert "evil" not in sys.modules


def test_a_fetched_catalog_names_no_code(tmp_path: Path, site: Path) -> None:
    from fixtures_servers import serve_folder

    from s2s_map.catalog.catalog import load_catalog

    install("s2s-map-npy", site)
    look_again()
    write_job(tmp_path / "job")
    for kind in ("npy", "python:os:environ", "torchgeo"):
        write_npy(tmp_path / "job", type=kind)
        with (
            serve_folder(tmp_path / "job") as server,
            pytest.raises(S2SMapError, match=r"was fetched and has type: .*, which is code"),
        ):
            load_catalog([f"{server.url}/data_catalog.yaml"])
    assert "s2s_map_npy" not in sys.modules
