"""Regions of a batch that are several maps: lists of places, and places with all their parts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from s2s_map.cli.main import main
from s2s_map.config.batch import load_batch
from s2s_map.errors import ConfigError
from s2s_map.pipeline.batch.batch_regions import every_map


def write_batch(folder: Path, **regions: Any) -> Path:
    batch = {
        "output": str(folder / "maps"),
        "regions": regions,
        "sources": ["sentinel2_earthsearch"],
        "queries": [{"text": "traffic"}],
        "defaults": {
            "grid": {"cell_m": 2560},
            "patches": {"stride_m": 2560, "level": "patch"},
        },
    }
    path = folder / "batch.yaml"
    path.write_text(yaml.safe_dump(batch, sort_keys=False))
    return path


def regions_of(path: Path) -> dict[str, Any]:
    return {run.region: run.config.region for run in load_batch(path, every_map)[1]}


def test_a_list_of_places_is_a_map_each(tmp_path: Path) -> None:
    path = write_batch(tmp_path, iberia=["Spain", "Portugal"], box=[8.0, 46.0, 9.0, 47.0], all=None)
    assert regions_of(path) == {
        "iberia-spain": "Spain",
        "iberia-portugal": "Portugal",
        "box": [8.0, 46.0, 9.0, 47.0],
        "all": None,
    }


def test_all_of_a_place_is_a_map_of_each_part(tmp_path: Path) -> None:
    path = write_batch(tmp_path, norway="Norway (all)", both=["South Africa (all)", "Kenya (all)"])
    assert regions_of(path) == {
        "norway": "Norway",
        "norway-svalbard": "Norway (Svalbard)",
        "norway-jan-mayen": "Norway (Jan Mayen)",
        "norway-bouvet-island": "Norway (Bouvet Island)",
        "both-south-africa": "South Africa",
        "both-south-africa-prince-edward-islands": "South Africa (Prince Edward Islands)",
        "both-kenya": "Kenya",
    }


def test_what_one_map_does_not_show_is_several(tmp_path: Path) -> None:
    found = regions_of(write_batch(tmp_path, verde="Cabo Verde (all)"))
    assert list(found) == [f"verde-{number}" for number in range(1, 6)]
    assert all(str(region).startswith("Cabo Verde within [") for region in found.values())


def test_the_plan_has_a_line_for_each(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write_batch(tmp_path, verde="Cabo Verde (all)", typo="Norwy (all)")
    with pytest.raises(SystemExit) as ended:
        main(["batch", "plan", str(path)])
    assert ended.value.code == 2
    shown = "".join(capsys.readouterr().out.split())
    assert shown.count("planned") == 5
    assert "noplacenamed'Norwy'" in shown


def test_an_empty_list_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="a list of no places"):
        load_batch(write_batch(tmp_path, none=[]))


def test_a_run_takes_one_region(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    workflow = Path(__file__).resolve().parents[3] / "workflows" / "denmark_planetary_computer.yaml"
    for region, said in (
        ("[Denmark, Norway]", "a list of places is several maps"),
        ("Norway (all)", "write regions: {norway: Norway (all)} into a batch file"),
    ):
        path = tmp_path / "run.yaml"
        path.write_text(workflow.read_text().replace("region: Denmark", f"region: {region}"))
        with pytest.raises(SystemExit) as ended:
            main(["validate", str(path)])
        assert ended.value.code == 2
        error = capsys.readouterr().err.strip()
        assert said in error
        assert len(error.splitlines()) == 1


def test_no_place_of_a_list_is_lost_to_its_name(tmp_path: Path) -> None:
    path = tmp_path / "batch.yaml"
    content = {
        "output": str(tmp_path / "out"),
        "sources": ["s"],
        "models": ["m"],
        "queries": [{"text": "birds"}],
    }
    # Names in another script have no letters for files.
    path.write_text(yaml.safe_dump({**content, "regions": {"asia": ["中国", "日本", "Türkiye"]}}))
    _, runs = load_batch(path)
    assert [(run.region, run.config.region) for run in runs] == [
        ("asia-1", "中国"),
        ("asia-2", "日本"),
        ("asia-turkiye", "Türkiye"),
    ]
    regions = {"asia": ["Japan"], "asia-japan": [130.0, 30.0, 131.0, 31.0]}
    path.write_text(yaml.safe_dump({**content, "regions": regions}))
    with pytest.raises(ConfigError, match="two regions are named asia-japan"):
        load_batch(path)
