"""``project.qgz``: all layers of a run as a QGIS project, made without QGIS.

The elements are those that QGIS 3.22 itself writes (``QgsProject::write``); newer ones read them.
"""

from __future__ import annotations

import os
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from io import BytesIO
from xml.etree import ElementTree as ET

from pyproj import CRS

from s2s_map.outputs.atomic import replacing_file
from s2s_map.outputs.names import IMAGERY, STYLE_DOCTYPE, STYLE_VERSION
from s2s_map.rasters.cog import file_stem
from s2s_map.rasters.provenance import Provenance
from s2s_map.rasters.qgis_style import add_pipe
from s2s_map.rasters.slot_times import SlotTime, slot_times, time_step
from s2s_map.scoring.layers import ConceptLayer
from s2s_map.tiling.grid import MapGrid

# Zip keeps times from 1980 on; a fixed one, so that files made twice are the same.
_ZIP_TIME = (1980, 1, 1, 0, 0, 0)
# QGIS drops identifiers of ten characters and less (`QgsMapLayer::readLayerXml`).
_ID = "s2s-map-layer-{}"
# To QGIS the ends of frames and layers lie within: what only touches a frame is shown in it.
_MARGIN = timedelta(minutes=1)


@dataclass(frozen=True)
class _Raster:
    """A raster of the project."""

    id: str
    name: str
    source: str
    time: SlotTime | None = None
    layer: ConceptLayer | None = None


def write_project(
    path: str | os.PathLike[str],
    layers: Sequence[ConceptLayer],
    grid: MapGrid,
    time_slots: Sequence[str],
    provenance: Provenance,
    *,
    imagery: bool,
) -> None:
    """Write a QGIS project of the GeoTIFFs that lie beside it, named by relative paths.

    The layers form a group, each named by its question and drawn as its style says; the first is
    visible, over the imagery. Layers of time slots play in the temporal controller: by months, each
    hour as a group of its own, or by the hours of a day (`slot_times`). Attribution and licences
    stand in the metadata of every layer and of the project.

    Args:
        path: File to make or replace, usually ``project.qgz``.
        layers: All layers of the run.
        grid: The cells.
        time_slots: Labels of the time slots, as many as the layers have.
        provenance: Whose imagery and model.
        imagery: Whether ``imagery.tif`` lies there as well.

    Raises:
        OutputError: For a full disk, a read-only folder and the like.
    """
    document = STYLE_DOCTYPE + _document(layers, grid, time_slots, provenance, imagery) + "\n"
    packed = BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(zipfile.ZipInfo("project.qgs", _ZIP_TIME), document.encode())
    with replacing_file(path) as partial:
        partial.write_bytes(packed.getvalue())


def _document(
    layers: Sequence[ConceptLayer],
    grid: MapGrid,
    time_slots: Sequence[str],
    provenance: Provenance,
    imagery: bool,
) -> str:
    title = provenance.run
    root = ET.Element("qgis", version=STYLE_VERSION, projectname=title)
    ET.SubElement(root, "title").text = title
    crs = CRS.from_user_input(str(grid.crs))
    _add_crs(ET.SubElement(root, "projectCrs"), crs)
    tree = ET.SubElement(root, "layer-tree-group")
    rasters = _add_concepts(tree, layers, time_slots)
    if imagery:
        ground = _Raster(_ID.format("imagery"), "Imagery", f"./{IMAGERY}")
        _add_to_tree(tree, ground, checked=True, expanded=False)
        rasters.append(ground)
    canvas = ET.SubElement(root, "mapcanvas", name="theMapCanvas", annotationsVisible="1")
    ET.SubElement(canvas, "units").text = "meters"
    _add_extent(canvas, "extent", grid.bounds)
    ET.SubElement(canvas, "rotation").text = "0"
    _add_crs(ET.SubElement(canvas, "destinationsrs"), crs)
    all_layers = ET.SubElement(root, "projectlayers")
    for raster in rasters:
        _add_layer(all_layers, raster, grid, crs, provenance)
    order = ET.SubElement(root, "layerorder")
    for raster in rasters:
        ET.SubElement(order, "layer", id=raster.id)
    _add_properties(root, rasters)
    metadata = ET.SubElement(root, "projectMetadata")
    _add_metadata(metadata, title, provenance)
    west, south, east, north = (str(value) for value in grid.bounds)
    view = ET.SubElement(root, "ProjectViewSettings", UseProjectScales="0", rotation="0")
    box = ET.SubElement(view, "DefaultViewExtent", xmin=west, ymin=south, xmax=east, ymax=north)
    _add_crs(box, crs)
    ET.indent(root)
    return ET.tostring(root, encoding="unicode")


