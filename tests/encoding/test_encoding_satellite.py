"""A block's imagery to embeddings: every patch its own place, every time slot in one pass."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from fixtures_models import TINY, TINY_META, write_model_folder
from torch import Tensor

from s2s_map.arrays import ImageBlock
from s2s_map.config.metadata import MetadataConfig
from s2s_map.encoding.exact import resize_patches
from s2s_map.encoding.patch_metadata import PatchMetadata, places
from s2s_map.encoding.satellite import embed_block
from s2s_map.models.loaded import LoadedModel
from s2s_map.models.metadata import encode_place
from s2s_map.models.registry import load_model
from s2s_map.tiling.blocks import Block
from s2s_map.tiling.grid import MapGrid
from s2s_map.tiling.patches import PatchLayout, PatchSet

CRS = "EPSG:32721"
LAYOUT = PatchLayout(1120.0, 56, 320.0, 14)
GRID = MapGrid.from_bounds((640_000, 7_168_000, 642_560, 7_169_280), CRS, 320, 8)
# Networks of some layers on unit vectors: passes of other shapes are some hundred roundings of
# float32 (6e-8) apart.
ROUNDED = 2e-5
SLOTS = {"time_slots": [{"month": 5, "hour": 13}, {"month": 12, "hour": 3}, {"month": 5}]}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    return load_model(str(write_model_folder(tmp_path_factory.mktemp("m") / "model", TINY_META)))


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    return load_model(str(write_model_folder(tmp_path_factory.mktemp("m") / "model", TINY)))


def told(**settings: object) -> PatchMetadata:
    return PatchMetadata(MetadataConfig.model_validate({**SLOTS, **settings}), CRS)


def block_of(level: str) -> tuple[Block, PatchSet, ImageBlock]:
    block = GRID.block(0, 0)
    patchset = LAYOUT.patches_for(block.bounds, level)
    shape = patchset.read_shape
    pixels = np.random.default_rng(5).integers(0, 256, (3, *shape), dtype=np.uint8)
    return block, patchset, ImageBlock(pixels, np.ones(shape, dtype=np.bool_))


def embed(model: LoadedModel, level: str, metadata: PatchMetadata | None, batch: int = 7):
    block, patchset, image = block_of(level)
    return embed_block(image, patchset, block, model, level, batch, metadata=metadata).values


class _Watched:
    """A model that writes down the metadata it is told, and what its backbone is asked."""

    def __init__(self, model: LoadedModel) -> None:
        self.model, self.dim = model, model.dim
        self.places: list[Tensor] = []
        self.backbone = 0
        self._handle = model.network.satmae_backbone.register_forward_hook(self._count)

    def _count(self, *_: object) -> None:
        self.backbone += 1

    def resolution_for(self, patch_m: float) -> float:
        return self.model.resolution_for(patch_m)

    def embed_slots(self, pixels, resolution_m, level, slots):  # type: ignore[no-untyped-def]
        self.places.append(slots[0].values["latlong"])
        assert all(torch.equal(s.values["latlong"], self.places[-1]) for s in slots)
        return self.model.embed_slots(pixels, resolution_m, level, slots)

    def done(self) -> None:
        self._handle.remove()


@pytest.mark.parametrize("batch", [5, 16, 1000])
def test_every_patch_of_every_batch_has_its_own_place(model: LoadedModel, batch: int) -> None:
    block, patchset, image = block_of("token")
    watched = _Watched(model)
    try:
        embed_block(image, patchset, block, watched, "token", batch, metadata=told())
    finally:
        watched.done()
    longitude, latitude = places(patchset.centres(slice(None)), CRS)
    expected = encode_place(torch.tensor(latitude), torch.tensor(longitude))
    torch.testing.assert_close(torch.cat(watched.places), expected)
    assert len(torch.unique(expected, dim=0)) == patchset.count
    # Three time slots, and the backbone once for each batch.
    assert watched.backbone == len(watched.places) == -(-patchset.count // batch)


@pytest.mark.parametrize("level", ["patch", "token"])
def test_batches_do_not_matter(model: LoadedModel, level: str) -> None:
    whole = embed(model, level, told(), 1000)
    assert whole.shape == (3, *GRID.block(0, 0).shape, model.dim)
    np.testing.assert_allclose(embed(model, level, told(), 3), whole, atol=ROUNDED)


@pytest.mark.parametrize("level", ["patch", "token"])
def test_slots_together_are_slots_alone(model: LoadedModel, level: str) -> None:
    together = embed(model, level, told())
    for index, slot in enumerate(SLOTS["time_slots"]):
        alone = embed(model, level, told(time_slots=[slot]))
        np.testing.assert_allclose(together[index], alone[0], atol=ROUNDED)
    assert np.abs(together[0] - together[1]).max() > 1e-3


def test_what_else_is_in_the_batch_does_not_matter(model: LoadedModel) -> None:
    # The third slot has no hour: its token is masked, whatever the others in the batch have.
    _, patchset, image = block_of("patch")
    pixels = torch.from_numpy(image.pixels[:, :56, :56].copy())[None].repeat(4, 1, 1, 1)
    centres = patchset.centres([0, 1, 2, 3])
    for masked in ("zero", "ordinary"):
        slots = told(masked_tokens=masked)
        together = model.embed_slots(pixels, 5.0, "patch", slots.of(centres))
        alone = model.embed_slots(pixels[:1], 5.0, "patch", slots.of(centres[:1]))
        for a, b in zip(together, alone, strict=True):
            torch.testing.assert_close(a[:1], b, atol=ROUNDED, rtol=0)


def test_masked_tokens_is_a_choice(model: LoadedModel) -> None:
    _, patchset, _ = block_of("patch")
    tokens = torch.from_numpy(np.random.default_rng(1).normal(size=(2, 196, 32)).astype("f4"))
    with torch.inference_mode():
        zero, ordinary = (
            model.network.fuse(tokens, told(masked_tokens=m).of(patchset.centres([0, 1]))[2])
            for m in ("zero", "ordinary")
        )
    # The hour, the last of the tokens, is the one field that the third slot does not tell.
    torch.testing.assert_close(zero[:, :-1], ordinary[:, :-1], atol=ROUNDED, rtol=0)
    assert not zero[:, -1].any()
    assert ordinary[:, -1].abs().min() > 0


@pytest.mark.parametrize("level", ["patch", "token"])
def test_a_model_without_metadata_has_one_slot(plain: LoadedModel, level: str) -> None:
    values = embed(plain, level, None)
    assert values.shape == (1, *GRID.block(0, 0).shape, plain.dim)
    assert np.isfinite(values).all()


def test_no_data_is_missing_in_every_slot(model: LoadedModel) -> None:
    block, patchset, image = block_of("token")
    valid = image.valid.copy()
    valid[:, : valid.shape[1] // 2] = False
    image = ImageBlock(image.pixels, valid)
    values = embed_block(image, patchset, block, model, "token", 8, metadata=told()).values
    missing = np.isnan(values).all(axis=-1)
    assert missing.any()
    assert not missing.all()
    assert (missing == missing[0]).all()


def test_exact_patches_are_cut_in_source_pixels_and_resized_alone(plain: LoadedModel) -> None:
    layout = PatchLayout(1120.0, 56, 320.0, 14, source_px=112)
    block = GRID.block(0, 0)
    patchset = layout.patches_for(block.bounds, "patch")
    pixels = np.random.default_rng(5).integers(0, 256, (3, *patchset.read_shape), dtype=np.uint8)
    valid = np.ones(patchset.read_shape, dtype=np.bool_)
    valid[:, :112] = False
    values = embed_block(ImageBlock(pixels, valid), patchset, block, plain, "patch", 8).values
    assert np.isnan(values[0, :, 0]).all()
    row, col = 1, 6
    window = pixels[:, row * 32 : row * 32 + 112, col * 32 : col * 32 + 112]
    patch = torch.from_numpy(resize_patches(window[None], 56))
    expected = plain.embed_patches(patch, plain.resolution_for(1120.0))
    np.testing.assert_allclose(values[0, row, col], expected[0], atol=1e-5)


@pytest.mark.parametrize("level", ["patch", "token"])
def test_cells_outside_the_region_cost_nothing_and_change_nothing(
    plain: LoadedModel, level: str
) -> None:
    block, patchset, image = block_of(level)
    inside = np.zeros(block.shape, dtype=np.bool_)
    inside[1:3, 2:4] = True
    # One patch a pass: a network's sums may differ in the last bits between batches.
    whole = embed_block(image, patchset, block, plain, level, 1)
    part = embed_block(image, patchset, block, plain, level, 1, inside=inside)
    assert whole.patches == patchset.count
    assert 4 <= part.patches < whole.patches
    np.testing.assert_array_equal(part.values[:, inside], whole.values[:, inside])
    assert np.isnan(part.values[:, ~inside]).all()
    batches = embed_block(image, patchset, block, plain, level, 7, inside=inside)
    np.testing.assert_allclose(batches.values[:, inside], whole.values[:, inside], atol=ROUNDED)
    none = embed_block(image, patchset, block, plain, level, 7, inside=np.zeros_like(inside))
    assert none.patches == 0
