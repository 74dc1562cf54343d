"""A recipe that says what does not exist, or what contradicts itself, is refused in one line."""

from __future__ import annotations

import pytest
from runs import recipe, recipe_file, tree

from latentreason.config import SplitConfig
from latentreason.errors import UserError
from latentreason.recipes import build_recipe, expand_phases, find_recipe, load_recipe, to_yaml


@pytest.mark.parametrize(
    ("key", "nearest"),
    [
        ("optim.lrr", "optim.lr"),
        ("optm", "optim"),
        ("trian", "train"),
        ("train.batchsize", "train.batch_size"),
        ("method.thought_per_step", "method.thoughts_per_step"),
        ("model.tokenizer.knd", "model.tokenizer.kind"),
        ("model.lora.rnk", "model.lora.rank"),
        ("data.train.generater", "data.train.generator"),
        ("data.valid.siz", "data.valid.size"),
        ("eval.max_new_token", "eval.max_new_tokens"),
        ("run.nam", "run.name"),
        ("method.prompt.questoin", "method.prompt.question"),
    ],
)
def test_misspelt_keys_name_the_nearest(tmp_path, key, nearest):
    """In the file and on the command line alike."""
    file = recipe_file(tmp_path)
    with pytest.raises(UserError) as caught:
        load_recipe(str(file), [f"{key}=1"])
    assert f'"{key}"' in str(caught.value)
    assert f'did you mean "{nearest}"' in str(caught.value)
    tree_ = tree(tmp_path)
    *parents, last = key.split(".")
    node = tree_
    for parent in parents:
        node = node.setdefault(parent, {})
    node[last] = 1
    with pytest.raises(UserError) as caught:
        build_recipe(tree_, source="some.yaml")
    assert str(caught.value).startswith("some.yaml: ")
    assert f'did you mean "{nearest}"' in str(caught.value)


def test_a_split_given_another_source_keeps_nothing_of_the_one_before():
    words = ["data.train={generator: prontoqa, size: 9}", "data.valid={size: 5}"]
    data = load_recipe("coconut/prontoqa_gpt2", words).data
    assert data.train == SplitConfig(generator="prontoqa", size=9)
    assert (data.valid.reader, data.valid.size) == ("prontoqa", 5)
    data = load_recipe("demo/no_cot", ["data.train={reader: json, file: x.json}"]).data
    assert data.train == SplitConfig(reader="json", file="x.json")
    data = load_recipe(
        "superposition/no_cot_tiny", ["data.train={generator: prosqa, size: 9}"]
    ).data
    assert (data.train.size, data.train.augment) == (9, "edge_order")


@pytest.mark.parametrize(
    ("key", "nearest"),
    [
        ("method.num_chain", "method.num_chains"),
        ("method.assistant.nmae", "method.assistant.name"),
        ("method.assistant.lora.rnk", "method.assistant.lora.rank"),
        ("method.prompt.familly", "method.prompt.family"),
        ("method.contrastive.temprature", "method.contrastive.temperature"),
    ],
)
def test_misspelt_keys_inside_a_method_name_the_nearest(key, nearest):
    with pytest.raises(UserError, match=f'"{key}".*did you mean "{nearest}"'):
        load_recipe("softcot/gsm8k_llama31_8b_plus", [f"{key}=1"])


@pytest.mark.parametrize(
    ("word", "named"),
    [
        ("method.assistant.name=null", r"method\.assistant\.name"),
        ("method.assistant.dtype=bf16", r"method\.assistant\.dtype"),
        ("method.assistant.lora.rank=-1", r"method\.assistant\.lora\.rank"),
        ("method.assistant.lora.rank=4", r"method\.cache_states"),
        ("method.prompt.layout=maths", r'method\.prompt\.layout.*"math"'),
        ("method.prompt.family=llama", r'method\.prompt\.family.*"llama3"'),
        ("method.prompt.hint=none", r"method\.prompt\.hint"),
        ("method.contrastive.form=cosin", r'contrastive\.form.*"cosine"'),
        ("method.contrastive.temperature=0", r"contrastive\.temperature"),
        ("method.contrastive.weight=-1", r"contrastive\.weight"),
        ("method.contrastive=3", "contrastive"),
        ("method.num_chains=0", "num_chains"),
        ("method.num_thoughts=few", "num_thoughts"),
        ("method.initial_ids=[1, 2]", "initial_ids"),
        ("model.name=null", "model"),
    ],
)
def test_values_inside_a_method_are_refused_by_name(word, named):
    with pytest.raises(UserError, match=named) as caught:
        load_recipe("softcot/gsm8k_llama31_8b_plus", [word])
    assert "\n" not in str(caught.value).strip()