def _add_concepts(
    tree: ET.Element, layers: Sequence[ConceptLayer], time_slots: Sequence[str]
) -> list[_Raster]:
    """Add the layers in their groups to the tree, and return them from top to bottom."""
    group = _add_group(tree, "Sounds", checked=True)
    rasters = []
    for first, layer in zip((True, *(False,) * len(layers)), layers, strict=False):
        stems = [file_stem(layer, slot, len(time_slots)) for slot in time_slots]
        if len(time_slots) == 1:
            one = _Raster(_ID.format(stems[0]), layer.title, f"./{stems[0]}.tif", None, layer)
            _add_to_tree(group, one, checked=first, expanded=first)
            rasters.append(one)
            continue
        of_layer = _add_group(group, layer.title, checked=first)
        times = slot_times(time_slots)
        subgroups: dict[str, ET.Element] = {}
        for stem, slot, time in zip(stems, time_slots, times, strict=True):
            parent, checked = of_layer, not rasters or time.animated
            if time.group:
                checked = time.group == times[0].group
                if time.group not in subgroups:
                    subgroups[time.group] = _add_group(of_layer, time.group, checked=checked)
                parent = subgroups[time.group]
            one = _Raster(_ID.format(stem), f"{layer.title}, {slot}", f"./{stem}.tif", time, layer)
            _add_to_tree(parent, one, checked=checked, expanded=False)
            rasters.append(one)
    return rasters


def _add_group(parent: ET.Element, name: str, *, checked: bool) -> ET.Element:
    return ET.SubElement(
        parent, "layer-tree-group", name=name, checked=_check(checked), expanded="1"
    )


def _add_to_tree(parent: ET.Element, raster: _Raster, *, checked: bool, expanded: bool) -> None:
    ET.SubElement(
        parent,
        "layer-tree-layer",
        id=raster.id,
        name=raster.name,
        source=raster.source,
        providerKey="gdal",
        checked=_check(checked),
        expanded=str(int(expanded)),
    )


def _check(on: bool) -> str:
    return "Qt::Checked" if on else "Qt::Unchecked"


def _add_layer(
    parent: ET.Element, raster: _Raster, grid: MapGrid, crs: CRS, provenance: Provenance
) -> None:
    element = ET.SubElement(
        parent, "maplayer", type="raster", hasScaleBasedVisibilityFlag="0", minScale="1e+08"
    )
    _add_extent(element, "extent", grid.bounds)
    ET.SubElement(element, "id").text = raster.id
    ET.SubElement(element, "datasource").text = raster.source
    ET.SubElement(element, "layername").text = raster.name
    ET.SubElement(element, "attribution").text = provenance.attribution
    _add_crs(ET.SubElement(element, "srs"), crs)
    told = raster.name if raster.layer is None else f"{raster.name}: {raster.layer.label}"
    _add_metadata(ET.SubElement(element, "resourceMetadata"), told, provenance)
    ET.SubElement(element, "provider").text = "gdal"
    _add_time(element, raster.time)
    if raster.layer is None:
        _add_rgb_pipe(element)
    else:
        add_pipe(element, raster.layer)
    ET.SubElement(element, "blendMode").text = "0"


