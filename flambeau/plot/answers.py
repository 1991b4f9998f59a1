"""Pictures of a classifier's answers: what is taken for what, the worst mistakes, the boundary."""

from __future__ import annotations

from typing import Any

import numpy as np

from flambeau.autograd.modes import no_grad
from flambeau.functional.from_data import from_numpy
from flambeau.plot.canvas import (
    DIVERGING,
    Array,
    array,
    as_images,
    axes,
    class_names,
    colours,
    evaluating,
    ink,
    is_dark,
    mosaic,
    mosaic_size,
    muted,
    probabilities,
    pyplot,
    same_length,
    show_tiles,
    unit,
)
from flambeau.tensor.tensor import Tensor

WRITTEN = 20  # classes up to which the cells of a confusion matrix hold their numbers
NORMALIZE = {"true": 1, "pred": 0, "all": None}


def confusion_matrix(
    truth: Any,
    predicted: Any,
    classes: Any = None,
    *,
    normalize: str | None = None,
    ax: Any = None,
) -> Any:
    """How often each class was taken for which; gives the axes. Rows are the truth.

    `predicted` holds classes [N] or scores [N, C]. `normalize` is "true" (rows sum to 100 %),
    "pred" (columns do), "all" or None (counts); colours are by row in either case.
    """
    true = array(truth, "truth", 1)
    given = array(predicted, "predicted", (1, 2))
    answers = given.argmax(axis=1) if given.ndim == 2 else given
    same_length(truth=true, predicted=answers)
    if not len(true):
        raise ValueError("there are no answers")
    if normalize is not None and normalize not in NORMALIZE:
        raise ValueError(f"normalize must be 'true', 'pred', 'all' or None, got {normalize!r}")
    for name, labels in (("truth", true), ("predicted", answers)):
        if labels.min() < 0 or (labels % 1).any():
            raise ValueError(f"{name} must hold the numbers of classes, from 0 on")
    true, answers = true.astype(int), answers.astype(int)
    width = given.shape[1] if given.ndim == 2 else 0
    count = max(int(true.max()), int(answers.max()), width - 1) + 1
    names = class_names(classes, count)
    count = max(count, len(names))
    table = np.zeros((count, count))
    np.add.at(table, (true, answers), 1)
    side = min(max(2.4 + 0.42 * count, 3.6), 9.0)
    ax = axes(ax, (side + 0.4, side))
    _draw_table(ax, table, names, normalize)
    ax.set_title(f"{np.trace(table) / table.sum():.1%} of {len(true):,} right")
    return ax


