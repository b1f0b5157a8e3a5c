"""Which vocabularies a question needs."""

from __future__ import annotations

import numpy as np
from fixtures_encoding import HashModel
from fixtures_models import tiny_card

from s2s_map.config.run import ProbabilityConfig, QueryConfig
from s2s_map.pipeline.maps.questions import encode_questions


def test_a_similarity_needs_no_vocabulary() -> None:
    """Models without sound events have none for recordings, and can still be asked with one."""
    model, asked = HashModel(), [QueryConfig(name="rain", text="rain")]
    plain = encode_questions(model, tiny_card(), asked, ProbabilityConfig(method="similarity"))
    assert plain.vocabularies["text"].names == ()
    (group,) = plain.groups()
    assert group.background.shape == (0, model.dim)
    assert group.keep.shape == (1, 0)
    full = encode_questions(model, tiny_card(), asked, ProbabilityConfig())
    assert len(full.groups()[0].background) > 50
    np.testing.assert_array_equal(group.vectors, full.groups()[0].vectors)
