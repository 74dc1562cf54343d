"""Benchmarks as data: one YAML file each; `latentreason_eval.benchmark` reads them."""
