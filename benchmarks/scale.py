"""The engine at work: overhead, growth, workers, and against what people do otherwise.

    python benchmarks/scale.py                      # all parts, about 15 minutes on 2 quiet cores
    python benchmarks/scale.py overhead growth      # some
    python benchmarks/scale.py --small              # do the parts work at all

A synthetic country in Sentinel-2's geometry (10 m, patches of 2,560 m at 224 px), one patch a
cell, and an encoder that takes one core and as long as is asked for (synthetic.py). Engine times
are those of worker processes that run and have imported what they need; starting them is shown.
The others' times start after their imports, too (elsewhere.py).
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path

from elsewhere import Elsewhere, dask_seconds, torchgeo_seconds
from engine import Measured, Region, bare_seconds, measure, ratio
from synthetic import on_python_path, set_cost, write_country
from tiling import print_machine

BLOCK_M = 20_480


def main() -> None:
    """Run the parts that were asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("parts", nargs="*", help=f"of {', '.join(PARTS)}; all if left out")
    parser.add_argument("--cost-ms", type=float, default=5.0, help="encoder, milliseconds a patch")
    parser.add_argument("--small", action="store_true", help="a few seconds a part, figures void")
    parser.add_argument("--folder", type=Path, help="for the scenes (2 GB) and stores")
    args = parser.parse_args()
    unknown = set(args.parts) - set(PARTS)
    if unknown:
        parser.error(f"no part {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    on_python_path()
    print_machine()
    with tempfile.TemporaryDirectory(dir=args.folder) as folder:
        side = 4 * BLOCK_M if args.small else 8 * BLOCK_M
        write_country(Path(folder), side)
        for name in args.parts or PARTS:
            print(f"\n== {name}", flush=True)
            PARTS[name](Path(folder), args.cost_ms, args.small)


def overhead(folder: Path, cost_ms: float, small: bool) -> None:
    """Time the engine at two workers against the bare work of two processes."""
    set_cost(cost_ms)
    region = Region(folder, BLOCK_M * (2 if small else 3), block_cells=16)
    bare = bare_seconds(region, 2)
    engine = measure(region, 2)
    _print_engine(f"engine, 2 workers, encoder of {cost_ms:g} ms", engine)
    alone = bare / region.patches * 1000
    print(
        f"  {'uint8 blocks to embeddings, 2 processes':<44} {bare:7.1f} s {alone:8.3f} ms a patch"
    )
    over = engine.seconds / bare - 1
    _target("engine over bare work", f"{over:+.1%}", "<= +10 %", over <= 0.10)
    print(
        f"  reading {engine.read_s / engine.patches * 1000:.3f} ms and writing "
        f"{engine.write_s / engine.patches * 1000:.3f} ms a patch and core, beside the encoder"
    )


def growth(folder: Path, cost_ms: float, small: bool) -> None:
    """Embed 1, 4 and 16 times an area whose blocks fill the workers' caches of chunks."""
    del cost_ms
    set_cost(1.0)
    sides = [BLOCK_M * n for n in ((1, 2, 4) if small else (4, 8, 16))]
    folder = folder / "growth"
    write_country(folder, sides[-1])
    found = [measure(Region(folder, side), 2) for side in sides]
    for times, one in zip((1, 4, 16), found, strict=True):
        _print_engine(f"{times:>2} x the area", one)
    for name, values in (
        ("time a patch", [one.ms for one in found]),
        ("peak memory of a worker", [one.worker_mb for one in found]),
        ("peak memory of client and scheduler", [one.client_mb for one in found]),
    ):
        _target(name, f"varies by {ratio(values) - 1:.1%}", "<= 10 %", ratio(values) <= 1.10)


def workers(folder: Path, cost_ms: float, small: bool) -> None:
    """Compare two worker processes with one."""
    set_cost(cost_ms)
    region = Region(folder, BLOCK_M * (1 if small else 2), block_cells=8)
    one, two = measure(region, 1), measure(region, 2)
    _print_engine("1 worker", one)
    _print_engine("2 workers", two)
    bare = bare_seconds(region, 1) / bare_seconds(region, 2)
    gain = one.seconds / two.seconds
    print(f"  the same work without the engine, two processes over one: {bare:.2f} x")
    _target("two workers over one", f"{gain:.2f} x", ">= 1.8 x", gain >= 1.8)


def against(folder: Path, cost_ms: float, small: bool) -> None:
    """Compare with torchgeo patch by patch and dask.array, at three overlaps, two costs."""
    del cost_ms
    for cost in (2.0, 0.0):
        set_cost(cost)
        print(
            f"  encoder of {cost:g} ms; theirs in memory / written to a Zarr, ours stored durably:"
        )
        for stride in (2560, 1280, 640):
            blocks = 2 if small else {2560: 8, 1280: 6, 640: 2 if cost else 4}[stride]
            region = Region(folder, BLOCK_M * blocks, stride, BLOCK_M // stride)
            ours = measure(region, 2)
            alone, loaders = (torchgeo_seconds(region, n) for n in (0, 2))
            dasks = dask_seconds(region, 2)
            print(
                f"    overlap {1 - stride / 2560:4.0%}, {region.patches:6d} patches: "
                f"ours {ours.seconds:.2f} s, torchgeo {_both(alone)} (2 loaders {_both(loaders)}), "
                f"dask.array {_both(dasks)}",
                flush=True,
            )
            torchgeo = min(alone.memory_s, loaders.memory_s) / ours.seconds
            best = min(torchgeo, dasks.memory_s / ours.seconds)
            _target("    the faster of both over ours", f"{best:.2f} x", ">= 1 x", best >= 1)
            if stride == 640:
                _target(
                    "    torchgeo's best over ours", f"{torchgeo:.2f} x", ">= 3 x", torchgeo >= 3
                )


PARTS: dict[str, Callable[[Path, float, bool], None]] = {
    "overhead": overhead,
    "growth": growth,
    "workers": workers,
    "against": against,
}


def _print_engine(name: str, one: Measured) -> None:
    print(
        f"  {name:<44} {one.seconds:7.1f} s {one.ms:8.3f} ms a patch; {one.patches} patches, "
        f"{one.blocks} blocks, start {one.start_s:.1f} s, encoder idle {one.idle:.0%}, "
        f"peak {one.worker_mb:.0f} MB a worker, {one.client_mb:.0f} MB client",
        flush=True,
    )


def _both(one: Elsewhere) -> str:
    return f"{one.memory_s:.2f} / {one.zarr_s:.2f} s"


def _target(name: str, found: str, target: str, met: bool) -> None:
    print(f"  {name:<44} {found}, target {target}: {'met' if met else 'NOT MET'}", flush=True)


if __name__ == "__main__":
    main()
