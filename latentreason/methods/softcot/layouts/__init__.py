"""Prompts as data: one YAML file per kind of task, and `families.yaml` with the special tokens of
model families; `latentreason.methods.softcot.prompt` reads them."""
