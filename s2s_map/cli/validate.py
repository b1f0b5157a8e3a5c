"""``s2s-map validate``: check a config without running it."""

from __future__ import annotations

from s2s_map.cli.console import Console
from s2s_map.cli.options import CatalogFiles, ConfigFile


def validate_command(config: ConfigFile, catalog: CatalogFiles = None) -> None:
    """Check a run config and everything that it names: imagery, region, model, recordings."""
    from s2s_map.config.run import load_run_config
    from s2s_map.outputs.output import open_output
    from s2s_map.pipeline.job.check_settings import check_settings
    from s2s_map.pipeline.job.colour_remarks import colour_remarks, unseen_note
    from s2s_map.pipeline.job.frozen_search import is_frozen, thaw
    from s2s_map.pipeline.job.job import resolve
    from s2s_map.pipeline.job.output_folder import check_folder
    from s2s_map.pipeline.verbs.plan_warnings import sample_distance_warnings
    from s2s_map.regions.place_region import others_note

    settings = load_run_config(config)
    check_settings(settings)
    output = open_output(settings.output)
    output.check_access()
    home = output.finished_home()
    job = resolve(settings, catalog or [], home)
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
