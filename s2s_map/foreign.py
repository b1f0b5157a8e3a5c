"""The one place where what libraries and the system raise becomes an error of ours.

Rooms say themselves what they know better: which file, which entry, what to do. What none of them
expected comes here, at the end of a command: an exception of a library that reads what users give
is about what was given; anything else is a fault of ours.
"""

from __future__ import annotations

from s2s_map.errors import (
    AudioError,
    ConfigError,
    ImageryError,
    OutputError,
    RegionError,
    S2SMapError,
    StoreError,
)

_CHECK_IMAGERY = "check the imagery and its CRS with s2s-map catalog check"
_LIBRARIES: dict[str, tuple[type[S2SMapError], str, str]] = {
    "rasterio": (ImageryError, "GDAL", _CHECK_IMAGERY),
    "odc": (ImageryError, "odc-geo", _CHECK_IMAGERY),
    "pyproj": (ImageryError, "PROJ", "check the CRS of the imagery, the region and the grid"),
    "shapely": (RegionError, "GEOS", "check the region, and the outline of the imagery"),
    "pyogrio": (RegionError, "GDAL", "check the file of the region"),
    "yaml": (ConfigError, "the reader of YAML", "check the files that were named"),
    "pydantic_core": (ConfigError, "the schema", "see s2s-map new-config"),
    "zarr": (StoreError, "zarr", "check the store; s2s-map verify finds damage in an output"),
    "numcodecs": (StoreError, "zarr", "check the store; s2s-map verify finds damage in an output"),
    "xarray": (ImageryError, "xarray", _CHECK_IMAGERY),
    "soundfile": (AudioError, "libsndfile", "check the recording"),
    "safetensors": (ConfigError, "the reader of weights", "check the model's folder"),
    "httpx": (ImageryError, "the connection", "try again, and check the address"),
    "httpx2": (ImageryError, "the connection", "try again, and check the address"),
    "requests": (ImageryError, "the connection", "try again, and check the address"),
    "pystac": (ImageryError, "pystac", _CHECK_IMAGERY),
    "pystac_client": (ImageryError, "pystac", _CHECK_IMAGERY),
}
_LONGEST = 500


def translated(error: BaseException) -> S2SMapError | None:
    """Return an error of ours for what was raised by what a user gave; None for a fault of ours.

    Args:
        error: What no room turned into an error itself.
    """
    if isinstance(error, S2SMapError):
        return error
    if isinstance(error, MemoryError):
        return OutputError(
            f"there is not enough memory{_about(error)}",
            remedy="see s2s-map plan; take smaller grid: {block_cells: ...}, or a smaller region",
        )
    for kind in type(error).__mro__:
        known = _LIBRARIES.get(kind.__module__.partition(".")[0])
        if known is not None:
            ours, library, remedy = known
            return ours(f"{library} cannot take what was given{_about(error)}", remedy=remedy)
    if isinstance(error, OSError):
        return _of_the_system(error)
    return None


def fault_of_ours(error: BaseException) -> str:
    """Say in one line that an exception is a fault of the program, and what to do about it."""
    return (
        f"a fault of s2s-map itself: {type(error).__name__}{_about(error)}; report it with the "
        "config and what the same command says with --debug"
    )


def _of_the_system(error: OSError) -> S2SMapError:
    reason = error.strerror or str(error) or type(error).__name__
    if error.filename is None:
        return OutputError(f"the system says: {reason[:_LONGEST]}", remedy="see --debug for where")
    return OutputError(
        f"cannot use {str(error.filename)[:_LONGEST]}: {reason[:_LONGEST]}",
        remedy="check that it is there, what it is, and that you may read or write it",
    )


def _about(error: BaseException) -> str:
    # rasterio's own text is often only "Read failed": GDAL's reason is the cause.
    texts = [" ".join(str(one).split()) for one in (error, error.__cause__) if one is not None]
    text = ": ".join(dict.fromkeys(text for text in texts if text))
    return f" ({text[:_LONGEST]})" if text else ""
