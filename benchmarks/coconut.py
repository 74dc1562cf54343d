"""Coconut's two ratios: a training step against a plain LM step, batched against one-by-one answers.

python benchmarks/coconut.py --json results.json

Both sides of a ratio are measured in this run, in turns, in CPU seconds of one thread, so that the
neighbours on a shared machine do not count; the ratio is that of the medians. Shapes are GPT-2 small's
unless --quick.
"""

from __future__ import annotations

import argparse
from typing import Any

import torch
from harness import describe_machine, in_turns, print_figures, write_json
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

from latentreason.columns import IGNORED, Row, cross_entropy_sum
from latentreason.methods.coconut.generate import think
from latentreason.methods.coconut.model import Model
from latentreason.methods.coconut.settings import Settings

QUESTION, THOUGHTS, TARGET = 120, 6, 30
QUESTIONS, NEW_TOKENS = 64, 16


def build_model(quick: bool) -> Model:
    """A Coconut model of GPT-2 small's shape with random weights, dropout off."""
    names = ["<unknown>", "<end>", *(f"w{i}" for i in range(2, 500 if quick else 50257))]
    vocabulary = {name: i for i, name in enumerate(names)}
    words = Tokenizer(models.WordLevel(vocabulary, unk_token="<unknown>"))
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=words, eos_token="<end>", pad_token="<end>", unk_token="<unknown>"
    )
    shape = {"n_layer": 2, "n_embd": 64, "n_head": 2} if quick else {}
    config = GPT2Config(
        vocab_size=len(vocabulary),
        bos_token_id=1,
        eos_token_id=1,
        resid_pdrop=0.0,
        embd_pdrop=0.0,
        attn_pdrop=0.0,
        **shape,
    )
    model = Model.create(
        Settings(name="coconut", max_stage=THOUGHTS), GPT2LMHeadModel(config), tokenizer
    )
    model.set_stage(THOUGHTS)
    return model


def training_batch(model: Model, rows: int) -> dict[str, Any]:
    """Rows of question, begin, thoughts, end, target."""
    config = model.config
    generator = torch.Generator().manual_seed(0)
    layouts = []
    for _ in range(rows):
        ids = torch.randint(2, 500, (QUESTION + TARGET,), generator=generator).tolist()
        before = [*ids[:QUESTION], config.start_latent_token_id]
        slots = [config.latent_token_id] * THOUGHTS
        after, target = [config.end_latent_token_id], ids[QUESTION:]
        labels = [IGNORED] * (len(before) + THOUGHTS + 1) + target
        layouts.append(Row([*before, *slots, *after, *target], labels, len(before), THOUGHTS))
    return model.collate(layouts, list(range(rows)))


def latent_step(model: Model, batch: dict[str, Any]) -> None:
    """Forward and backward with thoughts."""
    model(batch)["answer"][0].backward()
    model.zero_grad()


def plain_step(model: Model, batch: dict[str, Any]) -> None:
    """Forward and backward of the same rows as an ordinary LM, head on the same columns."""
    hidden = model.decoder(
        inputs_embeds=model.embed(batch["input_ids"]), use_cache=False
    ).last_hidden_state
    cross_entropy_sum(hidden, batch["labels"], model.logits).backward()
    model.zero_grad()


@torch.no_grad()
def generate_one_by_one(model: Model, question: list[int]) -> list[int]:
    """One question; every token runs the whole sequence again (the released code's way)."""
    config = model.config
    before = [*question, config.start_latent_token_id]
    thoughts = think(model, [question], THOUGHTS)
    head = model.embed(torch.tensor([before]))
    end = model.embed(torch.tensor([[config.end_latent_token_id]]))
    embeds = torch.cat([head, thoughts, end], 1)
    written: list[int] = []
    for _ in range(NEW_TOKENS):
        logits = model.logits(model.decoder(inputs_embeds=embeds).last_hidden_state[:, -1])
        logits[:, config.marker_ids] = float("-inf")
        written.append(int(logits.argmax()))
        embeds = torch.cat([embeds, model.embed(torch.tensor([written[-1:]]))], 1)
    return written


def measure_training(model: Model, rows: int, repeats: int) -> tuple[float, float]:
    """Seconds of a latent and a plain step over `rows` rows."""
    batch = training_batch(model, rows)
    model.train()
    latent, plain = in_turns(
        repeats, lambda: latent_step(model, batch), lambda: plain_step(model, batch)
    )
    return latent, plain


def measure_generation(model: Model, questions: int, slow: int) -> tuple[float, float]:
    """Seconds per question, batched and one by one; the latter over `slow` of the questions."""
    generator = torch.Generator().manual_seed(1)
    ids = torch.randint(2, 500, (questions, QUESTION), generator=generator)
    prompts = [" ".join(f"w{token}" for token in row) for row in ids.tolist()]
    # No row may end early: both sides write NEW_TOKENS tokens.
    model.tokenizer.eos_token_id = model.config.latent_token_id
    model.eval()
    answers: list[Any] = []

    def batched() -> None:
        answers[:] = model.generate(prompts, max_new_tokens=NEW_TOKENS)

    def singly() -> None:
        for row, answer in zip(ids[:slow].tolist(), answers, strict=False):
            if generate_one_by_one(model, row) != answer.token_ids:
                raise SystemExit("batched and one-by-one answers differ: nothing to compare")

    fast, slow_seconds = in_turns(2, batched, singly)
    return fast / questions, slow_seconds / slow


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", help="write the figures to this file")
    parser.add_argument("--quick", action="store_true", help="tiny shapes, for tests")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    model = build_model(options.quick)
    repeats = 2 if options.quick else 3
    latent, plain = measure_training(model, 16, repeats)
    latent_4, plain_4 = measure_training(model, 4, repeats)
    fast, slow = measure_generation(
        model, 8 if options.quick else QUESTIONS, 2 if options.quick else 4
    )
    figures = {
        "train_step_ratio": latent / plain,
        "train_step_seconds": latent,
        "plain_step_seconds": plain,
        "train_step_ratio_4_rows": latent_4 / plain_4,
        "generate_speedup": slow / fast,
        "generate_seconds_per_question": fast,
        "one_by_one_seconds_per_question": slow,
    }
    shape = {"rows": 16, "question": QUESTION, "thoughts": THOUGHTS, "target": TARGET,
             "questions": QUESTIONS, "new_tokens": NEW_TOKENS, "layers": model.causal_lm.config.n_layer,
             "width": model.causal_lm.config.n_embd, "threads": options.threads}  # fmt: skip
    print_figures(figures)
    if options.json:
        write_json(options.json, figures | shape | describe_machine())


if __name__ == "__main__":
    main()
