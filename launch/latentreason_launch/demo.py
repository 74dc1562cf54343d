"""Train No-CoT, CoT, pause-as-thought and Coconut on state tracking and print the table.

python -m latentreason_launch.demo --out runs/demo

Two processes of one thread each train and score the four recipes `demo/*` on held-out generated
questions; results go to OUT/results.json.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

METHODS = ("no_cot", "cot", "pause", "coconut")
BENCHMARK = "state_tracking"
FIELDS = ("accuracy", "ci_low", "ci_high", "n", "tokens", "thoughts", "seconds_per_question")


def main() -> None:
    """Train, score, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", default="runs/demo")
    parser.add_argument("--only", choices=METHODS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    out = Path(options.out)
    if options.only:
        _train_and_score(options.only, out)
        return
    out.mkdir(parents=True, exist_ok=True)
    # The longest first, so that the two processes end together.
    with ThreadPoolExecutor(max_workers=2) as pool:
        codes = list(pool.map(lambda method: _start(method, out), reversed(METHODS)))
    if any(codes):
        sys.exit(f"demo: a method failed; see {out}/*.log")
    rows = [json.loads((out / f"{method}.json").read_text()) for method in METHODS]
    (out / "results.json").write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    _print(rows, out)


def _start(method: str, out: Path) -> int:
    """Run one method in a process of its own; its output goes to OUT/METHOD.log."""
    print(f"{method}: training, log in {out / method}.log", flush=True)
    command = [
        sys.executable,
        "-m",
        "latentreason_launch.demo",
        "--out",
        str(out),
        "--only",
        method,
    ]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    with (out / f"{method}.log").open("w", encoding="utf-8") as log:
        code = subprocess.run(
            command, stdout=log, stderr=log, env=environment, check=False
        ).returncode
    print(f"{method}: {'done' if code == 0 else f'failed with exit code {code}'}", flush=True)
    return code


def _train_and_score(method: str, out: Path) -> None:
    from latentreason.data import load_split, write_examples
    from latentreason.recipes import load_recipe
    from latentreason_eval.api import evaluate
    from latentreason_launch.training import train_recipe

    recipe = load_recipe(f"demo/{method}", [f"run.root={out}", f"run.name={method}"])
    result = train_recipe(recipe)
    assert recipe.data.test is not None
    questions = load_split(recipe.data.test)
    file = out / method / "test.json"
    write_examples(questions, file)
    summary = evaluate(
        str(result.checkpoint),
        BENCHMARK,
        data=str(file),
        batch_size=250,
        out=out / method / "eval",
        show_progress=False,
    )
    row: dict[str, Any] = {
        "method": method,
        "checkpoint": str(result.checkpoint),
        "example_prompt": questions[0].question,
        "example_answer": questions[0].answer,
        "steps": result.state.step,
    }
    row |= {field: summary[field] for field in FIELDS}
    (out / f"{method}.json").write_text(json.dumps(row) + "\n", encoding="utf-8")


def _print(rows: list[dict[str, Any]], out: Path) -> None:
    from latentreason_launch.tables import print_table

    print()
    print_table(rows, ("method", *FIELDS, "steps"))
    example = rows[-1]
    print(f"\nresults: {out / 'results.json'}")
    print("ask the model and look at its thoughts:")
    print(
        f"  .venv/bin/latentreason generate {example['checkpoint']} --show-thoughts "
        f'--prompt "{example["example_prompt"]}"   # {example["example_answer"]}'
    )


if __name__ == "__main__":
    main()
