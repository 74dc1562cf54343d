"""Attention under structured masks: time, TFLOP/s of visible pairs, and the baselines beside it.

    python benchmarks/attention.py --json attention.json --csv attention.csv     # GPU, bf16
    python benchmarks/attention.py --quick                                       # any machine

On CUDA: the triton and flex backends with the mask's metadata kept and built anew in the timed
region, SDPA with a dense mask, and causal SDPA over the same length as the floor. On CPU: the sdpa
backend against SDPA with a dense mask; flex is left out, since it has no backward there, and so is
triton, which is only interpreted. Every method's output and gradients are first checked against
the naive backend on the very inputs that are timed; if one is wrong, nothing is printed.
"""

from __future__ import annotations

import argparse
import csv
import json
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

import torch
from harness import describe_machine
from torch.nn.functional import scaled_dot_product_attention

from latentreason_kernels import Visibility, attention, layouts, visible_pairs
from latentreason_kernels.latent_blocks import ladir

Method = Callable[..., torch.Tensor]
HEADS = 16
TOKENS = 16384  # per step on a GPU: rows of the batch = TOKENS / L


@dataclass(frozen=True)
class Layout:
    """A named visibility of one row and how to build it anew."""

    name: str
    build: Callable[[int], Visibility]  # of the number of rows


@dataclass(frozen=True)
class Measurement:
    """One CSV row: a pass of a method on a layout, in milliseconds."""

    layout: str
    method: str
    work: str  # forward, backward, or mask (building it)
    batch: int
    length: int
    heads: int
    head_dim: int
    dtype: str
    visible_share: float
    ms_p20: float
    ms_median: float
    ms_p80: float
    tflops: float  # of visible pairs; 0 for mask
    of_floor: float  # TFLOP/s relative to causal SDPA's; 0 for mask


def _ladir(question: int, blocks: int, latents: int, copies: int) -> Layout:
    rows = [(question, [latents] * blocks, 40)]
    name = f"ladir n={question} B={blocks} N={latents} M={copies}"
    return Layout(name, lambda batch: ladir(rows * batch, copies))


def _diffusion(length: int, block: int) -> Layout:
    name = f"block diffusion L={length} block={block}"
    return Layout(name, lambda batch: layouts.block_diffusion(length, block, batch=batch))


def _causal(length: int) -> Layout:
    return Layout(f"causal L={length}", lambda batch: layouts.causal(length, batch=batch))


def example_lengths(length: int) -> list[int]:
    """Documents of GSM8K-like length (question and steps, 60..300 tokens) that fill a row."""
    generator = torch.Generator().manual_seed(0)
    lengths: list[int] = []
    while length:
        size = int(torch.randint(60, 300, (), generator=generator))
        lengths.append(min(size, length))
        length -= lengths[-1]
    return lengths


def _packed(length: int) -> Layout:
    lengths = example_lengths(length)
    name = f"packed L={length} documents={len(lengths)}"
    return Layout(name, lambda batch: layouts.packed_causal(lengths, length=length).expand(batch))


def chosen_layouts(cuda: bool, quick: bool) -> list[Layout]:
    """The layouts of the kernels' contract on CUDA; fewer and shorter ones on CPU or with quick."""
    if cuda and not quick:
        blocks = [(1000, 16, 16, 4), (100, 4, 4, 8), (2000, 16, 64, 2), (500, 8, 16, 4)]
        diffusion = [(4096, 32), (512, 4), (8192, 128), (2048, 32)]
        causal, packed = [2048, 512, 8192], [8192, 2048]
    else:
        blocks = [(100, 8, 4, 8)] if quick else [(100, 8, 4, 4), (100, 8, 4, 8), (300, 8, 16, 4)]
        diffusion = [(256, 16)] if quick else [(256, 16), (512, 32)]
        causal, packed = ([256], [512]) if quick else ([160, 512, 1024], [512, 1024])
    kinds = [
        [_causal(n) for n in causal],
        [_ladir(*shape) for shape in blocks],
        [_diffusion(*shape) for shape in diffusion],
        [_packed(n) for n in packed],
    ]
    # One of each kind first, so that a run that stops at its budget has seen them all.
    return [layout for turn in zip_longest(*kinds) for layout in turn if layout is not None]


def dense_sdpa(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, rule: Visibility) -> torch.Tensor:
    """SDPA with a boolean mask kept between calls: what a model without this package would do."""
    mask = rule.fact("benchmark_dense", lambda: rule.dense()[:, None])
    return scaled_dot_product_attention(q, k, v, attn_mask=mask)


def methods(cuda: bool) -> dict[str, Method]:
    """What is timed besides the floor; every one takes (q, k, v, visibility)."""
    names = ("triton", "flex") if cuda else ("sdpa",)
    own = {n: lambda q, k, v, r, n=n: attention(q, k, v, r, backend=n) for n in names}
    return {**own, "dense mask": dense_sdpa}


