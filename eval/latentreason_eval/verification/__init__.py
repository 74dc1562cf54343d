"""Verifiers: is this answer right? One class per kind of answer, by name in `registry`."""
