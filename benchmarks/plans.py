"""What plans of whole countries take: processor time of `resolve` and `make_plan`, nothing fetched.

    python benchmarks/plans.py
    python benchmarks/plans.py --regions Kenya   # smoke

At 1,280 m by web tiles (workflows/kenya_eox.yaml), whose tiles are counted, and at 640 m by a
search (workflows/denmark_planetary_computer.yaml).
"""

from __future__ import annotations

import argparse
import os
import platform
import time
from pathlib import Path

from s2s_map.config.run import load_run_config
from s2s_map.pipeline.job.job import resolve
from s2s_map.pipeline.verbs.plan import make_plan

WORKFLOWS = Path(__file__).resolve().parents[1] / "workflows"
CONFIGS = ("kenya_eox", "denmark_planetary_computer")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--regions", nargs="+", default=["Kenya", "Brazil", "Canada", "Russia"])
    args = parser.parse_args()
    print(f"{platform.processor() or platform.machine()}, {len(os.sched_getaffinity(0))} cores")
    print("| config | region | blocks | to fetch | pieces | processor seconds |")
    for name in CONFIGS:
        for region in args.regions:
            config = load_run_config(WORKFLOWS / f"{name}.yaml")
            began = time.process_time()
            plan = make_plan(resolve(config.model_copy(update={"region": region})))
            seconds = time.process_time() - began
            count = plan.requests.count if plan.requests else plan.scenes.most if plan.scenes else 0
            what = "web tiles" if plan.requests else "scenes at most"
            print(
                f"| {name} | {region} | {plan.blocks:,} | {count:,} {what} | {len(plan.split)} "
                f"| {seconds:.1f} |"
            )


if __name__ == "__main__":
    main()
