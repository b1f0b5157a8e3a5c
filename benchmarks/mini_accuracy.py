"""Accuracy of a finished demo run at points labelled by eye, for queries in several wordings.

s2s-map run workflows/demo.yaml
python benchmarks/mini_accuracy.py out/demo
"""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.metrics import roc_auc_score

import s2s_map

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
    values = store.read_cells(0, *(slice(0, side) for side in store.grid.shape))
    values = values.astype(np.float32)
    cols = np.floor((points.x - store.grid.bounds[0]) / store.grid.cell_m).astype(int)
    rows = np.floor((store.grid.bounds[3] - points.y) / store.grid.cell_m).astype(int)
    return values[rows, cols] @ queries.T


def ranked(scores: np.ndarray, positive: np.ndarray) -> tuple[float, float, float]:
    """Area under the ROC curve, and its interval over bootstrap samples of each side."""
    generator = np.random.default_rng(0)
    sides = [np.flatnonzero(positive), np.flatnonzero(~positive)]
    drawn = []
    for _ in range(1000):
        sample = np.concatenate([generator.choice(side, len(side)) for side in sides])
        drawn.append(roc_auc_score(positive[sample], scores[sample]))
    low, high = np.percentile(drawn, [2.5, 97.5])
    return float(roc_auc_score(positive, scores)), float(low), float(high)


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
        positive = (points.label == label).to_numpy()
        auc, low, high = ranked(scores[:, i], positive)
        aucs.append(auc)
        print(
            f"{label:<9} {auc:.3f} [{low:.3f}, {high:.3f}] "
            f"{positive.sum():>3} of {len(positive)}  {text}"
        )
    print(f"mean {np.mean(aucs):.3f}, least {np.min(aucs):.3f}")


if __name__ == "__main__":
    main()
