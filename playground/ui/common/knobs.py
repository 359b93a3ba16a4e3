"""The widgets of all knobs, derived from `config.KNOBS`: a new field appears here by itself."""

import math
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import streamlit as st

from playground.choices import NORMS, OPTIMIZERS, title_of
from playground.config import KNOBS, Knob, RunConfig, flatten, from_flat
from playground.data import catalog
from playground.data.catalog import DataError
from playground.jobs import client
from playground.presets import PRESETS, Preset
from playground.ui.common import form, session, url

GROUPS = {"data": "Data", "model": "Network", "training": "Training"}
HIDDEN = ("folds", "fold")  # a study sets them
FIRST = frozenset(
    "dataset flip shift channels convs_per_block kernel_size activation norm dropout "
    "optimizer learning_rate schedule weight_decay batch_size epochs".split()
)
"""The knobs that are seen at once; the others are one click away."""

NAMES = {
    "cnn": "CNN",
    "fcn": "FCN",
    "unet": "U-Net",
    "float32": "float32",
    "bfloat16": "bfloat16",
    "cpu": "CPU",
}
LIVE_HELP = "Acts at once on a run in progress."
NEW_HELP = "Changing it starts a new run."


def name_of(choice: str) -> str:
    """Write a choice for people: "leaky_relu" as "Leaky ReLU"."""
    plain = choice.replace("_", " ").capitalize() if choice.islower() else choice
    return title_of(choice) or NAMES.get(choice, plain)


def find_unused(values: Mapping[str, Any]) -> dict[str, str]:
    """Return `{knob name: why}` for the knobs that do nothing beside the others' values."""
    reasons = {}
    if not OPTIMIZERS[values["optimizer"]].uses_momentum:
        reasons["momentum"] = f"not used by {name_of(values['optimizer'])}"
    if OPTIMIZERS[values["optimizer"]].full_batch:
        reasons["batch_size"] = "full-batch descent takes all images"
        if NORMS[values["norm"]].keeps_averages:
            name = name_of(values["norm"]).lower()
            reasons["batch_size"] += f", and {name} normalisation looks at 512 of them at a time"
    if values["kernel_size"] == 1:
        reasons["dilation"] = "a 1×1 kernel has one tap"
    if values["folds"]:
        reasons["validation_share"] = f"fold {values['fold']} of {values['folds']} is held back"
    return {**reasons, **catalog.task_of(values["dataset"]).unused}


def _steps(knob: Knob, *values: float) -> list[float]:
    """Return the stops of a logarithmic slider, these values among them.

    Those are the present one, and the one that was loaded: the stops must stay while a person moves along them.
    """
    low, high = knob.low or 0, knob.high or 1
    if knob.kind == "int":
        stops = {2**i for i in range(13) if low <= 2**i <= high}
    else:
        first = math.floor(math.log10(low)) if low else -6
        digits = (1, 1.5, 2, 3, 4, 5, 6, 8)
        stops = {float(f"{d}e{e}") for e in range(first, math.ceil(math.log10(high)) + 1) for d in digits}
        stops = {stop for stop in stops if low <= stop <= high} | ({0.0} if low == 0 else set())
    return sorted(stops | set(values))


def _mirrors(dataset: str) -> bool:
    try:
        return catalog.may_flip(catalog.find_info(dataset).classes)
    except DataError:
        return True


def _suit_data_set(before: str, now: str) -> None:
    """Turn flips off where a mirrored image is no longer of its class, and on again when such a data set is left."""
    if _mirrors(before) != _mirrors(now):
        form.load_config(from_flat({"flip": _mirrors(now)}, form.read_config()))


def _options(knob: Knob, value: str) -> list[str]:
    """Return what a choice, the data set or the device can be here."""
    if knob.name == "dataset":
        options = [info.name for info in catalog.list_available()]
    elif knob.name == "device":
        options = ["auto", *client.list_devices()]
    else:
        options = list(knob.choices)
    return options if value in options else [*options, value]


def _float_step(knob: Knob) -> float:
    if (knob.high or 0) > 1:
        return 1.0
    return 0.05 if round((knob.high or 0) * 20, 6) % 1 == 0 and not knob.name.endswith("smoothing") else 0.01


def _channels(knob: Knob, help: str, disabled: bool) -> None:
    assert knob.lengths is not None
    value = form.value("channels", session.FORM.get().model.channels)
    for i in range(form.MAX_BLOCKS):
        if form.key(f"channels_{i}") not in st.session_state and i < len(value):
            st.session_state[form.key(f"channels_{i}")] = value[i]
    st.slider(
        "Blocks",
        *knob.lengths,
        key=form.key("channels_blocks"),
        on_change=url.say_moved,
        help=f"How many blocks of convolution and pooling follow one another.\n\n{NEW_HELP}",
        disabled=disabled,
    )
    with st.grid(3, min_column_width=76, gap=("xxsmall", "xsmall")):
        for i in range(len(value)):
            st.number_input(
                f"Channels {i + 1}" if len(value) < 4 else f"Ch. {i + 1}",
                int(knob.low or 1),
                int(knob.high or 512),
                step=8,
                key=form.key(f"channels_{i}"),
                on_change=url.say_moved,
                help=help if i == 0 else None,
                disabled=disabled,
            )


