"""Runs a plain job as a process of its own: ``run_plain.py CONFIG STAGE NTH COUNT [overwrite]``."""

from __future__ import annotations

import sys
from pathlib import Path

from fixtures_faults import KillAt

from s2s_map.pipeline.verbs.run import run

if __name__ == "__main__":
    config, stage, nth, count, *how = sys.argv[1:]
    run(config, overwrite="overwrite" in how, on_stage=KillAt(stage, int(nth), Path(count)))
