"""How long an epoch will take: arithmetic, and what recent runs on this machine have shown."""

import pytest
from jobs_support import tiny

from playground.jobs import estimate
from playground.runs import create_run


def finish(seconds: float, **knobs: object) -> None:
    config = tiny(**knobs)
    epochs = config.training.epochs
    create_run(config).set_status(state="finished", epoch=epochs, epochs=epochs, seconds=seconds, threads=1)


@pytest.mark.usefixtures("home")
def test_a_busy_moment_does_not_lengthen_later_estimates():
    fitted = estimate.estimate_seconds_per_epoch(tiny())
    finish(2 * 2 * fitted * 100, epochs=200)  # twice as long as on the machine that the figures were fitted to
    assert estimate.estimate_seconds_per_epoch(tiny()) == pytest.approx(2 * fitted)
    for _ in range(3):  # the machine is busy for a while
        finish(5 * 2 * fitted * 100, epochs=200)
    assert estimate.estimate_seconds_per_epoch(tiny()) == pytest.approx(2 * fitted)
    finish(1.5 * 2 * fitted * 100, epochs=200)
    assert estimate.estimate_seconds_per_epoch(tiny()) == pytest.approx(1.5 * fitted)


@pytest.mark.usefixtures("home")
def test_only_runs_that_tell_something_count():
    fitted = estimate.estimate_seconds_per_epoch(tiny())
    finish(0.0)
    finish(0.4 * estimate.LONG_ENOUGH)
    finish(2 * 2 * fitted * 100, epochs=200, device="auto")  # it may have had a GPU
    create_run(tiny()).set_status(state="stopped", epoch=1, epochs=2, seconds=50.0, threads=1)
    assert estimate.estimate_seconds_per_epoch(tiny()) == fitted
