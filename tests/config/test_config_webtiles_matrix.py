"""WMTS matrix sets that cannot be read are refused in words that say what to do."""

from __future__ import annotations

import pytest
from fixtures_webtiles import make_entry


def test_a_matrix_set_is_named_in_the_template() -> None:
    with pytest.raises(ValueError, match="such as GoogleMapsCompatible; others are read by cap"):
        make_entry("https://a.test/{TileMatrixSet}/{TileMatrix}/{TileRow}/{TileCol}.png")
    make_entry("https://a.test/GoogleMapsCompatible/{TileMatrix}/{TileRow}/{TileCol}.png")
