"""Tasks run by threads of this process or by a Dask cluster; knows nothing of maps."""
