"""Scores reasoning models: benchmarks, answer extraction, metrics, cost, controls, reports.

The functions behind the commands are in `latentreason_eval.api`; this module imports nothing heavy,
so that listing benchmarks takes no time.
"""
