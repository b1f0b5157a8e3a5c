"""Plans of the shipped workflows and of hard regions, all without a network."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from s2s_map.cli.main import main
from s2s_map.config.run import load_run_config
from s2s_map.pipeline.job import resolve
from s2s_map.pipeline.plan import Plan, make_plan

WORKFLOWS = Path(__file__).resolve().parents[2] / "workflows"
SWITZERLAND = WORKFLOWS / "switzerland_birdsong.yaml"


def plan_of(region: str) -> Plan:
    config = load_run_config(SWITZERLAND).model_copy(update={"region": region})
    return make_plan(resolve(config))


OTHER_SCHEMAS = {WORKFLOWS / "train_mini.yaml", WORKFLOWS / "batch.yaml"}


@pytest.mark.parametrize("path", sorted(set(WORKFLOWS.glob("*.yaml")) - OTHER_SCHEMAS), ids=str)
def test_every_workflow_plans_offline(path: Path) -> None:
    plan = make_plan(resolve(load_run_config(path)))
    assert min(plan.blocks, plan.patches, plan.cells, plan.read_bytes, plan.seconds) > 0
    assert plan.attribution


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
    assert any("split the region" in warning for warning in plan.warnings)


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
    assert amsterdam.warnings == ()
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
    (warning,) = plan.warnings
    assert "1,728,000 a day" in warning
    assert "days at least" in warning
    with pytest.raises(SystemExit):
        main(["plan", str(config)])
    said = " ".join(capsys.readouterr().out.split())
    assert "to fetch about" in said
    assert "web tiles of level 18" in said