def _draw_table(ax: Any, table: Array, names: list[str], normalize: str | None) -> None:
    count = len(table)
    by_row = table / np.maximum(table.sum(axis=1, keepdims=True), 1)
    shown = table
    if normalize is not None:
        axis = NORMALIZE[normalize]
        shown = table / np.maximum(table.sum(axis=axis, keepdims=True), 1)
    strength = shown if normalize else by_row
    shades = "cividis" if is_dark(ax) else "Blues"
    most = 1.0 if count <= WRITTEN else float(strength.max())
    picture = ax.imshow(strength, cmap=shades, vmin=0, vmax=most)
    if count <= WRITTEN:
        size = 10 if count <= 10 else 7
        for row in range(count):
            for column in range(count):
                if not table[row, column]:
                    continue
                value = shown[row, column]
                text = f"{100 * value:.0f}" if normalize else f"{value:.0f}"
                light = (strength[row, column] > 0.55) != is_dark(ax)
                ax.text(
                    *(column, row, text),
                    ha="center",
                    va="center",
                    color="white" if light else "black",
                    fontsize=size,
                )
    else:
        ax.figure.colorbar(picture, ax=ax, shrink=0.6, format="{x:.0%}", label="of the row")
    every = max(1, -(-count // 25))
    ticks = range(0, count, every)
    ax.set_xticks(ticks, [names[n] for n in ticks])
    ax.set_yticks(ticks, [names[n] for n in ticks])
    if max(len(names[n]) for n in ticks) > 3:
        ax.tick_params(axis="x", rotation=45)
        for label in ax.get_xticklabels():
            label.set_ha("right")
            label.set_rotation_mode("anchor")
    ax.set_xlabel("predicted" + (" (%)" if normalize else ""))
    ax.set_ylabel("truth")
    ax.spines[:].set_visible(False)
    ax.tick_params(length=0)


def worst_errors(
    images: Any,
    truth: Any,
    scores: Any,
    classes: Any = None,
    *,
    count: int = 16,
    columns: int | None = None,
    ax: Any = None,
) -> Any:
    """The images that were taken for something else, those with the largest loss first: "truth >
    answer, how sure"; gives the axes.

    `images` are [N, H, W], [N, C, H, W] or [N, H, W, C]; `scores` [N, classes], logits or
    probabilities.
    """
    pictures = as_images(array(images, "images", (3, 4)), "images")
    true = array(truth, "truth", 1).astype(int)
    chances = array(scores, "scores", 2)
    same_length(images=pictures, truth=true, scores=chances)
    if count < 1:
        raise ValueError(f"count must be positive, got {count}")
    if len(true) and not 0 <= true.min() <= true.max() < chances.shape[1]:
        raise ValueError(f"truth must lie in 0 to {chances.shape[1] - 1}, the classes of scores")
    names = class_names(classes, chances.shape[1])
    chances = probabilities(chances) if len(chances) else chances
    answers = chances.argmax(axis=1) if len(chances) else true
    wrong = np.flatnonzero(answers != true)
    if not wrong.size:
        ax = axes(ax, (4.0, 1.4))
        ax.axis("off")
        ax.text(0.5, 0.5, f"all {len(true):,} right", ha="center", va="center")
        return ax
    sure = chances[wrong, true[wrong]]
    worst = wrong[np.argsort(sure, kind="stable")][:count]
    width = pictures.shape[2]
    longest = max(len(names[n]) for n in {*true[worst], *answers[worst]})
    lines = 2 if longest >= 6 else 1
    gap, above = max(1, width // 8), max(2, round((0.18 * lines + 0.02) * width))
    canvas, corners = mosaic(
        unit(pictures)[worst], columns or min(len(worst), 6), gap=gap, below=above
    )
    size = mosaic_size(canvas, 1.25 * min(len(worst), columns or 6) + 0.2)
    ax = axes(ax, size)
    show_tiles(ax, canvas, cmap="gray", vmin=0, vmax=1)
    letters = longest + 5 if lines == 2 else 2 * longest + 8
    font = _font(ax, canvas, width + gap, letters)
    for (x, y), one in zip(corners, worst):
        text = f"{names[true[one]]} > {names[answers[one]]}, {chances[one, answers[one]]:.0%}"
        if lines == 2:
            text = f"{names[true[one]]} >\n{names[answers[one]]}, {chances[one, answers[one]]:.0%}"
        ax.text(
            *(x + width / 2 - 0.5, y - 1, text),
            ha="center",
            va="bottom",
            fontsize=font,
            color=ink(ax),
        )
    ax.set_title(f"{len(wrong):,} of {len(true):,} wrong; the worst {len(worst)}", fontsize=10)
    return ax


def _font(ax: Any, canvas: Array, width: int, letters: int) -> float:
    """The size in points at which so many letters stand above a tile of that width in pixels."""
    box = ax.get_window_extent()
    scale = min(box.width / canvas.shape[1], box.height / canvas.shape[0])
    points = scale * width / ax.figure.dpi * 72
    return float(min(max(points / (0.72 * letters), 3.5), 9.0))


def decision_boundary(
    model: Any,
    x: Any,
    y: Any,
    classes: Any = None,
    *,
    resolution: int = 200,
    margin: float = 0.15,
    ax: Any = None,
) -> Any:
    """What a classifier of points [N, 2] answers over the plane, and the points; gives the axes.

    `model` takes float32 points [M, 2] and gives scores [M, C], or one number each ([M] or [M, 1]):
    a probability if all lie in [0, 1], else a logit. It runs in evaluation mode, without gradients.
    """
    points = array(x, "x", 2)
    labels = array(y, "y", (1, 2)).reshape(-1).astype(int)
    if points.shape[1] != 2:
        raise ValueError(f"x must be points of two coordinates, got the shape {points.shape}")
    same_length(x=points, y=labels)
    if not len(points) or resolution < 2:
        raise ValueError("at least one point and a resolution of 2 are needed")
    low, high = points.min(axis=0), points.max(axis=0)
    room = np.maximum((high - low) * margin, 1e-6)
    lines = [np.linspace(a, b, resolution) for a, b in zip(low - room, high + room)]
    grid = np.stack(np.meshgrid(*lines), axis=-1)
    chances = _chances(model, grid.reshape(-1, 2).astype(np.float32))
    chances = chances.reshape(resolution, resolution, -1)
    count = max(chances.shape[-1], int(labels.max()) + 1)
    names = class_names(classes, count)
    ax = axes(ax, (5.4, 4.6))
    if chances.shape[-1] == 2:
        # The pale part of the colours, so that points stand out on them.
        picture = ax.contourf(
            *lines,
            chances[..., 1],
            levels=np.linspace(0, 1, 21),
            cmap=DIVERGING,
            vmin=-0.45,
            vmax=1.45,
        )
        ax.contour(*lines, chances[..., 1], levels=[0.5], colors="black", linewidths=1.6)
        bar = ax.figure.colorbar(picture, ax=ax, ticks=[0, 0.5, 1])
        bar.set_label(f"probability of {names[1]}")
        shades = [pyplot().get_cmap(DIVERGING)(v) for v in (0.03, 0.97)]
    else:
        shades = [colours(ax)[n % 6] for n in range(count)]
        _regions(ax, lines, chances, shades)
    for label in np.unique(labels):
        mine = points[labels == label]
        ax.scatter(
            *mine.T,
            color=shades[label % len(shades)],
            marker="os^Dv"[label % 5],
            s=26,
            edgecolors="black" if is_dark(ax) and chances.shape[-1] > 2 else "white",
            linewidths=0.7,
            label=names[label],
        )
    ax.legend(loc="best", framealpha=0.8)
    ax.set_xlim(lines[0][[0, -1]])
    ax.set_ylim(lines[1][[0, -1]])
    return ax


def _chances(model: Any, points: Array) -> Array:
    """Probabilities [M, C] of the classes."""
    with evaluating(model), no_grad():
        found = model(from_numpy(points))
    scores = array(found if isinstance(found, Tensor) else np.asarray(found), "the model's answer")
    if len(scores) != len(points) or scores.ndim > 2:
        raise ValueError(
            f"the model must give scores [{len(points)}, classes], gave {tuple(scores.shape)}"
        )
    if scores.ndim == 2 and scores.shape[1] > 1:
        return probabilities(scores.astype(float))
    one = scores.reshape(-1).astype(float)
    if one.min() < 0 or one.max() > 1:
        one = 1 / (1 + np.exp(-np.clip(one, -500, 500)))
    return np.stack([1 - one, one], axis=1)


def _regions(ax: Any, lines: list[Array], chances: Array, shades: list[Any]) -> None:
    """Each class's region in its colour, stronger where it is surer."""
    from matplotlib.colors import to_rgb

    best, sure = chances.argmax(axis=-1), chances.max(axis=-1)
    count = chances.shape[-1]
    strength = 0.15 + 0.45 * np.clip((sure - 1 / count) / (1 - 1 / count), 0, 1)
    picture = np.concatenate(
        [np.array([to_rgb(shade) for shade in shades])[best], strength[..., None]], axis=-1
    )
    (left, right), (bottom, top) = lines[0][[0, -1]], lines[1][[0, -1]]
    ax.imshow(picture, extent=(left, right, bottom, top), origin="lower", aspect="auto")
    for n in np.unique(best):
        if (best != n).any():
            ax.contour(*lines, best == n, levels=[0.5], colors=[muted(ax)], linewidths=0.9)
