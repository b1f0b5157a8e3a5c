"""Captions of imagery by a vision-language model: which sounds to expect there, as in the paper."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from s2s_map.atomic import written_beside
from s2s_map.config.hyper_parameters import SOURCE_PX, SatelliteKind
from s2s_map.datasets import schema as names
from s2s_map.datasets.reading import parquet_files
from s2s_map.datasets.sample import BrokenRowError, read_image
from s2s_map.datasets.schema import SPLITS, check_columns, schema_of
from s2s_map.encoding.exact import centre_crop
from s2s_map.errors import DataError, ModelError

log = logging.getLogger(__name__)

MODEL = "llava-hf/llava-1.5-7b-hf"
QUESTION = (
    "What types of sounds can we expect to hear from the location captured by this aerial view "
    "image? Describe in up to two sentences."
)
PROMPT = f"USER: <image>\n{QUESTION}\nASSISTANT:"
LONGEST_TOKENS = 128

Ask = Callable[[Sequence[NDArray[np.uint8]]], list[str]]


class LlavaCaptioner:
    """A LLaVA-1.5 that answers the paper's question of images, without drawing at random.

    Args:
        network: A transformers `LlavaForConditionalGeneration` in eval mode.
        processor: Its processor.
    """

    def __init__(self, network: Any, processor: Any) -> None:
        self._network = network
        self._processor = processor
        # Answers are appended to prompts of one batch: they must end together.
        processor.tokenizer.padding_side = "left"

    @classmethod
    def load(cls, name: str = MODEL, device: str = "cpu") -> Self:
        """Load a model from the hub, its cache, or a folder; safetensors only.

        Args:
            name: Repository or folder.
            device: "cpu", "cuda" or "cuda:N"; on a GPU in half precision.

        Raises:
            ModelError: If it cannot be reached, or is another kind of model.
        """
        import torch
        from transformers import AutoProcessor, LlavaForConditionalGeneration

        half = torch.float16 if device.startswith("cuda") else torch.float32
        try:
            processor: Any = AutoProcessor.from_pretrained(name)  # type: ignore[no-untyped-call]
            network: Any = LlavaForConditionalGeneration.from_pretrained(
                name, dtype=half, use_safetensors=True
            )
        except (OSError, ValueError, KeyError) as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise ModelError(
                f"cannot load the captioner {name} ({reason[:160]})",
                expected="a LLaVA-1.5 of transformers, on the hub or in a folder",
            ) from None
        return cls(network.to(device).eval(), processor)

    def __call__(self, images: Sequence[NDArray[np.uint8]]) -> list[str]:
        """Caption images (3, rows, columns), red green blue."""
        import torch
        from PIL import Image

        pictures = [
            Image.fromarray(np.ascontiguousarray(np.moveaxis(image, 0, -1))) for image in images
        ]
        inputs = self._processor(
            images=pictures, text=[PROMPT] * len(pictures), return_tensors="pt", padding=True
        ).to(self._network.device, self._network.dtype)
        with torch.inference_mode():
            tokens = self._network.generate(
                **inputs, max_new_tokens=LONGEST_TOKENS, do_sample=False
            )
        answers = tokens[:, inputs["input_ids"].shape[1] :]
        decoded = self._processor.batch_decode(answers, skip_special_tokens=True)
        return [" ".join(text.split()) for text in decoded]


def caption_dataset(
    folder: Path,
    ask: Ask,
    satellite: SatelliteKind,
    zooms: Sequence[int] = names.ZOOMS,
    *,
    tile_px: int | None = None,
    batch: int = 8,
) -> int:
    """Caption the images of a data set's Parquet files, in place; goes on where it stopped.

    Answers are kept in a file of their own as they come, and put into the Parquet files, one at
    once or not at all, when a file's are complete. Captions that are there stay.

    Args:
        folder: The data set.
        ask: Captions a batch of images.
        satellite: Which imagery.
        zooms: At which zoom levels.
        tile_px: Imagery pixels of a patch at zoom 1; None: as published.
        batch: Images at a time.

    Returns:
        How many images were captioned now.

    Raises:
        DataError: If there are no such files, or columns are missing.
    """
    files = [file for split in SPLITS for file in parquet_files(folder, split)]
    if not files:
        raise DataError(f"no Parquet files in {folder}", expected="a data set")
    tile = SOURCE_PX[satellite] if tile_px is None else tile_px
    return sum(
        _caption_file(file, ask, satellite, zoom, tile, batch) for file in files for zoom in zooms
    )


def _caption_file(
    file: Path, ask: Ask, satellite: SatelliteKind, zoom: int, tile: int, batch: int
) -> int:
    from pyarrow.parquet import ParquetFile, read_schema

    columns = read_schema(file).names
    schema = schema_of(columns)
    column = schema.captions.get((satellite, zoom))
    if column is None or satellite not in schema.images:
        raise DataError(f"{schema.name} has no captions of {satellite} at zoom {zoom}")
    check_columns(columns, (names.KEY, schema.images[satellite]), str(file))
    wanted = [names.KEY, schema.images[satellite], *([column] if column in columns else [])]
    answers_file = file.with_name(f".{file.stem}.{column}.jsonl")
    answers = _answers(answers_file)
    waiting: list[tuple[str, NDArray[np.uint8]]] = []
    count = 0
    for part in ParquetFile(file).iter_batches(batch_size=batch, columns=wanted):
        for row in part.to_pylist():
            key = str(row[names.KEY])
            if (row.get(column) or "").strip() or key in answers:
                continue
            try:
                image = centre_crop(read_image(row[schema.images[satellite]]), tile * zoom)
            except BrokenRowError as error:
                log.warning("%s: %s", key, error.found)
                continue
            waiting.append((key, image))
        while len(waiting) >= batch:
            count += _ask(ask, waiting[:batch], answers_file, answers)
            waiting = waiting[batch:]
    if waiting:
        count += _ask(ask, waiting, answers_file, answers)
    if answers:
        _put(file, column, answers)
    answers_file.unlink(missing_ok=True)
    return count


def _ask(
    ask: Ask,
    waiting: Sequence[tuple[str, NDArray[np.uint8]]],
    path: Path,
    answers: dict[str, str],
) -> int:
    found = ask([image for _, image in waiting])
    with path.open("a", encoding="utf-8") as lines:
        for (key, _), text in zip(waiting, found, strict=True):
            answers[key] = text
            lines.write(json.dumps([key, text]) + "\n")
    return len(waiting)


def _answers(path: Path) -> dict[str, str]:
    """What an earlier start was answered; a line that was cut off does not count."""
    answers = {}
    if path.exists():
        for line in path.read_text(encoding="utf-8").splitlines(keepends=True):
            if line.endswith("\n"):
                key, text = json.loads(line)
                answers[key] = text
    return answers


def _put(file: Path, column: str, answers: dict[str, str]) -> None:
    import pyarrow as pa
    from pyarrow.parquet import read_table, write_table

    table = read_table(file)
    keys = [str(key) for key in table.column(names.KEY).to_pylist()]
    there = column in table.column_names
    old = table.column(column).to_pylist() if there else [""] * len(keys)
    texts = [
        text if (text or "").strip() else answers.get(key, "")
        for key, text in zip(keys, old, strict=True)
    ]
    new = pa.array(texts, pa.string())
    metadata = dict(table.schema.metadata or {})
    if there:
        table = table.set_column(table.column_names.index(column), column, new)
    else:
        table = table.append_column(column, new)
        metadata = _with_feature(metadata, column)
    with written_beside(file) as partial:
        write_table(table.replace_schema_metadata(metadata), partial, row_group_size=100)


def _with_feature(metadata: dict[bytes, bytes], column: str) -> dict[bytes, bytes]:
    """Tell the `datasets` library of a further column of texts."""
    key = b"huggingface"
    if key not in metadata:
        return metadata
    content = json.loads(metadata[key])
    content["info"]["features"][column] = {"dtype": "string", "_type": "Value"}
    return metadata | {key: json.dumps(content).encode()}
