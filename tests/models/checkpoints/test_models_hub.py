"""Fetching from a hub on 127.0.0.1, a folder and the cache, and everything that can go wrong."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from fixtures_hub import COMMIT, Hub, serve_hub
from fixtures_published import (
    EVERY_FIELD,
    SMALL,
    options_of,
    write_checkpoint,
    write_text_encoder,
)

from s2s_map.config.model import METADATA_ORDER, FlanT5Config, ModelCard
from s2s_map.errors import CheckpointError, ModelError
from s2s_map.models.checkpoints.fetch import fetch_model
from s2s_map.models.checkpoints.hub import Source
from s2s_map.models.checkpoints.places import MODELS_VARIABLE
from s2s_map.models.checkpoints.published import PUBLISHED, REPOSITORY
from s2s_map.models.registry import fetched_models, load_model, model_card
from s2s_map.models.text.encoder_files import find_text_encoder
from s2s_map.models.text.t5 import FlanT5TextEncoder

NAME = "sat2sound/sentinel_withmeta"
TEXT = "google/flan-t5-large"
CONFIG = SMALL.model_copy(update={"metadata": METADATA_ORDER})


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("hub")
    options = options_of(CONFIG, metadata_type=EVERY_FIELD)
    write_checkpoint(root / REPOSITORY / f"{NAME}.ckpt", CONFIG, options)
    write_text_encoder(root / TEXT, 32)
    return root


@pytest.fixture
def hub(root: Path) -> Iterator[Hub]:
    with serve_hub(root) as hub:
        yield hub


@pytest.fixture(autouse=True)
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(MODELS_VARIABLE, str(tmp_path / "models"))
    return tmp_path / "models"


def fetch(hub: Hub, tmp_path: Path, name: str = NAME, revision: str = "main") -> ModelCard:
    source = Source(endpoint=hub.endpoint, cache=tmp_path / "cache")
    return fetch_model(name, source, revision=revision, base=SMALL)


def test_a_fetched_model_loads_by_its_name(hub: Hub, tmp_path: Path, models: Path) -> None:
    card = fetch(hub, tmp_path)
    assert card.origin is not None
    assert (card.origin.repository, card.origin.revision) == (REPOSITORY, COMMIT)
    assert card.origin.sha256 == hub.sha256(hub.root / REPOSITORY / f"{NAME}.ckpt")
    assert model_card(NAME) == card
    assert [found.name for found in fetched_models()] == [NAME]
    # Only the encoder's half of the text model is kept.
    assert {p.name for p in (models / TEXT).iterdir()} == {
        "config.json",
        "model.safetensors",
        "origin.json",
        "tokenizer.json",
    }
    model = load_model(NAME)
    assert np.linalg.norm(model.embed_text("birds singing")) == pytest.approx(1, abs=1e-5)
    noise = np.random.default_rng(0).normal(0, 0.1, 10_000).astype(np.float32)
    heard = model.embed_recording(noise, 4000)
    assert heard.details == {"windows": 3, "seconds": 2.5}


def test_files_are_asked_of_the_hub_itself_not_of_xet_storage(hub: Hub, tmp_path: Path) -> None:
    hub.xet = True
    card = fetch(hub, tmp_path)
    assert card.origin is not None
    assert card.origin.sha256 == hub.sha256(hub.root / REPOSITORY / f"{NAME}.ckpt")
    assert not [path for _, path, _ in hub.requests if "xet" in path]


def test_what_is_here_is_not_loaded_again(hub: Hub, tmp_path: Path) -> None:
    card = fetch(hub, tmp_path)
    downloads = sum(method == "GET" for method, _, _ in hub.requests)
    assert fetch(hub, tmp_path) == card
    assert sum(method == "GET" for method, _, _ in hub.requests) == downloads


def test_the_cache_needs_no_network(hub: Hub, tmp_path: Path) -> None:
    gone = Source(endpoint="http://127.0.0.1:9", cache=tmp_path / "cache")
    for revision in (COMMIT, "main"):
        fetch(hub, tmp_path, revision=revision)
        card = fetch_model(NAME, gone, revision=revision, base=SMALL)
        assert card.origin is not None
        assert card.origin.revision == COMMIT


def test_a_broken_connection_is_taken_up_where_it_broke(hub: Hub, tmp_path: Path) -> None:
    # As large as what optimisers leave in a checkpoint: the hub's client writes 10 MiB at a time.
    rest = torch.zeros(3 << 20)
    options = options_of(SMALL, "bingmap")
    path = hub.root / REPOSITORY / "sat2sound" / "bingmap_nometa.ckpt"
    write_checkpoint(path, SMALL, options, optimizer_states=[{"state": {0: rest}}])
    hub.break_after[path.name] = 11 << 20
    fetch(hub, tmp_path, "sat2sound/bingmap_nometa")
    path.unlink()
    ranges = [r for m, where, r in hub.requests if m == "GET" and where.endswith(".ckpt")]
    assert ranges == [None, f"bytes={10 << 20}-"]


def test_a_folder_serves_instead_of_the_hub(root: Path, tmp_path: Path, models: Path) -> None:
    folder = tmp_path / "carried"
    (folder / "sat2sound").mkdir(parents=True)
    (folder / f"{NAME}.ckpt").symlink_to(root / REPOSITORY / f"{NAME}.ckpt")
    with pytest.raises(ModelError, match=r"no config\.json in .*carried/google/flan-t5-large"):
        fetch_model(NAME, Source(folder=folder), base=SMALL)
    assert not (models / NAME).exists()
    (folder / "flan-t5-large").symlink_to(root / TEXT)
    card = fetch_model(NAME, Source(folder=folder), base=SMALL)
    assert card.origin is not None
    assert card.origin.revision == ""
    assert load_model(NAME).embed_text("rain").shape == (32,)
    with pytest.raises(ModelError, match=r"no sat2sound/bingmap_nometa\.ckpt in .*carried"):
        fetch_model("sat2sound/bingmap_nometa", Source(folder=folder))


def test_the_text_encoder_is_found_in_the_cache(hub: Hub, tmp_path: Path, models: Path) -> None:
    fetch(hub, tmp_path)
    config = FlanT5Config(dim=32)
    assert find_text_encoder(config, tmp_path / "cache") == models / TEXT
    shutil.rmtree(models)
    found = find_text_encoder(config, tmp_path / "cache")
    assert found is not None
    assert found.is_relative_to(tmp_path / "cache")
    assert FlanT5TextEncoder.load(config, found).tokens("rain").shape[2] == 32
    assert find_text_encoder(config, tmp_path / "empty") is None


def test_unknown_names_list_the_known() -> None:
    with pytest.raises(ModelError, match=r"no published model 'x'; expected one of sat2sound/bing"):
        fetch_model("x")
    assert len(PUBLISHED) == 7


def test_repositories_that_are_not_open(hub: Hub, tmp_path: Path) -> None:
    hub.gated.add(REPOSITORY)
    with pytest.raises(ModelError, match=r"is gated; accept its terms .* set HF_TOKEN"):
        fetch(hub, tmp_path)
    hub.gated.clear()
    hub.hidden.add(REPOSITORY)
    with pytest.raises(ModelError, match="does not exist, or is not open to you"):
        fetch(hub, tmp_path)


@pytest.mark.parametrize(("status", "remedy"), [(401, "set HF_TOKEN"), (404, "check HF_ENDPOINT")])
def test_a_mirror_that_answers_with_a_number_only(
    hub: Hub, tmp_path: Path, status: int, remedy: str
) -> None:
    hub.plain_status = status
    with pytest.raises(ModelError, match=rf"answered {status}; .*{remedy}"):
        fetch(hub, tmp_path)


def test_files_and_revisions_that_are_not_there(hub: Hub, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="has no revision 'next'"):
        fetch(hub, tmp_path, revision="next")
    with pytest.raises(ModelError, match="lacks a file of sat2sound/bingmap_nometa"):
        fetch(hub, tmp_path, "sat2sound/bingmap_nometa")


def test_without_a_network_it_says_how_to_carry_the_files(tmp_path: Path, models: Path) -> None:
    source = Source(endpoint="http://127.0.0.1:9", cache=tmp_path / "cache")
    with pytest.raises(ModelError) as caught:
        fetch_model(NAME, source)
    message = str(caught.value)
    assert "\n" not in message
    assert "http://127.0.0.1:9 cannot be reached" in message
    assert f"s2s-map models fetch {NAME}" in message
    assert f"to {models} here" in message


def test_a_file_that_is_not_what_the_hub_says(hub: Hub, tmp_path: Path, models: Path) -> None:
    hub.wrong_hash.add("sentinel_withmeta.ckpt")
    with pytest.raises(CheckpointError, match=r"has SHA-256 .*; expected 0{64}, as the hub says"):
        fetch(hub, tmp_path)
    assert not (models / NAME).exists()


def test_a_model_that_was_not_fetched_says_what_to_run() -> None:
    with pytest.raises(ModelError, match=f"run: s2s-map models fetch {NAME}"):
        load_model(NAME)
    with pytest.raises(ModelError, match=r"unknown model 'sat2sound/sentinel'; did you mean"):
        load_model("sat2sound/sentinel")
