"""From probabilities to files that a GIS opens: Zarr, COG, QGIS style, STAC item, quicklook."""
