"""The form of a new study."""

from collections.abc import Callable
from dataclasses import replace
from typing import cast

import streamlit as st

from playground.config import KNOBS, ConfigError, Knob, RunConfig, diff, from_flat
from playground.data import store
from playground.data.catalog import DataError
from playground.runs import RunError
from playground.studies import Axis, Study, StudyError, lifecycle, parse_axis, plan
from playground.studies.space import MAX_MEMBERS, NOT_VARIED
from playground.studies.study import Sampler
from playground.ui.common import pickers, session
from playground.ui.common.escape import escape
from playground.ui.common.knobs import name_of
from playground.ui.pages.train.network import format_duration

KINDS = {
    "sweep": ("Sweep", "tune", "Which values of some knobs are best? Tries many, side by side."),
    "folds": (
        "Cross-validation",
        "pie_chart",
        "How good is this network, really? Cuts the training images into parts and holds back each in turn.",
    ),
    "seeds": ("Several seeds", "casino", "How much of it is luck? Trains the same network from other random numbers."),
    "range_test": (
        "Learning-rate range test",
        "speed",
        "Which learning rate? Raises it step by step in one short run until the loss explodes.",
    ),
}
SAMPLERS = {
    "grid": ("Grid", "Every combination of the values."),
    "random": ("Random", "Combinations at random; a knob that does not matter wastes no runs."),
    "tpe": ("Optuna", "Each choice learns from the runs before it (tree-structured Parzen estimator)."),
}
SUGGESTED = {
    "learning_rate": "1e-4..1e-1:log:4",
    "weight_decay": "1e-4..1e-1:log:4",
    "l1": "1e-6..1e-3:log:4",
    "dropout": "0..0.5:3",
    "batch_size": "32,64,128",
    "kernel_size": "3,5,7",
    "channels": "16-32-64,32-64-128",
    "fc_width": "0,64,128",
    "epochs": "5,10,20",
    "seed": "0,1,2",
    "images_per_class": "50,100,0",
    "validation_share": "0.1,0.2",
}
"""What is in a knob's fields at first; others begin with the whole of what they take."""
PREFIX = "study_new_"


def _keyed(name: str) -> str:
    return f"{PREFIX}{name}"


def _suggested(knob: Knob) -> Axis:
    if knob.name in SUGGESTED:
        return parse_axis(f"{knob.name}={SUGGESTED[knob.name]}")
    if knob.kind == "bool":
        return Axis(knob.name, ("false", "true"))
    if knob.kind == "choice":
        return Axis(knob.name, knob.choices[:3])
    return Axis(knob.name, (), knob.low or 0, knob.high or 1, points=3)


def _axis(knob: Knob, grid: bool) -> Axis:
    """Let a person say which values of a knob are tried.

    Raises:
        StudyError: the knob does not take them.
    """
    at_first, unit = _suggested(knob), f" ({knob.unit})" if knob.unit else ""
    if knob.kind == "bool":
        st.markdown(f"**{knob.label}**: off and on")
        return at_first
    if knob.kind == "choice":
        chosen = st.multiselect(
            knob.label,
            knob.choices,
            at_first.values,
            key=_keyed(knob.name),
            format_func=name_of,
            persist_state="session",
            help="The values that are tried.",
        )
        if not chosen:
            raise StudyError(f"choose values for {knob.label.lower()}")
        return Axis(knob.name, tuple(chosen))
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        ranged = False
        if knob.kind != "ints":
            form_of = st.segmented_control(
                f"{knob.label}{unit}",
                ["Range", "List"],
                key=_keyed(f"{knob.name}_form"),
                default="Range" if at_first.is_range else "List",
                required=True,
                persist_state="session",
                help="A range from end to end, or the very values.",
            )
            ranged = form_of == "Range"
        if not ranged:
            text = st.text_input(
                f"Values of {knob.label.lower()}",
                ", ".join(at_first.values),
                key=_keyed(f"{knob.name}_list"),
                persist_state="session",
                help=f"Separated by commas. {knob.label} takes {knob.allowed}"
                + ("; join the numbers of one network by -." if knob.kind == "ints" else "."),
            )
            return parse_axis(f"{knob.name}={text}")
        return _range(knob, at_first, grid)