def check(name: str, method: Method, layout: Layout, tensors: list[torch.Tensor]) -> None:
    """Exits where output or gradients are off: error <= 2 x that of dense SDPA + 2 ulp."""
    q, k, v, d_out = tensors
    rule = layout.build(q.shape[0]).to(q.device)
    got = _outputs(method, (q, k, v), d_out, rule)
    head = [t[:1, :1].detach() for t in (q, k, v, d_out)]
    one = layout.build(1).to(q.device)
    plain = _outputs(dense_sdpa, head[:3], head[3], one)
    wide = [t.float() if t.dtype != torch.float32 else t.double() for t in head]

    def naive(*a: Any) -> torch.Tensor:
        return attention(*a, backend="naive")

    exact = _outputs(naive, wide[:3], wide[3], one)
    for part, mine, same_dtype, truth in zip(
        ("output", "dq", "dk", "dv"), got, plain, exact, strict=True
    ):
        error = (mine[:1, :1] - truth).abs().max().item()
        ulp = torch.finfo(q.dtype).eps * truth.abs().max().item()
        bound = 2 * (same_dtype - truth).abs().max().item() + 2 * ulp
        if not error <= bound:
            raise SystemExit(
                f"refused: {name} on {layout.name}: {part} is off by {error:.3g}, allowed is "
                f"{bound:.3g}; no timings are printed"
            )


def _outputs(
    method: Method, leaves: Any, d_out: torch.Tensor, rule: Visibility
) -> list[torch.Tensor]:
    q, k, v = (t.detach().requires_grad_() for t in leaves)
    out = method(q, k, v, rule)
    return [out.detach(), *torch.autograd.grad(out, (q, k, v), d_out)]


def milliseconds(work: Callable[[], Any], repeats: int, cuda: bool) -> tuple[float, float, float]:
    """p20, median and p80 of the time of `work`, after two untimed calls."""
    for _ in range(2):
        work()
    times = []
    for _ in range(repeats):
        if cuda:
            torch.cuda.synchronize()
        start = time.perf_counter()
        work()
        if cuda:
            torch.cuda.synchronize()
        times.append(1e3 * (time.perf_counter() - start))
    cuts = statistics.quantiles(times, n=10, method="inclusive")
    return cuts[1], statistics.median(times), cuts[7]


def passes(
    method: Method, tensors: list[torch.Tensor], rule: Visibility, repeats: int, cuda: bool
) -> Iterator[tuple[str, tuple[float, float, float]]]:
    """Forward and backward times of one method with its metadata kept."""
    d_out = tensors[3]
    leaves = [t.detach().requires_grad_() for t in tensors[:3]]
    # With gradients needed, as in training: flex then has one graph per shape to compile, not two.
    yield "forward", milliseconds(lambda: method(*leaves, rule), repeats, cuda)
    out = method(*leaves, rule)

    def backward() -> None:
        torch.autograd.grad(out, leaves, d_out, retain_graph=True)

    yield "backward", milliseconds(backward, repeats, cuda)


def masks(
    name: str, layout: Layout, tensors: list[torch.Tensor], repeats: int, cuda: bool
) -> tuple[float, float, float]:
    """Time to build a visibility and all that a method derives from it.

    The forward with a fresh visibility, less the forward with a kept one.
    """
    leaves = [t.detach().requires_grad_() for t in tensors[:3]]
    batch, method = leaves[0].shape[0], methods(cuda)[name]
    kept = layout.build(batch).to(leaves[0].device)

    def fresh() -> None:
        method(*leaves, layout.build(batch).to(leaves[0].device))

    low, middle, high = milliseconds(fresh, repeats, cuda)
    base = milliseconds(lambda: method(*leaves, kept), repeats, cuda)[1]
    return max(0.0, low - base), max(0.0, middle - base), max(0.0, high - base)


