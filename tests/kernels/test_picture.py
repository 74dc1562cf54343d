"""Pictures and the named examples the command line offers."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from latentreason_kernels import describe, layouts
from latentreason_kernels.examples import EXAMPLES, example
from latentreason_kernels.picture import LARGEST, draw_text, kinds, save_picture


@pytest.mark.parametrize("name", EXAMPLES)
def test_every_example_is_drawn_and_described(name):
    visibility = example(name)
    text = draw_text(visibility)
    assert text.count("\n") + 1 == visibility.shape[1]
    assert (text.count("█") + text.count("▒")) == int(visibility.dense()[0].sum())
    assert describe(visibility)


def test_groups_have_their_own_sign():
    assert draw_text(layouts.block_diffusion(2, 1)) == "█···\n██··\n··▒·\n█··▒"


@pytest.mark.parametrize("ending", ["png", "svg"])
def test_a_picture_is_written(tmp_path, ending):
    pytest.importorskip("matplotlib")
    path = save_picture(example("ladir-training"), tmp_path / "new" / f"mask.{ending}")
    assert path.stat().st_size > 1000


def test_the_second_row_can_be_drawn():
    assert not torch.equal(kinds(example("padded"), 0), kinds(example("padded"), 1))


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: example("causl"), "there are: causal"),
        (lambda: kinds(layouts.causal(3), 1), "rows 0..0"),
        (lambda: kinds(layouts.causal(LARGEST + 1)), "too many for a picture"),
        (lambda: save_picture(layouts.causal(3), "mask.txt"), "must end in .png"),
    ],
)
def test_misuse_is_refused(call, words):
    with pytest.raises(ValueError, match=words):
        call()


def test_importing_the_package_imports_nothing_heavy():
    code = (
        "import sys, latentreason_kernels.examples, latentreason_kernels.registration;"
        "import latentreason_kernels.picture;"
        "print([m for m in ('transformers', 'matplotlib', 'latentreason') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_pictures_in_the_readme_are_what_is_drawn():
    readme = Path(__file__).resolve().parents[2] / "kernels" / "README.md"
    found = re.findall(r"```text ([\w-]+)\n(.*?)\n```", readme.read_text("utf-8"), flags=re.S)
    assert len(found) >= 5
    for name, picture in found:
        assert picture == draw_text(example(name)), name
