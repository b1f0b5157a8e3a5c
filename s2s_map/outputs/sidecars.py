"""Files that GDAL and QGIS write by themselves beside a raster, and what becomes of them.

``waves.tif.aux.xml`` keeps statistics and histograms of the layer it was made from, and GDAL and
QGIS believe it without a look at the layer: beside a new ``waves.tif`` it is a wrong picture in
silence. So what is derived from the pixels of a file of ours belongs to that file and goes where
it goes. What is written by a person (``.qmd``) or belongs to an open database (``-wal``) stays.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree as ET

from s2s_map.errors import OutputError
from s2s_map.outputs.path import OutputPath

_DERIVED = (".aux.xml", ".ovr", ".msk", ".ovr.aux.xml", ".msk.aux.xml", ".ovr.msk")
"""Added to the name of a raster: what is made from its pixels."""

# The last is the copy that QGIS keeps of a project that it saves.
_ENDINGS = (*_DERIVED, ".qmd", "-wal", "-shm", "-journal", ".qgz~")
# What GDAL writes into an .aux.xml when it counts, and nothing that anybody set.
_COUNTED = {"Histograms", "HistItem", "HistMin", "HistMax", "BucketCount", "IncludeOutOfRange"}
_COUNTED |= {"Approximate", "HistCounts"}
_LARGEST = 16 << 20


def is_sidecar(name: str) -> bool:
    """Return whether a file is one that GDAL or QGIS write beside others."""
    return name.endswith(_ENDINGS)


def others_files(folder: OutputPath, ours: Callable[[str], bool]) -> list[str]:
    """Return the names in a folder or prefix that neither runs nor GDAL and QGIS gave."""
    there = (path.name for path in folder.iterdir() if not path.name.startswith("."))
    return sorted(name for name in there if not (is_sidecar(name) or ours(name)))


def check_ours(folder: OutputPath, ours: Callable[[str], bool]) -> None:
    """Check that a folder or prefix holds nothing that others wrote.

    Args:
        folder: The folder or prefix.
        ours: Whether a name directly there is of a file that runs write.

    Raises:
        OutputError: If it does.
    """
    foreign = others_files(folder, ours)
    if foreign:
        raise OutputError(
            f"{folder} holds other files, such as {foreign[0]}",
            expected="an empty folder or one that a run made",
            remedy="name another output:",
        )


def derived_from(path: Path) -> list[Path]:
    """Return the files beside a raster that were made from its pixels."""
    found = (path.with_name(path.name + ending) for ending in _DERIVED)
    return [file for file in found if file.is_file()]


def is_only_statistics(path: Path) -> bool:
    """Return whether an ``.aux.xml`` holds statistics and histograms alone: GDAL makes it again."""
    if not path.name.endswith(".aux.xml") or path.stat().st_size > _LARGEST:
        return False
    try:
        text = path.read_bytes()
        # No declared entities: nothing to expand.
        root = ET.fromstring(text) if b"<!" not in text else None  # noqa: S314
    except (ET.ParseError, OSError):
        return False
    if root is None or root.tag != "PAMDataset":
        return False
    return all(
        band.tag == "PAMRasterBand" and all(_is_counted(part) for part in band) for band in root
    )


def _is_counted(part: ET.Element) -> bool:
    if part.tag == "Metadata":
        return not part.get("domain") and all(
            item.get("key", "").startswith("STATISTICS_") for item in part
        )
    return all(one.tag in _COUNTED for one in part.iter())
