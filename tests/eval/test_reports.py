"""Reports, compare and rescore on runs made in the test."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from latentreason.errors import UserError
from latentreason_eval.api import compare, evaluate, report, rescore
from latentreason_eval.record import read_records


def score(model: Any, data: Path, out: Path, **arguments: Any) -> Path:
    options: dict[str, Any] = {"data": str(data), "show_progress": False}
    evaluate("fake", "state_tracking", out=out, model=model, **options | arguments)
    return out


@pytest.fixture
def runs(fake_model, sums_file, tmp_path) -> list[Path]:
    """Two runs with controls and sweeps: 2 and 9 of 30 questions wrong, 1 in common."""
    more = {"controls": True, "sweep": "thoughts=0..2"}
    return [
        score(fake_model(wrong={0, 1}), sums_file, tmp_path / "good", **more),
        score(fake_model(wrong=set(range(1, 10))), sums_file, tmp_path / "bad", **more),
    ]


def test_the_paired_table(runs):
    found = compare(*runs)
    assert (found["n"], found["only_first"], found["only_second"]) == (30, 8, 1)
    assert found["difference"] == pytest.approx(-7 / 30)
    assert found["p_value"] == pytest.approx(0.0390625)
    assert "| accuracy | 93.3 | 70.0 | -23.3 [" in found["table"]
    assert "McNemar p = 0.039" in found["table"]


def test_runs_on_other_questions_are_not_compared(runs, fake_model, tmp_path):
    other = tmp_path / "other.json"
    other.write_text('[{"question": "add 1", "steps": [], "answer": "1"}]')
    third = score(fake_model(), other, tmp_path / "third")
    with pytest.raises(UserError, match="differ in data"):
        compare(runs[0], third)
    with pytest.raises(UserError, match="given twice"):
        compare(runs[0], runs[0])
    with pytest.raises(UserError, match=r"nothing holds no records\.jsonl"):
        compare(runs[0], tmp_path / "nothing")


def test_rescoring_needs_no_model_and_keeps_the_run(runs, tmp_path):
    out = tmp_path / "again"
    summary = rescore(runs[0], out=out, extractor="coconut")
    assert (summary["accuracy"], summary["changed"]) == (summary["accuracy_before"], [])
    assert [row["thought_mode"] for row in summary["controls"]] == ["none", "zero", "shuffle"]
    strict = rescore(runs[0], out=tmp_path / "yes_no", extractor="yes_no")
    assert (strict["accuracy"], strict["no_answer"]) == (0.0, 1.0)
    assert len(strict["changed"]) == 28
    before = list(read_records(runs[0] / "records.jsonl"))
    assert sum(bool(record.correct) for record in before) == 28
    assert json.loads((out / "run.json").read_text())["rule"] == "coconut"
    # A rescored run is a run: it can be compared and reported.
    assert compare(runs[0], tmp_path / "yes_no")["only_first"] == 28


def test_rescoring_refuses_its_own_folder_and_unknown_rules(runs, tmp_path):
    with pytest.raises(UserError, match="overwritten"):
        rescore(runs[0], out=runs[0])
    with pytest.raises(UserError, match='did you mean "coconut"'):
        rescore(runs[0], out=tmp_path / "x", extractor="cocnut")


def unpacked(groups: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows of a page's samples, as its script unpacks them."""
    rows = []
    for group in groups:
        for name, values in group["columns"].items():
            if isinstance(values, dict):
                known = groups[values["same"]]["columns"][name] if "same" in values else None
                group["columns"][name] = known or [values["all"]] * values["count"]
        for values in zip(*group["columns"].values(), strict=True):
            row = dict(zip(group["columns"], values, strict=True))
            rows.append({"run": group["run"], "condition": group["condition"], **row})
    return rows


