"""What the knobs make, beside the knobs: the network layer by layer, and what an epoch costs."""

import math

import streamlit as st

from playground.config import ConfigError, RunConfig
from playground.data.catalog import DataError
from playground.geometry import Layer
from playground.jobs import estimate

SILENT = ("activation", "dropout")
"""Kinds that change no shape and have no weights; the table leaves them out."""


def format_count(number: float) -> str:
    """Write a count with three digits: 139 k, 5.63 M."""
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if number >= size:
            return f"{number / size:.3g} {unit}"
    return f"{number:g}"


def format_duration(seconds: float) -> str:
    """Write a time roughly: 0.4 s, 12 s, 3 min 20 s, 2 h 5 min."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if not minutes:
        return f"{rest} s"
    if minutes < 60:
        return f"{minutes} min {rest} s" if minutes < 10 and rest else f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60} min"


def find_problem(config: RunConfig) -> str:
    """Return why the knobs make no network, in one line; empty when they do."""
    try:
        estimate.lay_out_network(config)
    except (ConfigError, DataError) as error:
        return str(error)
    return ""


def _rows(chain: tuple[Layer, ...]) -> list[dict[str, str]]:
    return [
        {
            "Layer": layer.name.replace(".", " · "),
            "Output": "×".join(map(str, layer.out_shape)),
            "Parameters": f"{layer.parameters:,}" if layer.parameters else "",
            "MACs": format_count(layer.macs) if layer.macs else "",
        }
        for layer in chain
        if layer.kind not in SILENT
    ]


def _table(chain: tuple[Layer, ...]) -> str:
    """Write the layers as a table in Markdown, figures to the right."""
    rows = _rows(chain)
    lines = ["| Layer | Output | Parameters | MACs |", "|:--|--:|--:|--:|"]
    lines += ["| " + " | ".join(row.values()) + " |" for row in rows]
    return "\n".join(lines)


def draw_network(config: RunConfig) -> None:
    """Draw the totals and the layer table. The config must make a network (see `problem`)."""
    chain = estimate.lay_out_network(config)
    seconds = estimate.estimate_seconds_per_epoch(config)
    with st.grid(2, min_column_width=120, gap="xsmall", key="network_totals"):
        st.metric(
            "Parameters", format_count(sum(layer.parameters for layer in chain)), help="Numbers that are learned."
        )
        st.metric(
            "Multiplications",  # what they are per does not fit beside the parameters
            format_count(sum(layer.macs for layer in chain)),
            help="With an addition each (MACs), for one image, forward. Training takes about three times as many.",
        )
        st.metric(
            "An epoch takes",
            f"≈ {format_duration(seconds)}",
            help="Estimated from the layers and from recent runs on this machine.",
        )
        st.metric(
            "The run takes",
            f"≈ {format_duration(seconds * config.training.epochs)}",
            help=f"{config.training.epochs} epochs of {math.ceil(estimate.count_training_images(config)):,} images.",
        )
    with st.container(key="layer_table"):
        st.markdown(_table(chain))
    st.caption("Activations and dropout follow each layer; they change no shape and have no parameters.")
