"""Make the list of nonsense that questions are held against, seeded: the file that ships.

python workflows/prepare/nonsense.py > s2s_map/encoding/data/nonsense.txt
"""

from __future__ import annotations

import random

_HEADER = """\
# Nonsense that questions to a map are held against: made by workflows/prepare/nonsense.py.
# version: 1
# Random letters, made-up syllables, runs along a keyboard, numbers, punctuation, repeated letters,
# pictures and letters of scripts that the text encoders of this project do not know. One a line."""
_ROWS = ("qwertyuiop", "asdfghjkl", "zxcvbnm")
_LETTERS = "abcdefghijklmnopqrstuvwxyz"
_MARKS = ".,;:!?-_/&%$@*+=~^|()[]{}<>"
_STRANGE = ("💥", "🎺🐸", "☂☂☂", "ꦏꦺꦴ", "ᚠᚢᚦ", "𓀀𓂀", "ⴰⵣⵓⵍ", "ߒߞߏ")
_EACH = 18


def main() -> None:
    draw = random.Random(13)  # noqa: S311

    def words(make: object) -> str:
        return " ".join(make() for _ in range(draw.randint(1, 3)))  # type: ignore[operator]

    def letters() -> str:
        return "".join(draw.choice(_LETTERS) for _ in range(draw.randint(3, 9)))

    def syllables() -> str:
        pairs = range(draw.randint(2, 4))
        return "".join(draw.choice("bcdfghjklmnprstvw") + draw.choice("aeiou") for _ in pairs)

    def keys() -> str:
        row, first = draw.choice(_ROWS), draw.randint(0, 3)
        return row[first : first + draw.randint(4, 8)]

    def repeated() -> str:
        return draw.choice(_LETTERS) * draw.randint(2, 6)

    found = [words(make) for make in (letters, syllables, keys, repeated) for _ in range(_EACH)]
    found += [str(draw.randrange(10 ** draw.randint(1, 7))) for _ in range(_EACH // 2)]
    found += [
        "".join(draw.choice(_MARKS) for _ in range(draw.randint(1, 6))) for _ in range(_EACH // 2)
    ]
    print(_HEADER, *dict.fromkeys([*found, *_STRANGE]), sep="\n")


if __name__ == "__main__":
    main()
