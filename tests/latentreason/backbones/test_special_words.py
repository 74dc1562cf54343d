"""Templates may name the end token."""

from __future__ import annotations

import pytest

from latentreason.backbones import train_tokenizer
from latentreason.backbones.tokenizers import EOS


@pytest.mark.parametrize("kind", ["word", "bpe"])
def test_the_end_token_in_a_text_is_one_entry_and_ids_have_no_hole(kind):
    tokenizer = train_tokenizer([f"{EOS} one two", f"{EOS} two three"], kind, 300)
    ids = sorted(tokenizer.get_vocab().values())
    assert ids == list(range(len(tokenizer)))
    found = tokenizer(f"{EOS} two", add_special_tokens=False)["input_ids"]
    assert found[0] == tokenizer.eos_token_id
    assert EOS not in tokenizer.decode(found[1:])
