from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from fixtures_encoding import DIM, HashModel, made_up_sound, write_sound
from hypothesis import given
from hypothesis import strategies as st

from s2s_map.encoding.queries import compose, encode_queries, encode_query, query_name, safe_name
from s2s_map.errors import AudioError, QueryError


@dataclass(frozen=True)
class Asked:
    name: str | None = None
    text: str | None = None
    audio: str | None = None
    texts: tuple[str, ...] = ()
    minus: tuple[str, ...] = ()


@pytest.fixture(scope="module")
def model() -> HashModel:
    return HashModel()


def test_a_text_becomes_a_unit_vector(model: HashModel) -> None:
    query = encode_query(model, Asked(text="  a river\n flowing "))

    assert query.name == "a-river-flowing"
    assert query.title == query.parts[0].content == "a river flowing"
    assert query.kind == "text"
    assert query.parts[0].sha256 == hashlib.sha256(b"a river flowing").hexdigest()
    assert query.vector.dtype == np.float32
    np.testing.assert_allclose(query.vector, model.embed_text("a river flowing"), atol=1e-6)


def test_a_recording_becomes_a_unit_vector_with_what_was_heard(model: HashModel) -> None:
    query = encode_query(model, Asked(audio="sample:owl.mp3"))

    assert query.name == "owl"
    assert query.title == "recording owl.mp3"
    assert (query.kind, query.parts[0].content) == ("audio", "owl.mp3")
    assert query.vector.shape == (DIM,)
    assert np.linalg.norm(query.vector) == pytest.approx(1, abs=1e-6)
    assert query.parts[0].details["probability"]["Animal"] > 0.9


def test_a_given_name_is_made_safe(model: HashModel) -> None:
    assert encode_query(model, Asked(name="Der Fluß / Río!", text="x")).name == "der-flu-rio"


@pytest.mark.parametrize(
    ("query", "problem"),
    [
        (Asked(text=""), "empty text"),
        (Asked(text=" \t\n"), "empty text"),
        (Asked(audio=" "), "empty audio path"),
        (Asked(), "neither text nor audio"),
        (Asked(minus=("rain",)), "neither text nor audio"),
        (Asked(text="rain", minus=("",)), "empty text"),
        (Asked(text="rain", minus=(" rain ",)), "cancel out"),
        (Asked(text="imagery"), "named 'imagery'"),
    ],
)
def test_refuses_what_cannot_be_asked(model: HashModel, query: Asked, problem: str) -> None:
    with pytest.raises(QueryError, match=problem) as caught:
        encode_query(model, query)
    assert "\n" not in str(caught.value)


def test_refuses_a_recording_that_is_none(model: HashModel, tmp_path: Path) -> None:
    with pytest.raises(AudioError, match="no recording at"):
        encode_query(model, Asked(audio=str(tmp_path / "none.wav")))


def test_refuses_two_queries_of_one_name(model: HashModel) -> None:
    twice = [Asked(text="Birds singing"), Asked(name="birds singing!", text="an owl")]

    with pytest.raises(QueryError, match="two queries named 'birds-singing'"):
        encode_queries(model, twice)


def test_refuses_no_queries(model: HashModel) -> None:
    with pytest.raises(QueryError, match="no queries"):
        encode_queries(model, [])


def test_keeps_the_order_of_queries(model: HashModel) -> None:
    queries = encode_queries(model, [Asked(text="wind"), Asked(text="a river")])

    assert [query.name for query in queries] == ["wind", "a-river"]


@given(st.text(max_size=120))
def test_names_are_safe_for_files(text: str) -> None:
    name = safe_name(text)

    assert re.fullmatch(r"([a-z0-9]+(-[a-z0-9]+)*)?", name)
    assert len(name) <= 48
    assert safe_name(name) == name


def test_a_text_without_ascii_gets_a_name_too() -> None:
    assert re.fullmatch(r"query-[0-9a-f]{8}", query_name(Asked(text="鳥の声")))


def test_long_names_end_with_a_word() -> None:
    assert safe_name("a tractor working a field of sugar cane near the river bank") == (
        "a-tractor-working-a-field-of-sugar-cane-near-the"
    )


def test_asks_the_model_once_for_the_same_content(tmp_path: Path) -> None:
    model = HashModel()
    sound = write_sound(tmp_path / "a.wav", made_up_sound(1.0))
    asked = [Asked(text="rain"), Asked(audio=str(sound))]

    first = encode_queries(model, asked, tmp_path / "cache")
    count = len(model.texts)
    second = encode_queries(model, asked, tmp_path / "cache")

    assert len(model.texts) == count
    for one, other in zip(first, second, strict=True):
        np.testing.assert_array_equal(one.vector, other.vector)
        assert one.parts == other.parts


def test_another_model_does_not_get_cached_vectors(tmp_path: Path) -> None:
    encode_query(HashModel(), Asked(text="rain"), tmp_path)
    other = HashModel(sha256="b" * 64)
    encode_query(other, Asked(text="rain"), tmp_path)

    assert other.texts == ["rain"]


