"""Training from start to end, on a small made-up world."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

from s2s_map.config.model import (
    CodebookConfig,
    MiniImageConfig,
    MiniLMConfig,
    ModelConfig,
    NoAudioConfig,
)
from s2s_map.errors import DataError
from s2s_map.models.registry import load_model
from s2s_mini.config import LossConfig, OptimiserConfig, TrainConfig, TrainScene
from s2s_mini.steps import main
from s2s_mini.validate import fit_temperature, query_auc

# Lightning's own use of torch, not ours.
pytestmark = [
    pytest.mark.slow,  # four trainings from start to end
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:The 'train_dataloader' does not have many workers"),
    pytest.mark.filterwarnings("ignore:.*IterableDataset.*"),
]

MODEL = ModelConfig(
    image=MiniImageConfig(input_px=56, tokens_per_side=7, dim=16),
    text=MiniLMConfig(dim=8, sentence_token=True),
    audio=NoAudioConfig(),
    embed_dim=16,
    projector_dim=16,
    codebook=CodebookConfig(size=16, dim=16, score_scale=10),
    reference_px=56,
)
TEXTS = {"blue": "water", "deep blue": "water", "green": "forest", "deep green": "forest"}


class Words:
    """A text encoder that knows two words."""

    dim = 8

    def tokens(self, text: str) -> torch.Tensor:
        rows = [torch.ones(8), *(self._word(word) for word in text.split())]
        features = torch.stack(rows)
        return torch.cat([features.mean(dim=0, keepdim=True), features])[None]

    def _word(self, word: str) -> torch.Tensor:
        generator = torch.Generator().manual_seed(sum(map(ord, word)))
        return torch.randn(8, generator=generator)


def write_world(folder: Path) -> None:
    random = np.random.default_rng(0)
    side = 160
    water = (np.indices((side, side)).sum(axis=0) // 40) % 2 == 0
    colour = np.where(
        water, np.array([20, 60, 160])[:, None, None], np.array([60, 120, 40])[:, None, None]
    )
    np.savez(
        folder / "scene.npz",
        rgb=(colour + random.integers(0, 20, (3, side, side))).astype(np.uint8),
        valid=np.ones((side, side), bool),
        cover=(np.stack([water, ~water]) * 255).astype(np.uint8),
        labels=np.where(water, 0, 1).astype(np.uint8),
        gsd_m=30.0,
    )
    captions = [
        {"text": text, "weights": [float(cover == "water"), float(cover == "forest")]}
        for text, cover in TEXTS.items()
    ]
    held_out = {"validation": {"water": ["blue blue deep"], "forest": ["green green deep"]}}
    (folder / "captions.json").write_text(
        json.dumps({"covers": ["water", "forest"], "captions": captions, "held_out": held_out})
    )


def config(folder: Path, **changes: Any) -> TrainConfig:
    scene = TrainScene(file="scene.npz", weight=1, pixel_m=(20, 24), held_out_rows=((100, 160),))
    values: dict[str, Any] = {
        "name": "tiny",
        "title": "A tiny model",
        "data": folder,
        "output": folder / "out",
        "model": MODEL,
        "scenes": (scene,),
        "losses": LossConfig(weights={"fdt": 0.1, "token": 1, "geometry": 1}, tokens=64, texts=4),
        "optimiser": OptimiserConfig(steps=100, batch=4, rate=5e-3, warmup=2),
        "threads": 1,
        "card": {"licence": "Apache-2.0", "attribution": "nobody"},
    }
    return TrainConfig(**values | changes)


def test_training_learns_and_writes_a_model_that_loads(tmp_path: Path) -> None:
    from s2s_mini.train import train

    write_world(tmp_path)
    folder = train(config(tmp_path), Words())
    model = load_model(folder)
    assert model.card.name == "tiny"
    assert "held-out rows" in model.card.softmax.source
    assert float(model.card.training.summary.split("held-out rows ")[1].split()[0]) > 0.9
    assert sorted(p.name for p in folder.iterdir()) == ["card.json", "model.safetensors"]


def test_training_twice_gives_the_same_weights(tmp_path: Path) -> None:
    from s2s_mini.train import train

    write_world(tmp_path)
    few = OptimiserConfig(steps=3, batch=4)
    hashes = {
        load_model(train(config(tmp_path, optimiser=few, output=tmp_path / n), Words())).sha256
        for n in ("a", "b")
    }
    assert len(hashes) == 1


def test_diverging_training_is_an_error_and_writes_nothing(tmp_path: Path) -> None:
    from s2s_mini.train import train

    write_world(tmp_path)
    hot = OptimiserConfig(steps=30, batch=4, rate=1e3, warmup=0, clip=1e9)
    with pytest.raises(DataError, match="diverged"):
        train(config(tmp_path, optimiser=hot), Words())
    assert not (tmp_path / "out").exists()


def test_missing_data_is_an_error(tmp_path: Path) -> None:
    from s2s_mini.train import train

    with pytest.raises(DataError, match="no captions"):
        train(config(tmp_path), Words())


def test_the_command_says_in_one_line_what_is_missing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", str(tmp_path / "none.yaml")]) == 2
    assert capsys.readouterr().err == f"error: no file {tmp_path / 'none.yaml'}; check the path\n"


def test_the_config_that_made_the_embedded_model_is_valid() -> None:
    file = Path(__file__).parents[3] / "workflows" / "mini" / "train.yaml"
    TrainConfig.model_validate(yaml.safe_load(file.read_text()))


def test_query_auc_and_temperature_on_vectors_that_are_clear() -> None:
    vectors = np.repeat(np.eye(2, dtype=np.float32), 20, axis=0)
    labels = np.repeat([0, 1], 20).astype(np.uint8)
    queries = {"a": ("x", np.eye(2)[0]), "b": ("y", np.eye(2)[1])}
    classes = {"x": [0], "y": [1]}
    assert query_auc(vectors, labels, queries, classes) == {"a": 1.0, "b": 1.0}
    assert fit_temperature(vectors, labels, queries, classes) < 0.1
