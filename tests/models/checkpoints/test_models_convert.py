"""Lightning checkpoints become safetensors and a card, and nothing in them is run."""

from __future__ import annotations

import argparse
import math
import os
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from fixtures_models import fill, formula_weight
from fixtures_published import (
    EVERY_FIELD,
    SMALL,
    SMALL_OPTIONS,
    options_of,
    write_checkpoint,
)
from safetensors.torch import load_file

from s2s_map.config.files import file_sha256
from s2s_map.config.model import METADATA_ORDER, ModelConfig, NoAudioConfig
from s2s_map.errors import CheckpointError
from s2s_map.models.build import build_model
from s2s_map.models.checkpoints.convert import convert_checkpoint
from s2s_map.models.checkpoints.published import BASELINE
from s2s_map.models.checkpoints.reading import WEIGHTS_FILE, read_card
from s2s_map.models.registry import load_model

NAME = "sat2sound/sentinel_withmeta"
WITH_METADATA = SMALL.model_copy(update={"metadata": METADATA_ORDER})


class Hostile:
    """What a pickle may hold: a call to make while it is opened."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.marker),)


def options(**more: Any) -> dict[str, Any]:
    return options_of(WITH_METADATA, **{"metadata_type": EVERY_FIELD} | more)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("hub") / "sentinel_withmeta.ckpt"
    return write_checkpoint(path, WITH_METADATA, options())


def test_weights_and_card(checkpoint: Path, tmp_path: Path) -> None:
    card = convert_checkpoint(checkpoint, tmp_path / "out", NAME, base=SMALL)
    assert card == read_card(tmp_path / "out")
    assert card.config == WITH_METADATA.model_copy(update={"reference_px": 256.0})
    assert card.origin is not None
    assert card.origin.sha256 == file_sha256(checkpoint)
    assert card.licence
    assert "2505.13777" in card.citation
    assert card.sensors == ("Sentinel-2 (10 m, red green blue)",)
    assert card.patch_m == (2560.0, 12800.0)
    assert card.gsd_m == (10.0, 50.0)
    scale = float(formula_weight("logit_scale_it", ()))
    assert card.softmax.temperature == pytest.approx(math.exp(-scale))
    assert "logit_scale_it" in card.softmax.source
    model = load_model(tmp_path / "out")
    expected = build_model(WITH_METADATA)
    fill(expected)
    for key, value in expected.state_dict().items():
        assert torch.equal(value, model.network.state_dict()[key]), key
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["card.json", WEIGHTS_FILE]


@pytest.mark.parametrize(
    ("sat_type", "px", "patch"),
    [("bingmap", 300.0, (180.0, 900.0)), ("googleEarth", 256.0, (51.2, 51.2))],
)
def test_imagery_decides_the_patch(
    sat_type: str, px: float, patch: tuple[float, float], tmp_path: Path
) -> None:
    fields = METADATA_ORDER[1:]
    config = SMALL.model_copy(update={"metadata": fields})
    found = options_of(config, sat_type, metadata_type="latlong_month_time_tsource")
    path = write_checkpoint(tmp_path / "a.ckpt", config, found)
    card = convert_checkpoint(path, tmp_path / "out", "mine", base=SMALL)
    assert card.config.metadata == fields
    assert card.config.reference_px == px
    assert card.patch_m == pytest.approx(patch)


def test_options_kept_as_one_object(tmp_path: Path) -> None:
    path = write_checkpoint(
        tmp_path / "a.ckpt", WITH_METADATA, {"args": argparse.Namespace(**options())}
    )
    assert convert_checkpoint(path, tmp_path / "out", NAME, base=SMALL).config.metadata


def test_older_options_that_change_nothing_are_taken(tmp_path: Path) -> None:
    older = options(
        use_combined_projectors=0, shared_codebook=1, text_qmap=1, metadata_fusion="early"
    )
    path = write_checkpoint(tmp_path / "a.ckpt", WITH_METADATA, older)
    assert convert_checkpoint(path, tmp_path / "out", NAME, base=SMALL).name == NAME


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"use_combined_projectors": 1}, "use_combined_projectors=1"),
        ({"text_qmap": 0}, "text_qmap=0"),
        ({"shared_codebook": False}, "shared_codebook=False"),
        ({"metadata_fusion": "late"}, "late fusion"),
        ({"metadata_type": "latlong_weather"}, "'weather'"),
        ({"sat_type": "landsat"}, "sat_type='landsat'"),
        ({"sat_type": "bingmap"}, "trained on bingmap imagery; expected sentinel"),
        ({"metadata_type": "none"}, "metadata none; expected those of"),
        ({"fc_dim": "many"}, "fc_dim='many'"),
        ({"codebook_size": 63}, r"1 wrong shape: fdt.space_dict \(64, 32\) instead of \(63, 32\)"),
        ({"metadata_type": "latlong_month"}, "6 unexpected"),
    ],
)
def test_options_of_another_model_are_refused(
    changed: dict[str, Any], message: str, tmp_path: Path
) -> None:
    path = write_checkpoint(tmp_path / "a.ckpt", WITH_METADATA, options(**changed))
    with pytest.raises(CheckpointError, match=message) as caught:
        convert_checkpoint(path, tmp_path / "out", NAME, base=SMALL)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("place", ["hyper_parameters", "state_dict", "whole"])
def test_a_hostile_checkpoint_is_refused_and_not_run(place: str, tmp_path: Path) -> None:
    marker = tmp_path / "ran"
    content: Any = {"state_dict": {}, "hyper_parameters": {}}
    if place == "whole":
        content = Hostile(marker)
    else:
        content[place] = {"a": Hostile(marker)}
    torch.save(content, tmp_path / "bad.ckpt")
    with pytest.raises(CheckpointError, match="asks for more than weights and was not opened"):
        convert_checkpoint(tmp_path / "bad.ckpt", tmp_path / "out", "mine", base=SMALL)
    assert not marker.exists()
    # The same file does run its code when opened without care: the test can fail.
    torch.load(tmp_path / "bad.ckpt", weights_only=False)
    assert marker.exists()


def test_a_bare_hostile_pickle_is_refused_and_not_run(tmp_path: Path) -> None:
    marker = tmp_path / "ran"
    (tmp_path / "bad.ckpt").write_bytes(pickle.dumps(Hostile(marker)))
    with pytest.raises(CheckpointError, match="does not open as a checkpoint"):
        convert_checkpoint(tmp_path / "bad.ckpt", tmp_path / "out", "mine", base=SMALL)
    assert not marker.exists()


def test_files_that_are_no_checkpoint(checkpoint: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with pytest.raises(CheckpointError, match="no checkpoint at"):
        convert_checkpoint(tmp_path / "none.ckpt", out, "mine")
    whole = checkpoint.read_bytes()
    (tmp_path / "cut.ckpt").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(CheckpointError, match="damaged or cut short: download it again"):
        convert_checkpoint(tmp_path / "cut.ckpt", out, "mine")
    (tmp_path / "empty.ckpt").write_bytes(b"")
    with pytest.raises(CheckpointError, match="does not open as a checkpoint"):
        convert_checkpoint(tmp_path / "empty.ckpt", out, "mine")
    torch.save([1, 2], tmp_path / "list.ckpt")
    with pytest.raises(CheckpointError, match="no state_dict of tensors"):
        convert_checkpoint(tmp_path / "list.ckpt", out, "mine")
    torch.save({"state_dict": {"a": torch.zeros(1)}}, tmp_path / "bare.ckpt")
    with pytest.raises(CheckpointError, match="no hyper_parameters"):
        convert_checkpoint(tmp_path / "bare.ckpt", out, "mine")
    assert not out.exists()


def test_a_checkpoint_without_imagery_needs_a_name(tmp_path: Path) -> None:
    found = options()
    del found["sat_type"]
    path = write_checkpoint(tmp_path / "a.ckpt", WITH_METADATA, found)
    with pytest.raises(CheckpointError, match="does not say what imagery"):
        convert_checkpoint(path, tmp_path / "out", "mine", base=SMALL)
    assert convert_checkpoint(path, tmp_path / "out", NAME, base=SMALL).gsd_m == (10.0, 50.0)


def test_numbers_that_are_not_finite_are_refused(checkpoint: Path, tmp_path: Path) -> None:
    content = torch.load(checkpoint, weights_only=True)
    content["state_dict"]["fdt.space_dict"][3, 4] = math.nan
    torch.save(content, tmp_path / "a.ckpt")
    with pytest.raises(CheckpointError, match=r"not finite in fdt\.space_dict"):
        convert_checkpoint(tmp_path / "a.ckpt", tmp_path / "out", NAME, base=SMALL)


def test_constants_are_not_taken_from_the_file(checkpoint: Path, tmp_path: Path) -> None:
    content = torch.load(checkpoint, weights_only=True)
    weights = content["state_dict"]
    for key in weights:
        if key.endswith((".attn_mask", ".relative_position_index", ".melW")):
            weights[key] = torch.zeros_like(weights[key])
    torch.save(content, tmp_path / "a.ckpt")
    convert_checkpoint(tmp_path / "a.ckpt", tmp_path / "out", NAME, base=SMALL)
    expected = build_model(WITH_METADATA).state_dict()
    found = load_file(tmp_path / "out" / WEIGHTS_FILE)
    for key in weights:
        if key.endswith((".attn_mask", ".relative_position_index", ".melW")):
            assert torch.equal(found[key], expected[key]), key


def test_the_image_text_baseline(tmp_path: Path) -> None:
    config: ModelConfig = SMALL.model_copy(update={"audio": NoAudioConfig()})
    path = write_checkpoint(tmp_path / "a.ckpt", config, options_of(config, "bingmap"))
    content = torch.load(path, weights_only=True)
    for scale in ("at", "it", "ia", "i_at", "it_a"):
        del content["state_dict"][f"logit_scale_{scale}"]
    torch.save(content, path)
    card = convert_checkpoint(path, tmp_path / "out", BASELINE, base=SMALL)
    assert card.config.audio.kind == "none"
    assert "logit_scale_fdt" in card.softmax.source
    assert load_model(tmp_path / "out").name == BASELINE


def test_small_options_are_those_of_the_small_model() -> None:
    assert SMALL_OPTIONS.items() <= options_of(SMALL).items()
