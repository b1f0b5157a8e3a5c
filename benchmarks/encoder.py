"""Speed of the satellite branch at full size: plain float32 against what s2s_map runs.

    python benchmarks/encoder.py                       # patch level, batch 16
    python benchmarks/encoder.py --level token --repeats 2
    python benchmarks/encoder.py --device cuda --batch 256 --repeats 10
    python benchmarks/encoder.py --model small --batch 4 --repeats 1   # smoke

One run times three ways in turn, on the same patches, with metadata: `plain` (plain_encoder.py),
s2s_map in fp32, and s2s_map in bf16. Each takes uint8 patches and gives unit vectors. Then the
stages of bf16 one by one. The roofline is the best matrix product measured on this device in the
same run, at the shapes of the model. Weights come from the parity formula: no download.
"""

from __future__ import annotations

import argparse
import os
import platform
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from plain_encoder import embed as embed_plain
from torch import Tensor

from s2s_map.config.model import METADATA_ORDER, CodebookConfig, FusionConfig, ModelConfig
from s2s_map.models.build import build_model
from s2s_map.models.loaded import LoadedModel
from s2s_map.models.metadata import Metadata, encode_metadata
from s2s_map.models.precision import fast_bf16
from s2s_map.models.sat2sound import Sat2Sound, unit

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))
from fixtures_models import TINY, fill, tiny_card

RESOLUTION_M = 10.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", choices=["full", "small"], default="full")
    parser.add_argument("--level", choices=["patch", "token"], default="patch")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--repeats", type=int, default=3, help="rounds; the best of each counts")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    device = torch.device(args.device)
    config = full_size() if args.model == "full" else small()
    print_machine(device, args.threads)
    plain, half = (make(config, device) for _ in range(2))
    half.network.halve()
    generator = torch.Generator().manual_seed(0)
    side = config.image.input_px
    pixels = torch.randint(
        0, 256, (args.batch, 3, side, side), dtype=torch.uint8, generator=generator
    )
    told = metadata(args.batch)
    print(f"{args.model}, level {args.level}, batch {args.batch}, metadata, uint8 in, unit out")

    def ours(model: LoadedModel) -> Callable[[], Tensor]:
        return lambda: model.embed_patches(pixels, RESOLUTION_M, args.level, told)

    ways = {
        "plain fp32 eager": lambda: from_pixels(plain, pixels, told, args.level),
        "s2s_map fp32": ours(plain),
        "s2s_map bf16": ours(half),
    }
    with torch.inference_mode():
        rates = {dtype: matmul_rate(device, dtype) for dtype in (torch.float32, torch.bfloat16)}
        timings, found, peaks = time_ways(ways, args.repeats, device)
        print_ways(timings, found, peaks, args.batch, flops(config, args.level), rates)
        print_stages(half, pixels, told, args, device, config, rates[torch.bfloat16])
    if not fast_bf16(args.device):
        print("\nThis device has no fast bf16: `precision: auto` takes fp32 here.")


def from_pixels(model: LoadedModel, pixels: Tensor, told: Metadata, level: str) -> Tensor:
    """The plain way from uint8 on."""
    config = model.card.config
    mean, std = (
        torch.tensor(values, device=model.device).view(3, 1, 1)
        for values in (config.pixel_mean, config.pixel_std)
    )
    images = (pixels.to(model.device).float() / 255 - mean) / std
    resolution = torch.full((len(pixels),), RESOLUTION_M, device=model.device)
    return unit(embed_plain(model.network, images, resolution, told, level))


def time_ways(
    ways: dict[str, Callable[[], Tensor]], repeats: int, device: torch.device
) -> tuple[dict[str, float], dict[str, Tensor], dict[str, float]]:
    """Best seconds, result and peak memory (GB) of each way, timed in turn."""
    timings: dict[str, float] = {}
    peaks = {}
    found = {}
    # Least memory first: the peak of a process never falls.
    for name in reversed(ways):
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
        found[name] = ways[name]().cpu()
        peaks[name] = peak_gb(device)
    for _ in range(repeats):
        for name, way in ways.items():
            timings[name] = min(timings.get(name, 1e9), seconds(way, device))
    return timings, found, peaks


def print_ways(
    timings: dict[str, float],
    found: dict[str, Tensor],
    peaks: dict[str, float],
    batch: int,
    gflop: float,
    rates: dict[torch.dtype, float],
) -> None:
    exact = found["plain fp32 eager"]
    print(f"\n{'end to end':<18} patches/s   of plain  of matmul rate  peak GB  least cosine")
    for name, best in timings.items():
        rate = rates[torch.bfloat16 if name.endswith("bf16") else torch.float32]
        cosine = torch.cosine_similarity(found[name], exact, dim=-1).min()
        print(
            f"{name:<18} {batch / best:9.2f} {timings['plain fp32 eager'] / best:9.2f}x "
            f"{batch * gflop / best / rate:14.0%} {peaks[name]:9.2f}      {cosine:.5f}"
        )


