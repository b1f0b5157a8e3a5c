"""The plan's memory is an upper bound: a real run, by what the system says of its process."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from fixtures_plain_model import write_plain_job

PROGRAM = """
import json
from pathlib import Path
from s2s_map import load_run_config, make_plan, resolve, run
config = load_run_config("job.yaml")
planned = make_plan(resolve(config)).memory_bytes
run(config)
status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
peak = int(status["VmHWM"].split()[0]) * 1024
print(json.dumps([planned, peak]))
"""


def test_a_run_takes_no_more_memory_than_the_plan_says(tmp_path: Path) -> None:
    # With the model that is shipped, in a fresh process, since peaks do not go down again. Not
    # ru_maxrss: that takes over, through fork and exec, the peak of the process that tests run in.
    grid = {"cell_m": 40, "block_cells": 64, "crs": "EPSG:32721"}
    patches = {"stride_m": 280}
    write_plain_job(tmp_path, blocks=16, model="s2s-mini", grid=grid, patches=patches)
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    planned, peak = json.loads(done.stdout.strip().splitlines()[-1])
    assert planned / 4 < peak <= planned
