"""A batch cut into parts or over devices has the loss and the gradients of the whole."""

from __future__ import annotations

import os
import subprocess
import sys
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch
import yaml
from fixtures_models import fill
from fixtures_sounds import write_sound_set
from fixtures_training import LIGHTNING, MODEL, config_of, curve, values
from pydantic import ValidationError
from torch import nn

from s2s_map.config.model import MiniImageConfig
from s2s_map.config.train_sounds import SoundTrainConfig
from s2s_map.datasets.reading import open_dataset
from s2s_map.models.build import build_model
from s2s_map.training.audio_noise import prepare_audio
from s2s_map.training.batch_norm import WholeBatchNorm
from s2s_map.training.caption_features import caption_features
from s2s_map.training.draws import Draws
from s2s_map.training.sound_batch import SoundBatch
from s2s_map.training.sound_data import SoundItems, wanted_for

if TYPE_CHECKING:
    from s2s_map.training.sound_module import SoundModule

pytestmark = [*LIGHTNING, pytest.mark.usefixtures("forked_processes")]

BATCH = 6
STILL: dict[str, Any] = {
    "audio_noise": {"time_stripes": 0, "mel_stripes": 0, "drop_path": 0},
    "metadata_drop": 0.0,
}
QUIET = MODEL.model_copy(update={"fusion": MODEL.fusion.model_copy(update={"dropout": 0.0})})


@pytest.fixture(scope="module")
def sounds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_sound_set(tmp_path_factory.mktemp("sounds"), train=12, val=6, test=0)


@pytest.fixture(scope="module")
def batch(sounds: Path, tmp_path_factory: pytest.TempPathFactory) -> SoundBatch:
    """Real rows, their captions' features computed once and read back."""
    from s2s_map.models.text.minilm import MiniLMTextEncoder

    folder = tmp_path_factory.mktemp("parts")
    config = config_of(sounds, folder / "out")
    rows = open_dataset(sounds, "train", wanted_for(config), cache=folder / "cache")
    encoder: Any = MiniLMTextEncoder.load(MODEL.text)  # type: ignore[arg-type]
    items = SoundItems(config, rows, caption_features(config, [rows], encoder, "minilm"))
    return items.collate([items[draw] for draw in next(iter(Draws(len(items), BATCH, seed=0)))])


def module(sounds: Path, folder: Path, **changes: Any) -> SoundModule:
    model = changes.pop("model", QUIET)
    config = config_of(sounds, folder, **changes).model_copy(update={"model": model})
    network = build_model(config.network)
    fill(network)
    prepare_audio(network.audio_encoder.model["audio_enc"], config.audio_noise)
    # Lightning takes seconds to import, which processes that run other tests are spared.
    from s2s_map.training.sound_module import SoundModule

    return SoundModule(network, config).train()


def optimiser(at_once: int | None) -> dict[str, Any]:
    return {"steps": 1, "batch": BATCH, "at_once": at_once}


def learn(trained: SoundModule, batch: SoundBatch) -> tuple[float, dict[str, torch.Tensor]]:
    torch.manual_seed(0)
    total = trained.losses(batch)["total"]
    total.backward()
    gradients = {n: p.grad for n, p in trained.network.named_parameters() if p.grad is not None}
    return float(total.detach()), gradients


@pytest.mark.parametrize("at_once", [1, 2, 4])
def test_parts_have_the_loss_and_gradients_of_the_whole_batch(
    sounds: Path, batch: SoundBatch, tmp_path: Path, at_once: int
) -> None:
    whole = module(sounds, tmp_path, **STILL, optimiser=optimiser(None))
    cut = module(sounds, tmp_path, **STILL, optimiser=optimiser(at_once))
    loss, gradients = learn(whole, batch)
    cut_loss, cut_gradients = learn(cut, batch)
    # Products of other shapes, so some hundred roundings of float32 (6e-8) apart.
    assert cut_loss == pytest.approx(loss, rel=1e-5)
    assert cut_gradients.keys() == gradients.keys()
    assert any("bn0" in name for name in gradients)
    for name, gradient in gradients.items():
        scale = gradient.abs().max().clamp(min=1e-3)
        torch.testing.assert_close(cut_gradients[name] / scale, gradient / scale, atol=2e-4, rtol=0)
    # The running statistics count the batch once, not once more for every part.
    states = [m.network.audio_encoder.state_dict() for m in (whole, cut)]
    for key, value in states[0].items():
        assert torch.equal(states[1][key], value), key


def test_parts_alone_would_have_another_loss(
    sounds: Path, batch: SoundBatch, tmp_path: Path
) -> None:
    # So the test above can fail: negatives and statistics of a part are not those of the whole.
    whole = module(sounds, tmp_path, **STILL)
    loss, _ = learn(whole, batch)
    alone = [float(whole.losses(batch.part(slice(i, i + 2)))["total"].detach()) for i in (0, 2, 4)]
    assert abs(sum(alone) / 3 - loss) > 0.1


