"""Prepared scenes and the random patches cut from them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from s2s_map.errors import DataError

FIELDS = ("rgb", "valid", "cover", "labels", "gsd_m")
MIN_VALID = 0.6
TRIES = 50


@dataclass(frozen=True)
class Patches:
    """A batch of patches.

    Attributes:
        pixels: (n, 3, px, px) in 0..1; invalid pixels hold the mean of the valid ones.
        valid: (n, 1, px, px), 1 where the imagery is valid.
        cover: Land-cover shares (n, k, px, px); they sum to 1 or, where unknown, to less.
        pixel_m: Metres per pixel (n,).
    """

    pixels: Tensor
    valid: Tensor
    cover: Tensor
    pixel_m: Tensor

    @classmethod
    def stack(cls, parts: list[Self]) -> Self:
        """Join batches."""
        return cls(*(torch.cat([getattr(p, f) for p in parts]) for f in cls.__annotations__))


@dataclass(frozen=True)
class TrainingScene:
    """A scene in memory.

    Attributes:
        rgb: (3, y, x) uint8.
        valid: (y, x) bool.
        cover: (k, y, x) uint8, shares times 255; where it is zero nothing is known.
        labels: (y, x) uint8, index of a hand-drawn label, or 255.
        gsd_m: Metres per pixel.
        usable: (y, x) bool, where patches may take pixels from.
    """

    rgb: NDArray[np.uint8]
    valid: NDArray[np.bool_]
    cover: NDArray[np.uint8]
    labels: NDArray[np.uint8]
    gsd_m: float
    usable: NDArray[np.bool_]

    @classmethod
    def load(cls, path: Path, held_out_rows: tuple[tuple[int, int], ...] = ()) -> Self:
        """Read a scene that the preparation script wrote.

        Raises:
            DataError: If the file is missing or lacks a field.
        """
        if not path.exists():
            raise DataError(
                f"no training scene at {path}",
                remedy="run python workflows/mini prepare first",
            )
        with np.load(path, allow_pickle=False) as stored:
            missing = sorted(set(FIELDS) - set(stored.files))
            if missing:
                raise DataError(f"{path} lacks {', '.join(missing)}", expected=", ".join(FIELDS))
            fields = {name: stored[name] for name in FIELDS}
        usable = fields["valid"].copy()
        for first, last in held_out_rows:
            usable[first:last] = False
        return cls(**{**fields, "gsd_m": float(fields["gsd_m"])}, usable=usable)

    def cut(self, row: int, column: int, side: int, input_px: int) -> Patches:
        """Cut the window of `side` source pixels at (row, column) and resample it.

        Parts beyond the scene are invalid. Pixels that are not usable count as invalid.
        """
        window = (slice(max(row, 0), row + side), slice(max(column, 0), column + side))
        height, width = self.valid[window].shape
        top, left = max(-row, 0), max(-column, 0)
        place = (slice(top, top + height), slice(left, left + width))
        rgb = np.zeros((3, side, side), np.float32)
        cover = np.zeros((len(self.cover), side, side), np.float32)
        valid = np.zeros((side, side), bool)
        rgb[:, *place] = self.rgb[:, *window]
        cover[:, *place] = self.cover[:, *window]
        valid[place] = self.valid[window] & self.usable[window]
        if valid.any():
            rgb[:, ~valid] = rgb[:, valid].mean(axis=1, keepdims=True)
        cover *= valid
        pixels = _resize(torch.from_numpy(rgb / 255.0), input_px, "bicubic").clamp(0, 1)
        return Patches(
            pixels,
            _resize(torch.from_numpy(valid[None].astype(np.float32)), input_px, "bilinear"),
            _resize(torch.from_numpy(cover / 255.0), input_px, "bilinear"),
            torch.tensor([side * self.gsd_m / input_px]),
        )

    def random_patch(
        self, generator: np.random.Generator, pixel_m: tuple[float, float], input_px: int
    ) -> Patches:
        """Cut a patch at a random place, of a random scale, randomly turned and mirrored.

        Raises:
            DataError: If the scene is too small or has too little usable imagery.
        """
        height, width = self.valid.shape
        for _ in range(TRIES):
            size = generator.uniform(*pixel_m) * input_px / self.gsd_m
            side = min(round(size), height, width)
            row = int(generator.integers(0, height - side + 1))
            column = int(generator.integers(0, width - side + 1))
            window = self.usable[row : row + side, column : column + side]
            if window.mean() >= MIN_VALID:
                patch = self.cut(row, column, side, input_px)
                return _turn(patch, int(generator.integers(4)), bool(generator.integers(2)))
        raise DataError(
            f"found no patch with {MIN_VALID:.0%} usable pixels in {TRIES} tries",
            remedy="hold out fewer rows or leave the scene out",
        )


def _resize(image: Tensor, px: int, mode: str) -> Tensor:
    smaller = image.shape[-1] > px
    resized: Tensor = F.interpolate(
        image[None], size=(px, px), mode=mode, align_corners=False, antialias=smaller
    )
    return resized


def _turn(patch: Patches, quarters: int, mirrored: bool) -> Patches:
    def turned(image: Tensor) -> Tensor:
        image = torch.rot90(image, quarters, (2, 3))
        return image.flip(3) if mirrored else image

    return Patches(turned(patch.pixels), turned(patch.valid), turned(patch.cover), patch.pixel_m)
