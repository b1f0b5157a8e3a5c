"""The exceptions of s2s_map: each says what was found, what was expected and what to do.

The tree::

    S2SMapError                  exit code 2
    ├── ConfigError              a run config, catalog or model config that does not validate
    │   └── PluginError          a type, kind, method or format that no usable package brings
    ├── CatalogError             an unknown or unusable imagery source
    ├── RegionError              a region that cannot be mapped
    ├── ImageryError             imagery that cannot be read as declared
    ├── ImageryChangedError      imagery that was replaced during a run
    ├── QueryError               a text or recording that cannot be asked
    │   └── AudioError           a file that is not usable audio
    ├── ModelError               a model that is unknown or does not fit
    │   └── CheckpointError      weights that are missing, corrupt or of the wrong size
    ├── StoreError               an embeddings store or map that cannot be read or extended
    ├── OutputError              an output folder that cannot be used
    │   ├── OutputMismatchError  an output folder that belongs to a different config
    │   └── OutputUnavailableError    exit code 75: storage that does not answer for now
    ├── ClusterError             a cluster that cannot be reached or cannot do the work
    │   └── ClusterUnavailableError   exit code 75: a cluster that is away for now
    ├── FailedRunError           a run that ended without maps
    ├── DataError                training or evaluation data that cannot be used
    ├── IncompleteRunError       exit code 3: the run ended with holes
    └── InterruptedRunError      exit code 4: stopped by the user, can be resumed
"""

from __future__ import annotations

from typing import ClassVar

from s2s_map.redaction import redacted

TEMPORARY = 75
"""Exit code of what may go well unchanged a while later: EX_TEMPFAIL of sysexits.h."""

# Below 5,000 characters in all, from which logs and terminals cut the end, and that is the remedy.
_LONGEST_FOUND, _LONGEST = 2400, 1200
_LEFT_OUT = " [...] "


class S2SMapError(Exception):
    """Base of all errors a user can cause or cure; its texts hold no secret.

    Args:
        found: What was found, as a phrase without a final stop.
        expected: What was expected instead.
        remedy: What to do about it.
    """

    exit_code: ClassVar[int] = 2

    def __init__(self, found: str, *, expected: str = "", remedy: str = "") -> None:
        # Redacted here, so that no text of a server leaves by whatever way an error is reported.
        self.found = _one_line(redacted(found), _LONGEST_FOUND)
        self.expected = _one_line(redacted(expected), _LONGEST)
        self.remedy = _one_line(redacted(remedy), _LONGEST)
        parts = [self.found]
        if self.expected:
            parts.append(f"expected {self.expected}")
        if self.remedy:
            parts.append(self.remedy)
        super().__init__("; ".join(parts))

    def __reduce__(self) -> tuple[object, tuple[type[S2SMapError], str, str, str]]:
        # Keyword-only arguments do not survive the default pickling that worker processes use.
        return _rebuild, (type(self), self.found, self.expected, self.remedy)


def _one_line(text: str, longest: int) -> str:
    """Return a text without line breaks, and nothing in it that a terminal would obey.

    Of a longer one than anybody reads, its start and its end.
    """
    line = " ".join(text.split())
    if not (line.isascii() and line.isprintable()):
        line = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in line)
    if len(line) <= longest:
        return line
    end = longest // 4
    start = line[: longest - end - len(_LEFT_OUT)].rstrip()
    return f"{start}{_LEFT_OUT}{line[-end:].lstrip()}"


def _rebuild(kind: type[S2SMapError], found: str, expected: str, remedy: str) -> S2SMapError:
    return kind(found, expected=expected, remedy=remedy)


class ConfigError(S2SMapError):
    """A run config, catalog or model config that does not validate."""


class PluginError(ConfigError):
    """A type, kind, method or format by a name that no package brings, or none that can be used."""


class CatalogError(S2SMapError):
    """An imagery source that is unknown or unusable."""


class RegionError(S2SMapError):
    """A region that cannot be mapped."""


class ImageryError(S2SMapError):
    """Imagery that cannot be read as its catalog entry declares."""


class SearchIncompleteError(ImageryError):
    """A search of which parts were not answered: a retry asks for these alone."""

    exit_code: ClassVar[int] = TEMPORARY


class ImageryChangedError(S2SMapError):
    """Imagery that was replaced during a run: no hole to go on without."""


class QueryError(S2SMapError):
    """A query that cannot be asked."""


class AudioError(QueryError):
    """A file that is not usable audio."""


class ModelError(S2SMapError):
    """A model that is unknown or does not fit its use."""


class CheckpointError(ModelError):
    """Weights that are missing, corrupt or of the wrong size."""


class StoreError(S2SMapError):
    """An embeddings store or map that cannot be read or extended."""


class OutputError(S2SMapError):
    """An output folder that cannot be used."""


class OutputMismatchError(OutputError):
    """An output folder that belongs to a different config."""


class OutputUnavailableError(OutputError):
    """Storage that does not answer for the time being: nothing in the config needs fixing."""

    exit_code: ClassVar[int] = TEMPORARY


class ClusterError(S2SMapError):
    """A cluster that cannot be reached or cannot do the work."""


class ClusterUnavailableError(ClusterError):
    """A cluster that went away, or has no workers yet: nothing in the config needs fixing."""

    exit_code: ClassVar[int] = TEMPORARY


class FailedRunError(S2SMapError):
    """A run that ended without maps, as every block failed."""


class DataError(S2SMapError):
    """Training or evaluation data that cannot be used."""


class IncompleteRunError(S2SMapError):
    """A run that ended with holes."""

    exit_code: ClassVar[int] = 3


class InterruptedRunError(S2SMapError):
    """A run that was stopped and can be resumed."""

    exit_code: ClassVar[int] = 4
