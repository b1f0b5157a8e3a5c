"""``s2s-map validate``: check a config without running it."""

from __future__ import annotations

from s2s_map.cli.console import Console
from s2s_map.cli.options import CatalogFiles, ConfigFile


def validate_command(config: ConfigFile, catalog: CatalogFiles = None) -> None:
    """Check a run config and everything that it names: imagery, region, model, recordings."""
    from s2s_map.catalog.place_region import others_note
    from s2s_map.config.run import load_run_config
    from s2s_map.outputs.path import ObjectPath, output_path
    from s2s_map.outputs.published import finished_home
    from s2s_map.pipeline.job.check_settings import check_settings
    from s2s_map.pipeline.job.colour_remarks import colour_remarks, unseen_note
    from s2s_map.pipeline.job.frozen_search import is_frozen, thaw
    from s2s_map.pipeline.job.job import resolve
    from s2s_map.pipeline.job.output_folder import check_access, check_folder
    from s2s_map.pipeline.verbs.plan_warnings import sample_distance_warnings

    settings = load_run_config(config)
    out = output_path(settings.output)
    if isinstance(out, ObjectPath):
        check_access(out)
    home = finished_home(out)
    job = resolve(settings, catalog or [], home)
    check_settings(settings)
    check_access(out)
    job = thaw(job, home)
    # What is still to be searched or measured cannot be compared.
    if is_frozen(job):
        check_folder(job.output, job.identity())
    console = Console(soft_wrap=True)
    if job.outline.others:
        console.print(f"note: {others_note(job.outline)}", markup=False)
    for line in sample_distance_warnings(job):
        console.print(f"note: {line}")
    for remark in (*colour_remarks(job), *unseen_note(job)):
        console.print(f"imagery: {remark}")
    console.print(f"{config} is valid")
