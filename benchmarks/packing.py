"""Tokens per second that packing gains on examples as long as GSM8K's.

python benchmarks/packing.py --json results.json

Question lengths are drawn from a normal distribution clipped to 20..200 tokens, targets from 10..80,
which is what GSM8k-Aug's look like under GPT-2's tokenizer. Both sides train the same examples in
turns; a token counts once, padding does not count.
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np
import torch
from harness import describe_machine, in_turns, print_figures, write_json
from transformers import GPT2Config, GPT2LMHeadModel

from latentreason.backbones.load import register_attention
from latentreason.columns import IGNORED, Row, align, cross_entropy_sum
from latentreason.methods.text.packing import pack, visibility


def examples(count: int, seed: int) -> list[Row]:
    """Rows of GSM8K-like lengths."""
    rng = np.random.default_rng(seed)
    rows = []
    for _ in range(count):
        question = int(np.clip(rng.normal(60, 25), 20, 200))
        target = int(np.clip(rng.normal(28, 14), 10, 80))
        ids = rng.integers(2, 500, question + target).tolist()
        rows.append(Row(ids, [IGNORED] * question + ids[question:]))
    return rows


def padded_step(model: Any, batch: dict[str, Any]) -> torch.Tensor:
    """Forward and backward of the padded batch."""
    hidden = model.transformer(
        input_ids=batch["input_ids"],
        attention_mask=batch["attention_mask"],
        position_ids=batch["position_ids"],
        use_cache=False,
    ).last_hidden_state
    loss = cross_entropy_sum(hidden, batch["labels"], model.lm_head)
    loss.backward()
    model.zero_grad()
    return loss.detach()


def packed_step(model: Any, batch: dict[str, Any]) -> torch.Tensor:
    """Forward and backward of the packed batch."""
    hidden = model.transformer(
        input_ids=batch["input_ids"],
        position_ids=batch["position_ids"],
        use_cache=False,
        visibility=visibility(batch["documents"], batch["position_ids"]),
    ).last_hidden_state
    loss = cross_entropy_sum(hidden, batch["labels"], model.lm_head)
    loss.backward()
    model.zero_grad()
    return loss.detach()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", help="write the figures to this file")
    parser.add_argument("--quick", action="store_true", help="tiny shapes, for tests")
    parser.add_argument("--examples", type=int, default=32)
    parser.add_argument("--pack-length", type=int, default=512)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    register_attention()
    shape = {"n_layer": 2, "n_embd": 64, "n_head": 2} if options.quick else {"n_layer": 4}
    config = GPT2Config(
        vocab_size=512, resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0, bos_token_id=1,
        eos_token_id=1, **shape,
    )  # fmt: skip
    model = GPT2LMHeadModel(config)
    rows = examples(options.examples, 0)
    index = list(range(len(rows)))
    padded, packed = align(rows, index, 1), pack(rows, index, options.pack_length, 1)

    def step_padded() -> torch.Tensor:
        model.set_attn_implementation("sdpa")
        return padded_step(model, padded)

    def step_packed() -> torch.Tensor:
        model.set_attn_implementation("latentreason")
        return packed_step(model, packed)

    if not torch.allclose(step_padded(), step_packed(), rtol=1e-4):
        raise SystemExit("packed and padded losses differ: nothing to compare")
    plain, quick = in_turns(2 if options.quick else 5, step_padded, step_packed)
    tokens = packed["num_tokens"]
    figures = {
        "packing_speedup": plain / quick,
        "padded_tokens_per_second": tokens / plain,
        "packed_tokens_per_second": tokens / quick,
        "padded_share_of_padding": 1 - tokens / padded["input_ids"].numel(),
        "packed_share_of_padding": 1 - tokens / packed["input_ids"].numel(),
    }
    print_figures(figures)
    if options.json:
        sizes = {"examples": options.examples, "pack_length": options.pack_length,
                 "layers": config.n_layer, "width": config.n_embd, "threads": options.threads}  # fmt: skip
        write_json(options.json, figures | sizes | describe_machine())


if __name__ == "__main__":
    main()
