"""A question that is asked by itself, checked as one of a config is."""

from __future__ import annotations

from collections.abc import Sequence

from s2s_map.config.load import parse_model
from s2s_map.config.run import QueryConfig
from s2s_map.errors import ConfigError, QueryError


def make_question(
    name: str | None,
    text: str | None,
    audio: str | None,
    texts: Sequence[str] = (),
    minus: Sequence[str] = (),
) -> QueryConfig:
    """Return a question.

    Args:
        name: Name of its layer; None: made from the text or the file's name.
        text: What to listen for.
        audio: Path of a recording, or ``sample:NAME``.
        texts: Texts whose mean is asked, with `text` among them if there is one.
        minus: Texts to take off.

    Raises:
        QueryError: With every fault in one line.
    """
    if text is None and audio is None and not texts:
        raise QueryError("no question", expected="a text, or a recording with --audio")
    if text is not None and texts:
        # As a config has several: the record keeps the question, and reads it as one.
        texts, text = (text, *texts), None
    given = {
        "name": name,
        "text": text,
        "audio": audio,
        "texts": tuple(texts),
        "minus": tuple(minus),
    }
    said = {key: value for key, value in given.items() if value is not None and value != ()}
    try:
        return parse_model(QueryConfig, said, "the question")
    except ConfigError as error:
        raise QueryError(error.found, expected=error.expected, remedy=error.remedy) from None
