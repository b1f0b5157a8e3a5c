"""Runs a job as a process of its own: ``run_counted.py CONFIG COUNT``, counting blocks read."""

from __future__ import annotations

import sys
from pathlib import Path

from fixtures_faults import CountBlocks

from s2s_map.pipeline.verbs.run import run

if __name__ == "__main__":
    config, count = sys.argv[1:]
    run(config, on_stage=CountBlocks("read", Path(count)))
