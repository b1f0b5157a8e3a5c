"""The style for QGIS, as XML; what QGIS makes of it is tested in tests/qgis."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
from fixtures_maps import make_grid, make_layers, read_range
from matplotlib import colormaps
from matplotlib.colors import to_hex

from s2s_map.rasters.colours import COLORMAP, MAGMA, rgb
from s2s_map.rasters.qgis_style import write_qml
from s2s_map.scoring.layers import FLOOR, NOWHERE
from s2s_map.viewing import preview


def test_stops_are_those_of_the_named_ramp() -> None:
    stops = [to_hex(colormaps[COLORMAP](i / (len(MAGMA) - 1))) for i in range(len(MAGMA))]
    assert list(MAGMA) == stops
    assert rgb("#fea973") == (254, 169, 115)
    assert preview.COLORMAP == COLORMAP


def test_ramp_runs_over_the_layers_own_range(tmp_path: Path) -> None:
    layer = make_layers(make_grid(), count=2)[1]
    write_qml(tmp_path / "a.qml", layer)
    low, high = layer.summary.colour_range
    assert read_range(tmp_path / "a.qml") == (low, high)
    root = ET.fromstring((tmp_path / "a.qml").read_text(encoding="utf-8"))  # noqa: S314
    items = root.findall(".//colorrampshader/item")
    values = [float(item.attrib["value"]) for item in items]
    np.testing.assert_allclose(values, np.linspace(low, high, len(MAGMA)), rtol=1e-6)
    assert [item.attrib["color"] for item in items] == list(MAGMA)
    legend = root.find(".//rampLegendSettings")
    assert legend is not None
    assert "2nd percentile" in legend.attrib["minimumLabel"]
    assert "98th percentile), softmax, uncalibrated" in legend.attrib["maximumLabel"]


def test_slots_share_the_range_of_their_concept(tmp_path: Path) -> None:
    (layer,) = make_layers(make_grid(), count=1, slots=3)
    write_qml(tmp_path / "a.qml", layer)
    assert read_range(tmp_path / "a.qml") == layer.summary.colour_range


def test_a_layer_that_is_nowhere_likely_is_drawn_dark_and_says_so(tmp_path: Path) -> None:
    (layer,) = make_layers(make_grid(), count=1)
    softmax = {"vocabulary_size": 99, "near_synonyms_dropped": []}
    faint = np.asarray(layer.probability) * np.float32(1e-4)
    write_qml(tmp_path / "a.qml", replace(layer, probability=faint, query={"softmax": softmax}))
    assert read_range(tmp_path / "a.qml") == (0.0, FLOOR * 0.01)
    legend = ET.fromstring((tmp_path / "a.qml").read_text("utf-8")).find(  # noqa: S314
        ".//rampLegendSettings"
    )
    assert legend is not None
    assert legend.attrib["maximumLabel"].endswith(NOWHERE)
