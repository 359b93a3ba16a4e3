"""Whether the network is right as often as it says: the reliability diagram and its error."""

import numpy as np
import streamlit as st

from playground.metrics import formulas
from playground.metrics.calibration import Reliability, compute_reliability
from playground.plots.evaluation import draw_reliability
from playground.ui.common import pickers
from playground.ui.components.live_chart import live_chart
from playground.ui.pages.evaluate.context import PageContext
from playground.ui.pages.evaluate.controls import formula


def draw(scene: PageContext) -> None:
    """Draw the view."""
    assert scene.answers, "the page asks only where there are answers"
    left, right = st.columns([1.25, 1], gap="medium")
    with right:
        bins = st.slider(
            "Bins",
            *(5, 30, 15),
            key="evaluate_bins",
            persist_state="session",
            help="The answers are sorted by their confidence into so many bins; the error depends on it a little.",
        )
        found = compute_reliability(scene.answers.confidence, scene.answers.right, bins)
        words(found, float(scene.answers.confidence.mean(dtype=float)), float(scene.answers.right.mean()))
    with left:
        figure = draw_reliability(found.edges, found.counts, found.accuracy, found.confidence, scene.run.id)
        live_chart(
            figure,
            key="evaluate_reliability",
            alt=f"Reliability diagram after epoch {scene.epoch}: accuracy against confidence in {bins} bins; expected "
            f"calibration error {pickers.format_percent(found.error, 2)}",
            height=520,
            version=f"{scene.key} {bins}",
        )
    with st.expander("The bins in numbers"):
        table(found)


def words(found: Reliability, sure: float, right: float) -> None:
    """Write out the error and what it says."""
    gap = 100 * (sure - right)
    leaning = "about as sure as it may be"
    if abs(gap) >= 0.5:
        leaning = f"too {'sure' if gap > 0 else 'unsure'} of itself by {abs(gap):.1f} points"
    st.markdown(
        f"Its mean confidence is **{pickers.format_percent(sure)}**, and it is right in "
        f"**{pickers.format_percent(right)}** of the cases: on average it is **{leaning}**."
    )
    st.metric("Expected calibration error", pickers.format_percent(found.error, 2))
    formula(formulas.write_calibration_error(found))
    st.caption(
        "$n_b$ of $N$ answers are in bin $b$; $\\mathrm{acc}_b$ of them are right, and $\\mathrm{conf}_b$ is their "
        f"mean confidence (Guo et al. 2017). The largest gap of one bin is {pickers.format_percent(found.largest_gap)}."
    )


def table(found: Reliability) -> None:
    """Draw the bins that hold an answer, each with its part of the error."""
    filled = np.flatnonzero(found.counts)
    part = found.counts * np.abs(found.gaps) / max(found.counts.sum(), 1)
    st.dataframe(
        {
            "Confidence": [f"{100 * found.edges[b]:.1f} to {100 * found.edges[b + 1]:.1f} %" for b in filled],
            "Predictions": found.counts[filled],
            "Right": found.right[filled],
            "Accuracy": 100 * found.accuracy[filled],
            "Mean confidence": 100 * found.confidence[filled],
            "Accuracy less confidence": 100 * found.gaps[filled],
            "Part of the error": 100 * part[filled],
        },
        column_config={
            name: st.column_config.NumberColumn(format="%.2f %%")
            for name in ("Accuracy", "Mean confidence", "Accuracy less confidence", "Part of the error")
        },
        hide_index=True,
        height="content",
        alt=f"The {len(filled)} bins that hold an answer",
    )
