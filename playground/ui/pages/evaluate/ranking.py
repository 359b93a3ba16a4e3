"""ROC and precision-recall curves: one class against the rest at every threshold, or all classes."""

from typing import TYPE_CHECKING

import numpy as np
import streamlit as st

from playground.metrics import formulas, ranking
from playground.plots import TEST, color_class
from playground.plots.evaluation import Curve, draw_ranking_curves
from playground.ui.common.escape import escape
from playground.ui.components.live_chart import live_chart
from playground.ui.pages.evaluate import context as scenes
from playground.ui.pages.evaluate.context import PageContext
from playground.ui.pages.evaluate.controls import formula

if TYPE_CHECKING:
    from playground.metrics.ranking import Ranking

TITLES: "dict[ranking.Curve, str]" = {"roc": "ROC curve", "pr": "Precision-recall curve"}
AREAS: "dict[ranking.Curve, str]" = {"roc": "AUC", "pr": "average precision"}
ALL = "All classes"
DRAWN = 10
"""Of more classes than this the ones with the smallest areas are drawn."""
HEIGHT = 400


def draw(scene: PageContext) -> None:
    """Draw the view."""
    left, right = st.columns(2, gap="medium")
    with left:
        name = st.selectbox(
            "Class",
            [ALL, *scene.classes],
            key="evaluate_ranked",
            persist_state="session",
            help="All classes one against the rest, or one alone with its threshold.",
        )
    if name in scene.classes:
        with right:
            threshold = st.slider(
                "Threshold",
                *(0.0, 1.0, 0.5, 0.01),
                key="evaluate_threshold",
                persist_state="session",
                help="From this probability on an image is called one of the class.",
            )
        one(scene, scene.classes.index(name), threshold)
    else:
        everything(scene)


def one(scene: PageContext, k: int, threshold: float) -> None:
    """Draw the curves of one class, with the counts at a threshold."""
    found, name = scenes.rank_classes(scene)[0][k], scene.classes[k]
    if found is None:
        st.info(
            f"There is nothing to tell apart: all images are of {escape(name)}, or none is.", icon=":material/info:"
        )
        return
    assert scene.answers, "the page asks only where there are answers"
    counts = ranking.count_at_threshold(scene.answers.probs[:, k], scene.answers.targets == k, threshold)
    recall, fall_out = counts.tp / found.positives, counts.fp / found.negatives
    called = counts.tp + counts.fp
    marks = {"roc": (fall_out, recall), "pr": (recall, counts.tp / called if called else 1.0)}
    for kind, column in zip(TITLES, st.columns(2, gap="medium"), strict=True):
        with column:
            chance = found.positives / (found.positives + found.negatives) if kind == "pr" else None
            figure = draw_ranking_curves(
                [curve(found, kind, name, color_class(k))],
                kind,
                mark=marks[kind],
                chance=chance,
                revision=f"{scene.run.id} {k}",
            )
            chart(scene, kind, figure, f"of {name}", ranking.compute_area(found, kind), f"{k} {threshold}")
    st.markdown(
        f"At the threshold {threshold:.2f} **{called:,}** images are called {escape(name)}: **{counts.tp:,}** rightly "
        f"(TP) and **{counts.fp:,}** wrongly (FP); **{counts.fn:,}** of its images are missed (FN), and "
        f"**{counts.tn:,}** others are left alone rightly (TN)."
    )
    for column, text in zip(
        st.columns(3),
        (
            formulas.write_false_positive_rate(counts),
            formulas.write_recall(counts.tp, counts.fn),
            formulas.write_precision(counts.tp, counts.fp),
        ),
        strict=True,
    ):
        with column:
            formula(text)
    pairs = found.positives * found.negatives
    st.caption(
        f"AUC {found.auc:.4f}: of {found.positives:,} × {found.negatives:,} = {pairs:,} pairs of an image of "
        f"{escape(name)} and another, in {found.auc * pairs:,.0f} its image has the higher probability; equal ones "
        f"count half. Average precision {found.average_precision:.4f}: the precision at each threshold, weighted "
        "by how much recall it adds. The true positive rate is the recall."
    )


def everything(scene: PageContext) -> None:
    """Draw the curves of the classes and of all together, with the averages of their areas."""
    classes, together = scenes.rank_classes(scene)
    if together is None:
        st.info("There is nothing to tell apart yet.", icon=":material/info:")
        return
    for kind, column in zip(TITLES, st.columns(2, gap="medium"), strict=True):
        known = [k for k, found in enumerate(classes) if found]
        areas = {k: ranking.compute_area(found, kind) for k in known if (found := classes[k])}
        drawn = sorted(sorted(known, key=lambda k: areas[k])[:DRAWN])
        lines = [curve(found, kind, scene.classes[k], color_class(k)) for k in drawn if (found := classes[k])]
        lines.append(curve(together, kind, "micro-average", TEST))
        mean, micro = ranking.average_rankings(classes, kind), ranking.compute_area(together, kind)
        with column:
            figure = draw_ranking_curves(lines, kind, revision=scene.run.id)
            chart(scene, kind, figure, "of all classes", micro, "all")
            if mean is not None:
                formula(formulas.write_mean_area(AREAS[kind], [areas[k] for k in known], mean))
            st.markdown(f"Micro-averaged {AREAS[kind]}: **{micro:.4f}**")
    images, count = together.positives, len(classes)
    text = f"Each class against the rest. The micro-average ranks all {images:,} × {count:,} pairs of an image and a "
    text += f"class at once: {images:,} of them belong together, {together.negatives:,} do not."
    if len(classes) > DRAWN:
        text += f" The {DRAWN} classes with the smallest areas are drawn; choose any class above."
    if missing := sum(found is None for found in classes):
        text += f" {missing} classes without an image have no curve and do not count."
    st.caption(text)


def curve(found: "Ranking", kind: ranking.Curve, name: str, colour: str) -> Curve:
    """Return a line of the figure."""
    x, y = (found.fpr, found.tpr) if kind == "roc" else (found.tpr, found.precision)
    return Curve(name, np.asarray(x), np.asarray(y), ranking.compute_area(found, kind), colour)


def chart(scene: PageContext, kind: ranking.Curve, figure: dict, whose: str, area: float, version: str) -> None:
    """Draw one of the two figures under its title."""
    st.markdown(f"**{TITLES[kind]}**")
    live_chart(
        figure,
        key=f"evaluate_{kind}",
        alt=f"{TITLES[kind]} {whose} after epoch {scene.epoch}; {AREAS[kind]} {area:.3f}",
        height=HEIGHT,
        version=f"{scene.key} {version}",
    )
