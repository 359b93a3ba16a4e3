"""Probabilities as bars."""

from collections.abc import Sequence

from playground.plots.style import RIGHT, TEMPLATE, WRONG, Figure, color_class, escape_markup, shorten, to_json


def draw_probabilities(
    probs: Sequence[float], classes: Sequence[str], *, top: int = 5, truth: str | None = None, revision: str = ""
) -> Figure:
    """Draw the likeliest classes as horizontal bars, the likeliest on top; there is nothing to zoom into.

    The names are the values of a category axis, so that a class called "5" is no number on it.

    Args:
        probs: (K,) in [0, 1]; classes: their K names.
        top: how many to show.
        truth: the true class, if known: its bar is green and the others red; without it each has its class's colour.
    """
    order = sorted(range(len(probs)), key=lambda i: -probs[i])[:top]
    colours = [color_class(i) if truth is None else RIGHT if classes[i] == truth else WRONG for i in order]
    share = [100 * float(probs[i]) for i in order]
    names = [escape_markup(classes[i]) for i in order]
    bars = {
        "type": "bar",
        "orientation": "h",
        "x": to_json(share),
        "y": names,
        "marker": {"color": colours},
        "text": [f"{p:.1f} %" for p in share],
        "textposition": "auto",
        "cliponaxis": False,
        "hovertemplate": "%{y}: %{x:.1f} %<extra></extra>",
    }
    layout = {
        "template": TEMPLATE,
        "uirevision": revision,
        "margin": {"l": 8, "r": 16, "t": 8, "b": 28},
        "xaxis": {"range": [0, 100], "ticksuffix": " %", "nticks": 6, "fixedrange": True},
        "yaxis": {
            "type": "category",
            "autorange": "reversed",
            "automargin": True,
            "fixedrange": True,
            "tickmode": "array",
            "tickvals": names,
            "ticktext": [escape_markup(shorten(classes[i])) + (" ✓" if classes[i] == truth else "") for i in order],
        },
        "dragmode": False,
        "bargap": 0.3,
        "hovermode": "closest",
        "showlegend": False,
    }
    return {"data": [bars], "layout": layout}
