"""The gate that everything printed and everything stored passes: what is secret is taken out.

`redacted` is the one function that decides; `streams` puts it before standard output and error,
logs, and what libraries in C write; `errors` and writers of files call it themselves.
"""

from s2s_map.redaction import logs as logs  # has records redacted from the first secret on
from s2s_map.redaction.known import remember, remember_address, remembered
from s2s_map.redaction.text import cleaned, file_json, redacted, redacted_traceback

__all__ = [
    "cleaned",
    "file_json",
    "redacted",
    "redacted_traceback",
    "remember",
    "remember_address",
    "remembered",
]