def test_misspelt_keys_of_a_phase_name_the_nearest(tmp_path):
    with pytest.raises(UserError, match="epoch"):
        recipe(tmp_path, "train.phases=[{stage: 0, epoch: 3}]")
    with pytest.raises(UserError, match="steps"):
        load_recipe(str(recipe_file(tmp_path)), ["train.phases.0.step=3"])


@pytest.mark.parametrize(
    ("word", "named"),
    [
        ("optim.lr=fast", "lr"),
        ("train.batch_size=two", "batch_size"),
        ("train.batch_size=0", "batch_size"),
        ("train.micro_batch_size=-1", "micro_batch_size"),
        ("train.log_every=0", "log_every"),
        ("train.save_every=0", "save_every"),
        ("train.save_every=epochs", "save_every"),
        ("train.keep_last=0", "keep_last"),
        ("train.phases=[]", "phases"),
        ("train.phases=[{stage: 0}]", "epochs"),
        ("train.phases=[{stage: 0, epochs: 1, steps: 3}]", "epochs"),
        ("train.phases=[{stage: early, epochs: 1}]", "stage"),
        ("train.phases=[{stage: 3-1, epochs: 1}]", "stage"),
        ("train.phases=[{stage: 0, epochs: 0}]", "epochs"),
        ("train.phases=[{stage: 0, steps: -1}]", "steps"),
        ("train.phases=[{stage: 0, steps: 5, until_loss: 0.1, window: 0}]", "window"),
        ("train.phases=[{stage: 0, steps: 5, until_loss: 0.1, window: 6}]", "window"),
        ("train.phases=[{stage: 0, steps: 5, until_loss: 0}]", "until_loss"),
        ("train.phases=[{stage: 0, steps: 5, until_loss: .nan}]", "until_loss"),
        ("train.phases=[{stage: 0, epochs: .nan}]", "epochs"),
        ("train.phases=[{stage: 0, epochs: .inf}]", "epochs"),
        ("method.curriculum=false", "stage 1"),
        ("optim.betas=[1.0, 2.0]", "betas"),
        ("optim.eps=-1", "eps"),
        ("optim.lr=.nan", "lr"),
        ("optim.lr=.inf", "lr"),
        ("optim.clip=.nan", "clip"),
        ("run.seed=-1", "seed"),
        ("model.lora={rank: 2, dropout: 2}", "dropout"),
        ("train.precision=fp8", "precision"),
        ("train.strategy=magic", "strategy"),
        ("train.deepspeed=zero2", "deepspeed"),
        ("optim.schedule=cosin", "cosine"),
        ("optim.reset=always", "reset"),
        ("optim.warmup=-1", "warmup"),
        ("optim.clip=0", "clip"),
        ("optim.lr=-0.1", "lr"),
        ("run.resume=maybe", "resume"),
        ("run.loggers=[wandb]", "loggers"),
        ("model.dtype=float64", "dtype"),
        ("model.tokenizer.kind=char", "kind"),
        ("model.config={}", "model"),
        ("model.config={model_type: gpt3}", "gpt3"),
        ("model.config={model_type: gpt2, n_layers: 2}", "n_layers"),
        ("model.lora.rank=-1", "rank"),
        ("method.name=cocoanut", "coconut"),
        ("method.thoughts_per_step=-1", "thoughts_per_step"),
        ("method.max_stage=-1", "max_stage"),
        ("method.stage_mixing=1.5", "stage_mixing"),
        ("method.thought_source=dream", "thought_source"),
        ("method.passes=single", "passes"),
        ("method.truncate=-1", "truncate"),
        ("method.marker_init=unheard of", "marker_init"),
        ("method.prompt.question=plain", "question"),
        ("method.max_new_tokens=0", "max_new_tokens"),
        ("data.train={}", "reader"),
        ("data.train={reader: json}", "file"),
        ("data.train={generator: state_tracking}", "size"),
        ("data.train={generator: state_tracking, reader: json, size: 3, file: x}", "generator"),
        ("data.train={generator: state_track, size: 3}", "state_tracking"),
        ("data.train={reader: jsn, file: x.json}", "json"),
        ("data.train={reader: json, file: nowhere.json}", "nowhere.json"),
        ("data.train={generator: state_tracking, size: 3, options: {states: 3}}", "num_states"),
        ("eval.match=nearly", "match"),
        ("eval.every=0", "every"),
        ("eval.every=often", "every"),
        ("eval.batch_size=0", "batch_size"),
        ("eval.limit=0", "limit"),
    ],
)
def test_values_that_cannot_be_used_are_refused_by_name(tmp_path, word, named):
    """When the recipe is read or, at the latest, before the first step."""
    from latentreason_launch.training import train_recipe

    with pytest.raises(UserError, match=named) as caught:
        train_recipe(recipe(tmp_path, "train.max_steps=1", word))
    assert "\n" not in str(caught.value).strip()
    assert not list(tmp_path.glob("run/checkpoints/*"))


