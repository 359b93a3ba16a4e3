"""What a study is, and its folder.

    study.json      what is asked (frozen)
    members.jsonl   one row a member: its number, its run's id, its values; appended, so a tick reads little
    stopped         is there once a person has stopped the study
    done            is there once no more members are to be added
    lock            held by whoever adds members
    driver.log, journal.log   of the driver, see driver.py

study.json never changes, and what a study has found is in its runs: nothing here has to be kept in step.
"""

import contextlib
import itertools
import json
import os
import re
import secrets
import shutil
import tempfile
import time
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, PlainSerializer, TypeAdapter, ValidationError

from playground import runs
from playground.config import FORMAT, KNOBS, RunConfig, from_flat, from_json, rename
from playground.home import check_writable, home
from playground.jobs import client
from playground.people import MACHINE, may_change, name_person
from playground.runs import RunError, RunFolder, write_atomic
from playground.runs.files import move_to_new_id, writing
from playground.studies import space
from playground.studies.space import MAX_MEMBERS, Axis, Plan, StudyError, Values, try_values

Kind = Literal["folds", "seeds", "sweep", "range_test"]
Sampler = Literal["grid", "random", "tpe"]
LAST_SECOND = 4e9
"""What a time may be at most, in seconds since 1970; the year 2096."""
_SAFE_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")


def _read_base(stored: Any) -> Any:
    """Read the config within a study.json, which said no format as long as that was 1."""
    return from_json(json.dumps({"format": 1} | stored)) if isinstance(stored, dict) else stored


def _write_base(config: RunConfig) -> dict[str, Any]:
    return {"format": FORMAT, **config.model_dump(mode="json")}


@dataclass(frozen=True)
class Study:
    """What is asked.

    Attributes:
        kind: "folds" holds back each part of the images in turn, "seeds" repeats one config, "sweep" tries values
            of knobs, "range_test" raises the learning rate until it breaks.
        base: the knobs that all members share.
        count: how many folds, seeds or runs of a sweep; a grid has as many as it has.
        axes: what a sweep varies. sampler: how it chooses. prune: whether "tpe" stops runs that fall behind.
        seed: of the sampler's random numbers.
        created: seconds since 1970.
        owner: the person whose it is, and whose its runs are; see `playground.people`.

    Raises:
        StudyError: it cannot be done; one line.
    """

    kind: Kind
    base: Annotated[RunConfig, BeforeValidator(_read_base), PlainSerializer(_write_base)] = field(
        default_factory=RunConfig
    )
    count: int = 1
    axes: tuple[Axis, ...] = ()
    sampler: Sampler = "grid"
    prune: bool = True
    seed: int = 0
    name: str = ""
    created: Annotated[float, Field(ge=0, le=LAST_SECOND)] = 0.0
    owner: str = MACHINE

    def __post_init__(self) -> None:
        least, most = {"folds": (2, 20), "range_test": (1, 1)}.get(self.kind, (1, MAX_MEMBERS))
        if not least <= self.count <= most:
            raise StudyError(f"{self.count} {_COUNTED[self.kind]}: it takes {least} to {most}")
        knobs = [axis.knob for axis in self.axes]
        if self.kind == "sweep" and not knobs:
            raise StudyError("a sweep varies at least one knob; choose one and its values")
        if len(set(knobs)) < len(knobs):
            raise StudyError("each knob of a sweep is named once")

    @property
    def driven(self) -> bool:
        """Whether a driver chooses the members one after the other, from what those before have shown."""
        return self.kind == "sweep" and self.sampler == "tpe"


_COUNTED = {"folds": "folds", "seeds": "seeds", "sweep": "runs", "range_test": "runs of a range test"}
_JSON = TypeAdapter(Study)


@dataclass
class _Row:
    """A line of members.jsonl."""

    type: Literal["member", "left_out"]
    values: dict[str, str]
    number: Annotated[int, Field(ge=0, lt=MAX_MEMBERS)] = 0
    run: str = ""
    why: str = ""

    def __post_init__(self) -> None:
        self.values = rename(self.values)


_ROW = TypeAdapter(_Row)


def member_base(base: RunConfig) -> RunConfig:
    """Return the knobs that members share: one CPU thread each, unless a number was asked for.

    One run with a single thread is slower, but all of them together are faster. Where there is a GPU, "auto" would put
    some on it and others on the CPU.
    """
    device = base.training.device
    if device == "auto" and any(name.startswith("cuda") for name in client.list_devices()):
        device = "cuda"
    return from_flat({"threads": base.training.threads or 1, "device": device, "folds": 0, "fold": 0}, base=base)


