"""What a study has found, as figures."""

from collections.abc import Callable

import streamlit as st

from playground.config import KNOBS, RunConfig
from playground.data import catalog
from playground.metrics.scores import compute_accuracy
from playground.plots import studies as figures
from playground.plots.confusion import draw_confusion
from playground.runs import RunError
from playground.studies import StudyFolder, range_test
from playground.studies.results import (
    Result,
    StudyReader,
    compute_mean_std,
    compute_noise_margin,
    count_out_of_fold,
    find_best,
    read_score,
)
from playground.ui.common.escape import escape
from playground.ui.common.pickers import format_percent
from playground.ui.components.live_chart import live_chart

DRAWN = 60
"""Curves in one figure; more hide one another."""


def draw(folder: StudyFolder, feed: StudyReader, use_rate: Callable[[RunConfig, float], None]) -> None:
    """Draw what belongs to the study's kind.

    Args:
        folder, feed: the study and its reader.
        use_rate: a callback that takes a learning rate to the form.
    """
    if not feed.results:
        st.caption("The first run is being made …")
        return
    match folder.study.kind:
        case "range_test":
            _range_test(folder, feed, use_rate)
        case "sweep":
            _sweep(folder, feed)
        case _:
            _spread(folder, feed)


def measure(folder: StudyFolder) -> str:
    """Name the figure that members are compared by."""
    return catalog.task_of(folder.study.base.data.dataset).metric.title


# Folds and seeds


def _spread(folder: StudyFolder, feed: StudyReader) -> None:
    scored = [result for result in feed.results if result.finished and result.score is not None]
    folds = folder.study.kind == "folds"
    if scored:
        with st.container(horizontal=True, gap="large"):
            _mean(
                _judged(folder),
                [r.score or 0.0 for r in scored],
            )
            _mean(f"{measure(folder)} on the test images", [r.test for r in scored if r.test is not None])
        if len(scored) > 1 and not folds:
            apart = compute_noise_margin(compute_mean_std([r.test or 0.0 for r in scored])[1] or 0.0)
            st.caption(
                f"Two runs that differ in their seed alone lie up to {100 * apart:.1f} points apart on the test images "
                "in 19 of 20 cases: a smaller difference between two single runs may be luck."
            )
    left, right = st.columns([1.1, 1], gap="medium") if folds else (st.container(), None)
    with left:
        _curves(folder, feed)
    if right:
        with right:
            _confusion(folder, feed)


def lower(measure: str) -> str:
    """Write a figure's name as it stands in a sentence."""
    return measure[0].lower() + measure[1:]


def brief(folder: StudyFolder) -> str:
    """Name what members are compared by, with its split, in few words: "Validation accuracy"."""
    data = folder.study.base.data
    if folder.study.kind == "folds" or data.folds:
        return _judged(folder)
    return f"{'Validation' if data.validation_share else 'Test'} {lower(measure(folder))}"


def _judged(folder: StudyFolder) -> str:
    """Name what members are compared by, with its split: "Accuracy on the validation images"."""
    data = folder.study.base.data
    if folder.study.kind == "folds" or data.folds:
        return f"{measure(folder)} on the fold held back"
    return f"{measure(folder)} on the {'validation' if data.validation_share else 'test'} images"


def _mean(label: str, values: list[float]) -> None:
    if not values:
        return
    mean, std = compute_mean_std(values)
    spread = f" ± {100 * std:.1f}" if std is not None else ""
    one = "1 run" if len(values) == 1 else f"{len(values)} runs"
    st.metric(
        label,
        f"{100 * mean:.1f}{spread} %",
        help=f"Mean ± standard deviation (over n − 1) of {one}, each after its last epoch.",
        width="content",
    )


def _name(result: Result) -> str:
    return ", ".join(f"{KNOBS[k].label.lower()} {v}" for k, v in result.member.values.items() if k != "folds")


def _curves(folder: StudyFolder, feed: StudyReader) -> None:
    repeats = folder.study.kind in ("folds", "seeds")  # of different knobs a mean curve would say nothing
    series = []
    for result in feed.results[:DRAWN]:
        if rows := feed.feeds.get(result.member.run_id):
            points = [(row.epoch, read_score(row)) for row in rows.epochs]
            if points:
                epochs, values = zip(*points, strict=True)
                series.append((_name(result), epochs, values))
    if series:
        live_chart(
            figures.draw_members(series, measure=_judged(folder), mean=repeats, revision=folder.id),
            key="study_curves",
            alt=f"{_judged(folder)} of each of {len(series)} runs by epoch" + (", and their mean" if repeats else ""),
            height=380,
            version=f"{folder.id} {feed.version}",
        )


@st.cache_data(max_entries=16, show_spinner="Putting the folds together …")
def _out_of_fold(path: str, finished: tuple[str, ...], _results: list[Result]) -> list[list[int]] | None:
    counts = count_out_of_fold(_results)
    return None if counts is None else counts.tolist()


def _confusion(folder: StudyFolder, feed: StudyReader) -> None:
    finished = tuple(result.member.run_id for result in feed.results if result.finished)
    try:
        counts = _out_of_fold(str(folder.path), finished, feed.results)
        classes = catalog.find_info(folder.study.base.data.dataset).classes
    except (RunError, OSError) as error:
        st.error(escape(str(error)), icon=":material/error:")
        return
    if counts is None:
        masks = catalog.task_of(folder.study.base.data.dataset).target == "mask"
        st.caption(
            "Where pixels are labelled there is no confusion matrix over the folds."
            if masks
            else "The confusion matrix appears when the first fold is finished."
        )
        return
    share = format_percent(compute_accuracy(counts))
    live_chart(
        draw_confusion(counts, classes, title="Out of fold", revision=folder.id),
        key="study_confusion",
        alt=f"Confusion matrix over {sum(map(sum, counts)):,} images, each judged by the run that never saw it: "
        f"{share} right",
        height=380,
        version=f"{folder.id} {finished}",
    )
    st.caption(
        f"Each image judged by the run that never saw it, {len(finished)} of {folder.wanted} folds: {share} right."
    )


