"""Texts to token numbers, one text at a time: never cut, never padded."""

from __future__ import annotations

from typing import Any

from s2s_map.errors import QueryError


def token_ids(tokenizer: Any, text: str, longest: int) -> list[int]:
    """Return the tokens of a text.

    Args:
        tokenizer: A `tokenizers.Tokenizer` without truncation and padding.
        text: What is asked.
        longest: Most tokens that the text's encoder takes.

    Raises:
        QueryError: For an empty or too long text.
    """
    if not text.strip():
        raise QueryError("an empty text", expected="words that describe a sound")
    ids: list[int] = tokenizer.encode(text).ids
    if len(ids) > longest:
        raise QueryError(
            f"a text of {len(ids)} tokens",
            expected=f"at most {longest}",
            remedy="shorten it, or ask its parts as separate queries",
        )
    return ids