def test_a_damaged_cache_is_no_error(tmp_path: Path, model: HashModel) -> None:
    whole = encode_query(model, Asked(text="rain"), tmp_path)
    for path in tmp_path.glob("*.npz"):
        path.write_bytes(path.read_bytes()[:100])

    again = encode_query(model, Asked(text="rain"), tmp_path)

    np.testing.assert_array_equal(whole.vector, again.vector)


def test_a_cache_that_cannot_be_written_is_no_error(tmp_path: Path, model: HashModel) -> None:
    taken = tmp_path / "file"
    taken.write_text("not a folder")

    encode_query(model, Asked(text="rain"), taken)


def test_refuses_a_vector_of_no_length(model: HashModel) -> None:
    class Broken(HashModel):
        def embed_text(self, text: str):  # type: ignore[no-untyped-def]
            return np.full(DIM, np.nan, dtype=np.float32)

    with pytest.raises(QueryError, match="length nan"):
        encode_query(Broken(), Asked(text="rain"))


def unit(vector):  # type: ignore[no-untyped-def]
    return vector / np.linalg.norm(vector)


def test_several_texts_are_averaged(model: HashModel) -> None:
    query = encode_query(model, Asked(texts=("birds", "crickets")))
    mean = unit(model.embed_text("birds") + model.embed_text("crickets"))
    np.testing.assert_allclose(query.vector, mean, atol=1e-6)
    assert (query.name, query.title, query.kind) == ("birds-crickets", "birds + crickets", "text")


def test_a_text_and_a_recording(model: HashModel) -> None:
    query = encode_query(model, Asked(text="birds", audio="sample:owl.mp3"))
    owl = encode_query(model, Asked(audio="sample:owl.mp3"))
    mean = unit(model.embed_text("birds") + owl.vector)
    np.testing.assert_allclose(query.vector, mean, atol=1e-6)
    assert query.title == "birds + recording owl.mp3"
    assert query.kind == "text"
    described = query.describe()
    assert [next(iter(part)) for part in described["parts"]] == ["text", "audio"]
    assert described["parts"][1]["sha256"] == owl.parts[0].sha256


def test_subtraction(model: HashModel) -> None:
    asked = Asked(texts=("birds", "frogs"), minus=("traffic", "a train"))
    query = encode_query(model, asked)
    plus = unit(model.embed_text("birds") + model.embed_text("frogs"))
    minus = unit(model.embed_text("traffic") + model.embed_text("a train"))
    np.testing.assert_allclose(query.vector, unit(plus - minus), atol=1e-6)
    assert query.name == "birds-frogs-minus-traffic-a-train"
    assert query.title == "birds + frogs − traffic − a train"
    assert [part.minus for part in query.parts] == [False, False, True, True]
    assert query.describe()["parts"][2]["minus"] is True


def test_subtraction_from_a_recording_keeps_its_background(model: HashModel) -> None:
    query = encode_query(model, Asked(audio="sample:owl.mp3", minus=("traffic",)))
    assert (query.kind, query.name) == ("audio", "owl-minus-traffic")


def test_parts_are_cached_one_by_one(tmp_path: Path) -> None:
    model = HashModel()
    encode_query(model, Asked(text="birds"), tmp_path)
    encode_query(model, Asked(text="birds", minus=("traffic",)), tmp_path)
    assert model.texts == ["birds", "traffic"]
    encode_query(model, Asked(texts=("traffic", "birds")), tmp_path)
    assert model.texts == ["birds", "traffic"]


@given(st.lists(st.lists(st.floats(-1, 1, width=32), min_size=4, max_size=4), min_size=2))
def test_a_composition_is_a_unit_vector_or_refused(rows: list[list[float]]) -> None:
    vectors = [unit(np.array(row, dtype=np.float64) + 1e-3).astype(np.float32) for row in rows]
    plus = np.mean(vectors[:-1], axis=0)
    short = min(np.linalg.norm(plus), np.linalg.norm(unit(plus) - vectors[-1])) < 0.1
    if short:
        with pytest.raises(QueryError, match="cancel out"):
            compose(vectors[:-1], vectors[-1:])
    else:
        vector = compose(vectors[:-1], vectors[-1:])
        assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-5)


class _ReadsThroughAnEncoder(HashModel):
    """Its texts go through files that are not part of its weights."""

    text_sha256 = "b" * 64


def test_another_text_encoder_is_asked_again(tmp_path: Path) -> None:
    query = Asked(text="an owl at night")
    model = _ReadsThroughAnEncoder()
    encode_query(model, query, tmp_path)
    encode_query(model, query, tmp_path)
    assert len(model.texts) == 1
    model.text_sha256 = "c" * 64
    encode_query(model, query, tmp_path)
    assert len(model.texts) == 2
