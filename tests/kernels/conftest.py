"""Where the Triton kernels run: natively on CUDA, else interpreted in a process made for it."""

import os

import pytest
import torch

REASON = "needs CUDA, or TRITON_INTERPRET=1 in the environment before Python starts"


@pytest.fixture
def triton_device() -> str:
    """cuda where there is one; cpu under Triton's interpreter; otherwise skips."""
    pytest.importorskip("triton")
    if torch.cuda.is_available() and os.environ.get("TRITON_INTERPRET") != "1":
        return "cuda"
    if os.environ.get("TRITON_INTERPRET") != "1":
        pytest.skip(REASON)
    return "cpu"


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("gpu") is None:
        return
    if not torch.cuda.is_available() or os.environ.get("TRITON_INTERPRET") == "1":
        pytest.skip("needs a CUDA device and no TRITON_INTERPRET")