def plan(study: Study) -> Plan:
    """Return the members of a study; of one that is driven an example of as many, as random as its beginning.

    Raises:
        StudyError: none of its members makes a network, or it has too many.
    """
    base = member_base(study.base)
    if study.kind == "sweep":
        grid = study.sampler == "grid"
        made = space.grid(base, study.axes) if grid else space.draw(base, study.axes, study.count, study.seed)
    else:
        values: list[dict[str, str]] = [{} for _ in range(study.count)]
        if study.kind == "folds":
            values = [{"folds": str(study.count), "fold": str(fold)} for fold in range(study.count)]
        elif study.kind == "seeds":
            first = min(base.training.seed, 2**31 - study.count)
            values = [{"seed": str(first + i)} for i in range(study.count)]
        else:
            values = [{"schedule": "range_test"}]
        tried = [(value, *try_values(base, value)) for value in values]
        made = Plan(
            tuple((value, config) for value, config, _ in tried if config),
            tuple((value, why) for value, config, why in tried if not config),
        )
    if not made.members:
        raise StudyError(made.left_out[0][1] if made.left_out else "no combination of these values makes a network")
    return made


@dataclass(frozen=True)
class Member:
    """A run of a study: its number, its id, and the values that it varies."""

    number: int
    run_id: str
    values: dict[str, str]

    @property
    def run(self) -> RunFolder | None:
        """The run; None if it was deleted."""
        try:
            return runs.open_run(self.run_id)
        except RunError:
            return None


class StudyFolder:
    """A study on disk. Cheap to make: each part is read when it is asked for."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.id = path.name

    def __repr__(self) -> str:
        return f"StudyFolder({self.id!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, StudyFolder) and other.path == self.path

    def __hash__(self) -> int:
        return hash(self.path)

    @cached_property
    def study(self) -> Study:
        """What is asked.

        Raises:
            StudyError: study.json is missing or damaged.
        """
        try:
            return _JSON.validate_json((self.path / "study.json").read_bytes())
        except OSError as error:
            if not self.path.is_dir():
                raise StudyError(f"there is no study {self.id[:64]!r}; it may have been deleted") from None
            raise StudyError(f"study {self.id}: study.json cannot be read ({error.strerror}); delete it") from None
        except (ValidationError, ValueError):
            raise StudyError(f"study {self.id}: study.json is damaged; delete the study") from None

    @cached_property
    def plan(self) -> Plan:
        """The members that it is to have; of a driven study an example."""
        return plan(self.study)

    @property
    def wanted(self) -> int:
        """How many members it is to have."""
        return self.study.count if self.study.driven else len(self.plan.members)

    def _rows(self) -> list[_Row]:
        """Return the rows so far; a damaged one is passed over."""
        try:
            content = (self.path / "members.jsonl").read_bytes()
        except OSError:
            return []
        found = []
        for line in content[: content.rfind(b"\n") + 1].splitlines():
            with contextlib.suppress(ValidationError):
                found.append(_ROW.validate_json(line))
        return found

    def members(self) -> list[Member]:
        """Return the members so far, by number."""
        rows = {row.number: row for row in self._rows() if row.type == "member"}
        return [Member(number, row.run, row.values) for number, row in sorted(rows.items())]

    def left_out(self) -> list[tuple[dict[str, str], str]]:
        """Return the values that were left out, and why."""
        if not self.study.driven:
            return list(self.plan.left_out)
        return [(row.values, row.why) for row in self._rows() if row.type == "left_out"]

    def append(self, row: dict[str, Any]) -> None:
        """Write down a member, or what was left out. The lock must be held."""
        path = self.path / "members.jsonl"
        if path.exists() and (content := path.read_bytes()) and not content.endswith(b"\n"):
            os.truncate(path, content.rfind(b"\n") + 1)  # whoever wrote it was killed
        with path.open("ab", buffering=0) as file:
            file.write(json.dumps(row, separators=(",", ":")).encode() + b"\n")

    def lost_runs(self) -> dict[int, RunFolder]:
        """Return {number: run} of those made by somebody who was killed before writing them down."""
        since = time.strftime("%Y%m%d-%H%M%S", time.localtime(self.study.created - 2))
        known, lost = {member.run_id for member in self.members()}, {}
        for run in itertools.takewhile(lambda run: not run.read_only and run.id >= since, runs.list_runs()):
            with contextlib.suppress(RunError):  # a damaged one is nobody's
                if run.id not in known and (about := run.about).study == self.id and about.member is not None:
                    lost[about.member] = run
        return lost

    def add(self, number: int, values: Values, config: RunConfig, lost: RunFolder | None = None) -> RunFolder:
        """Make a member, or take up the `lost` one, and put it into the queue. The lock must be held.

        Raises:
            ServiceError: the job service does not start.
        """
        said = ", ".join(f"{KNOBS[name].label.lower()} {value}" for name, value in values.items() if name != "folds")
        run = lost or runs.create_run(
            config, f"{self.name} · {said}"[:100], study=self.id, member=number, owner=self.study.owner
        )
        if run.status().state == "queued":
            client.submit_run(run)
        # Last, so that whatever is written down is in the queue.
        self.append({"type": "member", "number": number, "run": run.id, "values": dict(values)})
        return run

    @property
    def name(self) -> str:
        """What it is called; a damaged one by its id."""
        try:
            return self.study.name or self.id
        except StudyError:
            return self.id

    @property
    def owner(self) -> str:
        """The person who may change it; a damaged one is the machine's."""
        try:
            return self.study.owner
        except StudyError:
            return MACHINE

    def check_owner(self, by: str) -> None:
        """Refuse to let a person change it who may only look at it.

        Raises:
            StudyError: it is somebody else's.
        """
        if by != MACHINE and not may_change(self.owner, by):
            raise StudyError(f"study {self.name} belongs to {name_person(self.owner)}, who alone may change it")

    def marked(self, what: Literal["stopped", "done"]) -> bool:
        """Whether a person has stopped it, or all its members are there."""
        return (self.path / what).exists()

    def mark(self, what: Literal["stopped", "done"], yes: bool = True) -> None:
        """Set or take away a mark."""
        with writing(self.path / what):
            if yes:
                (self.path / what).touch()
            else:
                (self.path / what).unlink(missing_ok=True)

    def delete(self) -> None:
        """Delete the folder; its runs stay, as runs by themselves."""
        for member in self.members():
            if run := member.run:
                run.leave_study()
        doomed = self.path.with_name(f".deleted-{self.id}-{secrets.token_hex(4)}")
        with writing(self.path):
            os.replace(self.path, doomed)
        shutil.rmtree(doomed, ignore_errors=True)


