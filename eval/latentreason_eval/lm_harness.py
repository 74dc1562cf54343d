"""lm-evaluation-harness runs our models as `--model latentreason`.

    python -m latentreason_eval.lm_harness --model latentreason \\
        --model_args pretrained=runs/demo/coconut --tasks gsm8k

takes the harness's own arguments; in Python, importing this module registers the model. The method
renders its prompt around the harness's context, as everywhere else.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from latentreason.errors import UserError

try:
    from lm_eval.api.instance import Instance
    from lm_eval.api.model import LM
    from lm_eval.api.registry import register_model
except ImportError as error:
    raise UserError(
        'lm-evaluation-harness is not installed: pip install "latentreason[eval]"'
    ) from error

MAX_NEW_TOKENS = 256


@register_model("latentreason")
class LatentReasonLM(LM):
    """A latentreason checkpoint, or any causal LM, for the harness.

    `generate_until` works for every method. `loglikelihood` works where it is defined: for models
    without thoughts, and for methods that have `log_likelihoods`; others refuse.
    """

    def __init__(
        self,
        pretrained: str = "",
        batch_size: int | str = 32,
        max_batch_size: int | None = None,
        device: str | None = None,
        dtype: str | None = None,
        num_thoughts: int | None = None,
        thought_mode: str = "normal",
        seed: int = 0,
        model: Any | None = None,
    ) -> None:
        super().__init__()
        if not pretrained and model is None:
            raise UserError("model_args: give pretrained=DIR, a checkpoint directory")
        if str(batch_size).startswith("auto"):
            batch_size = 32
        if int(batch_size) < 1:
            raise UserError(f"batch_size: {batch_size} is too small; give 1 or more")
        if model is None:
            import latentreason

            model = latentreason.load(pretrained, device=_available(device), dtype=dtype)
        self.model: Any = model
        self.batch_size = int(batch_size)
        self.num_thoughts = num_thoughts
        self.thought_mode = thought_mode
        self.seed = seed

    def generate_until(self, requests: list[Instance], disable_tqdm: bool = False) -> list[str]:
        """Answer contexts; requests with the same arguments share batches of similar length."""
        answers = [""] * len(requests)
        groups: dict[tuple[Any, ...], list[int]] = {}
        for index, request in enumerate(requests):
            groups.setdefault(_generation_key(request.args[1]), []).append(index)
        for key, indices in groups.items():
            max_new_tokens, temperature, top_p, until = key
            indices.sort(key=lambda i: -len(requests[i].args[0]))
            for start in range(0, len(indices), self.batch_size):
                batch = indices[start : start + self.batch_size]
                generations = self.model.generate(
                    [requests[i].args[0] for i in batch],
                    ids=batch,
                    num_thoughts=self.num_thoughts,
                    thought_mode=self.thought_mode,
                    max_new_tokens=max_new_tokens,
                    temperature=temperature,
                    top_p=top_p,
                    seed=self.seed,
                )
                for index, generation in zip(batch, generations, strict=True):
                    answers[index] = _cut(generation.text, until)
        return answers

    def loglikelihood(
        self, requests: list[Instance], disable_tqdm: bool = False
    ) -> list[tuple[float, bool]]:
        """Return (log-likelihood in nats, whether greedy decoding writes it) of continuations.

        Raises:
            UserError: the method defines no likelihood of a text.
        """
        pairs = [(str(request.args[0]), str(request.args[1])) for request in requests]
        own = getattr(self.model, "log_likelihoods", None)
        if own is not None:
            return list(own(pairs))
        self._need_plain("loglikelihood")
        return [self._plain_loglikelihood(*pair) for pair in pairs]

    def loglikelihood_rolling(
        self, requests: list[Instance], disable_tqdm: bool = False
    ) -> list[float]:
        """Refused: a text without a question has no prompt to render and nothing to think about."""
        raise UserError(
            "loglikelihood_rolling: it is not defined for models that answer questions; use a task "
            "of type generate_until"
        )

    def _need_plain(self, what: str) -> None:
        config = self.model.config
        if getattr(config, "num_thoughts", 0) or len(self.model.thought_modes) > 1:
            raise UserError(
                f"{what}: method {config.method_name} defines no likelihood of a text, since its "
                "thoughts stand between question and answer; use a task of type generate_until"
            )

    def _plain_loglikelihood(self, context: str, continuation: str) -> tuple[float, bool]:
        """One causal forward over the rendered context and the continuation."""
        import torch

        prompt = self.model.prompt.question_ids(context) if context.strip() else []
        target = self.model.tokenizer(continuation, add_special_tokens=False)["input_ids"]
        prompt = prompt or [self.model.tokenizer.eos_token_id]
        ids = torch.tensor([prompt + target], device=self.model.device)
        with torch.no_grad():
            logits = self.model.causal_lm(input_ids=ids).logits[0, len(prompt) - 1 : -1]
        chosen = torch.log_softmax(logits.double(), -1).gather(1, ids[0, len(prompt) :, None])
        greedy = bool((logits.argmax(-1) == ids[0, len(prompt) :]).all())
        return float(chosen.sum()), greedy


def _available(device: str | None) -> str | None:
    """The harness's command line says "cuda:0" where nobody named a device, GPU or not."""
    import torch

    if device is not None and device.startswith("cuda") and not torch.cuda.is_available():
        logging.getLogger(__name__).warning("device %s is not there; the CPU is used", device)
        return "cpu"
    return device


def _generation_key(arguments: dict[str, Any]) -> tuple[Any, ...]:
    until = arguments.get("until") or []
    sampled = arguments.get("do_sample", arguments.get("temperature", 0) > 0)
    return (
        int(arguments.get("max_gen_toks", MAX_NEW_TOKENS)),
        float(arguments.get("temperature", 1.0)) if sampled else 0.0,
        float(arguments.get("top_p", 1.0)),
        tuple([until] if isinstance(until, str) else until),
    )


def _cut(text: str, until: Sequence[str]) -> str:
    """Return `text` up to the first of the stop strings."""
    for stop in until:
        if stop:
            text = text.split(stop)[0]
    return text


if __name__ == "__main__":
    from lm_eval.__main__ import cli_evaluate

    cli_evaluate()
