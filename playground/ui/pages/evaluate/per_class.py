"""Precision, recall and F1 of each class, their averages, and top-k accuracy; each written out with its counts."""

from typing import cast

import numpy as np
import streamlit as st

from playground.metrics import formulas, scores
from playground.metrics.scores import Kind
from playground.plots.evaluation import draw_top_k
from playground.ui.common import pickers
from playground.ui.common.escape import escape
from playground.ui.components.live_chart import live_chart
from playground.ui.pages.evaluate.context import PageContext
from playground.ui.pages.evaluate.controls import class_picker, formula, segments, settle

CLASS, TABLE = "evaluate_class", "evaluate_table"
FIGURES = {"precision": scores.compute_precision, "recall": scores.compute_recall, "f1": scores.compute_f1}
TITLES = {"precision": "Precision", "recall": "Recall", "f1": "F1"}
KINDS = {"macro": "every class counts the same", "micro": "every image counts the same", "weighted": "by images"}
ROWS = 12
"""So many rows are shown without scrolling."""


def draw(scene: PageContext) -> None:
    """Draw the view."""
    left, right = st.columns([1.5, 1], gap="medium")
    worst = int(np.argmin(scores.compute_f1(scene.counts)))
    settle(scene.run.id, {CLASS: worst})
    with right:
        chosen = class_picker("Class", CLASS, scene.classes, worst)
        one(scene, chosen)
    with left:
        table(scene, chosen)
    left, right = st.columns([1.5, 1], gap="medium")
    with left:
        averages(scene)
    with right:
        top_k(scene)


def table(scene: PageContext, chosen: int) -> None:
    """Draw the figures of all classes; selecting a row chooses the class."""
    share = st.column_config.ProgressColumn
    bars = {title: share(title, format="%.1f %%", min_value=0, max_value=100, width=105) for title in TITLES.values()}
    counts = scene.counts
    predicted, support = counts.sum(axis=0), counts.sum(axis=1)
    wholes = {"precision": (predicted,), "recall": (support,), "f1": (predicted, support)}
    st.session_state[TABLE] = {"selection": {"rows": [chosen], "columns": [], "cells": []}}

    def select() -> None:
        if rows := st.session_state[TABLE]["selection"]["rows"]:
            st.session_state[CLASS] = rows[0]

    st.dataframe(
        {"Class": list(scene.classes)}
        | {TITLES[name]: _defined(100 * figure(counts), *wholes[name]) for name, figure in FIGURES.items()}
        | {"Support": counts.sum(axis=1), "Predicted": counts.sum(axis=0), "Right": np.diag(counts)},
        column_config=bars
        | {
            "Class": st.column_config.TextColumn(pinned=True),
            "Support": st.column_config.NumberColumn(help="Test images of the class."),
            "Predicted": st.column_config.NumberColumn(help="Test images predicted as the class."),
            "Right": st.column_config.NumberColumn(
                help="Test images of the class predicted as it: its true positives."
            ),
        },
        hide_index=True,
        height="content" if len(scene.classes) <= ROWS else 460,
        key=TABLE,
        on_select=select,
        selection_mode="single-row",
        alt=f"Precision, recall, F1 and support of {len(scene.classes)} classes",
    )


def _defined(values: np.ndarray, *wholes: np.ndarray) -> np.ndarray:
    """Leave out what would be a share of nothing: an empty cell says that there is none."""
    return np.where(sum(wholes) > 0, values, np.nan)


def one(scene: PageContext, k: int) -> None:
    """Write out the figures of one class."""
    tp, row, column = int(scene.counts[k, k]), int(scene.counts[k].sum()), int(scene.counts[:, k].sum())
    name, fp, fn = escape(scene.classes[k]), column - tp, row - tp
    st.markdown(
        f"Of {row:,} images of {name}, **{tp:,}** were found (true positives, TP) and **{fn:,}** were missed (false "
        f"negatives, FN). **{fp:,}** others were predicted as {name} (false positives, FP)."
    )
    for text in (formulas.write_precision(tp, fp), formulas.write_recall(tp, fn), formulas.write_f1(tp, fp, fn)):
        formula(text)


def averages(scene: PageContext) -> None:
    """Draw the averages over the classes, one of the three figures written out."""
    counts = scene.counts
    st.markdown("**Over all classes**")
    averaged = {kind: scores.average_classes(counts, cast(Kind, kind)) for kind in KINDS}
    st.table(
        {"Average": [f"{kind}: {meaning}" for kind, meaning in KINDS.items()]}
        | {
            t: [pickers.format_percent(getattr(a, n)).replace(" ", "\N{NO-BREAK SPACE}") for a in averaged.values()]
            for n, t in TITLES.items()
        },
        hide_index=True,
    )
    name = segments("Written out", TITLES, "evaluate_averaged")
    counted = counts.sum(axis=0) + counts.sum(axis=1) > 0
    for kind, values in averaged.items():
        result, shares = getattr(values, name), FIGURES[name](counts)
        formula(formulas.write_average(cast(Kind, kind), shares, counts.sum(axis=1), counted, result))
    st.caption(
        f"$v_k$ is the {name.replace('f1', 'F1')} of class $k$, $n_k$ its number of images, $N$ all images. Each image "
        "gets one answer, so that the micro-averages of all three are the accuracy."
    )


def top_k(scene: PageContext) -> None:
    """Draw how often the true class is among the k likeliest."""
    st.markdown("**Top-k accuracy**")
    if scene.answers is None:
        st.caption("It needs the probabilities of the test images, which cannot be read here.")
        return
    hits, total = scores.count_top_k(scene.answers.probs, scene.answers.targets), len(scene.answers.targets)
    most = min(10, len(hits))
    k = st.slider(
        "k",
        1,
        most,
        min(3, most),
        key="evaluate_k",
        persist_state="session",
        help="An answer counts as right if the true class is among the k likeliest.",
    )
    formula(formulas.write_top_k(k, int(hits[k - 1]), total))
    live_chart(
        draw_top_k(hits[:most], total, k, scene.run.id),
        key="evaluate_top_k",
        alt=f"Top-k accuracy for k from 1 to {most}; at {k} {pickers.format_percent(hits[k - 1] / max(total, 1))}",
        height=220,
        version=f"{scene.key} {k}",
    )
