"""A probability: a logistic function of the similarity, as fitted to places that were visited."""

from dataclasses import dataclass

import numpy as np
from pydantic import Field

from s2s_map.config.run import ProbabilityConfig


class LogisticConfig(ProbabilityConfig):
    """What a run config says below probability:, beside method:."""

    even: float = Field(ge=-1, le=1, description="Similarity at which it is as likely as not.")
    width: float = Field(default=0.05, gt=0, le=1, description="From there to odds of e to 1.")


@dataclass(frozen=True)
class LogisticMethod:
    even: float
    width: float
    name = "logistic"
    label = "logistic"  # what legends say: state calibration only if it was checked

    def __call__(self, similarity, background_similarity):
        """Cosine similarities (...,) and (..., n) of the background to probabilities (...,)."""
        odds = np.exp((self.even - similarity) / np.float32(self.width))
        return (1 / (1 + odds)).astype(np.float32)


class Logistic:
    """What the entry point names."""

    interface = 1
    schema = LogisticConfig
    needs_background = False  # True: background_similarity has the background vocabulary's

    def make(self, settings, temperature):
        return LogisticMethod(settings.even, settings.width)


LOGISTIC = Logistic()
