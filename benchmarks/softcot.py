"""SoftCoT++'s training step: with the assistant's states read from disk, and with many chains.

python benchmarks/softcot.py --json results.json

cached_step_speedup: a step that runs the assistant over one that reads its states from the mapped
file; both collate, go forward and backward over the same batch, and have to come to the same loss and
gradients. In turns, in CPU seconds of one thread, medians; with one chain, and with four. Weights are
random; the assistant has about an eighth of the LLM's, as 1B beside 8B.

assistant_forwards_in_cached_step: calls of the assistant's decoder in such a step, by a hook that has
to see them in the other.

peak_memory_ratio_n10: the most bytes alive in a cached step of ten chains over those of one chain. On
the CPU every allocation and release that torch's allocator reports to its profiler counts, from the
collation to the end of the backward: batch, thoughts, InfoNCE, activations, workspaces, gradients; the
two models' weights lie there before and do not count. With CUDA it is max_memory_allocated above what
was allocated before. plain_sum_peak_memory_ratio_n10 is the same where the chains' losses are added up
and go backward together.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from harness import describe_machine, in_turns, print_figures, write_json
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from latentreason.config import ModelConfig
from latentreason.data.example import Example
from latentreason.methods.softcot import model as method
from latentreason.methods.softcot.model import Model
from latentreason.methods.softcot.prompt import SoftPromptConfig
from latentreason.methods.softcot.settings import Settings

QUESTION, TARGET, THOUGHTS = 60, 28, 32
WORDS = 500
EXAMPLES, ROWS = 32, 2
DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")


def build_tokenizer() -> PreTrainedTokenizerFast:
    """A vocabulary of words, each a token."""
    names = ["<unknown>", "<end>", *(f"w{i}" for i in range(2, WORDS)), "###"]
    words = Tokenizer(models.WordLevel({n: i for i, n in enumerate(names)}, unk_token="<unknown>"))
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(
        tokenizer_object=words, eos_token="<end>", pad_token="<end>", unk_token="<unknown>"
    )


def build_base(layers: int, width: int) -> LlamaForCausalLM:
    """A Llama with random weights."""
    config = LlamaConfig(
        vocab_size=WORDS + 1, num_hidden_layers=layers, hidden_size=width, bos_token_id=1,
        intermediate_size=11 * width // 4, num_attention_heads=width // 32, eos_token_id=1,
        num_key_value_heads=width // 64, max_position_embeddings=512, pad_token_id=1,
    )  # fmt: skip
    return LlamaForCausalLM(config)


def build_model(folder: Path, base: LlamaForCausalLM, chains: int) -> Model:
    """A SoftCoT++ model on `base` and the assistant in `folder`."""
    settings = Settings(
        name="softcot", assistant=ModelConfig(name=str(folder)), num_thoughts=THOUGHTS,
        num_chains=chains, initial_ids=list(range(2, 2 + chains)),
        prompt=SoftPromptConfig(chat_template=False),
    )  # fmt: skip
    settings.check("benchmark")
    torch.manual_seed(0)
    return Model.create(settings, base, build_tokenizer()).to(DEVICE).train()


def examples() -> list[Example]:
    """Questions and targets of GSM8K-like lengths."""
    rng = np.random.default_rng(0)

    def words(count: int) -> str:
        return " ".join(f"w{word}" for word in rng.integers(2, WORDS, count))

    return [
        Example(words(QUESTION + int(rng.integers(-20, 21))), (words(TARGET),), words(1), {})
        for _ in range(EXAMPLES)
    ]


def layouts(model: Model, items: list[Example]) -> list[Any]:
    """Laid out as the model's state asks for: with assistant prompts, or without."""
    return [model.layout(item, 0, np.random.default_rng(n)) for n, item in enumerate(items)]


