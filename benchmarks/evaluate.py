"""The evaluator's two figures: how much batching gains, and how little it costs itself.

python benchmarks/evaluate.py --json results.json

batched_speedup: seconds for 500 questions at batch 1 over seconds in batches, with a tiny Coconut
model, both through the whole runner and with cached decoding. overhead_share: share of the seconds
of `evaluate` that are not spent in `generate`, with a model of GPT-2 small's shape.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from harness import describe_machine, print_figures, write_json

from latentreason.backbones import build_backbone
from latentreason.config import ModelConfig, TokenizerConfig
from latentreason.registry import model_class, settings_class
from latentreason_eval.api import evaluate

TINY = {"model_type": "gpt2", "n_layer": 2, "n_head": 2, "n_embd": 64, "n_positions": 256}
SMALL = {"model_type": "gpt2", "vocab_size": 50257}
WORDS = 400
QUESTION_WORDS, THOUGHTS, NEW_TOKENS = 40, 3, 16
BATCH = 128


class Timed:
    """A model whose `generate` adds up its own seconds."""

    def __init__(self, model: Any) -> None:
        self.model = model
        self.seconds = 0.0

    def __getattr__(self, name: str) -> Any:
        return getattr(self.model, name)

    def generate(self, *args: Any, **kwargs: Any) -> Any:
        """Generate and count the seconds."""
        begin = time.perf_counter()
        try:
            return self.model.generate(*args, **kwargs)
        finally:
            self.seconds += time.perf_counter() - begin


def build_model(shape: dict[str, Any]) -> Any:
    """A Coconut model with random weights over the words of the questions."""
    torch.manual_seed(0)
    config = ModelConfig(config=shape, tokenizer=TokenizerConfig(kind="word", vocab_size=WORDS + 8))
    backbone, tokenizer = build_backbone(config, [" ".join(f"w{n}" for n in range(WORDS))])
    if "vocab_size" in shape:
        # The whole head is computed, as with a real vocabulary.
        backbone.resize_token_embeddings(shape["vocab_size"], mean_resizing=False)
    settings = settings_class("coconut")(name="coconut", max_stage=THOUGHTS)
    model = model_class("coconut").create(settings, backbone, tokenizer)
    model.set_stage(THOUGHTS)
    return model.eval()


def write_questions(path: Path, count: int, words: int) -> None:
    """Questions of about `words` words, in the generic schema."""
    rng = random.Random(0)
    rows = [
        {
            "question": " ".join(
                f"w{rng.randrange(WORDS)}" for _ in range(rng.randint(words // 2, words))
            ),
            "steps": [],
            "answer": f"w{rng.randrange(WORDS)}",
        }
        for _ in range(count)
    ]
    path.write_text(json.dumps(rows), encoding="utf-8")


def score(model: Any, data: Path, out: Path, batch_size: int) -> tuple[float, list[str]]:
    """Evaluate; return the seconds in all and the outputs."""
    begin = time.perf_counter()
    evaluate(
        "random weights",
        "state_tracking",
        data=str(data),
        out=out,
        batch_size=batch_size,
        max_new_tokens=NEW_TOKENS,
        model=model,
        show_progress=False,
        measure_latency=False,
    )
    seconds = time.perf_counter() - begin
    lines = (out / "records.jsonl").read_text(encoding="utf-8").splitlines()
    return seconds, [json.loads(line)["text"] for line in lines]


def batched_speedup(folder: Path, quick: bool) -> dict[str, Any]:
    """500 questions at batch 1 against batches; the outputs have to be the same."""
    count = 60 if quick else 500
    data = folder / "tiny.json"
    write_questions(data, count, QUESTION_WORDS)
    model = build_model(TINY)
    score(model, data, folder / "warm", BATCH)
    batched = [score(model, data, folder / f"batch{n}", BATCH) for n in range(3)]
    single, outputs = score(model, data, folder / "single", 1)
    if outputs != batched[0][1]:
        raise SystemExit("evaluate: batched and single outputs differ; the ratio means nothing")
    seconds = statistics.median(seconds for seconds, _ in batched)
    return {
        "questions": count,
        "batch_size": BATCH,
        "single_seconds": single,
        "batched_seconds": seconds,
        "batched_speedup": single / seconds,
    }


def overhead_share(folder: Path, quick: bool) -> dict[str, Any]:
    """The evaluator's own share around a model of GPT-2 small's shape."""
    data = folder / "small.json"
    write_questions(data, 8 if quick else 32, 120)
    model = Timed(build_model(TINY if quick else SMALL))
    total, _ = score(model, data, folder / "small", 16)
    return {
        "overhead_questions": 8 if quick else 32,
        "evaluate_seconds": total,
        "generate_seconds": model.seconds,
        "overhead_share": (total - model.seconds) / total,
    }


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", help="write the figures to this file")
    parser.add_argument("--quick", action="store_true", help="tiny shapes, for tests")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        figures = overhead_share(folder, arguments.quick)
        figures |= batched_speedup(folder, arguments.quick)
    print_figures(figures)
    if arguments.json:
        write_json(arguments.json, figures | {"quick": arguments.quick} | describe_machine())


if __name__ == "__main__":
    main()
