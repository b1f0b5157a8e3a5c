"""Accuracy of a finished demo run at points labelled by eye, for queries in several wordings.

s2s-map run workflows/demo.yaml
python benchmarks/mini_accuracy.py out/demo
"""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd

import s2s_map
from s2s_map.evaluation.points import rank_class

POINTS = Path(__file__).parents[1] / "tests" / "data" / "iguacu_points" / "points.csv"
WORDINGS = {
    "water": [
        "waves lapping on a lake shore",
        "boats on a reservoir",
        "splashing water by a quay",
        "somebody fishing from a rowing boat",
    ],
    "city": [
        "traffic and car horns in a busy street",
        "motorbikes and people downtown",
        "buses and shouting vendors in the centre of town",
        "an ambulance siren between apartment blocks",
    ],
    "forest": [
        "birds and insects in a dense forest",
        "the jungle at dawn",
        "cicadas in tall trees",
        "rustling leaves and a woodpecker",
    ],
    "farmland": [
        "a tractor working a field",
        "cows and a plough in open country",
        "a combine harvester bringing in the crop",
        "crickets in a meadow beside a farm track",
    ],
}


def point_scores(run: s2s_map.OpenRun, points: pd.DataFrame, queries: np.ndarray) -> np.ndarray:
    """Similarity of each point's cell to each query, (points, queries)."""
    store = run.embeddings
    values = store.read_rows(slice(0, store.grid.shape[0]))[0]
    cols = np.floor((points.x - store.grid.bounds[0]) / store.grid.cell_m).astype(int)
    rows = np.floor((store.grid.bounds[3] - points.y) / store.grid.cell_m).astype(int)
    return values[rows, cols] @ queries.T


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path, help="output folder of the demo")
    run = s2s_map.open_run(parser.parse_args().out)
    points = pd.read_csv(POINTS)
    model = s2s_map.load_model(run.record.config.model)
    texts = [(label, text) for label, wordings in WORDINGS.items() for text in wordings]
    scores = point_scores(run, points, np.stack([model.embed_text(text) for _, text in texts]))
    aucs = []
    for i, (label, text) in enumerate(texts):
        ranked = rank_class(scores[:, i], (points.label == label).to_numpy())
        aucs.append(ranked.auc)
        print(
            f"{label:<9} {ranked.auc:.3f} [{ranked.low:.3f}, {ranked.high:.3f}] "
            f"{ranked.positives:>3} of {ranked.positives + ranked.negatives}  {text}"
        )
    print(f"mean {np.mean(aucs):.3f}, least {np.min(aucs):.3f}")


if __name__ == "__main__":
    main()
