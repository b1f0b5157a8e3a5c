"""Processor time of small runs in one process: what a run costs beside its model.

python benchmarks/small_run.py [--runs 3] [--aws]
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

import fixtures_threads  # noqa: F401  (one thread)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--aws", action="store_true", help="with keys of AWS in the environment")
    given = parser.parse_args()
    if given.aws:
        os.environ |= {"AWS_ACCESS_KEY_ID": "a-key", "AWS_SECRET_ACCESS_KEY": "a-secret"}
    with tempfile.TemporaryDirectory() as folder:
        os.environ["S2S_MAP_CACHE"] = f"{folder}/cache"
        from fixtures_job import write_job
        from rasterio.session import Session

        from s2s_map.config.run import load_run_config
        from s2s_map.pipeline.verbs.run import run

        sessions, make = [], Session.from_environ
        Session.from_environ = staticmethod(lambda: sessions.append(make()) or sessions[-1])
        for number in range(given.runs + 1):
            config = load_run_config(write_job(Path(folder) / str(number)))
            before, made = time.process_time(), len(sessions)
            run(config)
            what = "with imports and vocabulary" if number == 0 else "again"
            took = time.process_time() - before
            print(f"{took:.2f} s {what}, {len(sessions) - made} sessions of boto3")


if __name__ == "__main__":
    main()
