"""Maps in bf16 against those in fp32, on real imagery with the embedded model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from s2s_map import load_run_config, run
from s2s_map.config.run import RunConfig
from s2s_map.errors import S2SMapError
from s2s_map.pipeline.job.job import resolve

DEMO = Path(__file__).parents[2] / "workflows" / "demo.yaml"
CITY_AND_RIVER = [-54.62, -25.58, -54.56, -25.53]


def config(out: Path, region: list[float] | None, precision: str) -> RunConfig:
    demo = load_run_config(DEMO)
    update: dict[str, object] = {"output": str(out), "region": region, "precision": precision}
    if region is None:
        # No overlap for the whole scene: a sixteenth of the patches, and the stricter case, since
        # none average out in a cell. Slow for its 1,300 passes of a real model and two whole maps.
        update["patches"] = demo.patches.model_copy(update={"stride_m": 2560})
    return demo.model_copy(update=update)


def ranks(values: NDArray[np.float32]) -> NDArray[np.float64]:
    return np.argsort(np.argsort(values)).astype(np.float64)


@pytest.mark.parametrize(
    "region",
    [CITY_AND_RIVER, pytest.param(None, marks=[pytest.mark.slow, pytest.mark.e2e], id="scene")],
)
def test_bf16_keeps_the_maps(tmp_path: Path, region: list[float] | None) -> None:
    exact, near = (
        run(config(tmp_path / precision, region, precision)).maps.load()
        for precision in ("fp32", "bf16")
    )
    for concept in exact.concept.values:
        one, other = (m.probability.sel(concept=concept).values.ravel() for m in (exact, near))
        np.testing.assert_array_equal(np.isnan(one), np.isnan(other))
        seen = np.isfinite(one)
        assert seen.sum() > 500
        assert np.abs(one[seen] - other[seen]).max() <= 0.02, concept
        assert np.corrcoef(ranks(one[seen]), ranks(other[seen]))[0, 1] >= 0.995, concept
    assert not np.array_equal(exact.similarity.values, near.similarity.values, equal_nan=True)
    with pytest.raises(S2SMapError, match="precision"):
        run(config(tmp_path / "fp32", region, "bf16"))


def test_precision_is_part_of_what_a_run_is_resumed_by(tmp_path: Path) -> None:
    models = [
        resolve(config(tmp_path, CITY_AND_RIVER, precision)).identity()["model"]["precision"]
        for precision in ("auto", "fp32", "bf16")
    ]
    assert models == ["fp32", "fp32", "bf16"]
