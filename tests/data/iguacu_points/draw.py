"""Draw points.png: the evaluation points over the scene they were labelled in."""

from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
import rasterio

mpl.use("Agg")
import matplotlib.pyplot as plt

HERE = Path(__file__).parent
SCENE = HERE.parents[2] / "s2s_map" / "sample_data" / "iguacu_landsat8_rgb.tif"
COLOURS = {"water": "#4fc3f7", "city": "#ff5252", "forest": "#b2ff59", "farmland": "#ffd740"}

with rasterio.open(SCENE) as scene:
    pixels, (left, bottom, right, top) = np.moveaxis(scene.read(), 0, -1), scene.bounds
points = pd.read_csv(HERE / "points.csv")
figure, axes = plt.subplots(figsize=(8, 13))
axes.imshow(pixels, extent=(left, right, bottom, top))
for label, group in points.groupby("label"):
    axes.scatter(group.x, group.y, s=26, c=COLOURS[label], edgecolors="k", label=label)
axes.set(
    xlim=(746_500, right), ylim=(bottom, -2_795_000), xlabel="x, m (EPSG:32621)", ylabel="y, m"
)
axes.legend(loc="lower left")
figure.savefig(HERE / "points.png", dpi=90, bbox_inches="tight")
