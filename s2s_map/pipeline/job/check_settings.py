"""What a run refuses before it begins: the same checks for `validate`, `plan` and `run`."""

from __future__ import annotations

from collections.abc import Sequence

from s2s_map.config.run import QueryConfig, RunConfig
from s2s_map.encoding.audio_file import read_recording
from s2s_map.encoding.queries import check_names, query_name
from s2s_map.errors import QueryError
from s2s_map.models.python_model import PREFIX
from s2s_map.models.registry import check_weights, model_card
from s2s_map.models.text.encoder_files import check_texts
from s2s_map.outputs.output import open_output
from s2s_map.rasters.formats import LayerFormats


def check_settings(config: RunConfig) -> None:
    """Check what needs no imagery: the output, the device, the model's files, the questions.

    Raises:
        OutputError: For an output that is not a folder, or that this process may not write to.
        PluginError: For a format that no usable package brings.
        ModelError: For a device that is not there, or weights that are missing or damaged.
        QueryError: For questions that cannot be asked, or two of one name.
    """
    open_output(config.output).check_place()
    check_device(config.device)
    LayerFormats(config.formats).check()
    check_questions(config.queries, config.model)
    if not config.model.startswith(PREFIX):
        asks_audio = any(query.audio is not None for query in config.queries)
        check_weights(config.model, recordings=asks_audio)


def check_device(device: str) -> None:
    """Check that a device is there.

    Raises:
        ModelError: If it is not.
    """
    # What every machine has is not worth importing torch for.
    if device not in ("auto", "cpu"):
        from s2s_map.models.loaded import torch_device

        torch_device(device)


def check_questions(queries: Sequence[QueryConfig], model: str) -> None:
    """Check names, texts and recordings, without the weights of a model.

    Raises:
        QueryError: For one that cannot be asked, or two of one name.
    """
    check_names([query_name(query) for query in queries])
    card = model_card(model)
    foreign = model.startswith(PREFIX)
    for query in queries:
        if query.audio is not None:
            if not (card.config.audio.hears or foreign):
                raise QueryError(
                    f"the model {card.name} cannot be asked with the recording {query.audio}",
                    remedy="ask with text:, or take another model",
                )
            read_recording(query.audio)
        if not foreign:
            given = [] if query.text is None else [query.text]
            check_texts(card, [*given, *query.texts, *query.minus])
