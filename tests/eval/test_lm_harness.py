"""lm-evaluation-harness with our model class: a local task, a tiny checkpoint, no network."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from types import SimpleNamespace
from typing import Any

import pytest
import torch

import latentreason
from latentreason.errors import UserError

lm_eval = pytest.importorskip("lm_eval")
from latentreason_eval.lm_harness import LatentReasonLM  # noqa: E402

TASK = """
task: local_tracking
dataset_path: json
dataset_kwargs: {data_files: {test: FILE}}
test_split: test
output_type: generate_until
doc_to_text: "{{question}}"
doc_to_target: "{{answer}}"
generation_kwargs: {until: ["."], do_sample: false, max_gen_toks: 5}
metric_list: [{metric: exact_match, aggregation: mean, higher_is_better: true}]
"""
CHOICE = """
task: local_choice
dataset_path: json
dataset_kwargs: {data_files: {test: FILE}}
test_split: test
output_type: multiple_choice
doc_to_text: "{{question}}"
doc_to_target: 0
doc_to_choice: ["0", "1"]
metric_list: [{metric: acc, aggregation: mean, higher_is_better: true}]
"""


@pytest.fixture
def tasks(tmp_path, monkeypatch) -> Any:
    """A folder with both tasks over ten generated questions."""
    from latentreason.config import SplitConfig
    from latentreason.data import load_split

    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.setenv("HF_DATASETS_OFFLINE", "1")
    split = SplitConfig(generator="state_tracking", size=10, options={"num_maps": 3})
    rows = [{"question": e.question, "answer": f"### {e.answer}"} for e in load_split(split)]
    data = tmp_path / "rows.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    for name, text in (("tracking", TASK), ("choice", CHOICE)):
        (tmp_path / f"{name}.yaml").write_text(text.replace("FILE", str(data)))
    return tmp_path


def harness(tasks: Any, name: str, checkpoint: Any) -> dict[str, Any]:
    from lm_eval.tasks import TaskManager

    manager = TaskManager(include_path=str(tasks), include_defaults=False)
    found = lm_eval.simple_evaluate(
        model="latentreason",
        model_args=f"pretrained={checkpoint},batch_size=4",
        tasks=[name],
        task_manager=manager,
        log_samples=True,
        bootstrap_iters=0,
    )
    assert found is not None
    return found


@pytest.mark.parametrize("method", ["coconut", "cot"])
def test_generate_until_gives_what_generate_gives(tasks, tiny_checkpoints, method):
    found = harness(tasks, "local_tracking", tiny_checkpoints[method])
    samples = found["samples"]["local_tracking"]
    model = latentreason.load(tiny_checkpoints[method])
    questions = [sample["doc"]["question"] for sample in samples]
    texts = [g.text for g in model.generate(questions, max_new_tokens=5)]
    assert [sample["resps"][0][0] for sample in samples] == [text.split(".")[0] for text in texts]
    right = [t.split(".")[0] == s["doc"]["answer"] for t, s in zip(texts, samples, strict=True)]
    assert found["results"]["local_tracking"]["exact_match,none"] == sum(right) / len(right)


def test_loglikelihood_of_a_text_model_is_the_sum_over_its_tokens(tasks, tiny_checkpoints):
    lm = LatentReasonLM(pretrained=str(tiny_checkpoints["no_cot"]))
    question, answer = "1 a0to1 a1to0", "### 1"
    request = SimpleNamespace(args=(question, answer))
    ((total, greedy),) = lm.loglikelihood([request])
    model = latentreason.load(tiny_checkpoints["no_cot"])
    prompt = model.prompt.question_ids(question)
    expected = 0.0
    for token in model.tokenizer(answer, add_special_tokens=False)["input_ids"]:
        with torch.no_grad():
            logits = model.causal_lm(input_ids=torch.tensor([prompt])).logits[0, -1]
        expected += math.log(torch.softmax(logits.double(), -1)[token])
        prompt = [*prompt, token]
    assert total == pytest.approx(expected, abs=1e-4)
    assert greedy == (model.generate([question], max_new_tokens=2)[0].text == answer)
    found = harness(tasks, "local_choice", tiny_checkpoints["no_cot"])
    assert 0 <= found["results"]["local_choice"]["acc,none"] <= 1


def test_a_method_without_likelihood_refuses_clearly(tasks, tiny_checkpoints):
    lm = LatentReasonLM(pretrained=str(tiny_checkpoints["coconut"]))
    request = SimpleNamespace(args=("1 a0to1", "1"))
    if hasattr(lm.model, "log_likelihoods"):
        pytest.skip("the method defines a likelihood")
    with pytest.raises(UserError, match="coconut defines no likelihood"):
        lm.loglikelihood([request])
    with pytest.raises(UserError, match="not defined for models that answer"):
        lm.loglikelihood_rolling([request])


def test_a_method_with_likelihood_is_asked():
    model = SimpleNamespace(log_likelihoods=lambda pairs: [(-1.0, False) for _ in pairs])
    lm = LatentReasonLM(model=model)
    assert lm.loglikelihood([SimpleNamespace(args=("a", "b"))]) == [(-1.0, False)]


def test_missing_model_args_are_named():
    with pytest.raises(UserError, match="pretrained=DIR"):
        LatentReasonLM()


@pytest.mark.slow
def test_the_harness_own_command_line(tasks, tiny_checkpoints, environment):
    command = [sys.executable, "-m", "latentreason_eval.lm_harness", "--model", "latentreason"]
    command += ["--model_args", f"pretrained={tiny_checkpoints['coconut']}"]
    command += ["--tasks", str(tasks / "tracking.yaml")]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=200, env=environment, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert "local_tracking" in done.stdout
