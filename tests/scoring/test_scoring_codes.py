from __future__ import annotations

import numpy as np
import pytest

from s2s_map.scoring.codes import strongest_codes


def test_strongest_codes() -> None:
    random = np.random.default_rng(2)
    codebook = random.normal(size=(6, 4)).astype(np.float32)
    weights = np.array([0.2, 0, 0.5, 0, 0.3, 0], dtype=np.float32)
    vector = weights @ codebook
    length = float(np.linalg.norm(vector))
    query = np.array([0, 1, 0, 0], dtype=np.float32)
    active = np.zeros((3, 6), dtype=np.float32)
    active[:, 2] = [0.1, 3.0, 2.0]

    found = strongest_codes(weights, length, codebook, query, active, ["a", "b", "c"], 5, 2)

    assert [code.index for code in found] == [2, 4, 0]
    assert sum(code.contribution for code in found) == pytest.approx(vector[1] / length, abs=1e-6)
    assert found[0].texts == (("b", 3.0), ("c", 2.0))