def measure(
    layout: Layout, dim: int, device: torch.device, repeats: int, seed: int
) -> list[Measurement]:
    """Checks, then times, every method on one layout."""
    cuda = device.type == "cuda"
    length = layout.build(1).shape[1]
    batch = max(1, TOKENS // length) if cuda else 1
    heads = HEADS if cuda else HEADS // 2
    dtype = torch.bfloat16 if cuda else torch.float32
    generator = torch.Generator().manual_seed(seed)
    shape = (batch, heads, length, dim)
    tensors = [torch.randn(shape, generator=generator).to(device, dtype) for _ in range(4)]
    for name, method in methods(cuda).items():
        check(name, method, layout, tensors)
    rule = layout.build(batch).to(device)
    pairs = int(visible_pairs(rule).sum())
    floor_rule = layouts.causal(length, batch=batch).to(device)
    floor: dict[str, float] = {}
    rows = []

    def add(method: str, work: str, times: tuple[float, float, float], seen: int) -> None:
        # A pair costs 4 D operations forward (two products) and 10 D backward (five).
        cost = {"forward": 4, "backward": 10, "mask": 0}[work] * dim * heads * seen
        tflops = cost / times[1] / 1e9 if times[1] else 0.0
        relative = tflops / floor.setdefault(work, tflops) if cost else 0.0
        size = (batch, length, heads, dim, str(dtype).removeprefix("torch."))
        share = seen / batch / length**2
        rows.append(Measurement(layout.name, method, work, *size, share, *times, tflops, relative))

    def causal_sdpa(q: Any, k: Any, v: Any, _: Visibility) -> torch.Tensor:
        return scaled_dot_product_attention(q, k, v, is_causal=True)

    for work, times in passes(causal_sdpa, tensors, floor_rule, repeats, cuda):
        add("causal floor", work, times, batch * length * (length + 1) // 2)
    for name, method in methods(cuda).items():
        for work, times in passes(method, tensors, rule, repeats, cuda):
            add(name, work, times, pairs)
        add(name, "mask", masks(name, layout, tensors, repeats, cuda), pairs)
    return rows


def figures_of(rows: list[Measurement], cuda: bool) -> dict[str, float]:
    """Flat ratios: how many times as fast as each baseline, per layout and head dim."""
    ours = "triton" if cuda else "sdpa"
    times = {(r.layout, r.head_dim, r.method, r.work): r.ms_median for r in rows}
    figures: dict[str, float] = {}
    for layout, dim in dict.fromkeys((r.layout, r.head_dim) for r in rows):
        for other in ("flex", "dense mask") if cuda else ("dense mask",):

            def total(method: str, *works: str, at: Any = (layout, dim)) -> float:
                return sum(times[(*at, method, work)] for work in works)

            key = f"{layout} D={dim} speedup over {other}"
            for label, works in (
                ("forward", ("forward",)),
                ("forward+backward", ("forward", "backward")),
                ("forward+backward+mask", ("forward", "backward", "mask")),
            ):
                figures[f"{key}, {label}"] = total(other, *works) / total(ours, *works)
    return figures


def print_table(rows: list[Measurement]) -> None:
    """One line per measurement."""
    print(f"{'layout':<34} {'D':>3} {'method':<12} {'pass':<8} {'ms p20':>9} {'median':>9} "
          f"{'p80':>9} {'TFLOP/s':>8} {'of floor':>8}")  # fmt: skip
    for r in rows:
        print(
            f"{r.layout:<34} {r.head_dim:>3} {r.method:<12} {r.work:<8} {r.ms_p20:>9.3f} "
            f"{r.ms_median:>9.3f} {r.ms_p80:>9.3f} {r.tflops:>8.3f} {r.of_floor:>8.2f}"
        )


def main(arguments: list[str] | None = None) -> int:
    """Command line entry."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", metavar="FILE", help="write the figures to FILE")
    parser.add_argument("--csv", metavar="FILE", help="write one row per measurement to FILE")
    parser.add_argument("--quick", action="store_true", help="few small shapes")
    parser.add_argument("--device", choices=("cuda", "cpu"), help="by default cuda where there is")
    parser.add_argument("--repeats", type=int, help="timed calls (30 on CUDA, 7 on CPU)")
    parser.add_argument("--budget", type=float, help="seconds after which no shape is begun")
    parser.add_argument("--seed", type=int, default=0, help="of the random inputs")
    parser.add_argument("--tune", action="store_true", help="let triton tune its tiles first")
    options = parser.parse_args(arguments)
    device = torch.device(options.device or ("cuda" if torch.cuda.is_available() else "cpu"))
    cuda = device.type == "cuda"
    if options.tune:
        from latentreason_kernels.triton_ops.tuning import set_tuning

        set_tuning(True)
    repeats = options.repeats or ((10 if options.quick else 30) if cuda else 7)
    rows: list[Measurement] = []
    left_out = []
    start = time.monotonic()
    for dim in (128, 64) if cuda else (64,):
        for layout in chosen_layouts(cuda, options.quick):
            if options.budget is not None and rows and time.monotonic() - start > options.budget:
                left_out.append(f"{layout.name} D={dim}")
                continue
            rows += measure(layout, dim, device, repeats, options.seed)
    print_table(rows)
    if left_out:
        print(f"not measured within {options.budget} s: {'; '.join(left_out)}")
    figures = figures_of(rows, cuda)
    for name, value in figures.items():
        print(f"{name}: {value:.2f}")
    machine = {**describe_machine(), "device": device.type, "threads": torch.get_num_threads()}
    run = {
        "repeats": repeats,
        "seed": options.seed,
        "tuned": options.tune,
        "quick": options.quick,
        "not_measured": len(left_out),
    }
    if options.csv:
        write_csv(options.csv, rows, {**machine, **run})
    if options.json:
        record = {**figures, **machine, **run, "rows": [asdict(row) for row in rows]}
        Path(options.json).write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    return 0


def write_csv(path: str, rows: list[Measurement], beside: dict[str, Any]) -> None:
    """One row per measurement, with machine and versions in every row."""
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, [*asdict(rows[0]), *beside])
        writer.writeheader()
        writer.writerows({**asdict(row), **beside} for row in rows)


if __name__ == "__main__":
    sys.exit(main())
