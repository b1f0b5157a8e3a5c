"""From the imagery of a block to the embeddings of its cells."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from s2s_map.arrays import ImageBlock
from s2s_map.encoding.exact import resize_patches
from s2s_map.encoding.filling import fill_invalid
from s2s_map.encoding.patch_metadata import PatchMetadata, time_slots_of
from s2s_map.errors import ModelError
from s2s_map.tiling.blending import Blender
from s2s_map.tiling.blocks import Block
from s2s_map.tiling.patches import PatchSet, cut
from s2s_map.tiling.validity import cell_valid, model_valid, patch_valid, token_valid
from s2s_map.tiling.wanted import wanted_patches

if TYPE_CHECKING:
    from torch import Tensor

    from s2s_map.models.metadata import Metadata

Level = Literal["token", "patch"]
Progress = Callable[[int], None]


class PatchEncoder(Protocol):
    """What turns patches into unit vectors; a `LoadedModel` is one.

    One with an attribute ``takes_arrays = True`` is given numpy arrays and returns them.
    """

    dim: int

    def resolution_for(self, patch_m: float) -> float:
        """The resolution argument for patches of a side, metres."""

    def embed_slots(
        self,
        pixels: Tensor,
        resolution_m: float,
        level: Level,
        slots: Sequence[Metadata | None],
    ) -> list[Tensor]:
        """Embed uint8 patches (B, 3, px, px) per time slot: (B, dim) or (B, tokens, dim)."""


@dataclass(frozen=True, eq=False)
class BlockEmbedding:
    """The embeddings of a block's cells.

    Attributes:
        values: Weighted means of unit embeddings, (time, ny, nx, dim) float32; NaN for no data.
        patches: How many patches were encoded.
        batch_size: Patches per pass in the end, smaller than asked for where memory ran out.
    """

    values: NDArray[np.float32]
    patches: int
    batch_size: int


def embed_block(
    image: ImageBlock,
    patchset: PatchSet,
    block: Block,
    encoder: PatchEncoder,
    level: Level,
    batch_size: int,
    on_patches: Progress | None = None,
    metadata: PatchMetadata | None = None,
    inside: NDArray[np.bool_] | None = None,
) -> BlockEmbedding:
    """Embed the cells of one block.

    Patches that touch no cell inside the region are not encoded, nor are patches without a valid
    token (or, at level patch, with less than half of their pixels valid). Invalid pixels of the
    others mirror their valid ones, see `filling`.

    Args:
        image: Imagery of `patchset.read_bounds`, shape `patchset.read_shape`.
        patchset: The patches the block needs.
        block: The block.
        encoder: The model.
        level: What is blended onto the cells, see `PatchConfig.level`.
        batch_size: Patches per pass; halved when the device's memory runs out.
        on_patches: Called with the number of patches done since the last call.
        metadata: Place and time slots; None: one time slot, nothing given.
        inside: Which cells of the block are in the region, shape (ny, nx); None: all.

    Returns:
        Values per time slot, with NaN where a cell is outside the region, has less than half of its
        pixels valid, or no patch.

    Raises:
        ModelError: If not even one patch fits into the device's memory.
    """
    wanted = None if inside is None else wanted_patches(patchset, block, inside, level)
    batches = _Batches(image, patchset, encoder, level, batch_size, on_patches, metadata, wanted)
    slots = len(time_slots_of(metadata))
    if level == "patch":
        rows = np.full((slots, patchset.count, encoder.dim), np.nan, dtype=np.float32)
        for indices, vectors in batches:
            for slot, one in enumerate(vectors):
                rows[slot, indices] = one
        values = rows.reshape(slots, *block.shape, encoder.dim)
    else:
        blenders = [Blender(block, patchset.layout, patchset, encoder.dim) for _ in range(slots)]
        for indices, vectors in batches:
            for blender, one in zip(blenders, vectors, strict=True):
                blender.add(indices, one, batches.tokens[indices])
        values = _results(blenders)
    shown = cell_valid(batches.valid, patchset, block)
    values[:, ~(shown if inside is None else shown & inside)] = np.nan
    return BlockEmbedding(values, batches.done, batches.size)


def _results(blenders: list[Blender]) -> NDArray[np.float32]:
    """Return what blenders hold, (time, ny, nx, dim); they are used up one by one."""
    first, _ = blenders.pop(0).result()
    if not blenders:
        return first[None]
    values = np.empty((1 + len(blenders), *first.shape), dtype=np.float32)
    values[0] = first
    for slot in range(1, len(values)):
        values[slot], _ = blenders.pop(0).result()
    return values


class _Batches:
    """Iterates over (indices, vectors per time slot) of the patches that count, in order."""

    def __init__(
        self,
        image: ImageBlock,
        patchset: PatchSet,
        encoder: PatchEncoder,
        level: Level,
        size: int,
        on_patches: Progress | None,
        metadata: PatchMetadata | None,
        wanted: NDArray[np.bool_] | None = None,
    ) -> None:
        self._image, self._patchset, self._encoder = image, patchset, encoder
        self._level: Level = level
        self._on_patches = on_patches
        self._metadata = metadata
        self._wanted = wanted
        self.size = size
        self.done = 0
        # Once a block: the running sums behind it cover the whole read.
        self.valid = model_valid(image.valid, patchset)
        self.tokens = token_valid(self.valid, patchset, np.arange(patchset.count))

    def __iter__(self) -> Iterator[tuple[NDArray[np.intp], list[NDArray[np.float32]]]]:
        todo = self._countable()
        while todo.size:
            indices = todo[: self.size]
            try:
                vectors = self._encode(indices)
            except (MemoryError, RuntimeError) as error:
                if not is_out_of_memory(error):
                    raise
                if self.size == 1:
                    raise ModelError(
                        "the device's memory does not hold one patch", remedy="use device: cpu"
                    ) from None
                self.size = max(1, self.size // 2)
                free_device_memory()
                continue
            todo = todo[len(indices) :]
            self.done += len(indices)
            yield indices, vectors
            if self._on_patches is not None:
                self._on_patches(len(indices))

    def _countable(self) -> NDArray[np.intp]:
        everything = np.arange(self._patchset.count)
        if not self.valid.any():
            return everything[:0]
        if self._level == "patch":
            counts = patch_valid(self.valid, self._patchset, everything)
        else:
            counts = self.tokens.any(axis=1)
        return everything[counts if self._wanted is None else counts & self._wanted]

    def _encode(self, indices: NDArray[np.intp]) -> list[NDArray[np.float32]]:
        filled: Any = patch_pixels(self._image, self._patchset, indices)
        resolution = self._encoder.resolution_for(self._patchset.layout.patch_m)
        slots: Sequence[Metadata | None] = [None]
        if self._metadata is not None:
            slots = self._metadata.of(self._patchset.centres(indices))
        if getattr(self._encoder, "takes_arrays", False):
            given = self._encoder.embed_slots(filled, resolution, self._level, slots)
            return [np.asarray(one, dtype=np.float32) for one in given]
        import torch

        patches = torch.from_numpy(filled)
        vectors = self._encoder.embed_slots(patches, resolution, self._level, slots)
        return [np.asarray(one.cpu().numpy(), dtype=np.float32) for one in vectors]


def patch_pixels(
    image: ImageBlock, patchset: PatchSet, indices: NDArray[np.intp]
) -> NDArray[np.uint8]:
    """Return patches (B, 3, input_px, input_px) as the model is shown them."""
    pixels = cut(image.pixels, patchset, indices)
    valid = cut(image.valid[None], patchset, indices)[:, 0]
    filled = fill_invalid(pixels, valid)
    layout = patchset.layout
    return filled if layout.source_px is None else resize_patches(filled, layout.input_px)


def is_out_of_memory(error: Exception) -> bool:
    """Return whether an error says that a batch is too large for the device or the machine."""
    torch = sys.modules.get("torch")
    return isinstance(error, MemoryError) or (
        torch is not None and isinstance(error, torch.OutOfMemoryError)
    )


def free_device_memory() -> None:
    """Give back what torch keeps of a GPU's memory for later."""
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.cuda.empty_cache()
