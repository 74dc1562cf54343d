"""A benchmark: what its YAML file says, typed. No data is read here and nothing heavy imported."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from importlib import resources
from pathlib import Path
from typing import Any

import yaml

from latentreason.errors import UserError, check_choice, nearest
from latentreason_eval.extraction.chain import Chain, default_chain
from latentreason_eval.metrics.headline import METRICS
from latentreason_eval.rules import AnswerRule
from latentreason_eval.verification.registry import build_verifier


@dataclass(frozen=True)
class BenchmarkSplit:
    """One split: a file, or a seeded generator.

    Attributes:
        file: path below the data root.
        url: the file's official address, pinned to a commit where there is one.
        sha256: of the whole file; None where the official file was not at hand.
        n: examples after exclusions, where known; a file with another hash may have others.
        generator: name of a generator of `latentreason.data` instead of a file.
        size: examples to generate.
        seed: the generator's seed.
        reader: the file's reader, where it is not the benchmark's.
        options: of the reader or generator; they override the benchmark's.
        exclude: ids of defective rows, with the reason.
    """

    file: str | None = None
    url: str | None = None
    sha256: str | None = None
    n: int | None = None
    generator: str | None = None
    size: int | None = None
    seed: int = 0
    reader: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    exclude: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Benchmark:
    """A benchmark as its YAML describes it.

    Attributes:
        name: what `--benchmark` says.
        title: one line on what is asked.
        version: raised whenever a change moves scores.
        source: the official address.
        licence: of the data.
        splits: the splits by name.
        default_split: the split that is scored where none is named.
        answer: kind of answer (`extraction.kinds.KINDS`).
        extract: where the answer is looked for, in order (`extraction.places.PLACES`).
        verify: the verifier's name.
        verify_options: its options.
        metric: the headline figure (`summary.METRICS`); it is the summary's `score`.
        reader: name of the file format.
        options: the reader's options.
        keep: keys of `Example.meta` that the verifier needs; they go into every record.
        baselines: shortcut baselines that are reported beside every score.
        note: what to know before quoting a number.
    """

    name: str
    title: str
    version: int
    source: str
    licence: str
    splits: Mapping[str, BenchmarkSplit]
    default_split: str
    answer: str
    verify: str
    extract: tuple[str, ...] = ()
    verify_options: Mapping[str, Any] = field(default_factory=dict)
    metric: str = "accuracy"
    reader: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    keep: tuple[str, ...] = ()
    baselines: tuple[str, ...] = ()
    note: str = ""

    def chain(self) -> Chain:
        """Return the extraction chain."""
        return Chain(self.answer, self.extract) if self.extract else default_chain(self.answer)

    def rule(self) -> AnswerRule:
        """Return the benchmark's own answer rule."""
        return AnswerRule(self.name, self.chain(), build_verifier(self.verify, self.verify_options))

    def split(self, name: str | None) -> tuple[str, BenchmarkSplit]:
        """Return the split called `name`, or the default one.

        Raises:
            UserError: there is none of this name.
        """
        name = name or self.default_split
        check_choice(f"split of {self.name}", name, self.splits)
        return name, self.splits[name]


def benchmark_names() -> list[str]:
    """Return the names of all benchmarks, sorted."""
    return sorted(_all())


def find_benchmark(name: str) -> Benchmark:
    """Return the benchmark called `name`, or the one that the YAML file `name` describes.

    Raises:
        UserError: no benchmark has this name; the message gives the nearest.
    """
    if name.endswith((".yaml", ".yml")) and Path(name).is_file():
        found = list(read_benchmarks(Path(name).read_text(encoding="utf-8"), name))
        if len(found) == 1:
            return found[0]
        raise UserError(f"benchmark: {name} describes {len(found)} benchmarks; give one")
    known = _all()
    if name not in known:
        raise UserError(
            f'benchmark: "{name}" is not known{nearest(name, known)}; '
            "`latentreason ls` prints the names, a path to a YAML file is taken too"
        )
    return known[name]


def read_benchmarks(text: str, where: str) -> list[Benchmark]:
    """Return the benchmarks that one YAML text describes: one, or one per entry of `members`.

    Args:
        text: the YAML.
        where: its name, for messages.

    Raises:
        UserError: a key is missing, unknown or of the wrong kind.
    """
    try:
        tree = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise UserError(f"{where}: not YAML: {str(error).splitlines()[0]}") from error
    if not isinstance(tree, dict):
        raise UserError(f"{where}: a benchmark file holds one mapping")
    members = tree.pop("members", None)
    if members is None:
        return [_benchmark(tree, where)]
    common, family = dict(tree), tree.get("name")
    return [
        _benchmark(common | dict(own or {}) | {"name": f"{family}_{member}"}, where)
        for member, own in members.items()
    ]


@functools.cache
def _all() -> dict[str, Benchmark]:
    folder = resources.files("latentreason_eval.benchmarks")
    found: dict[str, Benchmark] = {}
    for item in sorted(folder.iterdir(), key=lambda entry: entry.name):
        if item.name.endswith(".yaml"):
            for benchmark in read_benchmarks(item.read_text(encoding="utf-8"), item.name):
                found[benchmark.name] = benchmark
    return found


def _benchmark(tree: dict[str, Any], where: str) -> Benchmark:
    splits = {
        name: _build(BenchmarkSplit, own or {}, f"{where}: splits.{name}")
        for name, own in (tree.get("splits") or {}).items()
    }
    if not splits:
        raise UserError(f"{where}: a benchmark needs at least one split")
    values = dict(tree) | {"splits": splits}
    values.setdefault("default_split", next(iter(splits)))
    for name in ("extract", "keep", "baselines"):
        values[name] = tuple(values.get(name) or ())
    benchmark: Benchmark = _build(Benchmark, values, where)
    check_choice(f"{where}: metric", benchmark.metric, METRICS)
    benchmark.split(None)
    benchmark.rule()
    return benchmark


def _build(kind: type, values: Mapping[str, Any], where: str) -> Any:
    names = [item.name for item in fields(kind)]
    for key in values:
        check_choice(f"{where}: key", str(key), names)
    try:
        return kind(**values)
    except TypeError as error:
        raise UserError(f"{where}: {str(error).split('__init__() ')[-1]}") from error