def _range(knob: Knob, at_first: Axis, grid: bool) -> Axis:
    whole = knob.kind == "int"
    low, high = (at_first.low, at_first.high) if at_first.is_range else (knob.low or 0.0, knob.high or 1.0)
    bounds = []
    for end, value in (("From", low), ("To", high)):
        text = st.text_input(
            f"{end}",
            f"{value:g}",
            key=_keyed(f"{knob.name}_{end}"),
            width=110,
            persist_state="session",
            help=f"{knob.label} takes {knob.allowed}.",
        )
        bounds.append(text)
    log = st.toggle(
        "Logarithmic",
        at_first.log,
        key=_keyed(f"{knob.name}_log"),
        persist_state="session",
        help="As many values from 0.001 to 0.01 as from 0.01 to 0.1.",
    )
    points = at_first.points
    if grid:
        points = st.number_input(
            "How many",
            2,
            50,
            points,
            key=_keyed(f"{knob.name}_points"),
            width=130,
            persist_state="session",
            help="So many values, evenly spread from end to end.",
        )
    try:
        ends = [float(int(text)) if whole else float(text) for text in bounds]
    except ValueError:
        raise StudyError(f"{knob.label}: {'..'.join(bounds)[:40]!r} is no range; it takes {knob.allowed}") from None
    return Axis(knob.name, (), ends[0], ends[1], log, int(points))


def _base(kind: str) -> RunConfig:
    """Let a person choose the knobs that all runs share."""
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        source = st.segmented_control(
            "All other knobs",
            ["The form on Train", "A run's"],
            key=_keyed("source"),
            default="The form on Train",
            required=True,
            persist_state="session",
            help="What the runs have in common.",
        )
        config = session.FORM.get()
        if source == "A run's" and (run := pickers.pick_run("Run", _keyed("run"))):
            config = from_flat({"folds": 0, "fold": 0}, base=run.config)  # another study's
        base = {"sweep": config.training.epochs, "range_test": 2}.get(kind, config.training.epochs)
        epochs = st.number_input(
            "Epochs of each run",
            1,
            1000,
            base,
            key=_keyed(f"epochs_{kind}_{base}"),
            width=160,
            persist_state="session",
            help="Fewer than for a final run will do to see which is better.",
        )
    shown = [
        f"{KNOBS[name].label} {store.title_of(value) if name == 'dataset' else KNOBS[name].format(value)}"
        for name, (_, value) in diff(RunConfig(), config).items()
    ]
    st.caption("The knobs as by default" + (f", but {', '.join(shown)}" if shown else "") + ".")
    return from_flat({"epochs": epochs}, base=config)


def _sweep(base: RunConfig) -> Study:
    varied = st.multiselect(
        "Knobs to vary",
        [name for name in KNOBS if name not in NOT_VARIED],
        ["learning_rate"],
        key=_keyed("knobs"),
        format_func=lambda name: KNOBS[name].label,
        persist_state="session",
        help="Each gets its values below.",
    )
    sampler = st.segmented_control(
        "How to choose values",
        list(SAMPLERS),
        key=_keyed("sampler"),
        default="grid",
        required=True,
        format_func=lambda name: SAMPLERS[name][0],
        persist_state="session",
        help="All combinations, drawn at random, or guided by the results so far.",
    )
    st.caption(SAMPLERS[sampler][1])
    problems, axes = [], []
    for name in varied:
        with st.container(border=True, key=f"study_axis_{name}"):
            try:
                axes.append(_axis(KNOBS[name], sampler == "grid"))
            except StudyError as error:
                problems.append(str(error))
    count, prune = 8, True
    if sampler != "grid":
        with st.container(horizontal=True, vertical_alignment="bottom"):
            count = st.number_input(
                "Number of runs",
                1,
                MAX_MEMBERS,
                8,
                key=_keyed("count"),
                width=160,
                persist_state="session",
                help="How many combinations are tried.",
            )
            if sampler == "tpe":
                prune = st.toggle(
                    "Stop runs that fall behind",
                    True,
                    key=_keyed("prune"),
                    persist_state="session",
                    help="Once three runs have finished, one whose best epoch so far is below the median of the "
                    "finished runs at the same epoch is stopped (pruned).",
                )
    if problems:
        raise StudyError(problems[0])
    return Study("sweep", base, int(count), tuple(axes), cast(Sampler, sampler), prune)


