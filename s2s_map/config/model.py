"""What a Sat2Sound model consists of: the sizes of its parts, and the card of its weights."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, Self

from pydantic import Field, SerializeAsAny, model_validator

from s2s_map.config.checked import Checked, Count, Metres
from s2s_map.config.kinded import Kinded
from s2s_map.config.seen import SeenImagery
from s2s_map.plugins.kinds import AUDIO_ENCODERS, IMAGE_ENCODERS, TEXT_ENCODERS

type Hertz = Annotated[float, Field(ge=0, le=384_000)]
type Share = Annotated[float, Field(ge=0, le=1)]
type Deviation = Annotated[float, Field(ge=1e-3, le=1)]
type MetadataField = Literal["asource", "tsource", "latlong", "month", "time"]
type MaskedTokens = Literal["zero", "ordinary"]
type Precision = Literal["auto", "fp32", "bf16"]

METADATA_ORDER: tuple[MetadataField, ...] = ("asource", "tsource", "latlong", "month", "time")
"""The order of metadata tokens after the image tokens, as in the published model."""

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


class ImageEncoderConfig(Kinded):
    """An image encoder: what every kind of it says."""

    registry: ClassVar = IMAGE_ENCODERS
    key: ClassVar[str] = "kind"

    gains_from_bf16: ClassVar[bool] = False
    """Whether it is faster in bfloat16 and keeps its numbers, see `models.precision`."""

    normalises_batches: ClassVar[bool] = False
    """Whether it normalises over all images in memory, so that training sees them together."""

    kind: str = Field(max_length=200, description="Kind of encoder.")
    input_px: int = Field(ge=1, le=4096, description="Side of the input image, pixels.")
    dim: int = Field(ge=1, le=65_536, description="Numbers per output token.")

    if TYPE_CHECKING:

        @property
        def tokens_per_side(self) -> int:
            """Tokens along one side of a patch; each kind has it as a field or a property."""


class VitConfig(ImageEncoderConfig):
    """A plain vision transformer with positions in metres, as published (ViT-B/16)."""

    gains_from_bf16: ClassVar[bool] = True

    kind: Literal["vit"] = "vit"
    input_px: int = Field(
        default=224, ge=1, le=4096, description="Side of the input image, pixels."
    )
    patch_px: int = Field(
        default=16, ge=1, le=4096, description="Side of the image part behind one token, pixels."
    )
    dim: int = Field(default=768, ge=4, le=65_536, description="Numbers per output token.")
    depth: int = Field(default=12, ge=1, le=256, description="Number of transformer blocks.")
    heads: int = Field(default=12, ge=1, le=1024, description="Attention heads per block.")
    mlp_dim: int = Field(
        default=3072, ge=1, le=262_144, description="Hidden width of each block's MLP."
    )

    @model_validator(mode="after")
    def _divisible(self) -> Self:
        if self.input_px % self.patch_px:
            raise ValueError(
                f"input_px {self.input_px} is not a multiple of patch_px {self.patch_px}"
            )
        if self.dim % self.heads or self.dim % 4:
            raise ValueError(f"dim {self.dim} is not a multiple of 4 and of heads {self.heads}")
        return self

    @property
    def tokens_per_side(self) -> int:
        """Tokens along one side of a patch."""
        return self.input_px // self.patch_px


class MiniImageConfig(ImageEncoderConfig):
    """The small convolutional image encoder of the embedded model."""

    normalises_batches: ClassVar[bool] = True

    kind: Literal["mini"] = "mini"
    input_px: int = Field(
        default=112, ge=1, le=4096, description="Side of the input image, pixels."
    )
    tokens_per_side: int = Field(
        default=14, ge=1, le=512, description="Output tokens along one side."
    )
    dim: int = Field(default=128, ge=1, le=65_536, description="Numbers per output token.")


class TextEncoderConfig(Kinded):
    """A frozen text encoder, outside the checkpoint: what every kind of it says."""

    registry: ClassVar = TEXT_ENCODERS
    key: ClassVar[str] = "kind"

    small: ClassVar[bool] = False
    """Whether one core encodes a text quickest."""

    kind: str = Field(max_length=200, description="Kind of encoder.")
    dim: int = Field(ge=1, le=65_536, description="Numbers per text token.")
    max_tokens: int = Field(ge=2, le=65_536, description="Longest text, tokens.")


class MiniLMConfig(TextEncoderConfig):
    """Token features of all-MiniLM-L6-v2, frozen, outside the checkpoint."""

    small: ClassVar[bool] = True

    kind: Literal["minilm"] = "minilm"
    dim: int = Field(default=384, ge=1, le=65_536, description="Numbers per text token.")
    max_tokens: int = Field(
        default=256,
        ge=3,
        le=512,
        description="Longest text, in word pieces with both special tokens.",
    )
    sentence_token: bool = Field(
        default=False, description="Put the mean of all token features first, as a further token."
    )


class FlanT5Config(TextEncoderConfig):
    """Encoder states of a Flan-T5, frozen, outside the checkpoint."""

    kind: Literal["flan-t5"] = "flan-t5"
    dim: int = Field(default=1024, ge=1, le=65_536, description="Numbers per text token.")
    max_tokens: int = Field(default=512, ge=2, le=65_536, description="Longest text, tokens.")
    source: str = Field(
        default="google/flan-t5-large", description="Name of the weights on their hub."
    )


class AudioEncoderConfig(Kinded):
    """What turns a recording into a unit vector: what every kind of it says."""

    registry: ClassVar = AUDIO_ENCODERS
    key: ClassVar[str] = "kind"

    hears: ClassVar[bool] = True
    """Whether the model can be asked with a recording."""

    kind: str = Field(max_length=200, description="Kind of encoder.")

    @property
    def token_dim(self) -> int | None:
        """Numbers per audio token of a network with an audio query map; None without one."""
        return None


class NoAudioConfig(AudioEncoderConfig):
    """A model that cannot be asked with a recording."""

    hears: ClassVar[bool] = False

    kind: Literal["none"] = "none"


class EventsAudioConfig(AudioEncoderConfig):
    """A recording becomes the mix of its sound events' text embeddings; no own query map."""

    kind: Literal["events"] = "events"


