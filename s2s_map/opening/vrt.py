"""Virtual rasters (VRT): read only where all they name are plain image files."""

from __future__ import annotations

import re
from pathlib import Path

from s2s_map.errors import ImageryError
from s2s_map.opening.uris import is_remote

_MOST_BYTES = 50_000_000
_REFUSED = ("<!DOCTYPE", "<!ENTITY", "PixelFunction", "VRTRawRasterBand", "VRTProcessedDataset")
# How files of the formats begin that imagery may have: a virtual one may be called .tif as well.
_IMAGES = (
    b"II*\0",
    b"MM\0*",
    b"II+\0",
    b"MM\0+",
    b"\x89PNG",
    b"\xff\xd8\xff",
    b"\0\0\0\x0cjP  ",
    b"\xff\x4f\xff\x51",
    b"EHFA_HEADER_TAG",
)
_SOURCES = re.compile(r"<(SourceFilename|SourceDataset)([^>]*)>([^<]*)<", re.IGNORECASE)


def is_vrt(path: Path) -> bool:
    """Return whether a file is called a VRT."""
    return path.suffix.lower() == ".vrt"


def check_vrt(path: Path) -> None:
    """Check that a VRT names image files alone, and runs nothing.

    Raises:
        ImageryError: For code, raw bytes, other VRTs, addresses of other kinds, files not there.
    """
    if path.stat().st_size > _MOST_BYTES:
        raise ImageryError(f"{path} is larger than {_MOST_BYTES // 10**6} MB", expected="a VRT")
    text = path.read_text(encoding="utf-8", errors="replace")
    refused = next((word for word in _REFUSED if word.lower() in text.lower()), None)
    if refused is not None:
        raise ImageryError(
            f"{path} holds {refused.strip('<!')}", expected="a VRT that mosaics or warps images"
        )
    sources = _named_in(text, path)
    if not sources:
        raise ImageryError(f"{path} names no source", expected="a VRT over image files")
    for name, file in sources:
        if is_remote(name) or name.startswith("/vsi") or not _is_image(file):
            raise ImageryError(
                f"{path} names {name[:100]}",
                expected="image files that are there, no virtual ones",
            )


def _is_image(file: Path) -> bool:
    try:
        with file.open("rb") as stream:
            return stream.read(16).startswith(_IMAGES)
    except OSError:
        return False


def vrt_sources(path: Path) -> list[Path]:
    """Return the files that a checked VRT names, each once, in its order."""
    text = path.read_text(encoding="utf-8", errors="replace")
    return list(dict.fromkeys(file for _, file in _named_in(text, path)))


def _named_in(text: str, path: Path) -> list[tuple[str, Path]]:
    found = []
    for _, attributes, given in _SOURCES.findall(text):
        name = given.strip()
        relative = 'relativetovrt="1"' in attributes.lower().replace(" ", "")
        found.append((name, path.parent / name if relative else Path(name)))
    return found