def test_pause_takes_no_truncation(tmp_path):
    with pytest.raises(UserError, match="truncate"):
        recipe(tmp_path, "method.truncate=2", method="pause")


def test_overrides_reach_every_depth(tmp_path):
    file = str(recipe_file(tmp_path))
    made = load_recipe(file, ["optim.lr=1e-4", "train.phases.1.epochs=2", "data.valid=null",
                              "method.prompt.question='Q: {question}'"])  # fmt: skip
    assert made.optim.lr == 1e-4
    assert [phase.epochs for phase in made.train.phases] == [1, 2, 1]
    assert made.data.valid is None
    assert made.method.prompt.question == "Q: {question}"
    for word in ("optim.lr", "=3"):
        with pytest.raises(UserError, match="key=value"):
            load_recipe(file, [word])


def test_a_method_named_on_the_command_line_brings_its_preset(tmp_path):
    made = load_recipe(str(recipe_file(tmp_path)), ["method.name=pause"])
    assert made.method.thought_source == "learned"


def test_a_resolved_recipe_reads_back_the_same(tmp_path):
    made = recipe(tmp_path, "train.phases=[{stage: 0-2, epochs: 1}]", "optim.betas=[0.9, 0.95]")
    path = tmp_path / "resolved.yaml"
    path.write_text(to_yaml(made), encoding="utf-8")
    assert to_yaml(load_recipe(str(path))) == to_yaml(made)


def test_a_range_of_stages_is_one_phase_for_each(tmp_path):
    made = recipe(tmp_path, "train.phases=[{stage: 1-3, epochs: 2, lr: 0.5}, {stage: 7, steps: 1}]")
    found = [(p.stage, p.epochs, p.steps, p.lr) for p in expand_phases(made.train.phases)]
    assert found == [(1, 2, None, 0.5), (2, 2, None, 0.5), (3, 2, None, 0.5), (7, None, 1, None)]


def test_recipes_are_found_by_path_and_by_name(tmp_path):
    file = recipe_file(tmp_path)
    assert find_recipe(str(file)) == file
    assert find_recipe("demo/coconut").samefile(find_recipe("recipes/demo/coconut.yaml"))
    with pytest.raises(UserError, match=r'demo/coconot.*did you mean "demo/coconut"'):
        find_recipe("demo/coconot")


@pytest.mark.parametrize("text", ["model: [1, 2\n", "just words\n", "", "- a\n- b\n", "\xff"])
def test_files_that_are_no_recipe_are_named(tmp_path, text):
    path = tmp_path / "broken.yaml"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(UserError, match=r"broken\.yaml"):
        load_recipe(str(path))


@pytest.mark.parametrize("word", ["method.truncate=1", "method.thought_projection=linear"])
def test_switches_of_thoughts_are_refused_where_there_are_none(tmp_path, word):
    with pytest.raises(UserError, match="thoughts_per_step"):
        recipe(tmp_path, "method.thoughts_per_step=0", word)