def _study(kind: str, base: RunConfig) -> Study:
    """Draw what belongs to the kind, and return the study that it asks for.

    Raises:
        StudyError, ConfigError: it cannot be; one line.
    """
    if kind == "sweep":
        return _sweep(base)
    if kind == "range_test":
        rate = st.number_input(
            "Highest learning rate",
            1e-4,
            10.0,
            1.0,
            key=_keyed("rate"),
            width=200,
            format="%g",
            persist_state="session",
            help="The test begins at a ten-thousandth of it.",
        )
        return Study("range_test", from_flat({"learning_rate": rate, "schedule": "range_test"}, base=base))
    label, most = ("Folds", 20) if kind == "folds" else ("Seeds", MAX_MEMBERS)
    count = st.number_input(
        label,
        2,
        most,
        5,
        key=_keyed(kind),
        width=160,
        persist_state="session",
        help="More of them say more surely how much is luck, and take longer.",
    )
    return Study("folds" if kind == "folds" else "seeds", base, int(count))


def _forecast(study: Study) -> bool:
    """Write how many runs there will be and how long they take; False if it cannot be done."""
    try:
        made = plan(study)
        side_by_side = min(lifecycle.count_slots(study.base), len(made.members))
        lasts = lifecycle.estimate_seconds([config for _, config in made.members], side_by_side)
    except (StudyError, ConfigError, DataError) as error:
        st.error(escape(str(error)), icon=":material/error:")
        return False
    count = len(made.members)
    line = f"**{count} run{'s' if count > 1 else ''}**, {side_by_side} at a time, in about **{format_duration(lasts)}**"
    st.markdown(line + (" if none is stopped early" if study.driven and study.prune else "") + ".")
    if made.left_out:
        with st.expander(f"{len(made.left_out)} combinations make no network and are left out", type="compact"):
            for values, why in made.left_out[:20]:
                st.caption(f"{', '.join(f'{KNOBS[k].label} {v}' for k, v in values.items())}: {why}")
    if study.driven and count < study.count:
        st.caption(f"There are no more than {count} different combinations.")
    return True


def draw(on_start: Callable[[Study], None]) -> None:
    """Draw the form; `on_start` is called with the study when a person starts it."""
    kind = st.segmented_control(
        "What to find out",
        list(KINDS),
        key=_keyed("kind"),
        default="sweep",
        required=True,
        format_func=lambda name: f":material/{KINDS[name][1]}: {KINDS[name][0]}",
        persist_state="session",
        wrap=True,
        help="Each question has its kind of study.",
    )
    st.caption(KINDS[kind][2])
    try:
        study = _study(kind, _base(kind))
    except (StudyError, ConfigError, RunError) as error:
        st.error(escape(str(error)), icon=":material/error:")
        study = None
    able = study is not None and _forecast(study)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        name = st.text_input(
            "Name",
            key=_keyed("name"),
            placeholder=KINDS[kind][0],
            max_chars=80,
            width=300,
            help="What the study is called; empty: what it does.",
        )
        if (
            st.button(
                "Start",
                icon=":material/play_arrow:",
                type="primary",
                key="study_start",
                disabled=not able,
                help="Put all of its runs into the queue.",
            )
            and study
        ):
            on_start(replace(study, name=name or _title(study)))


def _title(study: Study) -> str:
    """Name a study after what it asks."""
    if study.kind == "sweep":
        return "Sweep of " + ", ".join(KNOBS[axis.knob].label.lower() for axis in study.axes)
    if study.kind == "range_test":
        return KINDS["range_test"][0]
    return f"{study.count} {'folds' if study.kind == 'folds' else 'seeds'}"
