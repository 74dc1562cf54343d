"""Coconut: chain of continuous thought (arXiv 2412.06769)."""
