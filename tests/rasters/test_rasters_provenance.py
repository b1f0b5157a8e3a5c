"""Provenance: complete, and as JSON can hold it."""

from __future__ import annotations

import json

import rasterio
from fixtures_maps import make_provenance

from s2s_map.rasters.provenance import software_versions


def test_attributes_are_json() -> None:
    provenance = make_provenance()
    attributes = provenance.attributes()
    assert json.loads(json.dumps(attributes)) == attributes
    assert attributes["model"]["sha256"] == provenance.model_sha256
    assert attributes["imagery"]["time"][0] == "2020-05-18T00:00:00+00:00"
    assert attributes["attribution"] == provenance.attribution
    assert attributes["config"] == {"region": [1.0, 2.0, 3.0, 4.0]}
    assert "time" not in make_provenance(imagery_time=None).attributes()["imagery"]


def test_versions_name_gdal_and_us() -> None:
    versions = software_versions()
    assert versions["gdal"] == rasterio.__gdal_version__
    assert {"python", "s2s-map", "zarr", "torch"} <= set(versions)
