"""Training on sounds with imagery and captions, from real pictures and recordings."""

from __future__ import annotations

import csv
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
import yaml
from fixtures_job import write_job
from fixtures_models import TINY_HTSAT, fill
from fixtures_sounds import TILE_PX, sound_rows, write_sound_set
from fixtures_training import LIGHTNING, MODEL, config_of, curve, values
from fixtures_waiting import wait_until

from s2s_map.config.model import CodebookConfig
from s2s_map.config.train_sounds import SoundTrainConfig
from s2s_map.datasets.reading import open_dataset
from s2s_map.datasets.schema import GEOSOUND, SOUNDING_EARTH
from s2s_map.datasets.writing import write_parquet
from s2s_map.errors import CheckpointError, DataError, OutputMismatchError
from s2s_map.models.build import build_model
from s2s_map.models.registry import load_model
from s2s_map.pipeline.verbs.run import run
from s2s_map.training.draws import Draws
from s2s_map.training.losses import (
    Embeddings,
    combine,
    logits,
    pseudo_positives,
    sat2sound_losses,
)
from s2s_map.training.sound_data import SoundItems, wanted_for
from s2s_map.training.starting import load_part
from s2s_map.training.text_features import TextFeatures

if TYPE_CHECKING:
    from s2s_map.training.sound_module import SoundModule

pytestmark = [*LIGHTNING, pytest.mark.usefixtures("forked_processes")]

WORKFLOWS = Path(__file__).parents[2] / "workflows" / "train"


@pytest.fixture(scope="module")
def sounds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_sound_set(tmp_path_factory.mktemp("sounds"), train=12, val=6, test=0)


def test_a_small_real_set_is_learnt_by_heart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from s2s_map.training.train_sounds import train_sounds

    rows = sound_rows(6)
    data = write_parquet(tmp_path / "data" / "train.parquet", rows, GEOSOUND).parent
    changes: dict[str, Any] = {
        "optimiser": {"steps": 75, "batch": 6, "rate": 3e-3, "weight_decay": 0.0, "clip": 5.0},
        "check_every": 25,
        "log": {"every": 10},
        "metadata_drop": 0.0,
        "audio_noise": {"time_stripes": 0, "mel_stripes": 0, "drop_path": 0},
    }
    config = config_of(data, tmp_path / "out", **changes)
    dataset = config.dataset.model_copy(update={"validation": "train"})
    folder = train_sounds(config.model_copy(update={"dataset": dataset}), tmp_path / "cache")
    with (folder / "logs" / "csv" / "from-step-0" / "metrics.csv").open() as lines:
        checks = [row for row in csv.DictReader(lines) if row["val/from_image_recall_at_1"]]
    assert max(float(row["val/from_image_recall_at_1"]) for row in checks) == 1
    assert max(float(row["val/to_image_recall_at_1"]) for row in checks) == 1
    assert list((folder / "logs" / "tensorboard").rglob("events*"))
    model = load_model(folder)
    assert model.card.patch_m == (480, 2400)
    assert "R@10% 1.000" in model.card.training.summary
    assert model.embed_text("an owl calling in the forest").shape == (32,)
    # And the main job takes it.
    job = write_job(tmp_path / "job", model=str(folder))
    monkeypatch.chdir(job.parent)
    assert list(run(job).folder.rglob("*.tif"))


@pytest.mark.parametrize("streaming", [False, True], ids=["numbered", "streamed"])
def test_what_was_killed_goes_on_as_if_it_had_not_been(
    sounds: Path, tmp_path: Path, streaming: bool
) -> None:
    # In processes of their own: a real SIGKILL, and the same number of threads for all.
    assert train_elsewhere(sounds, tmp_path, "whole", streaming).wait() == 0
    process = train_elsewhere(sounds, tmp_path, "killed", streaming)
    last = tmp_path / "killed" / "checkpoints" / "last.ckpt"
    wait_until(last.exists, process)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert train_elsewhere(sounds, tmp_path, "killed", streaming).wait() == 0
    killed, whole = curve(tmp_path / "killed"), curve(tmp_path / "whole")
    # The line of the step whose checkpoint was just written may not have reached the log yet.
    assert len(whole) - len(killed) <= 1
    assert killed == {step: whole[step] for step in killed}
    assert len(curve(tmp_path / "whole")) == SLOW["steps"]
    assert any((tmp_path / "cache").rglob("*.arrow")) != streaming
    hashes = {load_model(tmp_path / name).sha256 for name in ("whole", "killed")}
    assert len(hashes) == 1


