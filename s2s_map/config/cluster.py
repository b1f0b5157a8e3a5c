"""Schema of where the blocks of a run are computed."""

from __future__ import annotations

from typing import Any

from pydantic import Field, field_validator, model_validator

from s2s_map.config.checked import Checked

KINDS = ("threads", "local", "cuda")


class ClusterConfig(Checked):
    """Where the blocks of a run are computed."""

    use: str = Field(
        default="threads",
        description="threads: of one process on this machine. local: worker processes on this "
        "machine. cuda: one worker per GPU of this machine (needs the extra 'cuda'). Or the "
        "address of a Dask scheduler that runs already, such as tcp://10.0.0.5:8786.",
    )
    workers: int | None = Field(
        default=None,
        ge=1,
        le=4096,
        description="Worker processes at local and cuda. Left out: one per core, one per GPU.",
    )
    in_flight: int = Field(
        default=2,
        ge=1,
        le=64,
        description="Blocks at work at a time per worker: one is encoded while others are read "
        "and written. Each takes memory.",
    )
    wait_s: float = Field(
        default=300.0,
        gt=0,
        le=86_400,
        description="How long to wait for workers, or for a scheduler that went away, seconds.",
    )
    dashboard: int | None = Field(
        default=None,
        ge=0,
        le=65535,
        description="Port on this machine for Dask's status page and metrics, at local and cuda.",
    )

    @model_validator(mode="before")
    @classmethod
    def _short_form(cls, value: Any) -> Any:
        return {"use": value} if isinstance(value, str) else value

    @field_validator("use")
    @classmethod
    def _known(cls, value: str) -> str:
        if value in KINDS or value.startswith(("tcp://", "tls://")):
            return value
        raise ValueError("takes threads, local, cuda or the address tcp://HOST:PORT of a scheduler")
