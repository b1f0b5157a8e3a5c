"""Weak land cover for training: spectral rules where there is infrared, a classifier where not.

Every function returns shares (k, y, x) in 0..1 in the order of `COVERS`, summing to 1.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_closing, binary_opening, gaussian_filter, uniform_filter
from sklearn.ensemble import ExtraTreesClassifier

from s2s_mini.landcover import COVERS

type Floats = NDArray[np.floating]

WINDOWS_PX = (3, 9, 25)
SEED = 0


def local_statistics(rgb: NDArray[np.uint8], valid: NDArray[np.bool_]) -> Floats:
    """Colour of each pixel, and mean and deviation in windows of 3, 9 and 25 px.

    Invalid pixels take no part.

    Args:
        rgb: (3, y, x) 0..255.
        valid: (y, x).

    Returns:
        (y, x, 21) in 0..1.
    """
    weight = valid.astype(np.float32)
    layers: list[Floats] = [band / 255.0 for band in rgb.astype(np.float32)]
    for window in WINDOWS_PX:
        share = np.maximum(uniform_filter(weight, window), 1e-6)
        for band in rgb.astype(np.float32) / 255.0 * weight:
            mean = uniform_filter(band, window) / share
            square = uniform_filter(band * band, window) / share
            layers += [mean, np.sqrt(np.maximum(square - mean * mean, 0))]
    return np.stack(layers, -1)


def classify(
    rgb: NDArray[np.uint8], valid: NDArray[np.bool_], labels: NDArray[np.uint8], unlabelled: int
) -> Floats:
    """Shares from a tree ensemble on local colour statistics, fitted on the labelled pixels.

    Args:
        rgb: (3, y, x).
        valid: (y, x).
        labels: (y, x) index into `COVERS`, or `unlabelled`.
        unlabelled: The value of pixels without a label.
    """
    features = local_statistics(rgb, valid)
    known = (labels != unlabelled) & valid
    codes = labels[known]
    generator = np.random.default_rng(SEED)
    pick = np.concatenate(
        [
            generator.choice(np.flatnonzero(codes == c), min(3000, int((codes == c).sum())), False)
            for c in np.unique(codes)
        ]
    )
    trees = ExtraTreesClassifier(
        150, min_samples_leaf=4, class_weight="balanced", random_state=SEED, n_jobs=2
    )
    trees.fit(features[known][pick], codes[pick])
    shares = np.zeros((len(COVERS), *labels.shape), np.float32)
    for row in range(0, labels.shape[0], 128):
        part = features[row : row + 128]
        probability = trees.predict_proba(part.reshape(-1, part.shape[-1]))
        for column, code in enumerate(trees.classes_):
            shares[code, row : row + 128] = probability[:, column].reshape(part.shape[:2])
    return shares


def _index(a: Floats, b: Floats) -> Floats:
    return (a - b) / np.maximum(a + b, 1e-6)


def one_hot(masks: dict[str, NDArray[np.bool_]]) -> Floats:
    """Shares from masks; where several hold the first wins, where none holds all are zero."""
    first = next(iter(masks.values()))
    shares = np.zeros((len(COVERS), *first.shape), np.float32)
    free = np.ones(first.shape, bool)
    for name, mask in masks.items():
        shares[COVERS.index(name)][mask & free] = 1
        free &= ~mask
    return shares


def olinda(bands: Floats) -> Floats:
    """Coast, city and forest of Olinda: Landsat 7 digital numbers of bands 1-5 and 7."""
    green, red, nir, swir = bands[1], bands[2], bands[3], bands[4]
    ndvi = gaussian_filter(_index(nir, red), 1.5)
    water = (uniform_filter(nir, 3) < 30) & (uniform_filter(swir, 3) < 40)
    water = binary_closing(water, iterations=8)  # surf on the reef is water too
    brightness = gaussian_filter((green + red) / 2, 2)
    return one_hot(
        {
            "water": water,
            "forest": (ndvi > 0.22) & (brightness < 62),
            "city": (ndvi < 0.02),
            "suburb": (ndvi >= 0.02) & (ndvi < 0.13),
        }
    )


def salt_lake(bands: Floats) -> Floats:
    """Water, salt and desert west of the Great Salt Lake: Landsat 7 bands 1-5, 6 and 7."""
    blue, green, red, nir, swir = bands[0], bands[1], bands[2], bands[3], bands[4]
    smooth = [uniform_filter(b, 3) for b in (blue, green, red, nir, swir)]
    mndwi = _index(smooth[1], smooth[4])
    bright = (smooth[0] + smooth[1] + smooth[2]) / 3
    deep = (smooth[3] < 30) & (smooth[4] < 30)
    brine = (mndwi > 0.35) & (_index(smooth[1], smooth[3]) > 0.08) & (bright < 72)
    return one_hot(
        {
            "water": deep | brine,
            "salt": (bright > 72) & (uniform_filter(bright, 9) > 68),
            "desert": (mndwi < 0.0) & (bright < 64),
        }
    )


def sentinel_chip(bands: Floats) -> Floats:
    """Forest and fields of the Sentinel-2 chip: blue, green, red, near infrared reflectance."""
    ndvi = gaussian_filter(_index(bands[3], bands[2]), 2)
    red = gaussian_filter(bands[2], 3)
    green = binary_opening((ndvi > 0.5) & (red >= 520), iterations=5)  # not forest edges
    return one_hot(
        {
            "forest": (ndvi > 0.62) & (red < 480),
            "green": green,
            "bare": (ndvi < 0.45) & (red > 700),
        }
    )
