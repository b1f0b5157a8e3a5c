"""A CRS for all runs of a batch has to fit every region, which is said before any begins."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from s2s_map.cli.main import main
from s2s_map.config.batch import load_batch
from s2s_map.errors import RegionError
from s2s_map.pipeline.batch.shared_crs import check_shared_crs

REGIONS = {"swiss": "Switzerland", "kenya": "Kenya", "fiji": "Fiji", "box": [8.0, 46.0, 9.0, 47.0]}


def write_batch(folder: Path, crs: str | None, **regions: Any) -> Path:
    grid = {"cell_m": 640} if crs is None else {"cell_m": 640, "crs": crs}
    batch = {
        "output": str(folder / "maps"),
        "regions": regions,
        "sources": ["sentinel2_earthsearch"],
        "queries": [{"text": "traffic"}],
        "defaults": {"grid": grid, "patches": {"stride_m": 640, "level": "patch"}},
    }
    path = folder / "batch.yaml"
    path.write_text(yaml.safe_dump(batch, sort_keys=False))
    return path


@pytest.mark.parametrize(
    ("crs", "names", "unfit"),
    [
        (None, ["swiss", "kenya", "fiji"], ""),
        ("EPSG:32632", ["swiss", "box"], ""),
        ("EPSG:6933", ["swiss", "kenya", "box"], ""),
        ("EPSG:32632", ["swiss", "kenya", "box"], "kenya ("),
        ("EPSG:32632", ["fiji", "box"], "fiji ("),
        ("EPSG:3857", ["box"], "box (areas up to "),
        ("EPSG:6933", ["fiji"], "fiji (lies beyond"),
    ],
)
def test_every_region_is_checked(
    tmp_path: Path, crs: str | None, names: list[str], unfit: str
) -> None:
    regions = {name: REGIONS[name] for name in names}
    _, runs = load_batch(write_batch(tmp_path, crs, **regions))
    if not unfit:
        check_shared_crs(runs)
        return
    with pytest.raises(RegionError, match=re.escape(unfit)) as raised:
        check_shared_crs(runs)
    others = [name for name in names if name not in unfit]
    assert not any(f"{name} (" in str(raised.value) for name in others)


def test_the_command_says_it_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_batch(tmp_path, "EPSG:32632", swiss="Switzerland", kenya="Kenya", fiji="Fiji")
    for verb in ("plan", "run"):
        with pytest.raises(SystemExit) as ended:
            main(["batch", verb, str(path)])
        assert ended.value.code == 2
        said = capsys.readouterr().err.strip()
        assert len(said.splitlines()) == 1
        assert "kenya (" in said
        assert "fiji (" in said
        assert "swiss" not in said
        assert not list(tmp_path.glob("maps/*/run.json"))


def test_a_region_that_cannot_be_read_is_its_own_run_s(tmp_path: Path) -> None:
    _, runs = load_batch(write_batch(tmp_path, "EPSG:32632", typo="Swizzerland", all=None))
    check_shared_crs(runs)
