"""What the words of a question give away before any model reads them: language and negation."""

from __future__ import annotations

import re
import unicodedata
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from py3langid.langid import LanguageIdentifier

LANGUAGES = {
    "de": "German", "fr": "French", "es": "Spanish", "pt": "Portuguese", "it": "Italian",
    "nl": "Dutch", "sv": "Swedish", "da": "Danish", "no": "Norwegian", "fi": "Finnish",
    "pl": "Polish", "cs": "Czech", "hu": "Hungarian", "ro": "Romanian", "tr": "Turkish",
    "id": "Indonesian", "vi": "Vietnamese", "sw": "Swahili",
}  # fmt: skip
"""Languages in Latin letters that are distinguished, by ISO 639-1 code."""

SURE = 0.5
"""A language is named from this probability on."""

FEWEST_WORDS = 2
"""A single word in Latin letters may be of many languages, names of species among them."""

_SCRIPTS = {
    "CJK": "Chinese or Japanese", "HIRAGANA": "Japanese", "KATAKANA": "Japanese",
    "HANGUL": "Korean", "CYRILLIC": "Cyrillic letters", "ARABIC": "Arabic letters",
    "HEBREW": "Hebrew", "THAI": "Thai", "DEVANAGARI": "Devanagari letters", "GREEK": "Greek",
}  # fmt: skip

_NEGATION = re.compile(
    r"\b(?:no|not|without|never|except(?: for)?|absence of|free of|lack of|minus|\w+n['’]t)\s+"
    r"(?:(?:any|a|an|the|much|many|more)\s+)*(?P<what>[^,;.]+)",
    re.IGNORECASE,
)

_JOINT = re.compile(r"(?:[,;.\s]|\b(?:but|and|with|there|is|are)\b)+$", re.IGNORECASE)


def other_language(text: str) -> str | None:
    """Return what language or script a text seems to be in, if not English; None: it may be.

    Scripts are known by their letters, languages in Latin letters by py3langid. That takes some
    short English texts for others: ask only of those that are not understood.

    Args:
        text: A question.
    """
    letters = [sign for sign in text if sign.isalpha()]
    foreign = [sign for sign in letters if not unicodedata.name(sign, "").startswith("LATIN")]
    if letters and len(foreign) * 2 >= len(letters):
        script = unicodedata.name(foreign[0], "another script").split()[0]
        return _SCRIPTS.get(script, f"{script.capitalize()} letters")
    if len(text.split()) < FEWEST_WORDS or not letters:
        return None
    language, probability = _identifier().classify(text)
    return LANGUAGES.get(language) if probability >= SURE else None


def negated(text: str) -> tuple[str, str] | None:
    """Return what is asked and what is negated in a text; None: nothing is.

    Text encoders hardly tell "no traffic" from "traffic"; `minus` takes a text off instead.

    Args:
        text: A question, such as "birds but no traffic".

    Returns:
        What stands before, such as "birds", which may be empty, and what is negated.
    """
    found = _NEGATION.search(text)
    if found is None:
        return None
    return _JOINT.sub("", text[: found.start()]).strip(), found["what"].strip()


@cache
def _identifier() -> LanguageIdentifier:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    identifier = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
    identifier.set_languages(["en", *LANGUAGES])
    return identifier
