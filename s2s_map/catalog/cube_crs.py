"""The CRS of a cube of imagery, in the ways in which Zarr stores say it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import pyproj
from odc.geo.crs import CRS
from pyproj.exceptions import CRSError

from s2s_map.errors import ImageryError
from s2s_map.redaction import redacted

if TYPE_CHECKING:
    import xarray as xr
    import zarr


def crs_of(
    dataset: xr.Dataset, values: xr.DataArray, root: zarr.Group, uri: str, given: str | None
) -> CRS:
    """Return the CRS that the entry gives, or else the store.

    Raises:
        ImageryError: For none, or one that is not known.
    """
    stated = given or _stated_crs(dataset, values, root)
    if stated is None:
        raise ImageryError(
            f"{redacted(uri)} does not say its CRS",
            expected="CF grid_mapping, _CRS, proj:code or an EOPF product's horizontal_CRS_code",
            remedy="state it: crs: EPSG:...",
        )
    try:
        crs = CRS(stated)
    except (CRSError, ValueError):
        raise ImageryError(
            f"the CRS {str(stated)[:80]} of {redacted(uri)}",
            expected="an EPSG code or WKT",
            remedy="state it: crs: EPSG:...",
        ) from None
    return CRS(f"EPSG:{crs.to_epsg()}") if crs.to_epsg() else crs


def _stated_crs(dataset: xr.Dataset, values: xr.DataArray, root: zarr.Group) -> str | None:
    # CF first: decode_coords has made its grid mapping a coordinate.
    name = values.encoding.get("grid_mapping", values.attrs.get("grid_mapping", "spatial_ref"))
    mapping = dataset[name].attrs if name in dataset.variables else {}
    if mapping.get("crs_wkt") or mapping.get("spatial_ref"):
        return str(mapping.get("crs_wkt") or mapping["spatial_ref"])
    if "grid_mapping_name" in mapping:
        return str(pyproj.CRS.from_cf(dict(mapping)).to_wkt())
    of_root: dict[str, Any] = dict(root.attrs)
    attributed = (_attributed(there) for there in (values.attrs, dataset.attrs, of_root))
    return next((found for found in attributed if found), None) or _of_product(of_root)


def _attributed(attributes: Mapping[Any, Any]) -> str | None:
    """Return what GDAL's _CRS, the projection extension or a plain crs says."""
    gdal = attributes.get("_CRS")
    if isinstance(gdal, dict) and (gdal.get("wkt") or gdal.get("url")):
        return str(gdal.get("wkt") or "EPSG:" + str(gdal["url"]).rpartition("/")[2])
    found = attributes.get("proj:code") or attributes.get("crs")
    if isinstance(found, str):
        return found
    return f"EPSG:{attributes['proj:epsg']}" if attributes.get("proj:epsg") else None


def _of_product(attributes: Mapping[str, Any]) -> str | None:
    """Return what an EOPF product says of the whole."""
    other = attributes.get("other_metadata")
    if isinstance(other, dict) and other.get("horizontal_CRS_code"):
        return str(other["horizontal_CRS_code"])
    discovery = attributes.get("stac_discovery")
    properties = discovery.get("properties") if isinstance(discovery, dict) else None
    return _attributed(properties or {})