class Steps:
    """Training steps of one model, with and without the file of states."""

    def __init__(self, model: Model, items: list[Example], root: Path) -> None:
        self.model = model
        self.laid_out = {False: layouts(model, items)}
        recipe: Any = SimpleNamespace(
            data=SimpleNamespace(train=SimpleNamespace(augment=None)),
            run=SimpleNamespace(root=str(root)),
        )
        accelerator = SimpleNamespace(device=DEVICE)
        rank = SimpleNamespace(main=True, barrier=lambda: None, accelerator=accelerator)
        model.prepare(recipe, items, rank)
        self.store = model._store
        self.laid_out[True] = layouts(model, items)

    def run(self, cached: bool, first: int = 0) -> dict[str, torch.Tensor]:
        """Collate, forward, backward over ROWS examples; the loss and the gradients."""
        index = list(range(first, first + ROWS))
        model, rows = self.model, self.laid_out[cached][first : first + ROWS]
        model._store = self.store if cached else None
        batch = {
            key: value.to(DEVICE) if torch.is_tensor(value) else value
            for key, value in model.collate(rows, index).items()
        }
        terms = {name: term for name, term in model(batch).items() if term[1] is not None}
        loss = sum(weight * total / batch["counts"][n] for n, (total, weight) in terms.items())
        assert torch.is_tensor(loss)
        loss.backward()
        found = {"loss": loss.detach(), "gradient": model.projection.weight.grad}
        model.zero_grad()
        if DEVICE.type == "cuda":
            torch.cuda.synchronize()
        return found  # type: ignore[return-value]

    def check(self) -> None:
        """End the program unless both ways come to the same."""
        ours, theirs = (self.run(cached, EXAMPLES // 2) for cached in (True, False))
        for name in ours:
            size = theirs[name].abs().max().item()
            if not torch.allclose(ours[name], theirs[name], rtol=1e-4, atol=1e-4 * size):
                raise SystemExit(f"cached and computed states: {name} differs")

    def assistant_forwards(self, cached: bool) -> int:
        """Calls of the assistant's decoder in a step."""
        calls: list[int] = []
        hook = self.model.assistant_lm.base_model.register_forward_hook(lambda *_: calls.append(1))
        self.run(cached)
        hook.remove()
        return len(calls)

    def seconds(self, repeats: int) -> tuple[float, float]:
        """Of a step that runs the assistant, and of one that reads."""
        firsts = {False: 0, True: 0}

        def step(cached: bool) -> None:
            firsts[cached] = (firsts[cached] + ROWS) % EXAMPLES
            self.run(cached, firsts[cached])

        computed, read = in_turns(repeats, lambda: step(False), lambda: step(True))
        return computed, read

    def peak_bytes(self) -> int:
        """Most bytes alive in a cached step, above what was there before it."""
        self.run(True)
        return peak_bytes(lambda: self.run(True))


def peak_bytes(function: Callable[[], Any]) -> int:
    """Most bytes alive while `function` runs, above those before."""
    if DEVICE.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        function()
        return torch.cuda.max_memory_allocated() - before
    with torch.profiler.profile(profile_memory=True) as profile:
        function()
    results = profile.profiler.kineto_results  # type: ignore[union-attr]
    events = [event for event in results.events() if event.name() == "[memory]"]
    sizes = [event.nbytes() for event in sorted(events, key=lambda event: event.start_ns())]
    return int(np.cumsum(sizes).max())


@contextmanager
def plain_sum() -> Iterator[None]:
    """All chains' graphs held at once."""
    ours = method.sum_over_chains
    method.sum_over_chains = lambda loss, thoughts, _: sum(loss(chain) for chain in thoughts)  # type: ignore
    try:
        yield
    finally:
        method.sum_over_chains = ours


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", help="write the figures to this file")
    parser.add_argument("--quick", action="store_true", help="tiny shapes, for tests")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    llm, reader = ((2, 64), (1, 64)) if options.quick else ((8, 512), (4, 256))
    base, items, steps = build_base(*llm), examples(), {}
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        assistant = build_base(*reader)
        assistant.save_pretrained(root / "assistant")
        build_tokenizer().save_pretrained(root / "assistant")
        for chains in (1, 4, 10):
            steps[chains] = Steps(build_model(root / "assistant", base, chains), items, root)
        figures = measure(steps, quick=options.quick)
    print_figures(figures)
    if options.json:
        sizes = {"rows": ROWS, "question": QUESTION, "thoughts": THOUGHTS, "target": TARGET,
                 "layers": llm[0], "width": llm[1], "assistant_layers": reader[0],
                 "assistant_width": reader[1], "parameters": base.num_parameters(),
                 "assistant_parameters": assistant.num_parameters(),
                 "threads": options.threads, "device": DEVICE.type}  # fmt: skip
        write_json(options.json, figures | sizes | describe_machine())


def measure(steps: dict[int, Steps], quick: bool) -> dict[str, Any]:
    """All figures, from steps by number of chains."""
    for made in steps.values():
        made.check()
    if steps[4].assistant_forwards(cached=False) == 0:
        raise SystemExit("the hook does not see the assistant: nothing to count")
    computed, read = steps[1].seconds(2 if quick else 9)
    computed_4, read_4 = steps[4].seconds(2 if quick else 3)
    one, ten = (steps[chains].peak_bytes() for chains in (1, 10))
    with plain_sum():
        one_plain, ten_plain = (steps[chains].peak_bytes() for chains in (1, 10))
    return {
        "cached_step_speedup": computed / read,
        "cached_step_seconds": read,
        "computed_step_seconds": computed,
        "cached_step_speedup_n4": computed_4 / read_4,
        "cached_step_seconds_n4": read_4,
        "computed_step_seconds_n4": computed_4,
        "assistant_forwards_in_cached_step": steps[4].assistant_forwards(cached=True),
        "peak_memory_ratio_n10": ten / one,
        "peak_memory_mb_n1": one / 1e6,
        "peak_memory_mb_n10": ten / 1e6,
        "plain_sum_peak_memory_ratio_n10": ten_plain / one_plain,
        "plain_sum_peak_memory_mb_n10": ten_plain / 1e6,
    }


if __name__ == "__main__":
    main()
