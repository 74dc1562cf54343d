"""Plots of a report: accuracy against tokens, against thoughts or steps, and the controls."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from latentreason.errors import UserError
from latentreason_eval.report.training import Curve
from latentreason_eval.runs import Run

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Okabe and Ito's palette: told apart with any colour vision.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#F0E442")
MARKERS = "osD^vP*X"
SIZE = (7.2, 4.4)


def draw_plots(runs: Sequence[Run], folder: Path, stem: str) -> list[tuple[str, str]]:
    """Draw what there is to draw of runs on one task, each as PNG and SVG.

    Args:
        runs: evaluations on the same benchmark and split.
        folder: where the files go.
        stem: how their names begin.

    Returns:
        (file name without suffix, what it shows) of each plot.
    """
    drawn = []
    for name, title, draw, wanted in (
        ("frontier", "Accuracy against tokens written and thought", _frontier, True),
        ("sweep", "Accuracy against compute", _sweep, any(r.summary.get("sweep") for r in runs)),
        (
            "controls",
            "Controls on the thoughts",
            _controls,
            any(r.summary.get("controls") for r in runs),
        ),
    ):
        if wanted:
            _save(folder / f"{stem}_{name}", lambda axes, draw=draw: draw(axes, runs))
            drawn.append((f"{stem}_{name}", title))
    return drawn


def draw_training(curves: Sequence[Curve], folder: Path) -> list[tuple[str, str]]:
    """Draw accuracy on the validation split against optimizer steps; returns as `draw_plots`."""
    _save(folder / "training", lambda axes: _training(axes, curves))
    return [("training", "Accuracy on the validation split while training")]


def _save(path: Path, draw: Any) -> None:
    try:
        import matplotlib
    except ImportError as error:
        raise UserError(
            'matplotlib is needed for plots: pip install "latentreason[eval]"'
        ) from error

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    style: Any = {"svg.hashsalt": "latentreason", "font.size": 10, "svg.fonttype": "path"}
    with plt.rc_context(style):
        figure, axes = plt.subplots(figsize=SIZE, layout="constrained")
        draw(axes)
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(axis="y", alpha=0.3)
        axes.set_axisbelow(True)
        # Without a date, drawing the same runs again gives the same files.
        figure.savefig(path.with_suffix(".svg"), metadata={"Date": None})
        figure.savefig(path.with_suffix(".png"), dpi=150)
        plt.close(figure)


def _frontier(axes: Axes, runs: Sequence[Run]) -> None:
    for number, run in enumerate(runs):
        row = run.summary
        axes.errorbar(
            row["tokens"] + row["thoughts"],
            100 * row["accuracy"],
            yerr=_bars([row]),
            marker=MARKERS[number % len(MARKERS)],
            color=COLOURS[number % len(COLOURS)],
            markersize=8,
            capsize=3,
            linestyle="none",
            label=f"{run.label} ({row['thoughts']:.3g} thoughts + {row['tokens']:.3g} tokens)",
        )
        # What the same checkpoint does with other numbers of thoughts or steps.
        axes.plot(
            [other["tokens"] + other["thoughts"] for other in row.get("sweep", [])],
            [100 * other["accuracy"] for other in row.get("sweep", [])],
            marker=MARKERS[number % len(MARKERS)],
            color=COLOURS[number % len(COLOURS)],
            markersize=4,
            markerfacecolor="white",
            linestyle="none",
        )
    _baseline_lines(axes, runs[0])
    swept = any(run.summary.get("sweep") for run in runs)
    note = " (small: other thought or step counts)" if swept else ""
    axes.set_xlabel(f"thoughts + visible tokens per answer{note}")
    axes.set_xlim(0, 1.08 * axes.get_xlim()[1])
    _finish(axes, runs)


def _sweep(axes: Axes, runs: Sequence[Run]) -> None:
    from matplotlib.ticker import MaxNLocator

    label = "thoughts per question"
    for number, run in enumerate(runs):
        rows = run.summary.get("sweep", [])
        if not rows:
            continue
        name = rows[0]["label"].partition("=")[0]
        label = "denoising steps per question" if name == "steps" else label
        places = [int(row["label"].partition("=")[2]) for row in rows]
        colour = COLOURS[number % len(COLOURS)]
        axes.plot(
            places,
            [100 * row["accuracy"] for row in rows],
            marker=MARKERS[number % len(MARKERS)],
            color=colour,
            label=run.label,
        )
        axes.fill_between(
            places,
            [100 * row["ci_low"] for row in rows],
            [100 * row["ci_high"] for row in rows],
            color=colour,
            alpha=0.15,
            linewidth=0,
        )
    _baseline_lines(axes, runs[0])
    axes.set_xlabel(label)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    _finish(axes, runs)


def _controls(axes: Axes, runs: Sequence[Run]) -> None:
    shown = [run for run in runs if run.summary.get("controls")]
    modes = list(
        dict.fromkeys(row["thought_mode"] for run in shown for row in run.summary["controls"])
    )
    places = ["normal", *modes]
    width = 0.8 / len(shown)
    for number, run in enumerate(shown):
        rows = {row["thought_mode"]: row for row in run.summary["controls"]}
        rows["normal"] = run.summary
        have = [mode for mode in places if mode in rows]
        x = [places.index(mode) + (number - (len(shown) - 1) / 2) * width for mode in have]
        axes.bar(
            x,
            [100 * rows[mode]["accuracy"] for mode in have],
            width=0.92 * width,
            yerr=_bars([rows[mode] for mode in have]),
            color=COLOURS[number % len(COLOURS)],
            error_kw={"capsize": 2, "linewidth": 1},
            label=run.label,
        )
    _baseline_lines(axes, shown[0])
    axes.set_xticks(range(len(places)), places)
    axes.set_xlabel("thoughts replaced by")
    _finish(axes, shown)


def _training(axes: Axes, curves: Sequence[Curve]) -> None:
    for number, curve in enumerate(curves):
        axes.plot(
            curve.steps,
            [100 * accuracy for accuracy in curve.accuracies],
            marker=MARKERS[number % len(MARKERS)],
            color=COLOURS[number % len(COLOURS)],
            markersize=4,
            label=curve.label,
        )
    # Where the longest curriculum changes its stage.
    longest = max(curves, key=lambda curve: len(set(curve.stages)))
    pairs = zip(longest.stages, longest.stages[1:], longest.steps, strict=False)
    for before, after, step in pairs:
        if after != before:
            axes.axvline(step, linestyle=":", color="0.6", linewidth=1)
    axes.set_xlabel("optimizer steps (dotted: a stage ends)")
    axes.set_xlim(left=0)
    _accuracy_axis(axes, "validation split")


def _bars(rows: Sequence[Mapping[str, Any]]) -> list[list[float]]:
    low = [max(0.0, 100 * (row["accuracy"] - row["ci_low"])) for row in rows]
    high = [max(0.0, 100 * (row["ci_high"] - row["accuracy"])) for row in rows]
    return [low, high]


def _baseline_lines(axes: Axes, run: Run) -> None:
    styles = ("--", ":", "-.", (0, (5, 1, 1, 1, 1, 1)), (0, (1, 3)), (0, (8, 3)))
    for style, row in zip(styles, run.summary.get("baselines", []), strict=False):
        label = f"{row['label'].replace('_', ' ')} ({100 * row['accuracy']:.0f} %)"
        axes.axhline(100 * row["accuracy"], linestyle=style, color="0.45", linewidth=1, label=label)


def _finish(axes: Axes, runs: Sequence[Run]) -> None:
    _accuracy_axis(axes, f"{runs[0].task}, n = {runs[0].summary['n']}")


def _accuracy_axis(axes: Axes, title: str) -> None:
    axes.set_ylabel("accuracy, %")
    axes.set_ylim(0, 103)
    axes.set_title(title, loc="left", fontsize=11)
    # Beside the axes: points and bars stay free whatever the data are.
    axes.figure.legend(loc="outside lower center", ncols=2, fontsize=8, frameon=False)