class Page(HTMLParser):
    """Collects tags, addresses and the samples of a report."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.addresses: list[str] = []
        self.ids: list[str] = []
        self.feed(text)
        found = re.search(r'<script type="application/json" id="samples">(.*?)</script>', text)
        assert found is not None
        self.samples = unpacked(json.loads(found[1].replace("<\\/", "</")))

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        for name, value in attributes:
            if name in ("src", "href") and tag != "use":
                self.addresses.append(str(value))
            if name == "id":
                self.ids.append(str(value))


def test_a_report_has_tables_plots_and_a_sample_browser(runs, tmp_path):
    found = report(runs, out=tmp_path / "report", questions=True)
    text = Path(found["markdown"]).read_text()
    assert "| good | 93.3 [" in text
    assert "| thought_mode=zero | 0.0 [" in text
    assert "| thoughts=2 | 93.3 [" in text
    names = re.findall(r"!\[.*?\]\((.*?)\)", text)
    assert [name.rpartition("_")[2] for name in names] == [
        "frontier.png",
        "sweep.png",
        "controls.png",
    ]
    for name in names:
        image = (tmp_path / "report" / name).read_bytes()
        assert image.startswith(b"\x89PNG")
        assert len(image) > 10_000
        assert (tmp_path / "report" / name).with_suffix(".svg").is_file()
    page = Page(Path(found["html"]).read_text())
    assert page.tags.count("figure") == 3
    assert page.tags.count("svg") == 3
    assert not [address for address in page.addresses if not address.startswith("#")]
    assert len(page.ids) == len(set(page.ids))
    # Two runs of 30 questions under normal, three controls and three thought counts.
    assert len(page.samples) == 2 * 30 * 7
    main = [s for s in page.samples if s["condition"] == "main" and s["run"] == "good"]
    assert [s["verdict"] for s in main].count("right") == 28
    assert {"question", "gold", "text", "answer"} <= set(main[0])


def test_a_report_leaves_questions_out_unless_asked(runs, sums, tmp_path):
    report(runs, out=tmp_path / "report")
    files = [path for path in (tmp_path / "report").iterdir() if path.suffix != ".png"]
    everything = "".join(path.read_text() for path in files)
    assert not [example for example in sums if example.question in everything]
    page = Page((tmp_path / "report" / "report.html").read_text())
    assert set(page.samples[0]) == {
        "run",
        "condition",
        "id",
        "sample",
        "verdict",
        "tokens",
        "thoughts",
    }


def test_a_question_cannot_break_out_of_the_page(fake_model, tmp_path):
    data = tmp_path / "evil.json"
    rows = [{"question": "add 1 </script><b>", "steps": [], "answer": "1"}]
    data.write_text(json.dumps(rows * 1))
    run = score(fake_model(), data, tmp_path / "run")
    found = report([run], out=tmp_path / "report", questions=True)
    text = Path(found["html"]).read_text()
    assert text.count("</script>") == 2
    assert Page(text).samples[0]["question"] == "add 1 </script><b>"


def test_several_samples_and_seeds_are_tables(fake_model, sums_file, tmp_path):
    runs = [
        score(
            fake_model(wrong=set(range(seed))),
            sums_file,
            tmp_path / f"s{seed}",
            seed=seed,
            num_samples=4,
            temperature=1.0,
        )
        for seed in (1, 2)
    ]
    text = Path(report(runs, out=tmp_path / "report")["markdown"]).read_text()
    assert "| run | pass@1 | pass@2 | pass@4 | maj@1 | maj@2 | maj@4 | distinct |" in text
    # Every second sample is off by one: pass@1 is one half of the 29 of 30.
    assert "| s1 | 48.3 |" in text
    assert "| s1 | 1, 2 | 47.5 ± 1.2 |" in text


def test_plots_are_the_same_bytes_again(runs, tmp_path):
    for name in ("one", "two"):
        report(runs, out=tmp_path / name)
    for path in (tmp_path / "one").glob("*.svg"):
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes()


def test_an_unfinished_run_is_not_reported(runs, tmp_path):
    (runs[0] / "summary.json").unlink()
    with pytest.raises(UserError, match="was not finished"):
        report(runs, out=tmp_path / "report")
    with pytest.raises(UserError, match="at least one folder"):
        report([], out=tmp_path / "report")


def test_runs_with_several_samples_are_compared_by_vote_too(fake_model, sums_file, tmp_path):
    one = score(fake_model(wrong={0, 1}), sums_file, tmp_path / "one", num_samples=3)
    two = score(fake_model(wrong={1}), sums_file, tmp_path / "two", num_samples=3)
    found = compare(one, two)
    assert found["majority"]["difference"] == pytest.approx(1 / 30)
    assert (found["majority"]["only_first"], found["majority"]["only_second"]) == (0, 1)
    assert "| majority vote | 93.3 | 96.7 | +3.3 [" in found["table"]
    # A share of right samples has no McNemar test, a vote has one.
    assert found["table"].count("McNemar") == 1


def test_a_vote_is_counted_by_the_rule_of_its_run(fake_model, sums_file, tmp_path):
    """Of two silent samples and a right one, SoftCoT's code elects the silent ones, as one voter."""

    class Shy(fake_model):
        def generate(self, prompts, **arguments):
            found = super().generate(prompts, **arguments)
            for generation in found:
                if generation.sample_index < 2:
                    generation.text = ""
            return found

    plain = score(Shy(), sums_file, tmp_path / "plain", num_samples=3)
    legacy = tmp_path / "legacy"
    rescore(plain, out=legacy, extractor="softcot_v1")
    majority = compare(plain, legacy)["majority"]
    assert (majority["first"], majority["second"]) == (1.0, 0.0)


def trained(folder: Path, accuracies: dict[int, float]) -> Path:
    """A run folder as `train` leaves it: losses, accuracies, and a step repeated by a resume."""
    folder.mkdir()
    lines: list[dict[str, Any]] = [{"step": 1, "epoch": 0, "stage": 0, "loss": 3.0}]
    lines.append({"step": min(accuracies), "stage": 0, "valid_accuracy": 0.99})
    lines += [
        {"step": step, "stage": step // 20, "valid_accuracy": accuracy}
        for step, accuracy in accuracies.items()
    ]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder


def test_training_curves(runs, tmp_path):
    folders = [
        trained(tmp_path / "long", {10: 0.25, 20: 0.75, 30: 0.5}),
        trained(tmp_path / "short", {10: 0.125}),
    ]
    found = report(runs, out=tmp_path / "report", training=folders)
    text = Path(found["markdown"]).read_text()
    assert "| long | 30 | 75.0 | 20 | 50.0 |" in text
    assert "| short | 10 | 12.5 | 10 | 12.5 |" in text
    assert "(training.png)" in text
    assert (tmp_path / "report" / "training.svg").is_file()
    assert found["plots"][-1].endswith("training.png")
    assert "Accuracy on the validation split while training" in Path(found["html"]).read_text()
    assert "## Training" not in Path(report(runs, out=tmp_path / "bare")["markdown"]).read_text()


def test_what_is_no_training_is_refused(runs, tmp_path):
    with pytest.raises(UserError, match=r"holds no metrics\.jsonl"):
        report(runs, out=tmp_path / "report", training=[tmp_path])
    (tmp_path / "metrics.jsonl").write_text('{"step": 1, "loss": 3.0}\n')
    with pytest.raises(UserError, match="holds no valid_accuracy"):
        report(runs, out=tmp_path / "report", training=[tmp_path])
