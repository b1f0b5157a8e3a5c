"""Bootstrap intervals."""

from __future__ import annotations

import json

import numpy as np
import pytest

from s2s_map.scoring.bootstrap import Estimate, estimate, redraw


def test_the_interval_of_a_mean_is_that_of_theory() -> None:
    values = np.random.default_rng(0).normal(size=400)
    found = estimate(lambda i: {"mean": float(values[i].mean())}, 400, samples=2000)["mean"]
    error = values.std() / 20
    assert found.value == pytest.approx(values.mean())
    assert found.high - found.low == pytest.approx(2 * 1.96 * error, rel=0.1)


def test_groups_are_drawn_whole_and_widen_the_interval() -> None:
    groups = np.repeat(np.arange(20), 20)
    for drawn in redraw(400, 5, groups=groups):
        counts = np.bincount(drawn, minlength=400).reshape(20, 20)
        assert (counts == counts[:, :1]).all()
        assert counts[:, 0].sum() == 20
    values = np.random.default_rng(1).normal(size=20)[groups]
    alone = estimate(lambda i: {"m": float(values[i].mean())}, 400, samples=300)["m"]
    blocked = estimate(lambda i: {"m": float(values[i].mean())}, 400, samples=300, groups=groups)
    assert blocked["m"].high - blocked["m"].low > 2 * (alone.high - alone.low)


def test_equal_seeds_draw_alike() -> None:
    one, other = (np.stack(list(redraw(9, 4, seed=s))) for s in (7, 7))
    assert (one == other).all()


def test_what_cannot_be_computed_is_no_number() -> None:
    found = estimate(lambda _: {"x": float("nan")}, 3, samples=5)["x"]
    assert json.dumps(found.as_dict()) == '{"value": null, "low": null, "high": null}'
    assert Estimate(0.5, 0.25, 0.75).scaled(100) == Estimate(50, 25, 75)
