"""Start a study, let it go on, stop it, delete it; and how long it will take."""

import contextlib
import time
from collections.abc import Iterable

from playground import locks
from playground.config import RunConfig
from playground.home import is_writable
from playground.jobs import client, estimate
from playground.jobs.process import forget_process, launch_process
from playground.people import MACHINE
from playground.studies.space import StudyError
from playground.studies.study import Study, StudyFolder, create_study, list_studies, member_base

PRUNED = "pruned"
"""How the message of a run begins that the driver has stopped."""


def start_study(study: Study) -> StudyFolder:
    """Make a study and set it going.

    Raises:
        StudyError: it cannot be done; ServiceError: the job service does not start.
    """
    folder = create_study(study)
    continue_study(folder)
    return folder


def continue_study(folder: StudyFolder) -> None:
    """See to it that members which are missing come; returns at once where none are. To be called at any time.

    Raises:
        StudyError: the driver does not start; ServiceError: the job service does not start.
    """
    if folder.marked("stopped") or folder.marked("done") or not is_writable():
        return
    if folder.study.driven:
        if not locks.is_held(folder.path / "lock"):
            _launch_driver(folder)
        return
    if not (lock := locks.take(folder.path / "lock")):
        return
    with lock:
        have, lost = {member.number for member in folder.members()}, folder.lost_runs()
        for number, (values, config) in enumerate(folder.plan.members):
            if number not in have:
                folder.add(number, values, config, lost.get(number))
        folder.mark("done")


def revive_studies() -> None:
    """Let all studies go on whose adding of members was cut short; to be called when a server starts."""
    for folder in list_studies():
        with contextlib.suppress(ValueError, OSError):  # a damaged one must not keep the others from it
            continue_study(folder)


def _launch_driver(folder: StudyFolder) -> None:
    log = folder.path / "driver.log"
    with log.open("ab") as output:
        process = launch_process("playground.studies.driver", str(folder.path), output=output)
    deadline = time.monotonic() + 20
    while not locks.is_held(folder.path / "lock") and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    if process.poll():
        raise StudyError(f"the sampler of {folder.name} does not start; see {log}")
    forget_process(process)


def stop_study(folder: StudyFolder, by: str = MACHINE) -> None:
    """Stop a study: its driver and its runs. What they have is kept, and `resume_study` goes on from it.

    Raises:
        StudyError: it is somebody else's.
    """
    folder.check_owner(by)
    folder.mark("stopped")  # which a driver sees before it adds the next one
    for member in folder.members():
        if (run := member.run) and run.status().active:
            client.stop_run(run)


def resume_study(folder: StudyFolder, by: str = MACHINE) -> None:
    """Let a study that was stopped, or interrupted with the program, go on.

    Raises:
        StudyError: it is somebody else's; StudyError, ServiceError: as `continue_study`.
    """
    folder.check_owner(by)
    folder.mark("stopped", False)
    for member in folder.members():
        if run := member.run:
            status = run.status()
            ended_early = status.state in ("stopped", "interrupted", "died", "paused")
            if ended_early and not status.message.startswith(PRUNED):
                client.resume_run(run)
    continue_study(folder)


def delete_study(folder: StudyFolder, with_runs: bool, by: str = MACHINE) -> None:
    """Delete a study, and with it its runs if that is wanted; else they stay as runs by themselves.

    Raises:
        StudyError: it is somebody else's, or at work.
    """
    folder.check_owner(by)
    members = [run for member in folder.members() if (run := member.run)]
    if locks.is_held(folder.path / "lock") or any(run.status().active for run in members):
        raise StudyError(f"{folder.name} is at work; stop it first")
    folder.delete()
    if with_runs:
        for run in members:
            run.delete()


# Time


def count_slots(base: RunConfig) -> int:
    """Return how many members run at the same time."""
    config = member_base(base)
    if config.training.device in ("auto", "cpu"):
        return max(1, client.count_cores() // config.training.threads)
    gpus = [name for name in client.list_devices() if name.startswith("cuda")]
    return max(1, len(gpus)) if config.training.device == "cuda" else 1


def estimate_seconds(configs: Iterable[RunConfig], side_by_side: int) -> float:
    """Estimate how long the members take.

    Args:
        configs: the members' knobs; side_by_side: how many run at the same time.

    Raises:
        GeometryError, DataError: one of them makes no network.
    """
    known: dict[tuple, float] = {}
    each = []
    for config in configs:
        data, training = config.data, config.training
        # What an epoch costs depends on these alone, and to ask costs some reading.
        key = (config.model, data.dataset, data.images_per_class, data.validation_share, data.folds)
        key += (training.batch_size, training.optimizer, training.threads)
        if key not in known:
            known[key] = estimate.estimate_seconds_per_epoch(config)
        each.append(known[key] * training.epochs)
    return max(sum(each) / side_by_side, *each) if each else 0.0