def _moved(knob: Knob, on_live_change: Callable[[str], None] | None) -> None:
    url.say_moved()
    before = form.held().data.dataset
    if not form.take_moved(knob.name):
        return
    if knob.name == "dataset":
        _suit_data_set(before, form.held().data.dataset)
    elif on_live_change and knob.live:
        on_live_change(knob.name)


def _widget(knob: Knob, reason: str, on_change: Callable[[str], None] | None) -> None:
    """Draw one knob by its kind.

    The label is read out as it stands, markup and all, so what it says is plain text; style.css puts the bolt after it.
    """
    key = form.key(knob.name)
    value = st.session_state.get(key)
    unit = f" ({knob.unit})" if knob.unit else ""
    label = f"{knob.label}{unit}" + (f" · {reason}" if reason else "")
    help = f"{knob.help}\n\n{LIVE_HELP if knob.live else NEW_HELP}"
    shared: dict[str, Any] = {"key": key, "help": help, "disabled": bool(reason)}
    shared |= {"on_change": _moved, "args": (knob, on_change)}
    if knob.kind == "ints":
        _channels(knob, help, bool(reason))
    elif knob.kind == "bool":
        st.toggle(label, **shared)
    elif knob.kind in ("choice", "text"):
        options = _options(knob, str(value))
        titles = {
            "dataset": {info.name: info.title for info in catalog.list_available()},
            "device": client.list_devices(),
        }
        names = titles.get(knob.name, {})

        def format_func(option: str) -> str:
            return names.get(option) or name_of(option)

        if knob.kind == "choice" and len(options) <= 3:
            st.segmented_control(label, options, required=True, format_func=format_func, width="stretch", **shared)
        else:
            st.selectbox(label, options, format_func=format_func, **shared)
    elif knob.log:
        st.select_slider(
            label, _steps(knob, value or 0, flatten(form.loaded())[knob.name]), format_func=lambda v: f"{v:g}", **shared
        )
    else:
        _number(knob, label, shared)


def _marked(knob: Knob) -> AbstractContextManager[Any]:
    """Return where a knob is drawn: one that a run in progress takes, with a bolt."""
    return st.container(key=f"live_{knob.name}") if knob.live else nullcontext()


def _number(knob: Knob, label: str, shared: dict[str, Any]) -> None:
    low, high = knob.low or 0, knob.high or 0
    if knob.kind == "int" and high - low <= 36:
        st.slider(label, int(low), int(high), **shared)
    elif knob.kind == "int":
        step = 100 if high == 100_000 else 32 if knob.name == "fc_width" else 1
        st.number_input(label, int(low), int(high), step=step, **shared)
    elif high < 1 and high > 0.9:  # close to one, each thousandth counts
        st.number_input(label, float(low), float(high), step=0.01, format="%.3f", **shared)
    else:
        step = _float_step(knob)
        st.slider(label, float(low), float(high), step=step, format="%.0f" if step == 1 else "%.2f", **shared)


def _use_preset(preset: Preset) -> None:
    form.load_config(preset.apply(form.read_config()))


def draw_presets() -> None:
    """Draw a button for each preset; the one the form stands at is marked."""
    config = form.read_config()
    with st.container(horizontal=True, gap="xsmall", key="presets"):
        for preset in PRESETS.values():
            st.button(
                preset.title,
                key=f"preset_{preset.name}",
                help=preset.help,
                type="primary" if preset.apply(config) == config else "secondary",
                on_click=_use_preset,
                args=(preset,),
            )
        st.button(
            "Defaults",
            key="preset_default",
            help="Every knob as it was at first.",
            icon=":material/restart_alt:",
            type="tertiary",
            on_click=form.load_config,
            args=(RunConfig(),),
        )


def draw_settings(on_live_change: Callable[[str], None] | None = None) -> RunConfig:
    """Draw every knob in its group and return the config they make.

    Args:
        on_live_change: called with the knob's name when a person changes one that a run in progress takes.
    """
    reasons = find_unused(flatten(form.read_config()))
    for group, title in GROUPS.items():
        members = [knob for knob in KNOBS.values() if knob.group == group and knob.name not in HIDDEN]
        with st.container(gap="xsmall", key=f"knobs_{group}"):
            st.markdown(f"**{title}**")
            for knob in members:
                if knob.name in FIRST:
                    with _marked(knob):
                        _widget(knob, reasons.get(knob.name, ""), on_live_change)
            with st.expander(f"More {title.lower()} knobs", type="compact", key=f"more_{group}"):
                for knob in members:
                    if knob.name not in FIRST:
                        with _marked(knob):
                            _widget(knob, reasons.get(knob.name, ""), on_live_change)
    config = form.read_config()
    session.FORM.set(config)
    return config
