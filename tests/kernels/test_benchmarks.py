"""The benchmark scripts run, check before they print, and write the figures they promise."""

import csv
import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).resolve().parents[2]


def _run(script, *arguments, **environment):
    path = os.pathsep.join([str(ROOT), str(ROOT / "kernels"), os.environ.get("PYTHONPATH", "")])
    return subprocess.run(
        [sys.executable, str(ROOT / "benchmarks" / script), *arguments],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": path, **environment},
    )


@pytest.fixture
def attention_benchmark(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    spec = importlib.util.spec_from_file_location(
        "attention_benchmark", ROOT / "benchmarks" / "attention.py"
    )
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


def test_attention_benchmark_writes_a_row_per_measurement(tmp_path):
    files = tmp_path / "a.json", tmp_path / "a.csv"
    options = ("--quick", "--device", "cpu", "--repeats", "2")
    done = _run("attention.py", *options, "--json", str(files[0]), "--csv", str(files[1]))
    assert done.returncode == 0, done.stderr
    record = json.loads(files[0].read_text())
    with files[1].open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(record["rows"]) == 4 * (2 + 2 * 3)
    assert {"layout", "ms_p20", "ms_median", "ms_p80", "gpu", "torch"} <= rows[0].keys()
    assert record["device"] == "cpu"


def test_attention_benchmark_refuses_to_print_when_a_result_is_wrong(
    attention_benchmark, monkeypatch, capsys
):
    def wrong(q, k, v, rule):
        return attention_benchmark.attention(q, k, v, rule, backend="sdpa") * 1.01

    monkeypatch.setattr(attention_benchmark, "methods", lambda cuda: {"wrong": wrong})
    with pytest.raises(SystemExit, match="refused: wrong on causal L=256: output is off"):
        attention_benchmark.main(["--quick", "--device", "cpu"])
    assert capsys.readouterr().out == ""


def test_attention_benchmark_refuses_nan(attention_benchmark, monkeypatch):
    def poisoned(q, k, v, rule):
        return attention_benchmark.attention(q, k, v, rule, backend="sdpa") * float("nan")

    monkeypatch.setattr(attention_benchmark, "methods", lambda cuda: {"poisoned": poisoned})
    with pytest.raises(SystemExit, match="refused"):
        attention_benchmark.main(["--quick", "--device", "cpu"])


def test_compile_report_compiles_for_hopper_without_a_gpu(tmp_path):
    pytest.importorskip("triton")
    file = tmp_path / "c.json"
    done = _run("compile_report.py", "--quick", "--json", str(file))
    assert done.returncode == 0, done.stderr
    record = json.loads(file.read_text())
    assert record["variants"] >= 8
    assert record["forward_spills_d128"] == 0
    assert record["variants_without_mma"] == 0
    assert 0 < record["max_shared_kb"] <= 227
    assert {row["kernel"] for row in record["rows"]} == {
        "forward", "decode", "query_gradient", "key_gradient",
    }  # fmt: skip


def test_softcot_benchmark_writes_what_the_acceptance_check_reads(tmp_path):
    file = tmp_path / "s.json"
    done = _run("softcot.py", "--quick", "--json", str(file))
    assert done.returncode == 0, done.stderr
    record = json.loads(file.read_text())
    assert record["cached_step_speedup"] > 0
    assert record["assistant_forwards_in_cached_step"] == 0
    assert record["peak_memory_ratio_n10"] < 3 < 6 < record["plain_sum_peak_memory_ratio_n10"]
    assert record["cached_step_speedup_n4"] > 0


def test_example_lengths_fill_the_row(attention_benchmark):
    lengths = attention_benchmark.example_lengths(2048)
    assert sum(lengths) == 2048
    assert max(lengths) < 300


def test_gpu_script_wants_a_folder():
    done = subprocess.run(
        ["bash", str(ROOT / "benchmarks" / "run_gpu.sh")], capture_output=True, text=True
    )
    assert done.returncode == 2
    assert "OUTDIR" in done.stderr


def test_tuning_is_off_unless_asked_for():
    pytest.importorskip("triton")
    from latentreason_kernels.triton_ops import configs, tuning

    q = torch.zeros(1, 1, 8, 64, dtype=torch.bfloat16)
    default = configs.candidates("forward", 64, torch.bfloat16)[0]
    assert tuning.choose("forward", q, q, lambda c: pytest.fail("timed")) == default
    pinned = configs.candidates("forward", 64, torch.bfloat16)[1]
    tuning.pin("forward", pinned)
    assert tuning.choose("forward", q, q, lambda c: None) == pinned
    tuning.pin("forward", None)
    assert tuning.choose("forward", q, q, lambda c: None) == default