def print_stages(
    model: LoadedModel,
    pixels: Tensor,
    told: Metadata,
    args: argparse.Namespace,
    device: torch.device,
    config: ModelConfig,
    rate: float,
) -> None:
    """Time the stages of the bf16 network one by one."""
    network: Sat2Sound = model.network
    images = torch.randn(pixels.shape, device=device)
    resolution = torch.full((len(pixels),), RESOLUTION_M, device=device)
    tokens = network.satmae_backbone.backbone(images, resolution)
    projected = network.satmae_backbone.projector(tokens)
    fused = network.fuse(projected, told)
    queries = network.fdt.query(fused, "image")
    work = stage_flops(config, args.level)
    stages: dict[str, Callable[[], object]] = {
        "backbone": lambda: network.satmae_backbone.backbone(images, resolution),
        "projector": lambda: network.satmae_backbone.projector(tokens),
        "fusion": lambda: network.fuse(projected, told),
        "query map": lambda: network.fdt.query(fused, "image"),
    }
    if args.level == "token":
        own = queries[:, : network.tokens_per_side**2]
        stages["codebook"] = lambda: network.fdt.per_token(own)
    else:
        scores = network.fdt.pooled_scores(queries)
        weights = network.fdt.weights(scores)
        stages["codebook"] = lambda: network.fdt.pooled_scores(queries)
        stages["sparsemax"] = lambda: network.fdt.weights(scores)
        stages["mix"] = lambda: network.fdt.mix(weights)
    print(f"\n{'stage, bf16':<18} ms/patch  GFLOP/patch  of matmul rate")
    for name, stage in stages.items():
        stage()
        best = min(seconds(stage, device) for _ in range(args.repeats)) / len(pixels)
        share = f"{work[name] / best / rate:14.0%}" if name in work else ""
        print(f"{name:<18} {best * 1e3:8.2f}  {work.get(name, 0):11.2f}  {share}")


def flops(config: ModelConfig, level: str) -> float:
    """GFLOP a patch of all matrix products; a multiplication with an addition counts two."""
    return sum(stage_flops(config, level).values())


def stage_flops(config: ModelConfig, level: str) -> dict[str, float]:
    """GFLOP a patch of the matrix products of each stage."""
    image = config.image
    count = image.tokens_per_side**2
    whole = count + len(config.metadata)
    dim, embed, codes = image.dim, config.embed_dim, config.codebook
    layer = count * (4 * dim * dim + 2 * dim * image.mlp_dim) + 2 * count * count * dim
    fusion = whole * (4 * embed * embed + 2 * embed * config.fusion.ff_dim)
    fusion += 2 * whole * whole * embed
    scores = codes.size * codes.dim
    macs = {
        "backbone": image.depth * layer + count * dim * 3 * image.patch_px**2,
        "projector": count * config.projector_dim * (dim + embed),
        "fusion": config.fusion.layers * fusion,
        "query map": whole * codes.dim * (embed + codes.dim),
        "codebook": 2 * count * scores if level == "token" else whole * scores,
    }
    return {name: 2 * value / 1e9 for name, value in macs.items()}


def matmul_rate(device: torch.device, dtype: torch.dtype) -> float:
    """GFLOP per second of the fastest large matrix product."""
    best = 0.0
    rows = 4096 if device.type == "cpu" else 16384
    for inner, outer in ((768, 3072), (3072, 768), (1024, 4096)):
        left = torch.randn(rows, inner, device=device).to(dtype)
        right = torch.randn(outer, inner, device=device).to(dtype)

        def multiply(left: Tensor = left, right: Tensor = right) -> Tensor:
            return torch.nn.functional.linear(left, right)

        multiply()
        least = min(seconds(multiply, device) for _ in range(5))
        best = max(best, 2e-9 * rows * inner * outer / least)
    return best


def seconds(work: Callable[[], object], device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    start = time.perf_counter()
    work()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - start


def peak_gb(device: torch.device) -> float:
    """Peak memory: of the device's allocator, or of the process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 1e9
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


def full_size() -> ModelConfig:
    return ModelConfig(metadata=METADATA_ORDER)


def small() -> ModelConfig:
    return TINY.model_copy(
        update={
            "metadata": METADATA_ORDER,
            "fusion": FusionConfig(layers=1, heads=2, ff_dim=48, field_hidden_dim=8),
            "codebook": CodebookConfig(size=512, dim=32, score_scale=100.0),
        }
    )


def make(config: ModelConfig, device: torch.device) -> LoadedModel:
    with torch.device("meta"):
        network = build_model(config)
    network = network.to_empty(device="cpu")
    fill(network)
    return LoadedModel(tiny_card("formula", config), network.to(device), Path())


def metadata(count: int) -> Metadata:
    """Everything known, different for each patch."""
    return encode_metadata(
        latitude=[47.0 + 0.01 * i for i in range(count)],
        longitude=[8.0 + 0.01 * i for i in range(count)],
        month=[1 + i % 12 for i in range(count)],
        hour=[i % 24 for i in range(count)],
        audio_source=["aporee"] * count,
        caption_source=["meta"] * count,
    )


def print_machine(device: torch.device, threads: int) -> None:
    name = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.is_file():
        lines = [line for line in info.read_text().splitlines() if line.startswith("model name")]
        name = lines[0].split(":", 1)[1].strip() if lines else name
    if device.type == "cuda":
        name = f"{torch.cuda.get_device_name(device)}; {name}"
    print(f"{name}, {threads} threads, load {os.getloadavg()[0]:.1f}, torch {torch.__version__}")


if __name__ == "__main__":
    main()
