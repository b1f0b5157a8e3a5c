"""What is installed only if it is asked for, as ``pip install 's2s-map[online]'``."""

from __future__ import annotations

from importlib.util import find_spec

from s2s_map.errors import S2SMapError

_MODULES = {
    "cuda": ("dask_cuda",),
    "dashboard": ("bokeh",),
    "evaluate": ("sklearn",),
    "online": ("obstore", "pystac_client", "hishel", "tenacity"),
    "recordings": ("av",),
    "train": ("lightning",),
    "view": ("starlette", "uvicorn", "rio_tiler"),
}
"""What shows that an extra of pyproject.toml is installed."""


def has_extra(extra: str, *modules: str) -> bool:
    """Return whether an extra is installed.

    Args:
        extra: Its name in pyproject.toml.
        modules: Modules of it that are needed besides.
    """
    return not _missing(extra, modules)


def check_extra(
    extra: str,
    what: str,
    *modules: str,
    error: type[S2SMapError] = S2SMapError,
    instead: str = "",
) -> None:
    """Refuse to go on without an extra.

    Args:
        extra: Its name in pyproject.toml.
        what: What needs it, the subject of the sentence, such as "cluster: cuda".
        modules: Modules of it that are needed besides.
        error: The error to raise.
        instead: What else helps, such as "use cluster: local".

    Raises:
        S2SMapError: Of the kind `error`, with the command that installs it.
    """
    missing = _missing(extra, modules)
    if missing:
        raise error(
            f"{what} needs packages that are not installed: {', '.join(missing)}",
            remedy=f"pip install 's2s-map[{extra}]'" + (f", or {instead}" if instead else ""),
        )


def _missing(extra: str, modules: tuple[str, ...]) -> list[str]:
    return [name for name in (*_MODULES[extra], *modules) if not _is_installed(name)]


def _is_installed(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # Of a package within one that is missing.
        return False
