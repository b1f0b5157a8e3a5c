"""Text token features of Flan-T5's encoder, frozen, as the published model was trained on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor

from s2s_map.config.model import FlanT5Config
from s2s_map.errors import CheckpointError, ModelError
from s2s_map.models.checkpoints.reading import compare_keys
from s2s_map.models.text.tokens import token_ids

CONFIG_FILE = "config.json"
TOKENIZER_FILE = "tokenizer.json"
WEIGHTS_FILE = "model.safetensors"
ENCODER_FILES = (CONFIG_FILE, TOKENIZER_FILE, WEIGHTS_FILE)

SHARED = "shared.weight"
TIED = "encoder.embed_tokens.weight"
"""The same numbers as `SHARED`; files hold one or both of them."""


class FlanT5TextEncoder:
    """Encodes one text at a time, never padded: what is asked beside it can change nothing.

    Args:
        tokenizer: A `tokenizers.Tokenizer` without truncation and padding.
        network: A transformers `T5EncoderModel` in eval mode.
        config: Longest text.
    """

    def __init__(self, tokenizer: Any, network: Any, config: FlanT5Config) -> None:
        self.dim = config.dim
        self._tokenizer = tokenizer
        self._network = network
        self._config = config

    @classmethod
    def load(cls, config: FlanT5Config, folder: Path, device: str = "cpu") -> Self:
        """Load tokenizer and weights.

        Args:
            config: Numbers per token and longest text.
            folder: Holds `ENCODER_FILES`; the weights may be those of the whole Flan-T5.
            device: Where to compute.

        Raises:
            ModelError: If the files are another kind of model.
            CheckpointError: If the weights are damaged or do not fit.
        """
        from tokenizers import Tokenizer
        from transformers.models.t5.configuration_t5 import T5Config
        from transformers.models.t5.modeling_t5 import T5EncoderModel

        settings = json.loads((folder / CONFIG_FILE).read_text(encoding="utf-8"))
        if settings.get("model_type") != "t5" or settings.get("d_model") != config.dim:
            raise ModelError(
                f"{folder / CONFIG_FILE} is of a {settings.get('model_type')} with "
                f"{settings.get('d_model')} numbers per token",
                expected=f"a t5 with {config.dim}",
                remedy=f"fetch {config.source} again",
            )
        network: Any = T5EncoderModel(T5Config(**settings))
        load_encoder(network, folder / WEIGHTS_FILE)
        tokenizer = Tokenizer.from_file(str(folder / TOKENIZER_FILE))
        tokenizer.no_truncation()
        tokenizer.no_padding()
        end = settings.get("eos_token_id", 1)
        if tokenizer.encode("sound").ids[-1:] != [end]:
            raise ModelError(
                f"the tokenizer in {folder} does not end a text with token {end}",
                expected=f"that of {config.source}",
            )
        return cls(tokenizer, network.to(device).eval(), config)

    def tokens(self, text: str) -> Tensor:
        """Encode one text.

        Returns:
            Features (1, T, dim): its word pieces and the end token.

        Raises:
            QueryError: For an empty or too long text.
        """
        ids = token_ids(self._tokenizer, text, self._config.max_tokens)
        with torch.inference_mode():
            rows = torch.tensor([ids], device=self._network.device)
            mask = torch.ones_like(rows)
            features: Tensor = self._network(input_ids=rows, attention_mask=mask).last_hidden_state
        return features


def load_encoder(network: Any, path: Path) -> None:
    """Load a `T5EncoderModel` from a file of an encoder or of a whole T5.

    Raises:
        CheckpointError: If the file is missing or damaged, or an encoder weight is missing or of
            another shape.
    """
    weights = read_encoder(path)
    expected = {key: value for key, value in network.state_dict().items() if key != TIED}
    faults = compare_keys(expected, weights)
    if faults:
        raise CheckpointError(
            f"{path} does not fit the text encoder: {faults}", remedy="fetch it again"
        )
    network.load_state_dict({**weights, TIED: weights[SHARED]})


def read_encoder(path: Path) -> dict[str, Tensor]:
    """Read the encoder's weights, float32, out of a safetensors file of any T5.

    Raises:
        CheckpointError: If the file is missing or damaged.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            names = [n for n in file.keys() if n == SHARED or n.startswith("encoder.")]  # noqa: SIM118
            weights = {name: file.get_tensor(name).float() for name in names}
    except FileNotFoundError:
        raise CheckpointError(f"no weights at {path}", remedy="fetch them again") from None
    except SafetensorError as error:
        raise CheckpointError(f"{path}: {error}", expected="a safetensors file") from None
    tied = weights.pop(TIED, None)
    if SHARED not in weights and tied is not None:
        weights[SHARED] = tied
    return weights
