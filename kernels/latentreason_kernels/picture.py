"""Pictures of a visibility: an image file, or text for a terminal.

Shapes: B rows, Lq queries (down), Lk keys (across).
"""

from __future__ import annotations

from pathlib import Path

import torch

from latentreason_kernels.visibility import Visibility

LARGEST = 2048  # tokens: beyond, a picture shows nothing that fewer pixels would not
UNSEEN, PUBLIC, PRIVATE = 0, 1, 2
_SIGNS = {UNSEEN: "·", PUBLIC: "█", PRIVATE: "▒"}


def kinds(visibility: Visibility, row: int = 0) -> torch.Tensor:
    """(Lq, Lk) int: 0 unseen, 1 seen because public, 2 seen because of the same group.

    Raises:
        ValueError: if there is no such row or it is longer than LARGEST tokens.
    """
    batch, q_length, k_length = visibility.shape
    if not 0 <= row < batch:
        raise ValueError(f"row is {row}, the visibility has rows 0..{batch - 1}")
    if max(q_length, k_length) > LARGEST:
        raise ValueError(
            f"{q_length} x {k_length} tokens are too many for a picture (at most {LARGEST}): "
            "take a part with narrow_queries and narrow_keys"
        )
    one = Visibility(visibility.queries.rows(row, row + 1), visibility.keys.rows(row, row + 1))
    seen = one.dense()[0]
    private = (one.keys.group[0] > 0)[None, :]
    return torch.where(seen, torch.where(private, PRIVATE, PUBLIC), UNSEEN)


def draw_text(visibility: Visibility, row: int = 0) -> str:
    """The mask as lines of characters: █ public, ▒ own group, · unseen; a query per line."""
    lines = kinds(visibility, row).tolist()
    return "\n".join("".join(_SIGNS[kind] for kind in line) for line in lines)


def save_picture(
    visibility: Visibility, path: str | Path, *, row: int = 0, title: str | None = None
) -> Path:
    """Writes the mask as an image (.png, .svg or .pdf): queries down, keys across.

    Args:
        visibility: what to draw.
        path: where to; missing folders are made.
        row: which row of the batch.
        title: text above; by default the sizes and the share of pairs that see each other.

    Returns:
        The path written.

    Raises:
        ValueError: as `kinds`, or for a file name whose ending names no image format.
        ModuleNotFoundError: without matplotlib; the message names the extra.
    """
    path = Path(path)
    if path.suffix.lower() not in (".png", ".svg", ".pdf"):
        raise ValueError(f"path is {str(path)!r}; it must end in .png, .svg or .pdf")
    picture = kinds(visibility, row)
    try:
        from matplotlib.colors import ListedColormap
        from matplotlib.figure import Figure
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "pictures need matplotlib: pip install 'latentreason[eval]'"
        ) from error
    q_length, k_length = picture.shape
    share = (picture > 0).float().mean().item() if picture.numel() else 0.0
    side = 0.6 + min(0.12 * max(q_length, k_length), 10.0)
    figure = Figure(figsize=(side, side * max(q_length, 1) / max(k_length, 1) + 0.6))
    axes = figure.subplots()
    colours = ListedColormap(["#f2f2f2", "#1f4e79", "#e07b39"])
    axes.imshow(picture.numpy(), cmap=colours, vmin=0, vmax=2, interpolation="nearest")
    axes.set_title(title or f"{q_length} x {k_length}, {share:.0%} visible", fontsize=8)
    axes.set_xlabel("key", fontsize=7)
    axes.set_ylabel("query", fontsize=7)
    axes.tick_params(labelsize=6)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110, bbox_inches="tight")
    return path
