"""What all exports want to know about a run and one of its epochs. No torch."""

from dataclasses import dataclass, replace

from playground.config import ConfigError, RunConfig
from playground.data.catalog import DataError, DatasetInfo
from playground.data.store import open_arrays
from playground.errors import PlaygroundError
from playground.events import EpochRow
from playground.geometry import Layer, layers
from playground.runs import RunError, RunFolder, RunReader, Status
from playground.runs.about import clean_name
from playground.tasks import TASKS


class ExportError(PlaygroundError, ValueError):
    """A run that cannot be exported like that; the message is one line, fit to be shown."""


@dataclass(frozen=True)
class ExportContext:
    """A run, looked at after one epoch.

    Attributes:
        name: the run's, on one line and printable, but still as its author wrote it: escape it.
        epoch: one of the run's kept epochs.
        config: its knobs as they were at its start; `changes` has what was changed on the way.
        dataset: what it was trained on, with mean and std wherever they are known.
        chain: the network's layers.
        changes: {knob: {steps taken when it was changed: new value}}, up to the epoch.
        scores: the epoch's row; None if it was not kept.
    """

    run: RunFolder
    name: str
    epoch: int
    config: RunConfig
    dataset: DatasetInfo
    chain: tuple[Layer, ...]
    status: Status
    feed: RunReader
    changes: dict[str, dict[int, float]]
    scores: EpochRow | None

    @property
    def test_accuracy(self) -> float | None:
        """On the test images, a fraction; None where nothing is known of it."""
        return self.scores.test.accuracy if self.scores else None

    @property
    def masks(self) -> bool:
        """Whether each pixel has a label."""
        return TASKS[self.dataset.task].target == "mask"

    @property
    def device(self) -> str:
        """Where it was computed."""
        wanted = self.config.training.device
        return self.status.device or ("cpu" if wanted == "auto" else wanted)

    def normalisation(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Return mean and std of each channel, pixels in [0, 1].

        Raises:
            ExportError: nobody on this computer knows them.
        """
        if len(self.dataset.mean) != self.dataset.channels or len(self.dataset.std) != self.dataset.channels:
            raise ExportError(
                f"The mean and deviation of {self.dataset.title} are not known here; download it on the Data page first"
            )
        return self.dataset.mean, self.dataset.std


def load_context(run: RunFolder, epoch: int) -> ExportContext:
    """Look at a run after an epoch.

    Raises:
        ExportError: the run is damaged, does not keep that epoch, or its data set is not known here; one line.
    """
    try:
        config, name = run.config, clean_name(run.name)
        if epoch not in (kept := run.epochs()):
            which = ", ".join(map(str, kept)) or "none yet"
            raise ExportError(f"{name} does not keep epoch {epoch}; it keeps {which}")
        dataset = replace(run.dataset, title=clean_name(run.dataset.title))
        if dataset.bundled and not dataset.mean:
            dataset = open_arrays(dataset.name).info  # unpacked the first time
        chain = layers(config.model, dataset.shape, dataset.num_classes, dataset.task)
    except (RunError, ConfigError, DataError) as error:
        raise ExportError(str(error)) from None
    feed = RunReader(run)
    feed.update()
    scores = next((row for row in feed.epochs if row.epoch == epoch), None)
    changes: dict[str, dict[int, float]] = {}
    for row in feed.changes:
        if not scores or row.step < scores.step:
            changes.setdefault(row.knob, {})[row.step] = row.new
    return ExportContext(run, name, epoch, config, dataset, chain, feed.status, feed, changes, scores)
