"""How the embedded model s2s-mini is made, from the top of a clone.

python workflows/mini prepare --iguacu SCENE.tif --out data/mini
python workflows/mini train workflows/mini/train.yaml
python workflows/mini baseline data/mini
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from s2s_map.errors import S2SMapError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one step; exit code 2 and one line for what a user can change."""
    parser = argparse.ArgumentParser(
        prog="python workflows/mini",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    steps = parser.add_subparsers(dest="step", required=True)
    prepare = steps.add_parser("prepare", help="fetch the imagery, write scenes and captions")
    prepare.add_argument("--iguacu", type=Path, required=True, help="the demo scene")
    prepare.add_argument("--out", type=Path, default=Path("data/mini"))
    steps.add_parser("train", help="train the model").add_argument("config", type=Path)
    baseline = steps.add_parser("baseline", help="judge the baseline on the held-out rows")
    baseline.add_argument("data", type=Path)
    given = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        _run(given)
    except S2SMapError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def _run(given: argparse.Namespace) -> None:
    # Each step imports what it needs: Lightning takes seconds, scikit-learn too.
    if given.step == "prepare":
        from s2s_mini.prepare import prepare

        prepare(given.iguacu, given.out)
    elif given.step == "train":
        from s2s_map.config.load import parse_model, read_yaml
        from s2s_mini.config import TrainConfig
        from s2s_mini.train import train

        config = parse_model(TrainConfig, read_yaml(given.config), str(given.config))
        print(f"wrote the model to {train(config)}")
    else:
        from s2s_mini.baseline import judge_baseline

        judge_baseline(given.data)
