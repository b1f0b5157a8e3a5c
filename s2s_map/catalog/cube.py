"""Cubes of imagery in Zarr stores: what their headers say."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from affine import Affine

from s2s_map.catalog.cube_crs import crs_of
from s2s_map.catalog.cube_times import chosen_times, sensed, time_index, time_text
from s2s_map.catalog.scene import Scene
from s2s_map.config.cube import Band, ZarrEntry
from s2s_map.errors import ImageryError
from s2s_map.opening.zarr_group import group_names, open_dataset, open_group, zarr_errors
from s2s_map.redaction import redacted
from s2s_map.regions.longitudes import by_whole_turns, full_turn

if TYPE_CHECKING:
    import xarray as xr
    import zarr

EOPF_GROUP, EOPF_BANDS = "measurements/reflectance/r10m", ("b04", "b03", "b02")
EOPF_CLASSES = "conditions/mask/l2a_classification/r20m"
"""Layout of ESA's Sentinel-2 L2A products; docs/imagery.md says where it is written."""

_UNEVEN = 1e-3


@dataclass(frozen=True)
class Cube:
    """The bands of one store, as its header describes them; nothing is held open.

    Attributes:
        uri: Path or address of the store.
        group: Group of the bands, "" for the root.
        variables: Variables of red, green and blue; or the one that has them all.
        indices: Places of red, green and blue along the dimension of bands, if there is one.
        scene: The image, north up.
        south_up: Whether rows are stored from south to north.
        times: The times chosen, ISO 8601; empty for a cube without.
        steps: Their places along the dimension of time.
        is_eopf: Whether it is laid out as an EOPF product.
        has_classes: Whether it has the scene classification of an EOPF product.
        is_8bit: Whether values are 0 to 255 as stored.
        dark: What the store's mark of no data, read as NaN, is as a value; None if it is none.
        void: The value that means no data where all bands have it, read as it is; None if none.
        band_dim: The dimension of bands, if there is one.
        chunk_rows: Rows of a chunk.
        metadata_sha256: Hash of the metadata of its arrays.
    """

    uri: str
    group: str
    variables: tuple[str, ...]
    indices: tuple[int, ...]
    scene: Scene
    south_up: bool
    times: tuple[str, ...]
    steps: tuple[int, ...]
    is_eopf: bool
    has_classes: bool
    is_8bit: bool
    dark: float | None
    void: float | None
    band_dim: str | None
    chunk_rows: int
    metadata_sha256: str


def inspect_cube(uri: str, entry: ZarrEntry) -> Cube:
    """Read the header of a store and check it against its catalog entry.

    Raises:
        ImageryError: For a missing or unreadable store, variables that are not there, no CRS,
            uneven coordinates, times that are not chosen or not there.
    """
    root = open_group(uri, anew=True)
    is_eopf = _is_eopf(root, entry)
    group = (entry.group or (EOPF_GROUP if is_eopf else "")).strip("/")
    dataset = open_dataset(uri, group)
    with zarr_errors(uri):
        variables, indices = _bands(dataset, root, uri, entry, is_eopf)
        first = dataset[variables[0]]
        band_dim = _band_dim(first) if indices else None
        time_dim = _time_dim(first, band_dim, uri)
        scene, south_up = _scene(dataset, first, root, uri, entry)
        times, steps = chosen_times(dataset, time_dim, uri, entry.time)
        if time_dim is None and entry.time is None:
            times = sensed(root)
        is_8bit = all(_is_8bit(dataset[name]) for name in variables)
        if not is_8bit and entry.scale is None and not is_eopf:
            raise ImageryError(
                f"{redacted(uri)} has {_stored_type(first)} values",
                expected="8 bit, or a scale",
                remedy="add scale: auto, or {min: ..., max: ...}, to the catalog entry",
            )
        return Cube(
            uri=uri,
            group=group,
            variables=variables,
            indices=indices,
            scene=scene,
            south_up=south_up,
            times=times,
            steps=steps,
            is_eopf=is_eopf,
            has_classes=is_eopf and f"{EOPF_CLASSES}/scl" in root,
            is_8bit=is_8bit,
            dark=_dark(first),
            void=_void(first, open_group(uri, group)[variables[0]].metadata, entry),
            band_dim=band_dim,
            chunk_rows=int((first.encoding.get("chunks") or (1,) * first.ndim)[-2]),
            metadata_sha256=_metadata(uri, group, variables),
        )


