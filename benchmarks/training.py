"""A step of training the published network: samples a second and memory, by batch and ways.

    python benchmarks/training.py                       # full size, ~2.5 min on two cores
    python benchmarks/training.py --batches 2,4,8 --at-once 2
    python benchmarks/training.py --tiny --steps 1      # smoke: seconds
    python benchmarks/training.py --batches 32,64,128 --at-once 32 --precision bf16   # a GPU

Each row is a process of its own: forward, backward, clipping and AdamW on random inputs of the real
shapes, metadata and all losses; reading is not part of it. The rows:

    all     activations of the whole batch in memory, text features as they come from the cache
    parts   --at-once samples in memory at a time, the others computed again: the same gradients
    text    as all, but both captions go through a Flan-T5-large (random weights) in every step,
            as without the cache of text features
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import platform
import resource
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import torch

from s2s_map.config.model import METADATA_ORDER, FlanT5Config, HtsatConfig, ModelConfig
from s2s_map.config.train_sounds import SoundTrainConfig
from s2s_map.models.build import build_model
from s2s_map.models.metadata import encode_metadata
from s2s_map.training.audio_noise import prepare_audio
from s2s_map.training.sound_batch import SoundBatch
from s2s_map.training.sound_module import SoundModule

TOKENS = 32
"""Tokens of a caption of two short sentences."""


@dataclass(frozen=True)
class Case:
    """One row of the table."""

    way: str
    batch: int
    at_once: int | None
    steps: int
    tiny: bool
    precision: str
    threads: int


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batches", default="2,4,8", help="batch sizes")
    parser.add_argument("--at-once", type=int, default=2, help="for the rows called parts")
    parser.add_argument("--steps", type=int, default=1, help="timed steps after one that is not")
    parser.add_argument("--precision", choices=("fp32", "bf16"), default="fp32")
    parser.add_argument("--ways", default="all,parts,text")
    parser.add_argument("--tiny", action="store_true", help="the tests' network, for a smoke run")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    args = parser.parse_args()
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else platform.processor()
    print(
        f"{device or platform.machine()}, {args.threads} threads, {args.precision}, load "
        f"{os.getloadavg()[0]:.1f}; torch {torch.__version__}; {args.steps} timed steps a row"
    )
    print(f"{'way':<8}{'batch':>6}{'at once':>9}{'s/step':>9}{'samples/s':>11}{'GiB peak':>10}")
    for batch in map(int, args.batches.split(",")):
        for way in args.ways.split(","):
            at_once = args.at_once if way == "parts" else None
            if at_once is not None and at_once >= batch:
                continue
            case = Case(way, batch, at_once, args.steps, args.tiny, args.precision, args.threads)
            # A process each: memory is a process's high-water mark.
            context = multiprocessing.get_context("spawn")
            with ProcessPoolExecutor(1, mp_context=context) as pool:
                seconds, memory = pool.submit(measure, case).result()
            print(
                f"{way:<8}{batch:>6}{at_once or batch:>9}{seconds:>9.2f}{batch / seconds:>11.2f}"
                f"{memory:>10.2f}",
                flush=True,
            )


def measure(case: Case) -> tuple[float, float]:
    """Seconds of a step and the largest memory, GiB."""
    torch.set_num_threads(case.threads)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    config = config_of(case)
    network = build_model(config.network)
    prepare_audio(network.audio_encoder.model["audio_enc"], config.audio_noise)
    module = SoundModule(network, config).to(device).train()
    text = text_encoder(config, device) if case.way == "text" else None
    optimiser = module.configure_optimizers()["optimizer"]
    batch = batch_of(config, case.batch).to(device)
    began = 0.0
    for step in range(case.steps + 1):
        if step == 1:
            began = now(device)
        if text is not None:
            with torch.inference_mode():
                for _ in ("audio caption", "image caption"):
                    text(torch.ones(case.batch, TOKENS, dtype=torch.long, device=device))
        with torch.autocast(device, torch.bfloat16, enabled=case.precision == "bf16"):
            total = module.losses(batch)["total"]
        total.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), config.optimiser.clip)
        optimiser.step()
        optimiser.zero_grad()
    seconds = (now(device) - began) / case.steps
    if device == "cuda":
        return seconds, torch.cuda.max_memory_allocated() / 2**30
    return seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def now(device: str) -> float:
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()


def config_of(case: Case) -> SoundTrainConfig:
    if case.tiny:
        sys.path += [str(Path(__file__).parents[1] / "tests")]
        from fixtures_training import MODEL

        model: ModelConfig = MODEL
    else:
        model = ModelConfig(metadata=METADATA_ORDER)
    return SoundTrainConfig.model_validate(
        {
            "name": "benchmark",
            "title": "benchmark",
            "output": "out/none",
            "dataset": {"path": "none", "satellite": "sentinel"},
            "model": model.model_dump(),
            "optimiser": {"steps": 1, "batch": case.batch, "at_once": case.at_once},
        }
    )


def batch_of(config: SoundTrainConfig, count: int) -> SoundBatch:
    """Random inputs of the real shapes."""
    torch.manual_seed(0)
    model, audio = config.model, config.model.audio
    if not isinstance(audio, HtsatConfig):
        raise SystemExit("this benchmark is of networks that hear spectrograms")
    numbers = range(count)
    words, mask = torch.randn(count, TOKENS, model.text.dim), torch.ones(count, TOKENS).bool()
    return SoundBatch(
        pixels=torch.randn(count, 3, model.image.input_px, model.image.input_px),
        resolution_m=torch.full((count,), 30.0),
        metadata=encode_metadata(
            latitude=[0.1 * i for i in numbers],
            longitude=[0.2 * i for i in numbers],
            month=[1 + i % 12 for i in numbers],
            hour=[i % 24 for i in numbers],
            audio_source=["yfcc"] * count,
            caption_source=["meta"] * count,
        ),
        mel=30 * torch.randn(count, 1, audio.frames, audio.mel_bins) - 40,
        audio_text=words,
        audio_mask=mask,
        image_text=words.flip(0),
        image_mask=mask,
        keys=tuple(map(str, numbers)),
    )


def text_encoder(config: SoundTrainConfig, device: str) -> torch.nn.Module:
    """A Flan-T5-large of random weights: its time does not depend on them."""
    from transformers.models.t5.configuration_t5 import T5Config
    from transformers.models.t5.modeling_t5 import T5EncoderModel

    large = isinstance(config.model.text, FlanT5Config)
    sizes = {"d_model": 1024, "d_ff": 2816, "num_layers": 24, "num_heads": 16} if large else {}
    made: torch.nn.Module = T5EncoderModel(
        T5Config(d_kv=64, feed_forward_proj="gated-gelu", **sizes)
    )
    return made.to(device).eval()


if __name__ == "__main__":
    main()
