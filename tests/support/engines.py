"""Tiny checkpoints that a vLLM engine reads, prompts with vectors for them, and a server."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from runs import environment
from transformers import AutoConfig, AutoModelForCausalLM

from latentreason.backbones.tokenizers import train_tokenizer
from latentreason.generation import EmbeddedPrompt

# One process, nothing compiled, a small cache: an engine opens in seconds.
ENGINE_ENV = {
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
    "TORCHDYNAMO_DISABLE": "1",
    "VLLM_CPU_KVCACHE_SPACE": "1",
    "VLLM_NO_USAGE_STATS": "1",
    "OMP_NUM_THREADS": "1",
    "HF_HUB_OFFLINE": "1",
}
ENGINE = {"dtype": "float32", "enforce_eager": True, "block_size": 32, "max_num_seqs": 16}
CHAT = (
    "{% for turn in messages %}{{ turn['role'] }} : {{ turn['content'] }}\n{% endfor %}"
    "{% if add_generation_prompt %}assistant :{% endif %}"
)
POSITIONS, WIDTH, WORDS = 256, 64, 90


@dataclass
class Checkpoint:
    """A saved model, the same in Hugging Face's form, and its tokenizer."""

    path: Path
    model: Any
    tokenizer: Any

    @property
    def embedding(self) -> torch.Tensor:
        return self.model.get_input_embeddings().weight.detach()

    def prompts(self, seed: int, lengths: Sequence[int], chains: int = 1) -> list[EmbeddedPrompt]:
        """Random prompts; that of question i has lengths[i] ids, of which 4 are vectors."""
        draw = torch.Generator().manual_seed(seed)
        made = []
        for number, length in enumerate(lengths):
            ids = torch.randint(2, len(self.tokenizer), (length,), generator=draw).tolist()
            start = length - 6 - number % 3
            # The placeholder is the end token: the engine must not read it.
            ids[start : start + 4] = [self.tokenizer.eos_token_id] * 4
            for chain in range(chains):
                vectors = torch.randn(4, WIDTH, generator=draw) * self.embedding.std()
                made.append(EmbeddedPrompt(ids, start, vectors, number, chain))
        return made

    def embed(self, prompt: EmbeddedPrompt) -> torch.Tensor:
        """(1, T, H): what the model is fed."""
        rows = self.embedding[torch.tensor(prompt.ids)].clone()
        rows[prompt.start : prompt.start + len(prompt.vectors)] = prompt.vectors
        return rows[None]

    def expected(self, prompt: EmbeddedPrompt, max_new_tokens: int) -> list[int]:
        """Hugging Face's greedy ids, the end token included."""
        embeds = self.embed(prompt)
        with torch.no_grad():
            written = self.model.generate(
                inputs_embeds=embeds,
                attention_mask=torch.ones(embeds.shape[:2], dtype=torch.long),
                max_new_tokens=max_new_tokens,
                do_sample=False,
                pad_token_id=self.tokenizer.pad_token_id,
            )
        return written[0].tolist()


def make_checkpoint(folder: Path, family: str, seed: int = 0) -> Checkpoint:
    """A random two-layer model whose logits are far from flat, and which ends now and then."""
    tokenizer = train_tokenizer([" ".join(f"w{i}" for i in range(WORDS))] * 2, "word", 200)
    tokenizer.chat_template = CHAT
    torch.manual_seed(seed)
    if family == "gpt2":
        shape = {"n_layer": 2, "n_head": 2, "n_embd": WIDTH, "n_positions": POSITIONS}
    else:
        shape = {
            "num_hidden_layers": 2,
            "hidden_size": WIDTH,
            "intermediate_size": 128,
            "num_attention_heads": 2,
            "num_key_value_heads": 1,
            "max_position_embeddings": POSITIONS,
            "tie_word_embeddings": False,
        }
    config = AutoConfig.for_model(
        family,
        vocab_size=len(tokenizer),
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        **shape,
    )
    model = AutoModelForCausalLM.from_config(config).eval()
    for parameter in model.parameters():
        if parameter.dim() > 1:
            parameter.data.mul_(8)
    embedding = model.get_input_embeddings().weight.data
    # The row of the padding starts as zeros, which no trained model's end token is.
    embedding[tokenizer.pad_token_id] = torch.randn(WIDTH) * embedding.std()
    model.get_output_embeddings().weight.data[tokenizer.eos_token_id] *= 2
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return Checkpoint(folder, model, tokenizer)


@contextlib.contextmanager
def serve(path: Path, log: Path, *options: str) -> Iterator[str]:
    """Run vLLM's server on a free port; yields its address once it answers."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    # The distribution of the CPU build is not called vllm, so that the `vllm` command fails.
    words = [sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--model", str(path)]
    words += ["--served-model-name", "tiny", "--host", "127.0.0.1", "--port", str(port), *options]
    environ = environment(**{k: v for k, v in ENGINE_ENV.items() if "MULTIPROCESSING" not in k})
    with log.open("w") as out, subprocess.Popen(
        words, stdout=out, stderr=subprocess.STDOUT, env=environ, start_new_session=True
    ) as process:  # fmt: skip
        try:
            _wait(process, port, log)
            yield f"http://127.0.0.1:{port}/v1"
        finally:
            process.terminate()
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, 9)


def _wait(process: subprocess.Popen, port: int, log: Path, seconds: float = 300) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end and process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.5)
    raise RuntimeError(f"no server on port {port}:\n{log.read_text()[-3000:]}")
