"""Choosing what is judged: a run and an epoch, mirrored in the URL; and the classes of a cell."""

import streamlit as st

RUN, EPOCH = "evaluate_run", "evaluate_epoch"


def segments(label: str, options: dict[str, str], key: str) -> str:
    """Let a person choose one of a few ways, the first one unasked; `options` is {value: title}."""
    return st.segmented_control(
        label,
        list(options),
        format_func=lambda value: options[value],
        key=key,
        default=next(iter(options)),
        required=True,
        persist_state="session",
        label_visibility="collapsed",
    )


def formula(text: str) -> None:
    """Write a formula, LaTeX, that goes on in the next line where the column is narrow; `st.latex` would cut it off."""
    apart = r"\rule[-0.9em]{0em}{2.3em}"  # nothing, but high: keeps the fractions of two lines apart
    st.markdown(r"$\displaystyle " + text.replace(r"\frac", rf"{apart}\frac") + "$")


def settle(run_id: str, unasked: dict[str, int]) -> None:
    """Show classes unasked, and let them stay while the run goes on; another run is begun with its own.

    Args:
        run_id: of the run that is looked at.
        unasked: {key of the session: number of the class}; one that a person has chosen stays as it is.
    """
    state, mark = st.session_state, f"{'+'.join(unasked)}_unasked"
    before, shown = state.get(mark, ("", {}))
    now = {key: state[key] for key in unasked if state.get(key) is not None}
    if not now or (run_id != before and now == shown):
        state.update(unasked)
        state[mark] = run_id, dict(unasked)


def class_picker(label: str, state: str, classes: tuple[str, ...], default: int) -> int:
    """Let a person choose a class; returns its number.

    Args:
        label: what it is for.
        state: the key of the session under which the class's number is kept; set it to choose for the person. While
            nobody has chosen, and where the number is no class, the default is shown.
        default: the number of the class to show unasked.
    """
    chosen = st.session_state.get(state)
    chosen = chosen if chosen is not None and 0 <= chosen < len(classes) else default
    widget = f"{state}_widget"
    st.session_state[widget] = classes[chosen]

    def remember() -> None:
        if st.session_state[widget] in classes:
            st.session_state[state] = classes.index(st.session_state[widget])

    st.selectbox(label, classes, key=widget, on_change=remember, help="Which class is meant.")
    return chosen
