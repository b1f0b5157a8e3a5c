"""The embedded model as it is shipped: its size, its card, and what it makes of language."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from s2s_map.models.loaded import LoadedModel
from s2s_map.models.registry import load_model, model_folder
from s2s_mini.vocabulary import load_held_out

pytestmark = pytest.mark.slow  # hundreds of texts through the real text encoder

MAX_BYTES = 9_000_000
ANCHORS = {
    "water": "waves on a lake",
    "city": "cars in the city",
    "forest": "birds in the forest",
    "farm": "farm machinery in the fields",
}


@pytest.fixture(scope="module")
def mini() -> LoadedModel:
    return load_model("s2s-mini")


def test_it_is_small() -> None:
    folder = model_folder("s2s-mini")
    files = ("model.safetensors", "card.json")
    assert sum((folder / name).stat().st_size for name in files) < MAX_BYTES


def test_its_card_says_what_was_held_out_and_where_the_temperature_is_from(
    mini: LoadedModel,
) -> None:
    assert "744500" in mini.card.training.held_out
    assert "held-out rows" in mini.card.softmax.source
    assert mini.card.limits


def test_wordings_it_never_saw_land_beside_their_land_cover(mini: LoadedModel) -> None:
    anchors = np.stack([mini.embed_text(text) for text in ANCHORS.values()])
    wrong = [
        text
        for groups in load_held_out().values()
        for group, texts in groups.items()
        for text in texts
        if list(ANCHORS)[int(np.argmax(anchors @ mini.embed_text(text)))] != group
    ]
    assert not wrong


def test_token_embeddings_are_unit_vectors_and_do_not_depend_on_the_batch(
    mini: LoadedModel,
) -> None:
    pixels = torch.randint(
        0, 255, (3, 3, 112, 112), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
    )
    resolution = mini.resolution_for(2560.0)
    together = mini.embed_patches(pixels, resolution, "token")
    assert together.shape == (3, 196, mini.dim)
    torch.testing.assert_close(together.norm(dim=2), torch.ones(3, 196), atol=1e-4, rtol=0)
    alone = mini.embed_patches(pixels[1:2], resolution, "token")
    assert torch.nn.functional.cosine_similarity(together[1:2], alone, dim=2).min() > 0.999
