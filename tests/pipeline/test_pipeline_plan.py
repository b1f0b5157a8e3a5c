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
