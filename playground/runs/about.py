"""What a run is called, where it comes from, and what it needs to know of its data set: about.json."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter

from playground.data import catalog
from playground.data.catalog import DataError, DatasetInfo
from playground.events import Count, Seconds

_Id = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$")]


@dataclass(frozen=True)
class About:
    """What a person may change of a run, and what is written down when it starts.

    Attributes:
        name, note: what a person calls it and wrote about it; an empty name stands for the run's id.
        parent: the id of the run it came from.
        created: seconds since 1970; 0 where nobody knows.
        study, member: the study it belongs to and its number in it.
        dataset: what the run needs of its data set, so that it stays whole where that set is not: classes, task,
            size, channels, mean and deviation. None before it started, and for runs of older days.
        owner: who started it; empty for whoever owns the machine.
        predictions_dataset: the data set whose test images its predictions are of; empty for its own.
    """

    format: Literal[1] = field(default=1, kw_only=True)
    name: Annotated[str, Field(max_length=100)] = ""
    note: Annotated[str, Field(max_length=2000)] = ""
    parent: _Id | None = None
    created: Seconds = 0.0
    study: _Id | None = None
    member: Count | None = None
    dataset: DatasetInfo | None = None
    owner: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{0,64}$")] = ""
    predictions_dataset: Annotated[str, Field(pattern=rf"^({catalog.NAME.pattern})?$")] = ""


ABOUT: TypeAdapter[About] = TypeAdapter(About)


def clean_name(name: str) -> str:
    """Return a name as it is kept: on one line, of at most 100 characters."""
    return " ".join("".join(c if c.isprintable() else " " for c in name).split())[:100]


def clean_note(note: str) -> str:
    """Return a note as it is kept: of at most 2,000 characters."""
    return note.strip()[:2000]


def migrate_about(stored: dict[str, Any], dataset: str) -> dict[str, Any]:
    """Bring the object of format 0 into today's: it had mean and deviation of the data set alone, if anything.

    Args:
        dataset: the name of the run's data set.
    """
    stored = {key: value for key, value in stored.items() if value is not None}
    mean, std = stored.pop("mean", None), stored.pop("std", None)
    if (mean is None) != (std is None):
        raise ValueError("it has a mean without a deviation, or the other way round")
    if mean is not None:
        stored["dataset"] = describe_dataset(dataset, mean, std)
    name, note = clean_name(stored.get("name", "")), clean_note(stored.get("note", ""))
    return stored | {"format": 1, "name": name, "note": note}


def describe_dataset(dataset: str, mean: Any, std: Any) -> Mapping[str, Any]:
    """Return what is known here of a data set, as JSON would hold it, with this mean and deviation.

    Raises:
        ValueError: the data set is not known here.
    """
    try:
        known = catalog.find_info(dataset)
    except DataError as error:
        raise ValueError(str(error)) from None
    return vars(replace(known, mean=mean, std=std))
