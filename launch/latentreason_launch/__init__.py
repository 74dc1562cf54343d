"""Command line, torchrun entry points, demo."""
