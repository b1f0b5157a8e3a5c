"""The QGIS style beside each GeoTIFF, which QGIS applies by itself when it opens the file."""

from __future__ import annotations

import os
from xml.etree import ElementTree as ET

from s2s_map.outputs.atomic import replacing_file
from s2s_map.outputs.names import STYLE_DOCTYPE, STYLE_VERSION
from s2s_map.rasters.colours import MAGMA, opacity, rgb
from s2s_map.scoring.layers import FLOOR, ConceptLayer


def write_qml(path: str | os.PathLike[str], layer: ConceptLayer) -> None:
    """Write a style that draws band 1 in a perceptually uniform ramp.

    Colours run between the 2nd and the 98th percentile of the layer's own valid cells, or up to
    an absolute floor where all are small (`ConceptLayer.colour_range`), as the legend says. Low
    values let the ground through (`colours.opacity`), cells without data are transparent. The
    method stands in the band's description, which QGIS puts above the ramp.

    Args:
        path: File to make or replace, ``<name>.qml`` beside ``<name>.tif``.
        layer: The layer; of several time slots, the range is that of all.

    Raises:
        OutputError: For a full disk, a read-only folder and the like.
    """
    document = _document(layer)
    with replacing_file(path) as partial:
        partial.write_text(STYLE_DOCTYPE + document + "\n", encoding="utf-8")


def _document(layer: ConceptLayer) -> str:
    root = ET.Element(
        "qgis",
        version=STYLE_VERSION,
        styleCategories="AllStyleCategories",
        hasScaleBasedVisibilityFlag="0",
        minScale="1e+08",
        maxScale="0",
    )
    add_pipe(root, layer)
    ET.SubElement(root, "blendMode").text = "0"
    ET.indent(root)
    return ET.tostring(root, encoding="unicode")


def add_pipe(parent: ET.Element, layer: ConceptLayer) -> None:
    """Add how QGIS draws a layer, the ``pipe`` of a style or of a layer in a project."""
    pipe = ET.SubElement(parent, "pipe")
    provider = ET.SubElement(pipe, "provider")
    # Cells are data: they are not smoothed when zoomed in, but averaged when zoomed out.
    ET.SubElement(
        provider,
        "resampling",
        enabled="true",
        zoomedInResamplingMethod="nearestNeighbour",
        zoomedOutResamplingMethod="average",
        maxOversampling="2",
    )
    _renderer(pipe, *layer.colour_range, _ends(layer))
    ET.SubElement(pipe, "brightnesscontrast", brightness="0", contrast="0", gamma="1")
    ET.SubElement(pipe, "huesaturation", saturation="0", grayscaleMode="0", colorizeOn="0")
    ET.SubElement(pipe, "rasterresampler", maxOversampling="2")
    ET.SubElement(pipe, "resamplingStage").text = "provider"


def _ends(layer: ConceptLayer) -> tuple[str, str]:
    """Return what the legend says of the two ends of the ramp."""
    low, high = layer.colour_range
    if layer.is_floored:
        below, above = f"{low:.3g}", f"{high:.3g} or more ({FLOOR:g} times an even share)"
    else:
        below = f"{low:.3g} or less (2nd percentile)"
        above = f"{high:.3g} or more (98th percentile)"
    return below, "; ".join((f"{above}, {layer.method}", *layer.doubts))


def _renderer(pipe: ET.Element, low: float, high: float, ends: tuple[str, str]) -> None:
    renderer = ET.SubElement(
        pipe,
        "rasterrenderer",
        type="singlebandpseudocolor",
        band="1",
        opacity="1",
        alphaBand="-1",
        nodataColor="",
        classificationMin=_number(low),
        classificationMax=_number(high),
    )
    ET.SubElement(renderer, "rasterTransparency")
    origin = ET.SubElement(renderer, "minMaxOrigin")
    # None: the range stays as written here until the user asks for another.
    for tag, text in (
        ("limits", "None"),
        ("extent", "WholeRaster"),
        ("statAccuracy", "Exact"),
        ("cumulativeCutLower", "0.02"),
        ("cumulativeCutUpper", "0.98"),
        ("stdDevFactor", "2"),
    ):
        ET.SubElement(origin, tag).text = text
    shader = ET.SubElement(
        ET.SubElement(renderer, "rastershader"),
        "colorrampshader",
        colorRampType="INTERPOLATED",
        classificationMode="1",
        clip="0",
        minimumValue=_number(low),
        maximumValue=_number(high),
        labelPrecision="4",
    )
    _ramp(shader)
    last = len(MAGMA) - 1
    for index, colour in enumerate(MAGMA):
        value = low + (high - low) * index / last
        ET.SubElement(
            shader,
            "item",
            value=_number(value),
            color=colour,
            alpha=str(_alpha(index)),
            label=f"{value:.3g}",
        )
    ET.SubElement(
        shader,
        "rampLegendSettings",
        useContinuousLegend="1",
        direction="0",
        orientation="2",
        prefix="",
        suffix="",
        minimumLabel=ends[0],
        maximumLabel=ends[1],
    )


def _ramp(shader: ET.Element) -> None:
    last = len(MAGMA) - 1
    colours = [
        ",".join(str(part) for part in (*rgb(colour), _alpha(index)))
        for index, colour in enumerate(MAGMA)
    ]
    stops = ":".join(f"{i / last:.6g};{colours[i]}" for i in range(1, last))
    ramp = ET.SubElement(shader, "colorramp", type="gradient", name="[source]")
    options = ET.SubElement(ramp, "Option", type="Map")
    for name, value in (
        ("color1", colours[0]),
        ("color2", colours[last]),
        ("discrete", "0"),
        ("rampType", "gradient"),
        ("stops", stops),
    ):
        ET.SubElement(options, "Option", type="QString", name=name, value=value)
        # QGIS before 3.26 reads this older form.
        ET.SubElement(ramp, "prop", k=name, v=value)


def _alpha(index: int) -> int:
    return round(255 * opacity(index / (len(MAGMA) - 1)))


def _number(value: float) -> str:
    return f"{value:.17g}"
