"""Model configs and cards."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from fixtures_models import TINY, tiny_card
from pydantic import BaseModel, ValidationError

from s2s_map.config import model as module
from s2s_map.config.model import FusionConfig, ModelCard, ModelConfig, VitConfig


def test_defaults_are_the_published_sizes() -> None:
    config = ModelConfig()
    assert (config.codebook.size, config.dim, config.image.tokens_per_side) == (16000, 1024, 14)
    assert config.codebook.score_scale == 1000


def test_cards_survive_json() -> None:
    card = tiny_card()
    assert ModelCard.model_validate_json(card.model_dump_json()) == card
    assert card.input_px == TINY.image.input_px == 56


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"metadata": ["month", "latlong"]}, "must follow the order"),
        ({"metadata": ["weather"]}, "Input should be 'asource'"),
        ({"embed_dim": 30, "metadata": ["month"]}, "not a multiple of fusion.heads 8"),
        ({"codebok": {}}, "Extra inputs are not permitted"),
        ({"image": {"kind": "vgg"}}, "no kind: 'vgg'; expected kind: vit or mini"),
    ],
)
def test_wrong_configs_are_refused(values: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        ModelConfig.model_validate(values)


@pytest.mark.parametrize(
    "values", [{"input_px": 225}, {"dim": 770}, {"dim": 768, "heads": 7}, {"depth": 0}]
)
def test_wrong_transformers_are_refused(values: dict[str, int]) -> None:
    with pytest.raises(ValidationError):
        VitConfig.model_validate(values)


def test_configs_are_frozen() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        FusionConfig().layers = 4  # type: ignore[misc]


def models() -> Iterator[type[BaseModel]]:
    for value in vars(module).values():
        if isinstance(value, type) and issubclass(value, BaseModel) and value is not BaseModel:
            yield value


def test_every_field_is_described() -> None:
    bare = [
        f"{model.__name__}.{name}"
        for model in models()
        for name, field in model.model_fields.items()
        if not field.description and name != "kind"
    ]
    assert bare == []