def train_elsewhere(
    sounds: Path, folder: Path, name: str, streaming: bool
) -> subprocess.Popen[bytes]:
    file = folder / f"{name}.yaml"
    config = values(sounds, folder / name, optimiser=SLOW, precision="bf16")
    config["dataset"] |= {"streaming": streaming, "buffer": 8}
    file.write_text(yaml.safe_dump(config))
    program = "from s2s_map.cli.main import main; main()"
    return subprocess.Popen(
        [sys.executable, "-c", program, "train", str(file)],
        env=os.environ | {"HF_DATASETS_CACHE": str(folder / "cache")},
    )


SLOW = {"steps": 12, "batch": 4, "rate": 1e-3, "accumulate": 2, "restart_every": 7}


@pytest.mark.parametrize(
    ("terms", "logged"),
    [
        (["ia", "it", "at"], {"ia", "it", "at"}),
        (["ia", "it", "at", "i_at"], {"ia", "it", "at", "i_at"}),
        (["fdt"], {"fdt"}),
    ],
)
def test_any_subset_of_losses(
    sounds: Path, tmp_path: Path, terms: list[str], logged: set[str]
) -> None:
    module, batch = module_and_batch(sounds, tmp_path, losses={"terms": terms})
    found = module.losses(batch)
    assert set(found) == logged | {"multimodal", "total"}
    found["total"].backward()


def module_and_batch(sounds: Path, tmp_path: Path, **changes: Any) -> tuple[SoundModule, Any]:
    from s2s_map.models.text.minilm import MiniLMTextEncoder
    from s2s_map.training.sound_module import SoundModule

    config = config_of(sounds, tmp_path / "out", **changes)
    rows = open_dataset(sounds, "train", wanted_for(config), cache=tmp_path / "cache")
    features = TextFeatures(tmp_path / "features")
    columns = ["audio_caption"] * wanted_for(config).audio_caption
    columns += [GEOSOUND.captions[key] for key in wanted_for(config).captions]
    features.add(MiniLMTextEncoder.load(MODEL.text), rows.texts(*columns))  # type: ignore[arg-type]
    items = SoundItems(config, rows, features)
    draws = next(iter(Draws(len(items), 6, seed=0)))
    network = build_model(config.network)
    fill(network)
    return SoundModule(network, config), items.collate([items[draw] for draw in draws])


def test_half_of_each_kind_of_metadata_is_hidden(sounds: Path, tmp_path: Path) -> None:
    module, batch = module_and_batch(sounds, tmp_path)
    seen: list[torch.Tensor] = []
    fuser = module.network.sat_encoder.meta_fuser
    fuser.register_forward_pre_hook(lambda _module, inputs: seen.append(inputs[2]))
    module.train()
    module.losses(batch)
    assert (seen[0].sum(dim=0) <= 3).all()
    assert seen[0].sum(dim=0)[0] == 3
    module.eval()
    module.losses(batch)
    assert seen[1][:, 0].all()