def at_times(cube: Cube, times: Sequence[str]) -> Cube | None:
    """Return the cube at given times; None if it has them no longer."""
    dataset = open_dataset(cube.uri, cube.group)
    time_dim = _time_dim(dataset[cube.variables[0]], cube.band_dim, cube.uri)
    if time_dim is None:
        return None
    known = {
        time_text(time): step for step, time in enumerate(time_index(dataset, time_dim, cube.uri))
    }
    if any(time not in known for time in times):
        return None
    return replace(cube, times=tuple(times), steps=tuple(known[time] for time in times))


def _is_eopf(root: zarr.Group, entry: ZarrEntry) -> bool:
    if entry.group is not None or entry.variable is not None:
        return entry.group is not None and entry.group.strip("/").startswith("measurements/")
    with zarr_errors(""):
        return EOPF_GROUP in root


def _bands(
    dataset: xr.Dataset, root: zarr.Group, uri: str, entry: ZarrEntry, is_eopf: bool
) -> tuple[tuple[str, ...], tuple[int, ...]]:
    found = [str(name) for name, values in dataset.data_vars.items() if values.ndim >= 2]
    if entry.variable is None:
        wanted = entry.bands or (EOPF_BANDS if is_eopf else ("red", "green", "blue"))
        missing = [str(name) for name in wanted if name not in found]
        if missing:
            raise _absent(missing, found, root, uri, "bands: (or variable: and group:)")
        return tuple(map(str, wanted)), ()
    if entry.variable not in found:
        raise _absent([entry.variable], found, root, uri, "variable: (or group:)")
    values = dataset[entry.variable]
    dim = _band_dim(values)
    if dim is None:
        raise ImageryError(
            f"{entry.variable} of {redacted(uri)} has the dimensions "
            f"{', '.join(map(str, values.dims))}",
            expected="one of bands, such as band, before rows and columns",
            remedy="name each band's variable in bands: instead of variable:",
        )
    return (entry.variable,), tuple(
        _place(values, dim, band, uri) for band in entry.bands or (1, 2, 3)
    )


def _absent(
    missing: list[str], found: list[str], root: zarr.Group, uri: str, fields: str
) -> ImageryError:
    groups = group_names(root)
    return ImageryError(
        f"{redacted(uri)} has no variable {', '.join(missing)}",
        expected=f"one of {', '.join(sorted(found)[:20]) or 'none in this group'}"
        + (f"; it has the groups {', '.join(groups[:20])}" if groups else ""),
        remedy=f"correct {fields} in the entry",
    )


def _place(values: xr.DataArray, dim: str, band: Band, uri: str) -> int:
    labels = [str(label) for label in values[dim].values] if dim in values.coords else []
    if isinstance(band, str) and band in labels:
        return labels.index(band)
    if isinstance(band, int) and band <= values.sizes[dim]:
        return band - 1
    raise ImageryError(
        f"{values.name} of {redacted(uri)} has no band {band}",
        expected=f"one of {', '.join(labels[:20])}" if labels else f"1 to {values.sizes[dim]}",
        remedy="correct bands: in the entry",
    )


def _band_dim(values: xr.DataArray) -> str | None:
    dims = [str(dim) for dim in values.dims[:-2]]
    named = [dim for dim in dims if dim.lower() in ("band", "bands", "channel", "wavelength", "c")]
    others = [dim for dim in dims if not _is_time(values, dim)]
    return next(iter(named or others), None)


def _is_time(values: xr.DataArray, dim: str) -> bool:
    if dim.lower() in ("time", "t", "datetime", "date"):
        return True
    return dim in values.coords and values[dim].dtype.kind == "M"


def _time_dim(values: xr.DataArray, band_dim: str | None, uri: str) -> str | None:
    dims = [str(dim) for dim in values.dims[:-2] if dim != band_dim]
    times = [dim for dim in dims if _is_time(values, dim)]
    others = [dim for dim in dims if dim not in times]
    if others or len(times) > 1:
        raise ImageryError(
            f"{values.name} of {redacted(uri)} has the dimensions "
            f"{', '.join(map(str, values.dims))}",
            expected="time, bands, rows and columns at most",
            remedy="give variable: if one of them is of bands",
        )
    return next(iter(times), None)


