"""Passes through a backbone with keys and values kept, and batched decoding on top of them."""