class HtsatConfig(AudioEncoderConfig):
    """The published audio transformer (HTSAT) and the spectrogram it sees.

    A window of sound becomes a log-mel spectrogram, folded into a square image: pieces of time
    one below the other. Its audio tokens go through the audio query map.
    """

    kind: Literal["htsat"] = "htsat"
    dim: int = Field(default=768, ge=1, le=65_536, description="Numbers per audio token.")
    depths: tuple[Count, ...] = Field(
        default=(2, 2, 6, 2), min_length=1, max_length=8, description="Blocks per stage."
    )
    heads: tuple[Count, ...] = Field(
        default=(4, 8, 16, 32), min_length=1, max_length=8, description="Attention heads per stage."
    )
    window_tokens: int = Field(
        default=8,
        ge=2,
        le=1024,
        description="Side of the windows attention is confined to, tokens.",
    )
    image_px: int = Field(
        default=256, ge=1, le=8192, description="Side of the folded spectrogram, pixels."
    )
    patch_px: int = Field(
        default=4, ge=1, le=1024, description="Side of a token of stage 1, pixels."
    )
    classes: int = Field(
        default=527,
        ge=1,
        le=1_000_000,
        description="Outputs of a classifier that is stored but not used.",
    )
    rate: int = Field(default=32_000, ge=1, le=384_000, description="Samples a second.")
    window_s: float = Field(
        default=10.0, gt=0, le=3600, description="Length of a window of sound, seconds."
    )
    fft_size: int = Field(
        default=1024, ge=4, le=1_048_576, description="Samples in a spectrum's window."
    )
    hop: int = Field(
        default=320, ge=1, le=1_048_576, description="Samples from one spectrum to the next."
    )
    mel_bins: int = Field(default=64, ge=1, le=4096, description="Mel bands.")
    mel_range_hz: tuple[Hertz, Hertz] = Field(
        default=(50.0, 14_000.0), description="Lowest and highest frequency, hertz."
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        stages = len(self.depths)
        if len(self.heads) != stages:
            raise ValueError(f"{len(self.heads)} heads for {stages} depths: one each is needed")
        if self.dim % 2 ** (stages - 1) or any(
            width % heads for width, heads in zip(self.widths, self.heads, strict=True)
        ):
            raise ValueError(f"dim {self.dim} does not divide into stages and heads {self.heads}")
        if self.image_px % self.mel_bins or self.image_px % self.patch_px:
            raise ValueError(f"image_px {self.image_px} is not a multiple of mel_bins and patch_px")
        if self.grids[-1] * 2 ** (stages - 1) != self.grids[0] or any(
            grid % self.window_tokens for grid in self.grids
        ):
            raise ValueError(f"stages of {self.grids} tokens do not divide into windows")
        if self.grids[-1] % self.chunks:
            raise ValueError(f"{self.grids[-1]} rows of tokens are not a multiple of {self.chunks}")
        if self.frames > self.image_px * self.chunks:
            raise ValueError(f"{self.frames} spectra do not fit into {self.image_px} px")
        return self

    @property
    def token_dim(self) -> int:
        """Numbers per audio token."""
        return self.dim

    @property
    def widths(self) -> tuple[int, ...]:
        """Numbers per token in each stage."""
        last = len(self.depths) - 1
        return tuple(self.dim // 2 ** (last - stage) for stage in range(last + 1))

    @property
    def grids(self) -> tuple[int, ...]:
        """Tokens along one side of the image in each stage."""
        return tuple(self.image_px // self.patch_px // 2**s for s in range(len(self.depths)))

    @property
    def chunks(self) -> int:
        """Pieces of time that lie one below the other in the image."""
        return self.image_px // self.mel_bins

    @property
    def frames(self) -> int:
        """Spectra of one window of sound."""
        return round(self.rate * self.window_s) // self.hop + 1


class FusionConfig(Checked):
    """The transformer that lets image tokens and metadata tokens see each other."""

    layers: int = Field(default=3, ge=1, le=256, description="Number of layers.")
    heads: int = Field(default=8, ge=1, le=1024, description="Attention heads per layer.")
    ff_dim: int = Field(
        default=2048,
        ge=1,
        le=262_144,
        description="Hidden width of each layer's feed-forward part.",
    )
    field_hidden_dim: int = Field(
        default=64,
        ge=1,
        le=65_536,
        description="Hidden width of the place, month and hour encoders.",
    )
    dropout: float = Field(default=0.1, ge=0, lt=1, description="Dropout in training, a share.")
    masked_tokens: MaskedTokens = Field(
        default="zero",
        description="Output of a metadata token whose field is missing: 'zero' as in the "
        "published evaluation, or 'ordinary' as in its training.",
    )


class CodebookConfig(Checked):
    """The shared codebook of soundscape concepts."""

    size: int = Field(default=16000, ge=1, le=1_000_000, description="Number of codes.")
    dim: int = Field(
        default=1024, ge=1, le=65_536, description="Numbers per code, and per embedding."
    )
    score_scale: float = Field(
        default=1000.0,
        gt=0,
        le=1e9,
        description="Scores are divided by this before sparsemax: less is sparser.",
    )


class ModelConfig(Checked):
    """Every size of a Sat2Sound model; the defaults are the published model without metadata."""

    image: SerializeAsAny[ImageEncoderConfig] = Field(
        default_factory=VitConfig, description="The satellite image encoder."
    )
    text: SerializeAsAny[TextEncoderConfig] = Field(
        default_factory=FlanT5Config, description="The text encoder."
    )
    audio: SerializeAsAny[AudioEncoderConfig] = Field(
        default_factory=HtsatConfig, description="The audio encoder."
    )
    embed_dim: int = Field(
        default=1024,
        ge=4,
        le=65_536,
        description="Numbers per image token after the projector, and per metadata token.",
    )
    projector_dim: int = Field(
        default=1024, ge=1, le=262_144, description="Hidden width of the token projector."
    )
    metadata: tuple[MetadataField, ...] = Field(
        default=(),
        description="Metadata fields the model was trained with, in their order; empty: none.",
    )
    fusion: FusionConfig = Field(
        default_factory=FusionConfig, description="Metadata fusion; unused without metadata."
    )
    codebook: CodebookConfig = Field(
        default_factory=CodebookConfig, description="The shared codebook."
    )
    logit_scale: float = Field(
        default=2.6592600369327783,
        ge=-100,
        le=100,
        description="Start of the trained logit scales, natural logarithm; ln(1/0.07).",
    )
    reference_px: float = Field(
        default=256.0,
        gt=0,
        le=100_000,
        description="Source pixels along a training patch: a patch's side in metres divided by "
        "this is the resolution that the position embedding is given.",
    )
    pixel_mean: tuple[Share, Share, Share] = Field(
        default=IMAGENET_MEAN, description="Mean of red, green, blue in 0..1, taken off."
    )
    pixel_std: tuple[Deviation, Deviation, Deviation] = Field(
        default=IMAGENET_STD, description="Deviation of red, green, blue in 0..1, divided by."
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.metadata != tuple(f for f in METADATA_ORDER if f in self.metadata):
            raise ValueError(
                f"metadata {list(self.metadata)} must follow the order {list(METADATA_ORDER)}"
            )
        if self.metadata and self.embed_dim % self.fusion.heads:
            raise ValueError(
                f"embed_dim {self.embed_dim} is not a multiple of fusion.heads {self.fusion.heads}"
            )
        return self

    @property
    def dim(self) -> int:
        """Numbers per embedding."""
        return self.codebook.dim


class SoftmaxCard(Checked):
    """The softmax temperature recommended for the model, and where it comes from."""

    temperature: float = Field(
        ge=1e-6, le=1000, description="Divides cosine similarities before the softmax."
    )
    source: str = Field(description="How the temperature was found.")


class TrainingCard(Checked):
    """Where the weights come from."""

    several_lines = frozenset({"summary", "data", "held_out", "command", "versions"})

    summary: str = Field(description="One sentence.")
    data: tuple[str, ...] = Field(default=(), description="Training data, one source each.")
    held_out: str = Field(
        default="", description="What took no part in training, selection or tuning."
    )
    command: str = Field(default="", description="The command that makes these weights again.")
    date: str = Field(default="", description="Date of training, ISO 8601.")
    seed: int | None = Field(default=None, ge=0, le=2**63 - 1, description="Random seed.")
    versions: dict[str, str] = Field(
        default_factory=dict, description="Versions of the software that trained it."
    )


class OriginCard(Checked):
    """The published file that weights were converted from, unchanged in value."""

    repository: str = Field(default="", description="Repository on the hub; empty: a local file.")
    file: str = Field(description="Its name, in the repository if it is of one.")
    revision: str = Field(
        default="", description="Commit of the repository; empty if the file came without one."
    )
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$", description="SHA-256 of the file, hexadecimal.")


class ModelCard(Checked):
    """What a model is, what it may be used for, and which weights belong to it."""

    several_lines = frozenset({"attribution", "citation", "limits"})

    name: str = Field(min_length=1, max_length=200, description="Name to load it by.")
    title: str = Field(description="One line for people.")
    config: ModelConfig = Field(description="Sizes of the network.")
    sha256: str = Field(
        default="",
        pattern=r"^([0-9a-f]{64})?$",
        description="SHA-256 of model.safetensors, hexadecimal; empty until weights are saved.",
    )
    licence: str = Field(description="SPDX identifier of the weights' licence.")
    attribution: str = Field(description="Whom to name when results are shown.")
    citation: str = Field(default="", description="Publication to cite.")
    sensors: tuple[str, ...] = Field(default=(), description="Imagery it was trained on.")
    gsd_m: tuple[Metres, Metres] | None = Field(
        default=None, description="Finest and coarsest pixel of the imagery it suits, metres."
    )
    patch_m: tuple[Metres, Metres] | None = Field(
        default=None, description="Smallest and largest patch side on the ground it suits, metres."
    )
    softmax: SoftmaxCard = Field(description="Recommended softmax temperature.")
    training: TrainingCard = Field(description="Where the weights come from.")
    origin: OriginCard | None = Field(
        default=None, description="What the weights were converted from; None: they were not."
    )
    limits: tuple[str, ...] = Field(default=(), description="What it is not and cannot do.")
    seen: SeenImagery | None = Field(
        default=None,
        description="Colours of the imagery it was trained on; None: not known.",
    )

    @property
    def input_px(self) -> int:
        """Side of the model's input image, pixels."""
        return self.config.image.input_px
