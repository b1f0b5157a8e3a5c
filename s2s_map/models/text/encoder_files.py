"""The files of the frozen text encoder: fetched once, found again without a network."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from s2s_map.atomic import write_text, written_beside
from s2s_map.config.model import FlanT5Config, ModelCard
from s2s_map.errors import ModelError
from s2s_map.models.checkpoints.hub import DEFAULT_REVISION, get_file
from s2s_map.models.checkpoints.places import models_folder
from s2s_map.models.text.tokens import token_ids
from s2s_map.plugins.kinds import TEXT_ENCODERS

if TYPE_CHECKING:
    from s2s_map.models.checkpoints.hub import Source

ORIGIN_FILE = "origin.json"


def find_text_encoder(config: FlanT5Config, cache: Path | None = None) -> Path | None:
    """The folder of a text encoder that is here; None: it is not.

    A local folder if the config names one, else what `fetch_text_encoder` made, else the hub's
    cache.

    Args:
        config: Names it.
        cache: The hub's cache; None: where the hub's own tools keep it.
    """
    from s2s_map.models.text.t5 import ENCODER_FILES

    for folder in (Path(config.source), models_folder() / config.source):
        if all((folder / name).is_file() for name in ENCODER_FILES):
            return folder
    from huggingface_hub import try_to_load_from_cache

    cached = [try_to_load_from_cache(config.source, name, cache) for name in ENCODER_FILES]
    paths = [Path(path) for path in cached if isinstance(path, str)]
    return paths[0].parent if len(paths) == len(ENCODER_FILES) else None


def text_folder(card: ModelCard, config: FlanT5Config) -> Path:
    """The folder of a model's text encoder.

    Raises:
        ModelError: If it is not on this machine.
    """
    folder = find_text_encoder(config)
    if folder is None:
        raise ModelError(
            f"{card.name} reads texts with {config.source}, which is not on this machine",
            remedy=f"run: s2s-map models fetch {card.name}, where there is a network; "
            "then copy the folder of models (s2s-map models where)",
        )
    return folder


def files_sha256(folder: Path) -> str:
    """Return a hash of the files of a text encoder, hexadecimal."""
    from s2s_map.models.checkpoints.reading import kept_sha256
    from s2s_map.models.text.t5 import ENCODER_FILES

    hashes = [kept_sha256(folder / name) for name in ENCODER_FILES]
    return hashlib.sha256("".join(hashes).encode()).hexdigest()


def check_texts(card: ModelCard, texts: Sequence[str]) -> None:
    """Check that texts are not too long for a model's text encoder, without its weights.

    A kind of a package that cannot tell so is asked when the text is encoded.

    Raises:
        ModelError: If its files are not on this machine.
        QueryError: For an empty or too long text.
    """
    check = getattr(TEXT_ENCODERS.get(card.config.text.kind), "check", None)
    if check is not None:
        check(card, texts)


def check_lengths(folder: Path, texts: Sequence[str], longest: int) -> None:
    """Check that texts are not empty, nor longer than so many tokens of the tokenizer in a folder.

    Raises:
        QueryError: If one is.
    """
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    for text in texts:
        token_ids(tokenizer, text, longest)


def fetch_text_encoder(config: FlanT5Config, source: Source, model: str) -> Path:
    """Fetch a text encoder and keep the encoder's half of it beside the models.

    Args:
        config: Names it.
        source: Where from. In a folder of models it lies under its own name, with or without
            its owner's.
        model: The model it is for, for messages.

    Returns:
        Its folder, with a note of the files' origin.

    Raises:
        ModelError: If its files cannot be reached.
        CheckpointError: If they are damaged.
    """
    from safetensors.torch import save_file

    from s2s_map.models.text.t5 import ENCODER_FILES, WEIGHTS_FILE, read_encoder

    folder = models_folder() / config.source
    if all((folder / name).is_file() for name in (*ENCODER_FILES, ORIGIN_FILE)):
        return folder
    place = _beside(source, config)
    if place.folder is not None and not place.folder.is_dir():
        found = find_text_encoder(config)
        if found is not None:
            return found
    files = {
        name: get_file(place, config.source, name, DEFAULT_REVISION, model)
        for name in ENCODER_FILES
    }
    for name, file in files.items():
        with written_beside(folder / name) as partial:
            if name == WEIGHTS_FILE:
                save_file({k: v.contiguous() for k, v in read_encoder(file.path).items()}, partial)
            else:
                shutil.copyfile(file.path, partial)
    origin = files[WEIGHTS_FILE].origin
    write_text(folder / ORIGIN_FILE, origin.model_dump_json(indent=2) + "\n")
    return folder


def _beside(source: Source, config: FlanT5Config) -> Source:
    """Where in a folder of models the text encoder lies: under its own name."""
    if source.folder is None:
        return source
    short = source.folder / config.source.rpartition("/")[2]
    return replace(source, folder=short if short.is_dir() else source.folder / config.source)
