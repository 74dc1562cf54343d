"""Tokenizers trained on the data of a recipe."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from latentreason.errors import check_choice

EOS = "<|endoftext|>"
UNKNOWN = "<|unknown|>"


def train_tokenizer(texts: Iterable[str], kind: str, vocab_size: int) -> Any:
    """Train a "word" or "bpe" tokenizer on `texts`; EOS serves as padding too.

    "word" splits at blanks and punctuation and joins with blanks again (punctuation sticks to the
    word before it); "bpe" is byte level and gives every text back exactly.
    """
    check_choice("model.tokenizer.kind", kind, ("word", "bpe"))
    tokenizer = _word() if kind == "word" else _bpe()
    options: dict[str, Any] = {"vocab_size": vocab_size, "special_tokens": [EOS]}
    trainer: Any
    if kind == "word":
        options["special_tokens"] = [EOS, UNKNOWN]
        trainer = trainers.WordLevelTrainer(**options, show_progress=False)
    else:
        alphabet = pre_tokenizers.ByteLevel.alphabet()
        trainer = trainers.BpeTrainer(**options, initial_alphabet=alphabet, show_progress=False)
    # A template may name the end token; counted as a word besides, it would leave a hole in the ids.
    words = (text.replace(EOS, " ").replace(UNKNOWN, " ") for text in texts)
    tokenizer.train_from_iterator(words, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token=EOS,
        pad_token=EOS,
        unk_token=UNKNOWN if kind == "word" else None,
        clean_up_tokenization_spaces=False,
    )


def _word() -> Tokenizer:
    tokenizer = Tokenizer(models.WordLevel(unk_token=UNKNOWN))
    # Words, numbers and names like a0>3 stay whole; sentence marks at a word's end are split off.
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.WhitespaceSplit(),
            pre_tokenizers.Split(Regex(r"[.,;:!?]+$"), behavior="isolated"),
        ]
    )
    tokenizer.decoder = decoders.WordPiece(prefix="\u2581\u2581", cleanup=True)
    return tokenizer


def _bpe() -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer
