"""Reasoning in words, or not at all: the baselines every latent method is held against."""
