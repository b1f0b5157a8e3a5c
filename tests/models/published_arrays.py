"""How each golden array comes out of the published models, by the array's name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import parity_inputs as given
import torch
from torch import Tensor

from s2s_map.config.model import HtsatConfig, MaskedTokens
from s2s_map.models.audio.encoder import HtsatRecordingEncoder
from s2s_map.models.codebook import Codebook
from s2s_map.models.image.positions import ground_positions
from s2s_map.models.sat2sound import Sat2Sound
from s2s_map.scoring.retrieval import retrieval
from s2s_map.training.losses import Embeddings, combine, contrastive, sat2sound_losses

GSD_M = {"sentinel": 10.0, "bingmap": 0.6}
LOSSES = ("total", "multimodal", "fdt", "ia", "it", "at", "i_at")
ZOOM = (3, 3, 3, 3)


@dataclass
class Published:
    """The two models of full size, and what several arrays are made from, computed once."""

    with_metadata: Sat2Sound
    without_metadata: Sat2Sound
    kept: dict[Any, Tensor] = field(default_factory=dict)

    def once(self, key: Any, make: Callable[[], Tensor]) -> Tensor:
        """What `make` gives, made the first time only."""
        if key not in self.kept:
            self.kept[key] = make()
        return self.kept[key]

    def tokens(self, imagery: str = "sentinel", zooms: tuple[int, ...] = ZOOM) -> Tensor:
        """Projected image tokens."""
        resolution = given.resolution(GSD_M[imagery], zooms)
        return self.once(
            (imagery, zooms),
            lambda: self.with_metadata.image_tokens(given.images(), resolution),
        )

    def satellite(self, imagery: str, zooms: tuple[int, ...], metadata: bool) -> Tensor:
        """Satellite embeddings."""
        network = self.with_metadata if metadata else self.without_metadata
        tokens = self.tokens(imagery, zooms)
        # Without metadata, the other model's own tokens once: its weights were loaded apart.
        if not metadata and zooms == ZOOM:
            resolution = given.resolution(GSD_M[imagery], zooms)
            tokens = network.image_tokens(given.images(), resolution)
        fused = network.fuse(tokens, given.metadata("all") if metadata else None)
        return network.embed_tokens(fused, level="patch")

    def fused(self, case: str, masked: MaskedTokens = "zero") -> Tensor:
        """All tokens of the Sentinel images at zoom level 3."""
        fuser = self.with_metadata.sat_encoder.meta_fuser
        before, fuser.masked_tokens = fuser.masked_tokens, masked
        try:
            return self.with_metadata.fuse(self.tokens(), given.metadata(case))
        finally:
            fuser.masked_tokens = before

    def weights(self, kind: str) -> Tensor:
        """Sparse code weights."""
        fdt = self.with_metadata.fdt
        if kind == "text":
            features, mask = given.texts(12)
            return fdt.weights(fdt.pooled_scores(fdt.query(features, "text"), mask))
        if kind == "audio":
            tokens = self.with_metadata.audio_encoder(given.mels())
            return fdt.weights(fdt.pooled_scores(fdt.query(tokens, "audio")))
        tokens = self.tokens() if kind == "nometa" else self.fused("all")
        return fdt.weights(fdt.pooled_scores(fdt.query(tokens, "image")))

    @property
    def htsat(self) -> Any:
        """The audio encoder."""
        return self.with_metadata.audio_encoder.model["audio_enc"]

    @property
    def recordings(self) -> HtsatRecordingEncoder:
        """What embeds recordings."""
        return HtsatRecordingEncoder(self.with_metadata, HtsatConfig())


def satellite(name: str, models: Published) -> Tensor:
    _, imagery, zoom, *rest = name.split("_")
    if rest[:1] == ["meta"] and rest[1] in ("missing", "nonleft"):
        # One image whose mask is not left-aligned made the reference treat the whole batch so.
        masked: MaskedTokens = "zero" if rest[1:] == ["missing", "nograd"] else "ordinary"
        return models.with_metadata.embed_tokens(models.fused(rest[1], masked), level="patch")
    zooms = (1, 3, 5, 1) if zoom == "mixed" else (int(zoom[1:]),) * 4
    return models.satellite(imagery, zooms, rest[0] == "meta")


def fused_tokens(name: str, models: Published) -> Tensor:
    case, *way = name.removeprefix("tokens_fused_").split("_")
    rows = {"all": slice(0, 2), "missing": slice(2, 4), "nonleft": slice(1, 2)}[case]
    masked: MaskedTokens = "ordinary" if "slow" in way or case == "nonleft" else "zero"
    return models.fused(case, masked)[rows]


def codes(name: str, models: Published) -> Tensor:
    kind = name.removeprefix("codes_").split("_", 1 if "support" in name else 2)[-1]
    weights = models.weights(kind)
    if "support" in name:
        return (weights > 0).sum(dim=1)
    largest = weights.topk(20, dim=1)
    if "weight" in name:
        return largest.values
    # Codes of nearly equal weight may swap places: an index is right if its weight is.
    expected = torch.from_numpy(given.golden()[name]).long()
    same = torch.isclose(weights.gather(1, expected), largest.values, rtol=1e-4, atol=1e-7)
    return torch.where(same, expected, largest.indices)


def attention(name: str, models: Published) -> Tensor:
    fdt = models.with_metadata.fdt
    if name.startswith("att_img"):
        tokens = models.tokens() if name.endswith("nometa") else models.fused("all")
        indices = torch.from_numpy(given.golden()["att_codes"]).long()
        return _scores(fdt, fdt.query(tokens[:1, :196], "image"), indices)[0]
    features, mask = given.texts(12)
    indices = torch.from_numpy(given.golden()["att_text_codes"]).long()
    known = mask[1:2] if name.endswith("_masked") else None
    scores = _scores(fdt, fdt.query(features[1:2], "text"), indices)[0]
    # As the published model reports it: with a mask divided, and 0 where padded.
    return scores if known is None else scores / fdt.space_dict.shape[1] ** 0.5 * known[0, :, None]


def _scores(fdt: Codebook, queries: Tensor, codes: Tensor) -> Tensor:
    keys = fdt.space_dict[codes]
    return queries.to(keys.dtype) @ keys.T


def losses(name: str, models: Published) -> Tensor:
    network = models.with_metadata
    embeddings = Embeddings(
        image=models.satellite("sentinel", (1, 3, 5, 1), name == "loss_meta_all"),
        audio=network.embed_audio(given.mels()),
        audio_text=network.embed_text(*given.texts(12)),
        image_text=network.embed_text(*given.image_captions()),
    )
    scales = {n: getattr(network, f"logit_scale_{n}") for n in ("ia", "it", "at", "i_at", "fdt")}
    found = sat2sound_losses(embeddings, scales)
    found |= combine(found)
    return torch.stack([found[n] for n in LOSSES])


def one_loss(name: str, models: Published) -> Tensor:
    scores = torch.from_numpy(3.0 * given.normal("similarity", (6, 6)))
    return torch.stack([contrastive(scores, alpha) for alpha in (0.1, 0.5, 0.0)])


def retrieval_metrics(name: str, models: Published) -> Tensor:
    a, b = given.metric_embeddings()
    rows = []
    for k in (6, 7, 13):
        for queries, gallery in ((a, b), (b, a)):
            found = retrieval(queries, gallery, k)
            rows.append([k, found.recall, found.median_rank])
    return torch.tensor(rows, dtype=torch.float64)


def batch(name: str, models: Published) -> Tensor:
    network, kind = models.with_metadata, name.removeprefix("batch_")
    if kind.startswith("sat_"):
        return models.satellite("sentinel", (1, 3, 5, 1), kind == "sat_meta_all")
    if kind == "audio_embeds":
        return network.embed_audio(given.mels())
    captions = given.image_captions() if kind == "fdt_txt_embeds" else given.texts(12)
    return network.embed_text(*captions)


def silence(name: str, models: Published) -> Tensor:
    return torch.from_numpy(models.recordings.mel(np.zeros(320_000, dtype=np.float32))[:1])


def sine(name: str, models: Published) -> Tensor:
    return torch.from_numpy(models.recordings.mel(given.waveform()))[None, None]


def from_wave(name: str, models: Published) -> Tensor:
    return models.with_metadata.embed_audio(sine(name, models))


type Producer = Callable[[str, Published], Tensor]

PRODUCERS: dict[str, Producer] = {
    "sat_": satellite,
    "pos_embed": lambda _, m: ground_positions(torch.tensor([10.0, 50.0, 0.6, 3.0]), 14, 768),
    "tokens_backbone": lambda _, m: m.with_metadata.satmae_backbone.backbone(
        given.images()[:2], given.resolution(10.0, (3, 3))
    ),
    "tokens_projected": lambda _, m: m.tokens()[:2],
    "tokens_fused_": fused_tokens,
    "codes_": codes,
    "att_img_": attention,
    "att_text_masked": attention,
    "att_text_nomask": attention,
    "htsat_image": lambda _, m: m.htsat.image(given.mels()[:2]),
    "audio_tokens": lambda _, m: m.htsat(given.mels()[:2]),
    "audio_pooled_unused": lambda _, m: m.htsat.pooled(given.mels()[:2]),
    "audio_from_mel": lambda _, m: m.with_metadata.embed_audio(given.mels()),
    "audio_from_wave": from_wave,
    "mel_sine": sine,
    "mel_silence": silence,
    "text_pad12": lambda _, m: m.with_metadata.embed_text(*given.texts(12)),
    "text_pad40": lambda _, m: m.with_metadata.embed_text(*given.texts(40)),
    "batch_": batch,
    "loss_": losses,
    "compute_loss_": one_loss,
    "retrieval_metrics": retrieval_metrics,
}
"""By the beginning of an array's name."""

INPUTS = ("att_codes", "att_text_codes")
"""Arrays that say which codes the attention arrays are of; used to make those."""

ELSEWHERE = {"photo_": "tests/encoding/test_encoding_exact.py"}
"""Arrays that need no model, and the test that compares them."""


def producer(name: str) -> Producer:
    """How an array is made.

    Raises:
        KeyError: If nobody knows.
    """
    for beginning, make in PRODUCERS.items():
        if name.startswith(beginning):
            return make
    raise KeyError(name)
