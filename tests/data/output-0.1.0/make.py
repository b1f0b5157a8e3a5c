"""Make the output of version 0.1.0 beside this file, with the code of that version.

    git worktree add --detach /tmp/s2s-0.1.0 83ef97f
    python tests/data/output-0.1.0/make.py /tmp/s2s-0.1.0

83ef97f is the first version with a ledger in one file; it has no manifest, no CRCs and no ids of
stores beside the metadata. The model, 130 kB, and the scene are not kept: the tests write them.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

HERE = Path(__file__).parent


def main(old: Path) -> None:
    """Run a job of 2 x 2 blocks in ``/tmp/job-0.1.0``, so that no path of a machine is kept."""
    sys.path[:0] = [str(old), str(old / "tests"), str(old / "tests" / "models")]
    from fixtures_job import write_job
    from s2s_map.pipeline.run import run

    import s2s_map

    if not Path(s2s_map.__file__).is_relative_to(old):
        raise SystemExit(f"{s2s_map.__file__} is not the old code")
    folder = Path("/tmp/job-0.1.0")  # noqa: S108
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    os.chdir(folder)
    run(write_job(folder, queries=[{"name": "waves", "text": "waves on a shore"}]))
    shutil.rmtree(HERE / "out", ignore_errors=True)
    shutil.copytree(folder / "out", HERE / "out", ignore=shutil.ignore_patterns(".lock*"))


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())
