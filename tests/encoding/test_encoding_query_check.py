"""What is said of queries before a map is made of them."""

from __future__ import annotations

import numpy as np
import pytest
from fixtures_encoding import HashModel

from s2s_map.config.run import ProbabilityConfig, QueryConfig
from s2s_map.encoding.queries import QueryEmbedding, QueryPart
from s2s_map.encoding.query_check import QueryCheck, check_queries
from s2s_map.encoding.vector_cache import vectors_folder
from s2s_map.models.registry import load_model
from s2s_map.pipeline.maps.questions import Questions, encode_questions


@pytest.fixture(scope="module")
def asked() -> Questions:
    model = load_model("s2s-mini")
    texts = {
        "traffic": "traffic",
        "quiet": "no traffic",
        "same": "traffic ",
        "mash": "asdfghjkl qwerty",
        "spanish": "pájaros cantando en el bosque",
    }
    queries = [QueryConfig(name=name, text=text) for name, text in texts.items()]
    queries.append(QueryConfig(name="owl", audio="sample:owl.mp3"))
    return encode_questions(model, model.card, queries, ProbabilityConfig(), vectors_folder())


def test_what_is_well_asked_has_no_warning(asked: Questions) -> None:
    check = asked.checks["traffic"]
    assert check.warnings == ()
    (line,) = check.lines()
    assert line.startswith('traffic: "traffic" is understood, nearest to "')


def test_a_negation_points_to_minus(asked: Questions) -> None:
    assert any('--minus "traffic"' in line for line in asked.checks["quiet"].warnings)


def test_a_near_duplicate_names_the_other(asked: Questions) -> None:
    assert any("nearly the same" in line and "traffic" in line
               for line in asked.checks["same"].warnings)  # fmt: skip


def test_nonsense_and_languages_say_what_to_do(asked: Questions) -> None:
    (mash,) = asked.checks["mash"].warnings
    assert "is not understood" in mash
    assert "plain English" in mash
    (spanish,) = asked.checks["spanish"].warnings
    assert "it looks like Spanish" in spanish


def test_what_was_heard_is_told(asked: Questions) -> None:
    (line,) = asked.checks["owl"].lines()
    assert line.startswith("owl: heard in owl.mp3 (8.5")
    assert "Animal" in line
    assert "Bird" in line


def test_layers_keep_it_but_their_identity_does_not(asked: Questions) -> None:
    """Else a layer would be scored again because the list of nonsense grew."""
    (mash,) = [query for query in asked.queries if query.name == "mash"]
    said = asked.describe(mash)["understood"]
    assert said["level"] == "not understood"
    assert said["texts"][0]["nonsense"][1] < 1
    assert "understood" not in asked.identity(mash)


def test_strict_refuses_the_first_and_counts_the_others(asked: Questions) -> None:
    with pytest.raises(Exception, match=r"quiet: .*and \d+ more") as error:
        asked.say(lambda _: None, strict=True)
    assert "--strict" in str(error.value)


def test_noise_is_said() -> None:
    """Details as the tagger gives them of a recording in which nothing stands out."""
    vector = np.ones(48, dtype=np.float32) / np.float32(np.sqrt(48))
    details = {"stands_out": False, "weight": {"Wind": 0.6, "Noise": 0.4}, "seconds": 3.0}
    part = QueryPart("audio", "hiss.wav", "0" * 64, details=details)
    query = QueryEmbedding("hiss", "recording hiss.wav", "audio", vector, (part,))
    (check,) = check_queries(HashModel(), [query])
    assert check == QueryCheck("hiss", (), check.warnings, check.heard)
    assert "stands out from noise" in check.warnings[0]
    assert check.heard == ("heard in hiss.wav (3 s): Wind 60%, Noise 40%",)
    assert check.level is None
