"""One number's arithmetic, written out."""

from typing import TYPE_CHECKING

import numpy as np
import streamlit as st

from playground.interpret.ops import ConvStep, LinearStep, NormStep, PoolStep, SoftmaxStep, shown
from playground.ui.common.escape import escape
from playground.ui.pages.inside.context import PageContext, name_channel

if TYPE_CHECKING:
    from playground.interpret.arithmetic import Arithmetic
    from playground.interpret.trace import Trace

CHANNEL = "inside_channel"


def grid(values: np.ndarray, rows: np.ndarray, columns: np.ndarray, marks: np.ndarray | None = None) -> str:
    """Write numbers (h, w) as a Markdown table with their places in the map; `marks` (h, w) bool are bold."""
    head = "| | " + " | ".join(f"col {column}".replace("-", "−") for column in columns) + " |"
    lines = [head, "|---|" + "---:|" * len(columns)]
    for i, row in enumerate(rows):
        cells = [shown(float(value)) for value in values[i]]
        if marks is not None:
            cells = [f"**{cell}**" if mark else cell for cell, mark in zip(cells, marks[i], strict=True)]
        place = f"row {row}".replace("-", "−")
        lines.append(f"| {place} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def table(columns: dict[str, list[str]], alt: str) -> None:
    """Draw a table of words and numbers."""
    st.table(columns, border="horizontal", alt=alt)


def written_out(scene: PageContext, trace: "Trace", found: "Arithmetic") -> None:
    """Draw the rule, the rule with the numbers, and the numbers themselves."""
    step = found.step
    place = ", ".join(map(str, found.index))
    source = f" from {found.source}" if found.source else " from the image"
    st.markdown(f"**How {found.name} [{place}] came about{source}**")
    st.markdown(step.formula)
    st.code(step.numbers, language=None, wrap_lines=True)
    match step:
        case ConvStep():
            _conv(step, found.source)
        case PoolStep():
            marks = None
            if step.taken is not None:
                marks = np.zeros(step.window.shape, bool)
                marks[step.taken] = True
            st.markdown(grid(step.window, step.rows, step.columns, marks))
            st.caption("The window; what was taken is bold." if marks is not None else "The window.")
        case LinearStep():
            _linear(scene, trace, found, step)
        case SoftmaxStep():
            names = list(scene.classes)
            shares = step.exponentials / step.total
            numbers = [step.logits, step.exponentials, shares]
            columns = [[shown(float(value)) for value in column] for column in numbers]
            heads = ("logit", "e^(logit − largest)", "share")
            table({"class": names} | dict(zip(heads, columns, strict=True)), "Each class's logit and its share")
        case NormStep():
            facts = dict(zip(step.words, (step.mean, step.variance), strict=True)) | {"γ": step.gamma, "β": step.beta}
            st.caption(", ".join(f"{name} {shown(value)}" for name, value in facts.items()))
    if not np.isclose(step.output, found.traced, rtol=1e-3, atol=1e-4, equal_nan=True):
        st.caption(f"The network computed {shown(found.traced)} in float32; the difference is rounding.")


def _conv(step: ConvStep, source: str) -> None:
    count = len(step.channel_sums)
    channel = 0
    if count > 1:
        st.session_state[CHANNEL] = min(max(int(st.session_state.get(CHANNEL) or 0), 0), count - 1)
        label = f"Input map, 0 to {count - 1}" + (" (R, G, B)" if name_channel(source, count, 0) else "")
        channel = int(
            st.number_input(
                label,
                0,
                count - 1,
                step=1,
                key=CHANNEL,
                persist_state="session",
                help="Of which input map the products are written out; the sum is over all.",
            )
            or 0
        )
    parts = (("Patch", step.patch), ("× kernel", step.kernel), ("= products", step.products))
    with st.container(horizontal=True, gap="medium"):
        for title, values in parts:
            with st.container(width="content"):
                st.markdown(f"{title}\n\n{grid(values[channel], step.rows, step.columns)}")
    padded = int((~step.inside).sum())
    beyond = f" {padded} of {step.inside.size} taps lie beyond the edge and count as 0." if padded else ""
    adds = shown(float(step.channel_sums[channel]))
    st.caption(f"Input map {channel} adds {adds} to the sum; the bias is {shown(step.bias)}.{beyond}")
    if count > 1:
        with st.expander("What each input map adds"):
            sums = [shown(float(value)) for value in step.channel_sums]
            names = [f"{i} {name_channel(source, count, i)}".strip() for i in range(count)]
            table({"input map": names, "sum": sums}, "What each input map adds to the sum")


def _linear(scene: PageContext, trace: "Trace", found: "Arithmetic", step: LinearStep) -> None:
    from playground.interpret.arithmetic import find_inputs

    places = [", ".join(map(str, place)) for place in find_inputs(trace, found.name, step.units)]
    numbers = {"input": step.inputs, "weight": step.weights, "product": step.products}
    columns = {name: [shown(float(value)) for value in values] for name, values in numbers.items()}
    head = "from map, row, column" if places and "," in places[0] else "from unit"
    table({head: places, **columns}, "The inputs with the largest products")
    if found.name == trace.outputs[-2].name:
        st.caption(
            f"This unit is the class {escape(scene.classes[found.index[0]])}; {step.rest_count} inputs are not listed."
        )
    else:
        st.caption(f"The inputs with the largest products; {step.rest_count} are not listed.")
