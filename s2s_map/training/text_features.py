"""Features of captions by the frozen text encoder, computed once and kept on disk."""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from s2s_map.atomic import write_text, written_beside
from s2s_map.errors import DataError, QueryError
from s2s_map.models.protocols import TextEncoder

log = logging.getLogger(__name__)

PART_TEXTS = 1024
"""Texts in a file: what an interruption costs at most."""

LONGEST_WORDS = 200
"""A caption that is too long for the encoder is cut after this many words."""


class TextFeatures:
    """Token features of texts by their hash, memory-mapped; safe to use in worker processes.

    Args:
        folder: Holds the parts; made if missing. Its name should name the encoder.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._places: dict[str, tuple[str, int, int]] = {}
        self._open: dict[tuple[int, str], Any] = {}
        for index in sorted(folder.glob("part-*.json")):
            self._note(index)

    def __contains__(self, text: str) -> bool:
        """Whether a text's features are here."""
        return _key(text) in self._places

    def add(self, encoder: TextEncoder, texts: Iterable[str]) -> int:
        """Encode the texts that are not here yet, a part at a time; returns how many there were.

        Raises:
            QueryError: For a text that the encoder refuses even when cut.
        """
        new = list(dict.fromkeys(text for text in texts if text not in self))
        if new:
            log.info("encoding %d captions", len(new))
        for start in range(0, len(new), PART_TEXTS):
            self._write(encoder, new[start : start + PART_TEXTS])
        return len(new)

    def __getitem__(self, text: str) -> Tensor:
        """Features (T, dim) of one text, half precision.

        Raises:
            DataError: If it was never encoded.
        """
        try:
            name, start, count = self._places[_key(text)]
        except KeyError:
            raise DataError(f"no features of the caption {text[:60]!r}") from None
        rows: Tensor = self._file(name).get_slice("rows")[start : start + count]
        return rows

    def _write(self, encoder: TextEncoder, texts: list[str]) -> None:
        from safetensors.torch import save_file

        with torch.inference_mode():
            rows = [_encode(encoder, text).half().cpu() for text in texts]
        name = f"part-{len(list(self._folder.glob('part-*.json'))):05d}"
        with written_beside(self._folder / f"{name}.safetensors") as partial:
            save_file({"rows": torch.cat(rows).contiguous()}, partial)
        # The index comes last: a part without one does not count.
        entries = [[_key(text), len(row)] for text, row in zip(texts, rows, strict=True)]
        write_text(self._folder / f"{name}.json", json.dumps(entries))
        self._note(self._folder / f"{name}.json")

    def _note(self, index: Path) -> None:
        start = 0
        for key, count in json.loads(index.read_text(encoding="utf-8")):
            self._places[key] = (f"{index.stem}.safetensors", start, count)
            start += count

    def _file(self, name: str) -> Any:
        from safetensors import safe_open

        # An open file must not be shared with a forked worker.
        place = (os.getpid(), name)
        if place not in self._open:
            self._open[place] = safe_open(self._folder / name, framework="pt")
        return self._open[place]

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_open": {}}


def pad_features(rows: list[Tensor]) -> tuple[Tensor, Tensor]:
    """Stack features (T, dim) of several lengths: (n, longest, dim) and the mask of real tokens."""
    longest = max(len(row) for row in rows)
    padded = torch.zeros(len(rows), longest, rows[0].shape[1])
    mask = torch.zeros(len(rows), longest, dtype=torch.bool)
    for i, row in enumerate(rows):
        padded[i, : len(row)] = row.float()
        mask[i, : len(row)] = True
    return padded, mask


def _encode(encoder: TextEncoder, text: str) -> Tensor:
    try:
        return encoder.tokens(text)[0]
    except QueryError:
        return encoder.tokens(" ".join(text.split()[:LONGEST_WORDS]))[0]


def _key(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:32]
