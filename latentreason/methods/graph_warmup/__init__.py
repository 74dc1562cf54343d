"""Asking a symbolic graph for children of its nodes: the start of every arm of a comparison."""
