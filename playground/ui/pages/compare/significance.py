"""Whether a difference is larger than what another seed would make."""

from collections.abc import Sequence

import streamlit as st

from playground.comparison import settings, significance
from playground.comparison.significance import ALPHA, Group, Member, write_p_value
from playground.config import flatten
from playground.tasks import TASKS, Task
from playground.ui.common.pickers import format_percent
from playground.ui.common.run_views import LABELS, View
from playground.ui.pages.compare.table import knob_value, measured, reached

ONE_SEED = (
    "One seed cannot tell: train the same knobs with two more seeds, and the spread between them shows "
    "how much is luck."
)

NO_SPREAD = "Neither group spreads at all, so there is nothing to hold their difference against."
FOLDS = (
    ":material/info: Folds share most of their training images, so they spread less than runs on images of their own "
    "would, and the test finds more than luck too often (Bengio & Grandvalet 2004)."
)


def members(views: Sequence[View], names: Sequence[str]) -> list[Member]:
    """Return the finished runs with their last test accuracy, or mean IoU where they label pixels."""
    found = []
    for view, name in zip(views, names, strict=True):
        figure = reached(view).final.get("test")
        if view.status.state == "finished" and figure is not None:
            changes = tuple((row.step, row.knob, row.new) for row in view.feed.changes)
            found.append(Member(name, view.run.config, changes, figure))
    return found


def titles(groups: Sequence[Group]) -> list[str]:
    """Say what sets each group apart: by its knobs, or by the names of its runs."""
    apart = list(settings.find_differences([group.config for group in groups]))
    found: list[str] = []
    for group in groups:
        flat = flatten(group.config)
        title = ", ".join(f"{LABELS[name].lower()} {knob_value(name, flat[name])}" for name in apart[:4])
        title = title + " …" if len(apart) > 4 else title or group.labels[0]
        found.append(title if title not in found else f"{title}, as {group.labels[0]}")
    return found


def verdicts(groups: Sequence[Group], titles: Sequence[str]) -> list[str]:
    """Compare the group with the best mean with each other one, in a sentence each."""
    tests = [significance.run_welch_test(groups[0].values, group.values) for group in groups[1:]]
    corrected = iter(significance.correct_by_holm([test.p for test in tests if test]))
    many = sum(map(bool, tests))
    lines = []
    for test, group, title in zip(tests, groups[1:], titles[1:], strict=True):
        pair = f"**{titles[0]}** against **{title}**"
        if test is None:
            alone = min(len(groups[0].values), len(group.values)) < 2
            lines.append(f":material/help: {pair}: {ONE_SEED if alone else NO_SPREAD}")
            continue
        p = next(corrected)
        icon, word = (":material/check:", "more than luck") if p < ALPHA else (":material/casino:", "could be luck")
        also = f"; {write_p_value(p)} after Holm's correction for {many} comparisons, which decides" if many > 1 else ""
        lines.append(
            f"{icon} {pair}: {100 * test.difference:+.2f} points, **{word}**. Welch's t = {test.t:.2f} with "
            f"{test.degrees:.1f} degrees of freedom: {_others(groups[0], group)} alone would make so large a "
            f"difference in {_often(test.p)} ({write_p_value(test.p)}{also})."
        )
    if any("folds" in group.apart for group in groups):
        lines.append(FOLDS)
    return lines


def _others(first: Group, second: Group) -> str:
    """Name what luck is here: other seeds, other folds, or both."""
    return f"other {' and '.join(sorted(first.apart | second.apart, reverse=True)) or 'seeds'}"


def _often(p: float) -> str:
    """Write how often something happens: "3.1 % of cases"."""
    return f"{format_percent(p) if p >= 0.01 else f'{100 * p:.2g} %'} of cases" if p >= 1e-6 else "next to no case"


def draw(views: Sequence[View], names: Sequence[str]) -> None:
    """Draw average and spread of each group of seeds or folds, and what can be said of their differences.

    Runs of each task have a figure of their own, so they are kept apart.
    """
    counted = 0
    for task in TASKS.values():
        some = [(view, name) for view, name in zip(views, names, strict=True) if reached(view).task is task]
        found = members([view for view, _ in some], [name for _, name in some])
        counted += len(found)
        if found:
            _groups(significance.group_members(found), task)
    if left := len(views) - counted:
        st.caption(f"{left} of {len(views)} runs are not finished, and do not count here.")


def _groups(groups: Sequence[Group], task: Task) -> None:
    """Draw the groups of one kind of runs, and the verdicts."""
    shown, figure = titles(groups), f"test {measured(task)}"
    st.dataframe(
        {
            "Knobs": shown,
            "Runs": [len(group.values) for group in groups],
            "They differ in": [" and ".join(sorted(group.apart, reverse=True)) or "–" for group in groups],
            f"Average {figure}": [format_percent(group.mean, 2) for group in groups],
            "Standard deviation": ["–" if group.std is None else f"{100 * group.std:.2f} points" for group in groups],
            "Each": [", ".join(format_percent(value) for value in group.values) for group in groups],
        },
        hide_index=True,
        height="content",
        key=f"compare_groups_{task.unit}s",
        alt=f"Average and standard deviation of the {figure} of runs that differ in the seed or the fold alone",
    )
    if all(len(group.values) == 1 for group in groups):
        more = "" if task.target == "mask" else " For two runs, “Two runs” tests image by image."
        st.info(ONE_SEED + more, icon=":material/casino:")
    else:
        for line in verdicts(groups, shown):
            st.markdown(line)
    st.caption(
        "Runs of the same knobs but for seed and fold count as one group, each seed and fold once; the standard "
        f"deviation has n − 1 in the denominator. What counts is the {figure} after the last epoch."
    )