def studies_folder() -> Path:
    """Return the folder that holds the studies, to write in it; made if need be.

    Raises:
        StudyError: there cannot be one, because a file lies in its place, for example.
        HomeError: nothing can be written.
    """
    check_writable()
    folder = home() / "studies"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StudyError(f"{folder} cannot hold studies ({error.strerror}); it has to be a folder") from None
    return folder


def create_study(study: Study) -> StudyFolder:
    """Make a study's folder; it appears as a whole or not at all. Nothing runs yet, see `lifecycle.start_study`.

    Raises:
        StudyError: none of its members makes a network, or it has too many.
    """
    plan(study)
    study = replace(study, name=" ".join(study.name.split())[:80], created=time.time())
    draft = Path(tempfile.mkdtemp(dir=studies_folder(), prefix=".new-"))
    write_atomic(draft / "study.json", _JSON.dump_json(study, indent=1))
    (draft / "lock").touch()
    draft.chmod(0o755)
    return StudyFolder(move_to_new_id(draft, studies_folder()))


def list_studies() -> list[StudyFolder]:
    """Return all studies, newest first. Reads names only."""
    try:
        with os.scandir(home() / "studies") as entries:
            found = [entry.name for entry in entries if _SAFE_ID.fullmatch(entry.name) and entry.is_dir()]
    except OSError:  # there was none yet, or no folder can be there
        return []
    return [StudyFolder(home() / "studies" / name) for name in sorted(found, reverse=True)]


def open_study(study_id: str) -> StudyFolder:
    """Return a study by its id.

    Raises:
        StudyError: there is none.
    """
    if _SAFE_ID.fullmatch(study_id) and (path := home() / "studies" / study_id).is_dir():
        return StudyFolder(path)
    raise StudyError(f"there is no study {study_id[:64]!r}; it may have been deleted")
