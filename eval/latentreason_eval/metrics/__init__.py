"""Figures: intervals, pass@k, maj@k, paired comparisons."""