def test_batches_depend_on_seed_and_number_alone(sounds: Path, tmp_path: Path) -> None:
    config = config_of(sounds, tmp_path / "out")
    whole = [draws for _, draws in zip(range(7), Draws(13, 6, 5), strict=False)]
    later = next(iter(Draws(13, 6, 5, start=6)))
    assert later == whole[6]
    assert sorted(d.row for draws in whole[:2] for d in draws) != list(range(12))
    assert len({d.row for draws in whole[:2] for d in draws}) == 12
    shares = [next(iter(Draws(13, 6, 5, rank=r, devices=2))) for r in (0, 1)]
    assert [*shares[0], *shares[1]] == whole[0]
    with pytest.raises(DataError, match=r"at least optimiser\.batch, 20"):
        Draws(13, 20, 0)
    assert config.network.reference_px == TILE_PX


def test_zooms_and_captions_belong_together(sounds: Path, tmp_path: Path) -> None:
    _, batch = module_and_batch(sounds, tmp_path)
    assert set(batch.resolution_m.tolist()) <= {30.0, 90.0, 150.0}
    assert len(set(batch.resolution_m.tolist())) > 1
    assert batch.mel.shape == (6, 1, TINY_HTSAT.frames, TINY_HTSAT.mel_bins)
    assert batch.image_text.shape[:2] == batch.image_mask.shape


def test_another_size_or_config_is_refused_in_one_line(sounds: Path, tmp_path: Path) -> None:
    from s2s_map.training.train_sounds import train_sounds

    config = config_of(sounds, tmp_path / "out")
    train_sounds(config, tmp_path / "cache")
    wider = MODEL.model_copy(update={"codebook": CodebookConfig(size=32, dim=32)})
    with pytest.raises(CheckpointError, match=r"space_dict \(64, 32\) instead of \(32, 32\)"):
        train_sounds(config.model_copy(update={"model": wider}), tmp_path / "cache")
    with pytest.raises(OutputMismatchError, match="another seed"):
        train_sounds(config.model_copy(update={"seed": 9}), tmp_path / "cache")
    (tmp_path / "out" / "checkpoints" / "last.ckpt").write_bytes(b"")
    with pytest.raises(CheckpointError, match="does not open as a checkpoint"):
        train_sounds(config, tmp_path / "cache")


def test_an_encoder_is_found_among_other_weights(tmp_path: Path) -> None:
    network, other = build_model(MODEL), build_model(MODEL)
    fill(other)
    encoder = other.satmae_backbone.backbone.state_dict()
    stored = {"model": {f"module.{k}": v for k, v in encoder.items()}, "epoch": 3}
    stored["model"]["module.decoder.weight"] = torch.ones(3)
    torch.save(stored, tmp_path / "pretrained.pth")
    load_part(network.satmae_backbone.backbone, tmp_path / "pretrained.pth")
    for key, value in network.satmae_backbone.backbone.state_dict().items():
        assert torch.equal(value, encoder[key])
    stored["model"].pop("module.blocks.0.norm1.weight")
    torch.save(stored, tmp_path / "lacking.pth")
    with pytest.raises(CheckpointError, match=r"1 missing: blocks\.0\.norm1\.weight"):
        load_part(network.satmae_backbone.backbone, tmp_path / "lacking.pth")


PAIRS = {"ia": (0, 1), "it": (0, 2), "at": (1, 2), "i_at": (0, -1), "fdt": (0, 3)}


def both_sides(parts: list[torch.Tensor], term: str) -> tuple[torch.Tensor, torch.Tensor]:
    first, second = PAIRS[term]
    return parts[first], parts[1] + parts[2] if second == -1 else parts[second]


SUBSETS = [("ia",), ("it",), ("at",), ("i_at",), ("fdt",), ("ia", "it", "at"), ("ia", "i_at"),
           ("ia", "it", "at", "fdt"), ("ia", "it", "at", "i_at"), tuple(PAIRS)]  # fmt: skip


