"""Records of every logger of this process without what is secret."""

from __future__ import annotations

import logging
import threading
import traceback

from s2s_map.redaction.known import when_remembered
from s2s_map.redaction.text import redacted

_lock = threading.Lock()
_factories: list[object] = []


def redact_logs() -> None:
    """Have every log record of this process redacted from now on.

    Called when the first secret is remembered and by whatever deals with a server, so that a
    program that uses s2s_map as a library has it, too.
    """
    with _lock:
        if _factories:
            return
        make = logging.getLogRecordFactory()

        def make_redacted(*args: object, **kwargs: object) -> logging.LogRecord:
            record = make(*args, **kwargs)
            try:
                message = record.getMessage()
            except (TypeError, ValueError, KeyError):
                return record
            clean = redacted(message)
            if clean != message:
                record.msg, record.args = clean, None
            if record.exc_info and record.exc_info[0] is not None:
                # Formatters take a text that is there already.
                record.exc_text = redacted(
                    "".join(traceback.format_exception(*record.exc_info))[:-1]
                )
            return record

        _factories.append(make_redacted)
        logging.setLogRecordFactory(make_redacted)


when_remembered(redact_logs)
