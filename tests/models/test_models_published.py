"""The published models at full size, by the public command, against every golden array.

Checkpoints with formula weights are written in the published layout and served by a hub on
127.0.0.1; `s2s-map models fetch` and `convert` make them ready; `load_model` loads them by name.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import parity_inputs as given
import pytest
import torch
from fixtures_cli import call
from fixtures_hub import COMMIT, serve_hub
from fixtures_models import formula_weight
from fixtures_published import EVERY_FIELD, options_of, write_checkpoint, write_text_encoder
from published_arrays import ELSEWHERE, INPUTS, Published, producer

from s2s_map.config.model import METADATA_ORDER, ModelConfig
from s2s_map.models.checkpoints.places import MODELS_VARIABLE
from s2s_map.models.checkpoints.published import REPOSITORY
from s2s_map.models.loaded import LoadedModel
from s2s_map.models.registry import load_model

WITH, WITHOUT = "sat2sound/sentinel_withmeta", "sat2sound/sentinel_nometa"

pytestmark = pytest.mark.parity


def s2s_map(*arguments: str, **environment: str) -> str:
    run = subprocess.run(
        [Path(sys.executable).with_name("s2s-map"), *arguments],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    return run.stdout


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[LoadedModel, LoadedModel]]:
    root, here = tmp_path_factory.mktemp("hub"), tmp_path_factory.mktemp("here")
    environment = {
        MODELS_VARIABLE: str(here / "models"),
        "HF_HUB_CACHE": str(here / "cache"),
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    }
    checkpoint = root / REPOSITORY / f"{WITH}.ckpt"
    full = ModelConfig(metadata=METADATA_ORDER)
    write_checkpoint(checkpoint, full, options_of(full, metadata_type=EVERY_FIELD))
    write_text_encoder(root / "google/flan-t5-large", 1024)
    with serve_hub(root) as hub:
        said = s2s_map("models", "fetch", WITH, HF_ENDPOINT=hub.endpoint, **environment)
    assert COMMIT in said
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(MODELS_VARIABLE, environment[MODELS_VARIABLE])
        with_metadata = load_model(WITH)
        checkpoint.unlink()
        # A key's values are the same in both: drawing so many takes seconds.
        plain = write_checkpoint(
            root / "sentinel_nometa.ckpt",
            ModelConfig(),
            options_of(ModelConfig()),
            known=with_metadata.network.state_dict(),
        )
        assert call("models", "convert", plain) == 0
        plain.unlink()
        yield with_metadata, load_model(WITHOUT)


@pytest.fixture(scope="module")
def published(loaded: tuple[LoadedModel, LoadedModel]) -> Published:
    return Published(loaded[0].network, loaded[1].network)


@pytest.mark.parametrize("name", sorted(given.golden()))
def test_every_golden_array(name: str, request: pytest.FixtureRequest) -> None:
    if name in INPUTS:
        assert given.golden()[name].dtype == np.int32
        return
    for beginning, test in ELSEWHERE.items():
        if name.startswith(beginning):
            assert beginning in (Path(__file__).parents[2] / test).read_text()
            return
    published = request.getfixturevalue("published")
    with torch.inference_mode():
        found = producer(name)(name, published)
    assert given.difference(name, found) <= given.TOLERANCE


def test_cards_say_what_the_models_are(loaded: tuple[LoadedModel, LoadedModel]) -> None:
    card, plain = loaded[0].card, loaded[1].card
    assert (card.name, plain.name) == (WITH, WITHOUT)
    assert card.config == ModelConfig(metadata=METADATA_ORDER)
    assert plain.config == ModelConfig()
    assert card.origin is not None
    assert card.origin.revision == COMMIT
    scale = float(formula_weight("logit_scale_it", ()))
    assert card.softmax.temperature == pytest.approx(float(np.exp(-scale)))


def test_texts_and_recordings_can_be_asked(loaded: tuple[LoadedModel, LoadedModel]) -> None:
    model = loaded[0]
    text = model.embed_text("birds singing in a forest at dawn")
    np.testing.assert_array_equal(text, model.embed_text("birds singing in a forest at dawn"))
    heard = model.embed_recording(given.waveform(), 32_000)
    expected = given.golden()["audio_from_wave"][0]
    assert heard.vector @ expected / np.linalg.norm(expected) == pytest.approx(1, abs=1e-5)
    assert heard.details == {"windows": 1, "seconds": 10.0}
