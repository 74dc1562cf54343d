"""Compiles the Triton kernels for sm_90, without a GPU, and reports what each variant costs.

    python benchmarks/compile_report.py --json compile.json     # every variant
    python benchmarks/compile_report.py --quick                 # two per kernel, D = 64, bf16

Per variant: registers per thread, spilled bytes, shared memory, tensor-core instructions in the
PTX. Registers and spills come from the cubin (Triton's bundled cuobjdump), shared memory from
Triton's metadata. A variant is one entry of the lists that tuning picks from, at one head dim and
dtype (bf16, fp16). fp32 has one configuration per head dim that is never tuned, in full precision
on the ordinary cores; it is compiled at D = 64 and 128 and listed, with figures of its own.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

# The interpreter replaces the kernels by Python functions that cannot be compiled.
os.environ.pop("TRITON_INTERPRET", None)

import torch
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from latentreason_kernels.triton_ops import backward, configs, decode, forward
from latentreason_kernels.triton_ops.configs import Config, padded_dim

TARGET = GPUTarget("cuda", 90, 32)
HEAD_DIMS = (32, 64, 80, 96, 128, 256)
FP32_DIMS = (64, 128)
DTYPES = {torch.bfloat16: "bf16", torch.float16: "fp16", torch.float32: "fp32"}
KERNELS = {
    "forward": forward.forward_kernel,
    "decode": decode.decode_kernel,
    "query_gradient": backward.query_gradient_kernel,
    "key_gradient": backward.key_gradient_kernel,
}
IN_DTYPE = {"q", "k", "v", "out", "d_out", "dq", "dk", "dv"}
IN_INT32 = {"q_codes", "k_codes", "q_summary", "k_summary"}


@dataclass(frozen=True)
class Variant:
    """One kernel with one configuration at one head dim and dtype."""

    kernel: str
    dim: int
    dtype: str
    config: Config


@dataclass(frozen=True)
class Cost:
    """What a variant costs on sm_90: registers and spills per thread, shared memory per block."""

    registers: int
    spill_bytes: int
    shared_kb: float
    wgmma: int
    mma: int
    loops_pipelined: int


def variants(quick: bool) -> Iterator[Variant]:
    """Every variant that tuning may pick, and the fp32 ones; quick: two per kernel at D = 64."""
    dims = (64,) if quick else HEAD_DIMS
    dtypes = (torch.bfloat16,) if quick else tuple(DTYPES)
    for kernel in configs.KERNELS:
        for dim in dims:
            for dtype in dtypes:
                if dtype == torch.float32 and dim not in FP32_DIMS:
                    continue
                options = configs.candidates(kernel, dim, dtype)
                if kernel == "decode":
                    rows = configs.DECODE_ROWS
                    options = tuple(replace(c, block_q=size) for c in options for size in rows)
                for config in options if not quick else options[:2]:
                    yield Variant(kernel, dim, DTYPES[dtype], config)


def compile_variant(variant: Variant) -> Cost:
    """Compiles one variant with the argument types and alignments of an ordinary launch."""
    kernel, config = KERNELS[variant.kernel], variant.config
    constants: dict[str, Any] = {
        "DIM": variant.dim,
        "BLOCK_D": padded_dim(variant.dim),
        "BLOCK_Q": config.block_q,
        "BLOCK_K": config.block_k,
        "PRECISION": "ieee" if variant.dtype == "fp32" else "tf32",
    }
    signature, attributes = {}, {}
    for position, name in enumerate(kernel.arg_names):
        signature[name] = _type_of(name, variant.dtype, constants)
        if signature[name].startswith("*") or re.fullmatch(r"\w+_(s[bhl]|width)", name):
            attributes[(position,)] = [["tt.divisibility", 16]]
    source = ASTSource(kernel, signature, constants, attributes)
    options = {
        "num_warps": config.warps,
        "num_stages": config.stages,
        "enable_fp_fusion": True,
    }
    return _cost(triton.compile(source, target=TARGET, options=options))


def _type_of(name: str, dtype: str, constants: dict[str, Any]) -> str:
    if name in constants:
        return "constexpr"
    if name in IN_DTYPE:
        return f"*{dtype}"
    if name in IN_INT32:
        return "*i32"
    if name == "scale":
        return "fp32"
    return "*fp32" if name in {"lse", "delta", "part_out", "part_lse"} else "i32"


def _cost(compiled: Any) -> Cost:
    ptx = compiled.asm["ptx"]
    usage = _resource_usage(compiled.asm["cubin"])
    return Cost(
        registers=usage["REG"],
        spill_bytes=usage["STACK"] + usage["LOCAL"],
        shared_kb=round(compiled.metadata.shared / 1024, 1),
        wgmma=len(re.findall(r"wgmma\.mma_async", ptx)),
        mma=len(re.findall(r"\bmma\.sync", ptx)),
        loops_pipelined=len(re.findall(r"cp\.async\.wait_group", ptx)),
    )


def _resource_usage(cubin: bytes) -> dict[str, int]:
    tool = Path(triton.__file__).parent / "backends" / "nvidia" / "bin" / "cuobjdump"
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(cubin)
        file.flush()
        command = [str(tool), "--dump-resource-usage", file.name]
        text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    found = {key: int(value) for key, value in re.findall(r"(REG|STACK|LOCAL):(\d+)", text)}
    if not {"REG", "STACK", "LOCAL"} <= found.keys():
        raise RuntimeError(f"cuobjdump gave no resource usage: {text[:300]!r}")
    return found


def report(quick: bool) -> dict[str, Any]:
    """Compiles, prints the table, returns the flat figures."""
    todo = list(variants(quick))
    columns = "kernel dim dtype q x k warps stages | regs spill shared_KB wgmma mma"
    print(columns, flush=True)
    rows = []
    with ThreadPoolExecutor(max_workers=int(os.environ.get("COMPILE_JOBS", "1"))) as pool:
        for variant, cost in zip(todo, pool.map(compile_variant, todo), strict=True):
            c = variant.config
            shape = f"{c.block_q}x{c.block_k}"
            print(
                f"{variant.kernel:15} {variant.dim:4} {variant.dtype} {shape:8} {c.warps:2} "
                f"{c.stages:2} | {cost.registers:4} {cost.spill_bytes:5} {cost.shared_kb:7.1f} "
                f"{cost.wgmma:4} {cost.mma:4}",
                flush=True,
            )
            flat = {k: v for k, v in asdict(variant).items() if k != "config"}
            rows.append({**flat, **asdict(c), **asdict(cost)})
    return _figures(rows, quick)


def _figures(rows: list[dict[str, Any]], quick: bool) -> dict[str, Any]:
    tuned = [row for row in rows if row["dtype"] != "fp32"]
    single = [row for row in rows if row["dtype"] == "fp32"]

    def spilling(some: list[dict[str, Any]], kernels: tuple[str, ...]) -> int:
        chosen = [row for row in some if row["kernel"] in kernels and row["dim"] <= 128]
        return sum(row["spill_bytes"] > 0 for row in chosen)

    forwards, backwards = ("forward", "decode"), ("query_gradient", "key_gradient")
    return {
        "variants": len(tuned),
        "forward_spills_d128": spilling(tuned, forwards),
        "backward_spills_d128": spilling(tuned, backwards),
        "variants_fp32": len(single),
        "forward_spills_fp32": spilling(single, forwards),
        "max_shared_kb": max(row["shared_kb"] for row in rows),
        "max_registers": max(row["registers"] for row in rows),
        "variants_without_mma": sum(row["wgmma"] + row["mma"] == 0 for row in tuned),
        "variants_with_wgmma": sum(row["wgmma"] > 0 for row in tuned),
        "target": "sm_90",
        "head_dims": sorted({row["dim"] for row in rows}),
        "quick": quick,
        "triton": triton.__version__,
        "torch": torch.__version__,
        "python": platform.python_version(),
        "machine": f"{platform.machine()}, {os.cpu_count()} CPUs, no GPU needed",
        "rows": rows,
    }


def main(arguments: list[str] | None = None) -> int:
    """Command line entry; 0 where every variant compiled."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", metavar="FILE", help="write the figures to FILE")
    parser.add_argument("--quick", action="store_true", help="bf16, D = 64, two per kernel")
    options = parser.parse_args(arguments)
    figures = report(options.quick)
    for name in ("variants", "forward_spills_d128", "max_shared_kb", "variants_without_mma"):
        print(f"{name}: {figures[name]}")
    if options.json:
        Path(options.json).write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