def test_what_is_random_is_drawn_again_for_the_gradient(
    sounds: Path, batch: SoundBatch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from s2s_map.training import sound_module

    noisy = module(sounds, tmp_path, model=MODEL, optimiser=optimiser(2))
    state = {name: value.clone() for name, value in noisy.state_dict().items()}

    def learned(computed_by: Any) -> tuple[float, dict[str, torch.Tensor]]:
        monkeypatch.setattr(sound_module, "checkpoint", computed_by)
        noisy.load_state_dict(state)
        noisy.zero_grad()
        loss, gradients = learn(noisy, batch)
        return loss, {name: gradient.clone() for name, gradient in gradients.items()}

    checkpoint = sound_module.checkpoint
    again, gradients = learned(checkpoint)
    kept, expected = learned(lambda step, *given, use_reentrant: step(*given))
    assert again == kept  # one pass forward is like the other
    assert gradients.keys() == expected.keys()

    def furthest(others: dict[str, torch.Tensor]) -> float:
        """The largest difference, as a share of the largest number of its gradient."""
        return max(
            float((others[name] - one).abs().max() / one.abs().max().clamp(min=1e-3))
            for name, one in expected.items()
        )

    # The same numbers through the same kernels; only the order in which parts are summed up may
    # differ, some thousand roundings at most.
    assert furthest(gradients) < 1e3 * torch.finfo(torch.float32).eps
    # So the test can fail: with other draws than those of the loss gradients are far off.
    _, drawn_anew = learned(partial(checkpoint, preserve_rng_state=False))
    assert furthest(drawn_anew) > 0.05


def test_statistics_of_a_noted_batch_are_those_of_batch_norm() -> None:
    generator = torch.Generator().manual_seed(0)
    given = 30 * torch.randn(5, 4, 7, 3, generator=generator) - 40
    plain, whole = nn.BatchNorm2d(4), nn.BatchNorm2d(4)
    nn.init.normal_(plain.weight, generator=generator)
    whole = WholeBatchNorm.of(plain)
    whole.note(given)
    expected = plain(given)
    torch.testing.assert_close(whole(given), expected, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(whole(given[2:3]), expected[2:3], atol=1e-5, rtol=1e-5)
    for name, value in plain.state_dict().items():
        torch.testing.assert_close(whole.state_dict()[name], value, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(whole.eval()(given), plain.eval()(given), rtol=1e-5, atol=1e-5)


def test_an_encoder_that_looks_at_all_images_cannot_be_cut(sounds: Path, tmp_path: Path) -> None:
    given = values(sounds, tmp_path, optimiser=optimiser(2))
    given["model"]["image"] = MiniImageConfig().model_dump(mode="json")
    with pytest.raises(ValidationError, match="normalises over all images"):
        SoundTrainConfig.model_validate(given)


@pytest.mark.slow  # three trainings by the command, two of them in two processes
def test_two_processes_learn_what_one_does(sounds: Path, tmp_path: Path) -> None:
    # The command itself, with Lightning's own processes and torch's gloo between them.
    curves = []
    for name, devices, at_once in (("one", 1, None), ("two", 2, None), ("cut", 2, 1)):
        given = values(sounds, tmp_path / name, **STILL, devices=devices)
        given["model"]["fusion"]["dropout"] = 0.0
        given["optimiser"] |= {"steps": 4, "at_once": at_once}
        (tmp_path / f"{name}.yaml").write_text(yaml.safe_dump(given))
        done = subprocess.run(
            [Path(sys.executable).with_name("s2s-map"), "train", tmp_path / f"{name}.yaml"],
            env=os.environ | {"HF_DATASETS_CACHE": str(tmp_path / "cache"), "OMP_NUM_THREADS": "1"},
            check=False, capture_output=True, text=True,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert (tmp_path / name / "model.safetensors").exists()
        curves.append(curve(tmp_path / name))
    assert len(curves[0]) == 4
    # The same terms, summed up in other orders: a loss, and any gradient, is a thousand roundings
    # of float32 apart at most, as above. AdamW moves a weight by its rate times a function of the
    # gradient's size relative to earlier ones, so a gradient g that is d off moves it otherwise by
    # d / g of the rate; that changes the next loss, to first order, by g times as much, rate x d:
    # the same share of roundings of what a step changes, which is less than the loss itself. So
    # each step may add as much again. What is wrong by a row or a share is wrong by per cents.
    roundings = 1e3 * torch.finfo(torch.float32).eps
    for one, other in pairwise(curves):
        assert other.keys() == one.keys()
        for steps, (number, loss) in enumerate(one.items(), start=1):
            assert other[number] == pytest.approx(loss, rel=steps * roundings)