# Sweeps


def _columns(folder: StudyFolder, results: list[Result]) -> list[figures.Column]:
    columns = []
    for axis in folder.study.axes:
        texts = tuple(result.member.values[axis.knob] for result in results)
        numbers = tuple(map(float, texts)) if KNOBS[axis.knob].kind in ("int", "float") else None
        log = numbers is not None and min(numbers) > 0 and (axis.log or (not axis.is_range and KNOBS[axis.knob].log))
        continuous = numbers is not None and axis.is_range and folder.study.sampler != "grid"
        columns.append(figures.Column(KNOBS[axis.knob].label, texts, numbers, log, continuous))
    return columns


def _sweep(folder: StudyFolder, feed: StudyReader) -> None:
    top = find_best(feed.results)
    if top:
        also = "" if _judged(folder).endswith("test images") else f" ({format_percent(top.test)} on the test images)"
        st.markdown(
            f"Best: **{format_percent(top.score)}** with {_name(top)}{also}. What counts is {lower(_judged(folder))}, "
            "after the last epoch."
        )
    if left_out := folder.left_out():
        with st.expander(f"{len(left_out)} combinations make no network and were left out", type="compact"):
            for values, why in left_out[:20]:
                st.caption(f"{', '.join(f'{KNOBS[k].label} {v}' for k, v in values.items())}: {why}")
    scored = [result for result in feed.results if (result.finished or result.pruned) and result.score is not None]
    if not scored:
        st.caption("The figures appear when the first run is finished.")
        _curves(folder, feed)
        return
    columns, accuracies = _columns(folder, scored), [result.score or 0.0 for result in scored]
    version, names = f"{folder.id} {len(scored)}", [_name(result) for result in scored]
    wide, side = st.columns([1.2, 1], gap="medium")
    with wide:
        if len(columns) > 1:
            live_chart(
                figures.draw_parallel_coordinates(columns, accuracies, measure=brief(folder), revision=folder.id),
                key="study_parallel",
                alt=f"Parallel coordinates of {len(scored)} runs: a line through each run's knobs to its accuracy",
                height=340,
                version=version,
            )
        else:
            _curves(folder, feed)
    with side:
        _over(folder, columns, accuracies, names, version)
    if any(result.pruned for result in scored):
        st.caption("Pruned runs stand at the accuracy at which they were stopped.")


def _over(
    folder: StudyFolder, columns: list[figures.Column], accuracies: list[float], names: list[str], version: str
) -> None:
    if len(columns) == 1:
        figure = figures.draw_over_setting(columns[0], accuracies, names, measure=_judged(folder), revision=folder.id)
        alt = f"{_judged(folder)} of {len(accuracies)} runs over {columns[0].title.lower()}"
        live_chart(figure, key="study_over", alt=alt, height=380, version=version)
        return
    across, down = columns[0], columns[1]
    if len(columns) > 2:
        titles = [column.title for column in columns]
        with st.container(horizontal=True):
            first = st.selectbox(
                "Across", titles, 0, key=f"study_across_{folder.id}", help="The setting of the columns."
            )
            others = [title for title in titles if title != first]
            second = st.selectbox(
                "Down", others, 0, key=f"study_down_{folder.id}_{first}", help="The setting of the rows."
            )
        across, down = (next(column for column in columns if column.title == title) for title in (first, second))
    live_chart(
        figures.draw_setting_map(
            across, down, accuracies, measure=_judged(folder), revision=f"{folder.id} {across.title} {down.title}"
        ),
        key="study_map",
        alt=f"{_judged(folder)} of {len(accuracies)} runs over {across.title.lower()} and {down.title.lower()}",
        height=340,
        version=f"{version} {across.title} {down.title}",
    )


# The range test


def _range_test(folder: StudyFolder, feed: StudyReader, use_rate: Callable[[RunConfig, float], None]) -> None:
    result = feed.results[0]
    rows = feed.feeds.get(result.member.run_id)
    rates, losses = (rows.progress.get(name, []) if rows else [] for name in ("learning_rate", "loss"))
    if not rates:
        st.caption("The curve appears with the first batches." if result.active else "This run kept no curve.")
        return
    read = range_test.read_range_test(rates, losses, diverged=result.state == "diverged")
    marks = {"steepest": read.steepest, "breaks": read.breaks} if not result.active else {}
    live_chart(
        figures.draw_range_test(read.rates.tolist(), read.losses.tolist(), losses, marks, revision=folder.id),
        key="study_range",
        alt=f"Training loss over the learning rate, from {rates[0]:g} to {rates[-1]:g}"
        + (f"; it falls fastest at {read.steepest:g}" if read.steepest and marks else ""),
        height=380,
        version=f"{folder.id} {len(rates)} {result.state}",
    )
    if result.active:
        return
    if read.steepest is None:
        st.info("The loss never fell: take a higher rate at the end, or more epochs.", icon=":material/info:")
        return
    breaks = f"about a tenth of where the loss breaks ({read.breaks:g}), or " if read.breaks else ""
    st.markdown(f"A good learning rate is {breaks}where the loss falls fastest: **{read.steepest:g}**.")
    st.button(
        f"Use {read.steepest:g} in the form",
        icon=":material/star:",
        type="primary",
        key="study_use_rate",
        on_click=use_rate,
        args=(folder.study.base, read.steepest),
        help="Take this learning rate into the form on Train.",
    )
