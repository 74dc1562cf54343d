"""The typed recipe: what a YAML file and `key=value` words on the command line may say.

The `method` section is typed by the method that it names (`latentreason.registry`); everything else
is typed here. `latentreason.recipes` reads files into a `Recipe`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass
class TokenizerConfig:
    """Which tokenizer.

    Attributes:
        name: hub name or directory; None takes the model's own, or trains one (`kind`).
        kind: "word" (whitespace and punctuation) or "bpe" (byte level), trained on the train split.
        vocab_size: upper bound for a trained tokenizer, in entries.
    """

    name: str | None = None
    kind: str = "bpe"
    vocab_size: int = 4096


@dataclass
class LoraConfig:
    """Low-rank adapters through peft; `rank` 0 trains the whole backbone."""

    rank: int = 0
    alpha: float = 32.0
    dropout: float = 0.0
    targets: list[str] | None = None


@dataclass
class ModelConfig:
    """The backbone.

    Attributes:
        name: hub name or directory of a causal LM, or a latentreason checkpoint (its backbone is
            taken, its vocabulary with it). None builds one from `config`.
        revision: hub revision of `name`.
        config: keyword arguments of the Hugging Face config, with `model_type`; with `name`, these
            override single values of the loaded config (dropout, say). Where
            `tie_word_embeddings: true` makes one table of two, it is that of the inputs.
        dtype: "float32", "bfloat16" or "float16": how the weights are held.
        attn_implementation: "sdpa", "eager", "flash_attention_2" or "latentreason".
        tokenizer: see `TokenizerConfig`.
        lora: see `LoraConfig`.
    """

    name: str | None = None
    revision: str | None = None
    config: dict[str, Any] = field(default_factory=dict)
    dtype: str = "float32"
    attn_implementation: str = "sdpa"
    tokenizer: TokenizerConfig = field(default_factory=TokenizerConfig)
    lora: LoraConfig = field(default_factory=LoraConfig)


@dataclass
class SplitConfig:
    """Where one split comes from: exactly one of `reader` and `generator`.

    Attributes:
        reader: name of a file format (`latentreason ls`), or "datasets" for hub names.
        file: path of the file, absolute or below `data.root`; for "datasets" a hub name or directory.
        generator: name of a seeded generator (`latentreason ls`).
        size: examples to generate, or at most to read; None reads all.
        seed: the generator's seed.
        options: the reader's or generator's own options; unknown ones are errors.
        augment: of the train split: draw each example anew every time it is seen, "edge_order" or
            "node_labels" (symbolic graphs).
    """

    reader: str | None = None
    file: str | None = None
    generator: str | None = None
    size: int | None = None
    seed: int = 0
    options: dict[str, Any] = field(default_factory=dict)
    augment: str | None = None


@dataclass
class DataConfig:
    """The splits. `root` (else LATENTREASON_DATA) is where relative files lie."""

    root: str | None = None
    train: SplitConfig = field(default_factory=SplitConfig)
    valid: SplitConfig | None = None
    test: SplitConfig | None = None


@dataclass
class OptimConfig:
    """AdamW and its schedule.

    Attributes:
        lr: peak learning rate.
        schedule: "constant", "linear" or "cosine" decay to `min_lr` over all planned steps.
        warmup: optimizer steps of linear warm-up.
        clip: largest gradient norm; None does not clip.
        reset: when the optimizer state is thrown away: "never", "stage" or "epoch".
    """

    lr: float = 1e-4
    weight_decay: float = 0.01
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    schedule: str = "constant"
    min_lr: float = 0.0
    warmup: int = 0
    clip: float | None = None
    reset: str = "never"


@dataclass
class PhaseConfig:
    """One stretch of training.

    Attributes:
        stage: the method's stage, or a range "0-5" that stands for one phase per stage.
        epochs: length in passes over the train split; exactly one of `epochs` and `steps`.
        steps: length in optimizer steps.
        until_loss: end early, once the mean loss of the last `window` steps is below.
        window: steps over which `until_loss` averages.
        lr: learning rate of this phase; None takes `optim.lr`.
    """

    stage: Any = 0
    epochs: float | None = None
    steps: int | None = None
    until_loss: float | None = None
    window: int = 20
    lr: float | None = None


@dataclass
class TrainConfig:
    """The loop.

    Attributes:
        phases: what is trained, in order.
        batch_size: examples per optimizer step, over all ranks and accumulation steps.
        micro_batch_size: examples per forward on one rank; None is batch_size / ranks.
        precision: "fp32" or "bf16" (autocast).
        activation_checkpointing: recompute each pass in the backward.
        strategy: "ddp" or "deepspeed".
        deepspeed: a DeepSpeed JSON file, or "zero1" or "zero2"; None takes "zero2".
        num_workers: processes that lay out batches; 0 does it in the main process.
        log_every: optimizer steps between lines of metrics.jsonl.
        save_every: optimizer steps between checkpoints, or "epoch"; None saves at the end of each phase.
        keep_last: checkpoints kept besides the best.
        max_steps: stop after so many optimizer steps in all (for tests and trials).
        ema: decay of an exponential moving average of the weights, which is then what is validated
            and saved; None has no average.
        compile: torch.compile the model with this backend ("inductor", "aot_eager", "eager"); each
            number of thoughts is compiled by itself.
        length_window: optimizer steps whose examples are sorted by length (characters) before they
            are cut into batches, which then come in random order; None draws batches at random.
    """

    phases: list[PhaseConfig] = field(default_factory=lambda: [PhaseConfig(epochs=1)])
    batch_size: int = 32
    micro_batch_size: int | None = None
    precision: str = "fp32"
    activation_checkpointing: bool = False
    strategy: str = "ddp"
    deepspeed: str | None = None
    num_workers: int = 0
    log_every: int = 10
    save_every: int | str | None = None
    keep_last: int = 1
    max_steps: int | None = None
    ema: float | None = None
    compile: str | None = None
    length_window: int | None = None


@dataclass
class EvalConfig:
    """Validation during training, by generation on the `valid` split.

    Attributes:
        every: optimizer steps between validations, or "epoch"; None validates at the end of each
            phase.
        limit: questions used; None uses all.
        batch_size: questions per generate call.
        max_new_tokens: most visible tokens per answer; None takes the method's.
        match: how an answer is compared with the gold one: the name of an answer rule.
    """

    every: int | str | None = None
    limit: int | None = 500
    batch_size: int = 64
    max_new_tokens: int | None = None
    match: str = "text"


@dataclass
class RunConfig:
    """The run folder and what is written besides.

    Attributes:
        name: name of the run; the folder is `root`/`name`.
        seed: initialisation, data order, layouts, dropout.
        resume: "auto" goes on from the last complete checkpoint in the folder, "never" refuses a
            folder that has one.
        loggers: any of "tensorboard" and "wandb"; metrics.jsonl is always written.
    """

    name: str = "run"
    root: str = "runs"
    seed: int = 0
    resume: str = "auto"
    loggers: list[str] = field(default_factory=list)


@dataclass
class Recipe:
    """A whole experiment; sections in the order in which recipe files list them."""

    method: Any = None
    model: ModelConfig = field(default_factory=ModelConfig)
    data: DataConfig = field(default_factory=DataConfig)
    optim: OptimConfig = field(default_factory=OptimConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    eval: EvalConfig = field(default_factory=EvalConfig)
    run: RunConfig = field(default_factory=RunConfig)
