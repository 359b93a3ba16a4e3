"""Figures written out with the counts they came from, as LaTeX: what they are, the numbers put in, and the result."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from playground.metrics.calibration import Reliability
from playground.metrics.ranking import Counts
from playground.metrics.scores import Kind

_TERMS = 4
"""A longer sum is cut in the middle."""


def write_percent(share: float, digits: int = 1) -> str:
    """Write a fraction: 0.887 as 88.7 %."""
    return rf"{100 * share:.{digits}f}\,\%"


def write_number(count: float) -> str:
    """Write a whole number with its thousands apart, by a comma that LaTeX puts no space after."""
    return f"{int(count):,}".replace(",", "{,}")


def write_ratio(name: str, symbols: str, above: int, below: str, value: int) -> str:
    """Write a share with its counts: precision = TP/(TP+FP) = 812/(812+103) = 88.7 %.

    Args:
        name: of the figure.
        symbols: the fraction in symbols, as LaTeX.
        above: the count above the line; below: what stands below it, as LaTeX.
        value: the number that `below` comes to; of nothing the share is 0.
    """
    result = write_percent(above / value) if value else r"0\,\% \text{ (there is nothing to count)}"
    return rf"\text{{{name}}} = {symbols} = \frac{{{write_number(above)}}}{{{below}}} = {result}"


def write_precision(tp: int, fp: int) -> str:
    """Write out a class's precision."""
    return write_ratio("precision", r"\frac{TP}{TP+FP}", tp, f"{write_number(tp)}+{write_number(fp)}", tp + fp)


def write_recall(tp: int, fn: int) -> str:
    """Write out a class's recall."""
    return write_ratio("recall", r"\frac{TP}{TP+FN}", tp, f"{write_number(tp)}+{write_number(fn)}", tp + fn)


def write_f1(tp: int, fp: int, fn: int) -> str:
    """Write out a class's F1, the harmonic mean of precision and recall."""
    below = rf"2\cdot {write_number(tp)}+{write_number(fp)}+{write_number(fn)}"
    symbols = r"\frac{2\,TP}{2\,TP+FP+FN}"
    result = (
        write_percent(2 * tp / (2 * tp + fp + fn)) if tp + fp + fn else r"0\,\% \text{ (there is nothing to count)}"
    )
    return rf"\text{{F1}} = {symbols} = \frac{{2\cdot {write_number(tp)}}}{{{below}}} = {result}"


def write_false_positive_rate(counts: Counts) -> str:
    """Write out the share of the other images that are called positive."""
    below = f"{write_number(counts.fp)}+{write_number(counts.tn)}"
    return write_ratio("false positive rate", r"\frac{FP}{FP+TN}", counts.fp, below, counts.fp + counts.tn)


def write_average(kind: Kind, values: ArrayLike, support: ArrayLike, counted: ArrayLike, result: float) -> str:
    """Write out how the classes' values make one number.

    Args:
        kind: the average.
        values: (K,) each class's, in [0, 1]; support: (K,) its number of images.
        counted: (K,) bool, whether it has an image or a prediction at all.
        result: the average, in [0, 1].
    """
    pairs = [(float(v), int(s)) for v, s, c in zip(_list(values), _list(support), _list(counted), strict=True) if c]
    name, total = rf"\text{{{kind}}}", max(sum(images for _, images in pairs), 1)
    if kind == "micro":
        below = write_number(total)
        right = write_number(round(result * total))
        return rf"{name} = \frac{{\sum_k TP_k}}{{N}} = \frac{{{right}}}{{{below}}} = {write_percent(result)}"
    if kind == "macro":
        terms = _sum([f"{100 * value:.1f}" for value, _ in pairs])
        return _mean(name, r"\frac{1}{K}\sum_k v_k", terms, write_number(len(pairs)), write_percent(result))
    terms = _sum([rf"{write_number(images)}\cdot {100 * value:.1f}" for value, images in pairs])
    return _mean(name, r"\sum_k \frac{n_k}{N}\, v_k", terms, write_number(total), write_percent(result))


def write_top_k(k: int, hits: int, total: int) -> str:
    """Write out top-k accuracy."""
    return write_ratio(f"top-{k}", r"\frac{\text{class among the first }k}{N}", hits, write_number(total), total)


def write_calibration_error(bins: Reliability) -> str:
    """Write out the expected calibration error, bin by bin."""
    filled = [
        rf"{write_number(count)}\cdot {abs(100 * gap):.1f}"
        for count, gap in zip(bins.counts.tolist(), bins.gaps.tolist(), strict=True)
        if count
    ]
    symbols = r"\sum_b \frac{n_b}{N}\,\bigl|\mathrm{acc}_b-\mathrm{conf}_b\bigr|"
    return _mean(
        r"\text{ECE}", symbols, _sum(filled), write_number(int(bins.counts.sum())), write_percent(bins.error, 2)
    )


def write_mean_area(name: str, areas: Sequence[float], result: float) -> str:
    """Write out the plain mean of the classes' areas."""
    terms = _sum([f"{area:.3f}" for area in areas])
    return rf"\text{{macro-averaged {name}}} = \frac{{{terms}}}{{{len(areas)}}} = {result:.4f}"


def _sum(terms: Sequence[str]) -> str:
    if len(terms) > _TERMS:
        terms = [*terms[: _TERMS - 2], r"\dots", terms[-1]]
    return "+".join(terms) or "0"


def _mean(name: str, symbols: str, above: str, below: str, result: str) -> str:
    """Write a mean of per cents."""
    return rf"{name} = {symbols} = \frac{{{above}}}{{{below}}}\,\% = {result}"


def _list(values: ArrayLike) -> list:
    return np.asarray(values).tolist()