def _scene(
    dataset: xr.Dataset, values: xr.DataArray, root: zarr.Group, uri: str, entry: ZarrEntry
) -> tuple[Scene, bool]:
    crs = crs_of(dataset, values, root, uri, entry.crs)
    y_dim, x_dim = (str(dim) for dim in values.dims[-2:])
    (x0, dx), (y0, dy) = _axis(values, x_dim, uri), _axis(values, y_dim, uri)
    rows, cols = values.shape[-2:]
    if dx < 0:
        raise ImageryError(
            f"{x_dim} of {redacted(uri)} runs west", expected="columns that run east"
        )
    south_up = dy > 0
    top = y0 + dy * (rows - 0.5) if south_up else y0 - dy * 0.5
    left, dy = x0 - dx * 0.5, abs(dy)
    turn = full_turn(crs)
    if turn is not None and dx * cols > turn + 2.0 * dx:
        raise ImageryError(
            f"{x_dim} of {redacted(uri)} reaches from {left:g} to {left + dx * cols:g}",
            expected=f"longitudes once around the Earth, {turn:g}, at most",
            remedy="write it again with these",
        )
    t = by_whole_turns(Affine(dx, 0.0, left, 0.0, -dy, top), (rows, cols), crs)
    scene = Scene(
        uri=uri,
        bounds=(t.c, top - dy * rows, t.c + dx * cols, top),
        crs=crs,
        shape=(rows, cols),
        transform=t,
        band_count=3,
        dtype=_stored_type(values),
        valid="nodata",
    )
    return scene, south_up


def _axis(values: xr.DataArray, dim: str, uri: str) -> tuple[float, float]:
    """Return first centre and step of evenly spaced coordinates."""
    if dim not in values.coords or values.sizes[dim] < 2:
        raise ImageryError(
            f"{values.name} of {redacted(uri)} has no coordinates along {dim}",
            expected="centres of at least two pixels",
            remedy="write it again with coordinates y and x",
        )
    centres = values[dim].to_numpy().astype(np.float64)
    step = (centres[-1] - centres[0]) / (len(centres) - 1)
    even = centres[0] + step * np.arange(len(centres))
    if step == 0.0 or not np.allclose(centres, even, rtol=0.0, atol=abs(step) * _UNEVEN):
        raise ImageryError(
            f"{dim} of {redacted(uri)} is not evenly spaced",
            expected="square pixels in rows and columns",
            remedy="resample the cube to a regular grid",
        )
    return float(centres[0]), float(step)


def _stored_type(values: xr.DataArray) -> str:
    return str(np.dtype(values.encoding.get("dtype", values.dtype)))


def _is_8bit(values: xr.DataArray) -> bool:
    packed = "scale_factor" in values.encoding or "add_offset" in values.encoding
    return _stored_type(values) == "uint8" and not packed


def _packing(values: xr.DataArray) -> tuple[float, float]:
    encoding = values.encoding
    return float(encoding.get("scale_factor", 1.0)), float(encoding.get("add_offset", 0.0))


def _dark(values: xr.DataArray) -> float | None:
    fill = values.encoding.get("_FillValue")
    if fill is None or not np.isfinite(fill):
        return None
    scale, offset = _packing(values)
    return float(fill) * scale + offset


def _void(values: xr.DataArray, metadata: Any, entry: ZarrEntry) -> float | None:
    stored = entry.nodata
    if stored is None and "_FillValue" not in values.encoding:
        # What chunks read as that were never written.
        stored = metadata.fill_value
    if stored is None or not np.isfinite(stored):
        return None
    scale, offset = _packing(values)
    return float(stored) * scale + offset


def _metadata(uri: str, group: str, variables: tuple[str, ...]) -> str:
    root = open_group(uri, group)
    described = [root[name].metadata.to_dict() for name in variables]
    return hashlib.sha256(json.dumps(described, sort_keys=True, default=str).encode()).hexdigest()
