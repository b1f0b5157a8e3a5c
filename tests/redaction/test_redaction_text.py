"""Keys go into addresses and never come out of them."""

from __future__ import annotations

import logging
import traceback

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from s2s_map import redaction
from s2s_map.redaction import known
from s2s_map.redaction.logs import redact_logs

KEY = "s3cret/key+with=signs"


@pytest.fixture(autouse=True)
def _known_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(known, "_values", {})
    monkeypatch.setattr(known, "_sent", set())
    redact_logs()


@pytest.mark.parametrize(
    "form", [KEY, "s3cret%2Fkey%2Bwith%3Dsigns"], ids=["as it is", "percent-encoded"]
)
def test_known_values_leave_no_trace(form: str) -> None:
    redaction.remember("MAP_KEY", KEY)
    assert redaction.redacted(f"GET /a?k={form}&z=1") == "GET /a?k=${MAP_KEY}&z=1"


def test_logs_of_other_libraries_are_redacted(caplog: pytest.LogCaptureFixture) -> None:
    redaction.remember("MAP_KEY", KEY)
    logger = logging.getLogger("some.library")
    with caplog.at_level(logging.DEBUG):
        logger.info("HTTP Request: GET %s", f"https://a.test/?k={KEY}")
        try:
            raise RuntimeError(f"no route to https://a.test/?k={KEY}")
        except RuntimeError:
            logger.exception("failed")
    formatted = [logging.Formatter().format(record) for record in caplog.records]
    assert not any(KEY in text for text in formatted)
    assert "no route to https://a.test/" in formatted[1]


def test_tracebacks_are_redacted() -> None:
    redaction.remember("MAP_KEY", KEY)
    try:
        raise RuntimeError(KEY)
    except RuntimeError:
        assert KEY in traceback.format_exc()
        assert KEY not in redaction.redacted_traceback()


@pytest.mark.parametrize(
    "signed",
    [
        "https://a.test/x.tif?st=1&se=2&sig={}",
        "https://a.test/x.tif?X-Amz-Signature={}&X-Amz-Date=1",
        "https://a.test/x.tif?subscription-key={}",
        "https://user:{}@a.test/x.tif",
    ],
)
def test_signatures_of_servers_are_hidden(signed: str) -> None:
    address = signed.format("AbC0123456")
    assert "AbC0123456" not in redaction.redacted(f"cannot open '{address}'")


@given(st.text())
def test_redacting_twice_changes_nothing_more(text: str) -> None:
    once = redaction.redacted(text)
    assert redaction.redacted(once) == once


def test_what_each_process_finds_by_itself_is_not_sent() -> None:
    redaction.remember("OWN_KEY", "own-k3y-of-the-environment", sent=False)
    redaction.remember("ADDRESS_KEY", "k3y-of-an-address")
    sent = dict(redaction.remembered())
    assert sent["ADDRESS_KEY"] == "k3y-of-an-address"
    assert "OWN_KEY" not in sent
    assert redaction.redacted("own-k3y-of-the-environment") == "${OWN_KEY}"


def test_the_form_that_httpx_writes_leaves_no_trace() -> None:
    value = "s3cret key+of=mine/é"
    redaction.remember("MAP_KEY", value)
    asked = str(httpx.URL("https://a.test/", params={"k": value}))
    inline = str(httpx.URL(f"https://a.test/?k={value}"))
    assert "s3cret" not in redaction.redacted(asked)
    assert "s3cret" not in redaction.redacted(inline)


def test_a_token_leaves_no_trace_out_of_its_query_either() -> None:
    redaction.remember_address("https://a.test/?se=2999-01-01&sig=s3cret%2Fsig%3D&sp=r")
    assert redaction.redacted("signature s3cret%2Fsig%3D is bad: s3cret/sig=") == (
        "signature ${sig} is bad: ${sig}"
    )
    assert redaction.redacted("until 2999-01-01") == "until 2999-01-01"


def test_what_is_hidden_stays_as_it_is() -> None:
    once = redaction.redacted("GET https://a.test/1.png?key=abc&x=1 [token=abc]")
    assert redaction.redacted(once) == once
    assert "abc" not in once


def test_a_document_is_cleaned_with_one_search_of_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    searches = []
    search = known.environment_secrets
    monkeypatch.setattr(known, "environment_secrets", lambda: searches.append(1) or search())
    redaction.remember("MAP_KEY", KEY)
    found = redaction.cleaned({"a": [f"k={KEY}", {KEY: 1}], "b": ["plain"] * 50})
    assert found == {"a": ["k=${MAP_KEY}", {"${MAP_KEY}": 1}], "b": ["plain"] * 50}
    assert len(searches) == 1
