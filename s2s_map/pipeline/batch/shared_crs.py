"""Whether all regions of a batch fit the CRS that its runs share."""

from __future__ import annotations

from collections.abc import Sequence

from odc.geo.crs import CRS

from s2s_map.config.batch import BatchRun
from s2s_map.errors import RegionError
from s2s_map.regions.extent import sample_points
from s2s_map.regions.region import Outline
from s2s_map.regions.region_file import project_outline, read_outline
from s2s_map.tiling.crs import choose_crs
from s2s_map.tiling.projections import TRUE_AREA, area_error


def check_shared_crs(runs: Sequence[BatchRun]) -> None:
    """Check every region against the CRS that its config names, before anything begins.

    Regions that cannot be read are left to their own runs, and so is the whole of the imagery.

    Raises:
        RegionError: With all regions that do not fit, or for what is not a CRS.
    """
    misfits: dict[str, str] = {}
    seen: set[str] = set()
    named = next((run.config.grid.crs for run in runs if run.config.grid.crs), None)
    for run in runs:
        wanted = run.config.grid.crs
        if wanted is None or run.config.region is None or run.region in seen:
            continue
        seen.add(run.region)
        try:
            outline = read_outline(run.config.region, ())
        except RegionError:
            continue
        why = _misfit(outline, choose_crs(None, outline, wanted))
        if why:
            misfits[run.region] = why
    if misfits:
        said = "; ".join(f"{name} ({why})" for name, why in misfits.items())
        raise RegionError(
            f"grid: crs: {named} does not fit {said}",
            expected="a CRS that shows every region, with areas true to 1 %",
            remedy="name an equal-area one, such as of the list in docs/regions.md, or leave crs: "
            "out: each region gets its own then",
        )


def _misfit(outline: Outline, crs: CRS) -> str:
    try:
        project_outline(outline, crs)
    except RegionError:
        return "lies beyond what it shows"
    error = area_error(crs, sample_points(outline.lonlat))
    return f"areas up to {error:.1%} off" if error > TRUE_AREA else ""