@pytest.mark.parametrize("terms", SUBSETS, ids="+".join)
def test_gradients_equal_finite_differences(terms: tuple[str, ...]) -> None:
    generator = torch.Generator().manual_seed(0)
    parts = [torch.randn(4, 3, generator=generator, dtype=torch.float64) for _ in range(4)]
    scale = torch.tensor(1.3, dtype=torch.float64)
    held = {term: pseudo_positives(logits(*both_sides(parts, term), scale)) for term in terms}

    def reference(parts: list[torch.Tensor], scale: torch.Tensor) -> torch.Tensor:
        """The whole loss as the paper has it, with the pseudo-targets held constant."""
        found = {}
        for term, target in held.items():
            scores = logits(*both_sides(parts, term), scale)
            loss = torch.zeros((), dtype=torch.float64)
            for s, t in ((scores, target), (scores.T, target.T)):
                wanted = torch.eye(len(s), dtype=torch.float64) + 0.1 * t
                loss = loss - 0.5 * (wanted * s.log_softmax(dim=1)).sum(dim=1).mean()
            found[term] = loss
        pairs = [found[term] for term in ("ia", "it", "at") if term in found]
        total = torch.zeros((), dtype=torch.float64)
        if pairs:
            total = total + sum(pairs) / len(pairs)
        return total + found.get("i_at", 0.0) + found.get("fdt", 0.0)

    leaves = [part.clone().requires_grad_() for part in (*parts, scale)]
    embeddings = Embeddings(leaves[0], leaves[1], leaves[2], leaves[3])
    scales = dict.fromkeys(PAIRS, leaves[4])
    total = combine(sat2sound_losses(embeddings, scales, terms=terms))["total"]
    assert float(total.detach()) == pytest.approx(float(reference(parts, scale)), rel=1e-12)
    total.backward()
    for place, leaf in enumerate(leaves):
        gradient = torch.zeros_like(leaf) if leaf.grad is None else leaf.grad
        for index in np.ndindex(*leaf.shape):
            shifted = []
            for step in (1e-6, -1e-6):
                moved = [x.detach().clone() for x in leaves]
                moved[place][index] += step
                shifted.append(float(reference(moved[:4], moved[4])))
            expected = (shifted[0] - shifted[1]) / 2e-6
            assert float(gradient[index]) == pytest.approx(expected, rel=1e-6, abs=1e-8)


def test_features_of_captions_are_computed_once(tmp_path: Path) -> None:
    class Counting:
        dim = 4
        asked = 0

        def tokens(self, text: str) -> torch.Tensor:
            self.asked += 1
            return torch.full((1, len(text.split()), 4), float(len(text)))

    encoder = Counting()
    features = TextFeatures(tmp_path / "features")
    assert features.add(encoder, ["a frog", "an owl at night", "a frog"]) == 2
    again = TextFeatures(tmp_path / "features")
    assert again.add(encoder, ["an owl at night", "rain"]) == 1
    assert encoder.asked == 3
    assert again["an owl at night"].tolist() == [[15.0] * 4] * 4
    assert again["rain"].dtype == torch.float16
    with pytest.raises(DataError, match="no features"):
        again["thunder"]


@pytest.mark.slow  # two processes of torch, and gloo between them
def test_pairs_over_two_processes_give_the_gradient_of_one(tmp_path: Path) -> None:
    script = Path(__file__).with_name("gathered.py")
    done = subprocess.run(
        [sys.executable, str(script), str(tmp_path)],
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.stdout.strip() == "equal", done.stderr


@pytest.mark.parametrize("file", sorted(WORKFLOWS.glob("*.yaml")), ids=lambda file: file.stem)
def test_shipped_configs_are_those_of_the_paper(file: Path) -> None:
    config = SoundTrainConfig.model_validate(yaml.safe_load(file.read_text()))
    assert config.name == file.stem == config.output.name
    assert config.optimiser.batch == 128
    assert bool(config.model.metadata) == file.stem.endswith(
        ("withmeta", "trimodal", "fdt", "comb", "cb4000", "cb8000", "cb32000")
    )
    assert config.dataset.satellite.lower()[:5] in ("bingm", "senti", "googl")
    wanted_for(config).columns(
        SOUNDING_EARTH if config.dataset.satellite == "googleEarth" else GEOSOUND
    )