def _add_time(element: ET.Element, time: SlotTime | None) -> None:
    if time is None or not time.animated:
        return
    temporal = ET.SubElement(element, "temporal", enabled="1", mode="0", fetchMode="0")
    interval = ET.SubElement(temporal, "fixedRange")
    ET.SubElement(interval, "start").text = _iso(time.start + _MARGIN)
    ET.SubElement(interval, "end").text = _iso(time.end - _MARGIN)


def _add_rgb_pipe(parent: ET.Element) -> None:
    pipe = ET.SubElement(parent, "pipe")
    ET.SubElement(
        ET.SubElement(pipe, "provider"),
        "resampling",
        enabled="true",
        zoomedInResamplingMethod="nearestNeighbour",
        zoomedOutResamplingMethod="average",
        maxOversampling="2",
    )
    # The file's mask is QGIS's fourth band.
    renderer = ET.SubElement(
        pipe,
        "rasterrenderer",
        type="multibandcolor",
        redBand="1",
        greenBand="2",
        blueBand="3",
        alphaBand="4",
        opacity="1",
        nodataColor="",
    )
    ET.SubElement(renderer, "rasterTransparency")
    ET.SubElement(pipe, "brightnesscontrast", brightness="0", contrast="0", gamma="1")
    ET.SubElement(pipe, "huesaturation", saturation="0", grayscaleMode="0", colorizeOn="0")
    ET.SubElement(pipe, "rasterresampler", maxOversampling="2")
    ET.SubElement(pipe, "resamplingStage").text = "provider"


def _add_metadata(parent: ET.Element, title: str, provenance: Provenance) -> None:
    ET.SubElement(parent, "title").text = title
    ET.SubElement(parent, "abstract").text = provenance.lineage
    ET.SubElement(parent, "rights").text = provenance.attribution
    for credit in (provenance.imagery, provenance.model):
        ET.SubElement(parent, "license").text = f"{credit.title}: {credit.licence}"


def _add_properties(root: ET.Element, rasters: Sequence[_Raster]) -> None:
    properties = ET.SubElement(root, "properties")
    paths = ET.SubElement(properties, "Paths")
    ET.SubElement(paths, "Absolute", type="bool").text = "false"
    # Without it the project's CRS is not read.
    systems = ET.SubElement(properties, "SpatialRefSys")
    ET.SubElement(systems, "ProjectionsEnabled", type="int").text = "1"
    times = [one.time for one in rasters if one.time is not None and one.time.animated]
    if not times:
        return
    start, end = min(time.start for time in times), max(time.end for time in times)
    widget = ET.SubElement(properties, "TemporalControllerWidget")
    # Animated: else the layers of all times lie over each other until somebody switches it on.
    ET.SubElement(widget, "NavigationMode", type="int").text = "1"
    ET.SubElement(widget, "StartDateTime", type="QString").text = _iso(start)
    ET.SubElement(widget, "EndDateTime", type="QString").text = _iso(end)
    settings = ET.SubElement(
        root,
        "ProjectTimeSettings",
        timeStep="1",
        timeStepUnit=time_step(times),
        cumulativeTemporalRange="0",
        frameRate="1",
    )
    interval = ET.SubElement(settings, "TemporalRange")
    ET.SubElement(interval, "start").text = _iso(start)
    ET.SubElement(interval, "end").text = _iso(end)


def _add_extent(parent: ET.Element, tag: str, bounds: tuple[float, float, float, float]) -> None:
    extent = ET.SubElement(parent, tag)
    for name, value in zip(("xmin", "ymin", "xmax", "ymax"), bounds, strict=True):
        ET.SubElement(extent, name).text = str(value)


def _add_crs(parent: ET.Element, crs: CRS) -> None:
    system = ET.SubElement(parent, "spatialrefsys", nativeFormat="Wkt")
    ET.SubElement(system, "wkt").text = crs.to_wkt()
    code = crs.to_epsg()
    if code is not None:
        ET.SubElement(system, "srid").text = str(code)
        ET.SubElement(system, "authid").text = f"EPSG:{code}"
    ET.SubElement(system, "description").text = crs.name
    ET.SubElement(system, "geographicflag").text = "false"


def _iso(time: datetime) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ")
