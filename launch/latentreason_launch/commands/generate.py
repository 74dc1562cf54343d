"""Answer a question with a checkpoint, and look at its thoughts."""

from __future__ import annotations

import argparse


def add(parser: argparse.ArgumentParser) -> None:
    """Arguments of `latentreason generate`."""
    parser.add_argument("checkpoint", help="checkpoint or run folder, or any causal LM")
    parser.add_argument("--prompt", required=True, help="the question")
    parser.add_argument("--num-thoughts", type=int, help="default: the checkpoint's")
    parser.add_argument("--thought-mode", default="normal")
    parser.add_argument("--show-thoughts", action="store_true", help="top words of each thought")
    parser.add_argument("--max-new-tokens", type=int)
    parser.add_argument("--num-samples", type=int, default=1)
    parser.add_argument("--temperature", type=float, default=0.0)
    parser.add_argument("--top-p", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device")


def run(arguments: argparse.Namespace) -> None:
    """Generate and print."""
    import latentreason
    from latentreason.probes import top_words

    model = latentreason.load(arguments.checkpoint, device=arguments.device)
    generations = model.generate(
        [arguments.prompt],
        num_thoughts=arguments.num_thoughts,
        thought_mode=arguments.thought_mode,
        max_new_tokens=arguments.max_new_tokens,
        num_samples=arguments.num_samples,
        temperature=arguments.temperature,
        top_p=arguments.top_p,
        seed=arguments.seed,
        return_thoughts=arguments.show_thoughts,
    )
    if arguments.show_thoughts:
        for number, words in enumerate(top_words(model, generations[0].readable_thoughts), 1):
            print(f"thought {number}: " + ", ".join(f"{word!r} {p:.2f}" for word, p in words))
    for generation in generations:
        print(generation.text)
