"""Maps of where on Earth a sound is likely to be heard, from satellite imagery.

>>> import s2s_map
>>> config = s2s_map.load_run_config("workflows/demo.yaml")
>>> s2s_map.make_plan(s2s_map.resolve(config)).shape
(349, 384)

`run` makes maps, `query` asks finished ones again, `explain` says why, `open_run` opens them.
Everything here is imported when first used, so that importing the package is instant.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from s2s_map.catalog.catalog import load_catalog
    from s2s_map.config.run import RunConfig, load_run_config
    from s2s_map.errors import S2SMapError
    from s2s_map.models.registry import list_models, load_model
    from s2s_map.pipeline.job.job import resolve
    from s2s_map.pipeline.verbs.explain import Explanation, explain
    from s2s_map.pipeline.verbs.open_run import OpenRun, open_run
    from s2s_map.pipeline.verbs.plan import make_plan
    from s2s_map.pipeline.verbs.query import query
    from s2s_map.pipeline.verbs.run import run

_HOMES = {
    "Explanation": "s2s_map.pipeline.verbs.explain",
    "OpenRun": "s2s_map.pipeline.verbs.open_run",
    "RunConfig": "s2s_map.config.run",
    "S2SMapError": "s2s_map.errors",
    "explain": "s2s_map.pipeline.verbs.explain",
    "list_models": "s2s_map.models.registry",
    "load_catalog": "s2s_map.catalog.catalog",
    "load_model": "s2s_map.models.registry",
    "load_run_config": "s2s_map.config.run",
    "make_plan": "s2s_map.pipeline.verbs.plan",
    "open_run": "s2s_map.pipeline.verbs.open_run",
    "query": "s2s_map.pipeline.verbs.query",
    "resolve": "s2s_map.pipeline.job.job",
    "run": "s2s_map.pipeline.verbs.run",
}

__all__ = [
    "Explanation",
    "OpenRun",
    "RunConfig",
    "S2SMapError",
    "explain",
    "list_models",
    "load_catalog",
    "load_model",
    "load_run_config",
    "make_plan",
    "open_run",
    "query",
    "resolve",
    "run",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
