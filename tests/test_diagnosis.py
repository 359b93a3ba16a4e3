"""The diagnosis: silent on healthy runs, and right about made-up and really trained sick ones."""

import copy
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
import torch
from rows_support import make_rows

from playground import runs
from playground.config import KNOBS, RunConfig, from_flat
from playground.data import shapes, store
from playground.data.catalog import DatasetInfo
from playground.data.store import open_arrays
from playground.diagnosis import (
    Finding,
    diagnose,
    examine_units,
    explain_silence,
    find_overfitting,
    summarise_units,
)
from playground.events import Diverged, Epoch, Progress, to_row
from playground.presets import PRESETS
from playground.runs import RunReader, Status
from playground.tasks import TASKS
from playground.training import fit
from playground.training.losses import loss_function

CONSTANT = {"schedule": "constant", "epochs": 20}


def rows(train, val, train_accuracy=0.5, val_accuracy=0.5, start=2.303):
    """Epoch rows with these losses, after a row for the untrained network; a stub confusion matrix with no gaps."""
    eye = np.eye(10, dtype=int).tolist()
    untrained = {"loss": start, "accuracy": 0.1}
    made: list[dict[str, Any]] = [{"epoch": 0, "step": 0, "train": None, "val": None, "test": untrained}]
    made[0]["confusion"] = eye
    for epoch, (a, b) in enumerate(zip(train, val, strict=True), 1):
        scores = {"loss": b, "accuracy": val_accuracy}
        made.append(
            {"epoch": epoch, "step": 10 * epoch, "train": {"loss": a, "accuracy": train_accuracy}, "val": scores}
            | {"test": scores, "confusion": eye}
        )
    return made


def progress(losses, norms=(9.0, 18.0)):
    return {
        "step": list(range(1, len(losses) + 1)),
        "loss": list(losses),
        "weight_norm": np.linspace(*norms, len(losses)).tolist(),
    }


def kinds(findings: list[Finding]) -> list[str]:
    return [finding.kind for finding in findings]


def look(
    epochs,
    losses=(2.3, 2.0, 1.8, 1.6, 1.5),
    state="running",
    changes=(),
    norms=(9.0, 18.0),
    classes=(),
    class_counts=(),
    **knobs,
):
    config = from_flat(CONSTANT | knobs)
    epochs, changes = make_rows(epochs, "epoch"), make_rows(changes, "change")
    return diagnose(config, Status(state, epochs=20), progress(losses, norms), epochs, changes, classes, class_counts)


HEALTHY = [2.0, 1.7, 1.5, 1.35, 1.25, 1.2, 1.1, 1.05, 1.0, 0.98]


# Silence


def prefix(feed: RunReader, count: int) -> tuple[dict, list]:
    epochs = feed.epochs[:count]
    last = epochs[-1].step if epochs else 0
    kept = [i for i, step in enumerate(feed.progress["step"]) if step <= last]
    return {name: [column[i] for i in kept] for name, column in feed.progress.items()}, epochs


@pytest.mark.parametrize("task", ["classification", "segmentation"])
def test_the_demo_run_gives_no_warning_at_any_time(task):
    demo = runs.demo_run(task)
    feed = RunReader(demo)
    feed.update()
    assert diagnose(demo.config, feed.status, feed.progress, feed.epochs) == []
    for count in range(len(feed.epochs) + 1):
        going_on = Status("running", epochs=demo.config.training.epochs)
        assert diagnose(demo.config, going_on, *prefix(feed, count)) == []


@pytest.mark.parametrize("count", range(len(HEALTHY) + 1))
def test_a_steady_run_gives_no_warning(count):
    assert look(rows(HEALTHY[:count], HEALTHY[:count])) == []


def test_nothing_measured_yet_gives_no_warning():
    assert diagnose(RunConfig(), Status("queued"), {}, []) == []
    assert diagnose(RunConfig(), Status("running"), progress([2.3]), []) == []
    assert diagnose(RunConfig(), Status("stopped"), {}, make_rows(rows([], []), "epoch")) == []


def test_a_range_test_is_meant_to_diverge():
    assert look([], state="diverged", schedule="range_test") == []


# Diverging


def test_a_loss_that_is_no_number_is_cited_with_the_learning_rate():
    config = from_flat({"learning_rate": 0.5})
    status = Status("diverged", "step 33: the loss is no longer a finite number; a smaller one may help", step=32)
    (found,) = diagnose(config, status, {}, [])
    assert (found.kind, found.knob, found.severity) == ("diverging", "learning_rate", "error")
    assert found.evidence == "Step 33: the loss is no longer a finite number. The learning rate was set to 0.5."
    assert found.advice == "Take smaller steps: try 0.05 in place of 0.5."


def test_a_loss_that_rises_above_the_untrained_one():
    (found,) = look(rows([], []), losses=[2.3, 2.5, 4.0, 4.1, 4.2, 4.3, 4.4])
    assert found.kind == "diverging"
    assert "is 4.2, 1.8 times that of the untrained network (2.3)" in found.evidence
    assert look(rows([], []), losses=[2.3, 2.5, 3.0, 3.1, 3.2, 3.3, 3.4]) == []  # 1.4 times
    assert look(rows([], []), losses=[2.3, 9.0, 2.2, 2.1, 2.0, 1.9, 1.8]) == []  # it came back


def test_a_leap_that_it_never_recovered_from():
    epochs = rows([5.0, 2.3], [2.3, 2.3], train_accuracy=0.1)
    (found,) = look(epochs, losses=[2.3, 500.0, 2.4, 2.3, 2.3, 2.3, 2.3])
    assert found.kind == "diverging"
    assert "leapt to 500 from 2.3" in found.evidence
    assert "10.0 %" in found.evidence


def test_a_lower_learning_rate_on_the_way_clears_it():
    change = {"step": 7, "epoch": 1.0, "knob": "learning_rate", "old": 1.0, "new": 0.01}
    losses = [2.3, 9.0, 9.0, 9.0, 9.0, 9.0, 9.0]
    assert kinds(look(rows([], []), losses=losses)) == ["diverging"]
    assert look(rows([], []), losses=[*losses, 2.3, 2.2, 2.1, 2.1, 2.0], changes=[change]) == []
    (found,) = look(rows([], []), losses=[*losses, *[9.0] * 5], changes=[change])
    assert "try 0.001 in place of 0.01" in found.advice  # of the rate it has now


# Stuck


STUCK = rows([2.301, 2.3, 2.299], [2.3, 2.3, 2.3], train_accuracy=0.11)


def test_weights_that_hardly_move_are_too_slow():
    (found,) = look(STUCK, norms=(9.15, 9.151), learning_rate=1e-6)
    assert (found.kind, found.knob) == ("too slow", "learning_rate")
    assert (
        "training loss is 2.299 (guessing alone gets 2.303), and 11.0 % of the training images are right."
        in found.evidence
    )
    assert "went from 9.15 to 9.15" in found.evidence
    assert "try 1e-05 in place of 1e-06" in found.advice


def test_weights_that_were_thrown_about_are_not():
    (found,) = look(STUCK, norms=(9.15, 2.1), learning_rate=0.15)
    assert (found.kind, found.knob) == ("diverging", "learning_rate")
    assert "try 0.015 in place of 0.15" in found.advice


@pytest.mark.parametrize(
    ("knobs", "norms", "knob"),
    [
        ({"activation": "sigmoid", "norm": "none"}, (9, 9.01), "activation"),
        ({"optimizer": "gradient_descent"}, (9, 9.01), "optimizer"),
        ({"weight_decay": 0.5}, (9, 1), "weight_decay"),
    ],
)
def test_what_helps_depends_on_why(knobs, norms, knob):
    (found,) = look(STUCK, norms=norms, **knobs)
    assert (found.kind, found.knob) == ("too slow", knob)


@pytest.mark.parametrize(
    ("knobs", "norms", "title"),
    [
        ({"weight_decay": 1.0, "learning_rate": 0.05}, (9, 0.1), "Weight decay too strong"),
        ({"l1": 0.1, "weight_decay": 0}, (9, 0.1), "L1 too strong"),
        ({"learning_rate": 0.15}, (9, 2), "Its weights shrank"),
        ({"learning_rate": 0.15}, (9, 20), "Diverging"),
        ({"weight_decay": 1.0, "activation": "sigmoid", "norm": "none"}, (9, 0.1), "Weight decay too strong"),
        ({"activation": "tanh", "norm": "none", "learning_rate": 0.5}, (9, 90), "Diverging"),
    ],
)
def test_steps_lead_far_where_weights_grew_and_not_where_they_shrank(knobs, norms, title):
    """One cause is one card, whatever else follows from it: no class but one is predicted here."""
    late = [row | {"step": 100 * row["epoch"], "confusion": [[9] + [0] * 9] * 10} for row in STUCK]
    (found,) = look(late, norms=norms, state="finished", **knobs)
    assert found.title == title
    assert ("lead far" in found.advice) == (norms[1] > 9)


@pytest.mark.parametrize("norms", [(9, 9.01), (9, 9.9), (9, 8.1)])
def test_after_six_steps_nothing_is_said_of_their_length(norms):
    few = [row | {"step": 2 * row["epoch"]} for row in STUCK]
    (found,) = look(few, norms=norms, state="finished")
    assert (found.knob, found.severity) == ("epochs", "info")
    assert found.advice == "It has taken 6 steps so far: train longer, or in smaller batches."
    thrown = look(few, norms=(9, 90), losses=[2.3, 9.0, 2.3], state="finished")
    assert kinds(thrown) == ["diverging"]


def test_a_loss_on_other_images_that_has_left_all_bounds():
    """As a live change of the learning rate leaves it, while the training loss is that of the steps before."""
    late = [row | {"step": 40 * row["epoch"]} for row in rows([1.5, 1.4], [1.5, 348_476], 0.5, 0.1)]
    (found,) = look(late, losses=[2.3, 1.5, 1.4, 1.4, 1.4])
    assert (found.kind, found.knob) == ("diverging", "learning_rate")
    assert "After epoch 2 the validation loss is 3.48e+05; before the first step it was 2.3." in found.evidence
    # The running averages of batch normalisation are wrong for the first steps; and who overfits is sure, and wrong.
    assert look([row | {"step": 2 * row["epoch"]} for row in late], losses=[2.3, 1.5, 1.4, 1.4, 1.4]) == []
    sure = [row | {"step": 400} for row in rows([0.1, 0.01], [9.0, 14.0], 1.0, 0.4)]
    assert look(sure, losses=[2.3, 0.5, 0.1, 0.01, 0.01]) == []


def test_a_warm_up_has_its_time():
    early = rows([2.301, 2.3, 2.299], [2.3, 2.3, 2.3], train_accuracy=0.11)
    assert look(early, norms=(9, 9.01), schedule="one_cycle") == []  # 3 of 20 epochs
    assert look(early, norms=(9, 9.01), schedule="one_cycle", state="stopped") != []
    assert look(early[:2], norms=(9, 9.01)) == []  # one epoch is no trend


def test_a_network_that_has_learned_is_not_slow():
    assert look(rows([2.3] * 4, [2.3] * 4, train_accuracy=0.4)) == []


# Oscillating

SWINGS = [1.5, 1.9, 1.4, 1.8, 1.5, 1.9, 1.4, 1.8]


def test_swings_without_progress():
    (found,) = look(rows([1.5] * 8, SWINGS))
    assert (found.kind, found.knob, found.epoch) == ("oscillating", "learning_rate", 1)
    assert "turned 6 times between 1.4 and 1.9, while the training loss stayed at 1.5" in found.evidence
    assert look(rows([1.5] * 8, SWINGS), batch_size=4)[0].knob == "batch_size"


def test_swings_of_a_run_that_gets_on_are_harmless():
    falling = np.linspace(2.0, 1.2, 8).tolist()
    assert look(rows(falling, [1.9, 1.5, 1.8, 1.4, 1.7, 1.3, 1.6, 1.2])) == []


def test_small_swings_and_single_jumps_are_no_oscillation():
    assert look(rows([1.5] * 8, [1.50, 1.53] * 4)) == []
    assert look(rows([1.5] * 8, [1.5, 1.5, 1.9, 1.5, 1.5, 1.5, 1.5, 1.5])) == []
    assert look(rows([1.5] * 5, SWINGS[:5])) == []  # too few


def test_two_swings_may_be_chance_and_three_are_none():
    assert look(rows([1.5] * 8, [1.5, 1.5, 1.5, 1.9, 1.5, 1.9, 1.9, 1.9])) == []
    (found,) = look(rows([1.5] * 8, [1.5, 1.5, 1.9, 1.5, 1.9, 1.5, 1.5, 1.5]))
    assert found.kind == "oscillating" and "turned 3 times" in found.evidence


def test_a_schedule_that_steps_down_is_no_oscillation():
    assert look(rows([1.5, 1.5, 1.5, 1.5, 1.2, 1.2, 1.1, 1.1], [1.6, 1.6, 1.6, 1.6, 1.2, 1.2, 1.15, 1.15])) == []


# Overfitting

FALLING = [2.0, 1.5, 1.0, 0.8, 0.6, 0.4, 0.3, 0.2]


def test_a_validation_loss_that_rises_while_the_training_loss_falls():
    found = look(rows(FALLING, [2.0, 1.6, 1.4, 1.3, 1.4, 1.5, 1.6, 1.8]))
    assert kinds(found) == ["overfitting"]
    assert found[0].epoch == find_overfitting(found) == 4
    assert "was lowest after epoch 4, 1.3, and is 1.6 now" in found[0].evidence
    assert "fell from 0.8 to 0.2" in found[0].evidence
    assert find_overfitting([]) is None


def test_a_gap_of_accuracies_is_enough_when_the_loss_only_rests():
    resting = [2.0, 1.6, 1.4, 1.3, 1.3, 1.32, 1.31, 1.32]
    assert look(rows(FALLING, resting)) == []
    (found,) = look(rows(FALLING, resting, train_accuracy=0.9, val_accuracy=0.6))
    assert found.kind == "overfitting"
    assert "90.0 % of the training images are right, and 60.0 % of the validation images" in found.evidence


def test_two_bad_epochs_are_no_overfitting():
    assert look(rows(FALLING, [2.0, 1.6, 1.4, 1.3, 1.2, 1.1, 1.4, 1.5])) == []
    assert look(rows([1.5] * 8, [1.2, 1.3, 1.4, 1.5, 1.6, 1.7, 1.8, 1.9])) == []  # nothing is learned by heart


def test_who_does_better_on_images_held_back_does_not_overfit():
    """As with flips or dropout, which are of the training images alone."""
    train = [0.9, 0.7, 0.6, 0.5, 0.42, 0.36, 0.34, 0.324]
    assert look(rows(train, [0.6, 0.4, 0.2, 0.1, 0.12, 0.13, 0.14, 0.139], 0.845, 1.0)) == []
    assert kinds(look(rows(train, [0.9, 0.8, 0.7, 0.6, 0.8, 0.9, 0.9, 0.9], 0.845, 0.7))) == ["overfitting"]


@pytest.mark.parametrize(("classes", "knob"), [("0123456789", "shift"), ("ab", "shift"), (("cat", "dog"), "flip")])
def test_digits_and_letters_are_not_advised_to_be_mirrored(classes, knob):
    epochs = rows(FALLING, [2.0, 1.6, 1.4, 1.3, 1.4, 1.5, 1.6, 1.8])
    assert look(epochs, classes=tuple(classes), flip=False)[0].knob == knob


@pytest.mark.parametrize(
    ("knobs", "knob"),
    [
        ({"images_per_class": 20}, "images_per_class"),
        ({"flip": False}, "flip"),
        ({}, "shift"),
        ({"shift": 4}, "dropout"),
        ({"shift": 4, "dropout": 0.3}, "epochs"),
    ],
)
def test_against_overfitting_the_next_remedy_is_named(knobs, knob):
    assert look(rows(FALLING, [2.0, 1.6, 1.4, 1.3, 1.4, 1.5, 1.6, 1.8]), **knobs)[0].knob == knob


def test_without_validation_images_the_test_images_tell():
    epochs = [row | {"val": None} for row in rows(FALLING, [2.0, 1.6, 1.4, 1.3, 1.4, 1.5, 1.6, 1.8])]
    assert "The test loss was lowest" in look(epochs)[0].evidence


def test_a_change_on_the_way_gets_a_fresh_chance():
    epochs = rows(FALLING, [2.0, 1.6, 1.4, 1.3, 1.4, 1.5, 1.6, 1.8])
    change = {"step": 65, "epoch": 6.5, "knob": "dropout", "old": 0.0, "new": 0.5}
    assert look(epochs, changes=[change]) == []


# Underfitting


@pytest.mark.parametrize(
    ("train", "knobs", "knob"),
    [
        ([2.0, 1.9, 1.8, 1.7, 1.6, 1.5, 1.4, 1.3], {}, "epochs"),
        ([1.9] + [1.8] * 7, {}, "schedule"),
        ([1.9] + [1.8] * 7, {"schedule": "cosine"}, "channels"),
        ([1.9] + [1.8] * 7, {"dropout": 0.8}, "dropout"),
    ],
)
def test_a_run_that_ends_with_its_own_images_unlearned(train, knobs, knob):
    epochs = rows(train, train, train_accuracy=0.35, val_accuracy=0.34)
    assert look(epochs, **knobs) == []  # 8 of 20 epochs: it is not over
    (found,) = look(epochs, state="finished", **knobs)
    assert (found.kind, found.severity, found.knob) == ("underfitting", "info", knob)
    assert "35.0 % of the training images are right and 34.0 % of the validation images" in found.evidence


def test_a_run_that_long_steps_held_back_is_advised_shorter_ones():
    """It is not too small, though it knows as little; that it leaves out a class follows."""
    epochs = [row | {"confusion": [[9] + [0] * 9] * 10} for row in rows([2.7] + [2.0] * 7, [2.0] * 8, 0.25, 0.25)]
    (found,) = look(epochs, losses=[2.3, 11.2, 2.1, 2.0, 2.0, 2.0, 2.0], state="finished", learning_rate=0.3)
    assert (found.kind, found.knob) == ("underfitting", "learning_rate")
    assert "Its training loss had leapt to 11.2 from 2.3." in found.evidence
    assert found.advice == "Its steps are too long: try 0.03 in place of 0.3."
    unsteady = rows([2.9] + [1.7] * 7, [2.1, 2.9, 2.0, 1.9, 1.8, 1.7, 2.0, 2.0], 0.41, 0.25)
    assert look(unsteady, losses=[2.3, 14.6, 1.7, 1.6, 1.6], state="finished")[0].knob == "learning_rate"


@pytest.mark.parametrize(
    ("knobs", "knob"), [({"weight_decay": 1.0, "learning_rate": 0.05}, "weight_decay"), ({}, "epochs")]
)
def test_weights_that_are_pulled_to_zero_within_an_epoch_cannot_remember_it(knobs, knob):
    falling = [2.0, 1.9, 1.9, 1.8, 1.8, 1.7, 1.5, 1.4]
    epochs = [row | {"step": 43 * row["epoch"]} for row in rows(falling, falling, 0.5, 0.5)]
    (found,) = look(epochs, state="finished", **knobs)
    assert (found.kind, found.knob) == ("underfitting", knob)
    if knobs:
        assert found.advice == "Within 20 steps it has pulled a weight to zero, and an epoch takes 43: try 0.1."


def test_two_classes_are_guessed_half_right():
    epochs = rows([0.68] * 5, [0.68] * 5, train_accuracy=0.7, val_accuracy=0.7, start=0.70)
    for row in epochs:
        row["confusion"] = [[5, 1], [1, 5]]
    losses = [0.7, 0.69, 0.68, 0.68, 0.68]
    assert kinds(look(epochs, losses, state="finished", schedule="cosine")) == ["underfitting"]


# A class that is never predicted


def never(counts, epochs=3, state="running", classes=("cat", "ship", "frog"), class_counts=()):
    made = rows([1.0] * epochs, [1.0] * epochs, start=1.1)
    for row in made:
        row["confusion"] = counts
    return look(made, [1.1, 1.0, 1.0, 1.0, 1.0], state=state, classes=classes, class_counts=class_counts)


def test_a_class_that_is_never_predicted_is_named():
    (found,) = never([[9, 0, 1], [4, 0, 6], [1, 0, 9]])
    assert (found.kind, found.title) == ("never predicted", "“ship” is never predicted")
    assert found.evidence == "After epoch 3 none of the 30 test images is predicted as ship, though 10 of them show it."
    assert never([[9, 1, 0], [4, 6, 0], [1, 9, 0]], classes=())[0].title == "“class 2” is never predicted"
    two = never([[9, 0, 0], [9, 0, 0], [9, 0, 0]])[0]
    assert two.title == "2 classes are never predicted"
    assert "ship or frog" in two.evidence
    assert never([[9, 0, 1], [0, 0, 0], [1, 0, 9]]) == []  # it has no image either
    rare = never([[90, 0, 10], [4, 0, 6], [10, 0, 90]])[0]
    assert rare.knob == "class_weights"
    # Rare is what has few training images, where their counts are known.
    assert never([[9, 0, 1], [4, 0, 6], [1, 0, 9]], class_counts=(300, 8, 300))[0].knob == "class_weights"
    assert never([[90, 0, 10], [4, 0, 6], [10, 0, 90]], class_counts=(300, 300, 300))[0].knob == "epochs"


def test_one_early_epoch_is_no_sign_unless_the_run_is_over():
    counts = [[9, 0, 1], [4, 0, 6], [1, 0, 9]]
    assert never(counts, epochs=1) == []
    assert kinds(never(counts, epochs=1, state="finished")) == ["never predicted"]
    made = rows([1.0] * 2, [1.0] * 2, start=1.1)
    made[-1]["confusion"] = counts
    made[-2]["confusion"] = np.eye(3, dtype=int).tolist()
    assert look(made, [1.1, 1.0, 1.0, 1.0, 1.0]) == []


# Units


@dataclass
class Layer:
    """What `interpret.health.Health` says of a layer."""

    layer: str
    word: str
    share: np.ndarray
    flat: np.ndarray
    images: int = 500

    @property
    def count(self) -> int:
        return int(self.flat.sum())


def layer(word, flat, share):
    return Layer("block1.act1", word, np.full(8, share), np.arange(8) < flat)


STUCK_CARD = [Finding("underfitting", "Underfitting", "It is.", "channels", "More.", "info")]


def test_dead_and_saturated_units_are_told_where_they_cost_something():
    begin = [layer("dead", 1, 0.3)]
    (dead,) = examine_units(begin, [layer("dead", 5, 0.9)], 5, STUCK_CARD)
    assert (dead.kind, dead.knob) == ("dead units", "learning_rate")
    assert "In block1.act1, after epoch 5, 5 of 8 units are dead for every one of 500 images of all" in dead.evidence
    (saturated,) = examine_units([layer("saturated", 0, 0.1)], [layer("saturated", 0, 0.6)], 5, STUCK_CARD)
    assert (saturated.kind, saturated.knob) == ("saturation", "activation")
    assert "60.0 % of all values" in saturated.evidence
    assert examine_units(begin, [layer("dead", 3, 0.9)], 5, STUCK_CARD) == []  # few
    assert examine_units([layer("dead", 5, 0.9)], [layer("dead", 5, 0.9)], 5, STUCK_CARD) == []  # from the beginning


def test_flat_units_of_a_run_that_learns_or_whose_trouble_has_a_name_are_not_told():
    grown = [layer("dead", 0, 0.1)], [layer("dead", 8, 1.0)], 5
    assert examine_units(*grown, []) == []
    for knob in ("activation", "weight_decay", "optimizer"):
        assert examine_units(*grown, [Finding("too slow", "Too slow", "It is.", knob, "Do.")]) == []
    assert examine_units(*grown, [Finding("overfitting", "Overfitting", "It does.", "flip", "Do.")]) == []


def test_saturation_beside_a_finding_about_steps_does_not_contradict_it():
    grown = [layer("saturated", 0, 0.1)], [layer("saturated", 8, 1.0)], 5
    (found,) = examine_units(*grown, [Finding("oscillating", "Oscillating", "It does.", "learning_rate", "Less.")])
    assert found.knob == "learning_rate"
    assert found.advice.startswith("Smaller steps")


def test_units_in_a_sentence():
    assert summarise_units([layer("dead", 1, 0.3)], [layer("dead", 3, 0.9)]) == (
        "Most units are dead in block1.act1: 3 of 8, and 1 at first."
    )
    for none in ([], [layer("dead", 0, 0.9)]):
        assert summarise_units(none, none) == "Of its units none is dead or saturated."


def test_many_saturated_layers_are_one_card():
    begin = [replace(layer("saturated", 0, 0.1), layer=f"block{i}.act1") for i in (1, 2, 3)]
    end = [replace(layer("saturated", 8, 1.0), layer=f"block{i}.act1") for i in (1, 2, 3)]
    (found,) = examine_units(begin, end, 5, STUCK_CARD)
    assert "in 2 more layers it is as bad" in found.evidence


def test_dead_units_of_a_real_network():
    from playground.inference.load import find_dataset, load_model
    from playground.interpret.dead_units import examine_layers

    demo = runs.demo_run()
    _, mean, std = find_dataset(demo)
    images = open_arrays("cifar10-mini").test_images[:100]
    sound = examine_layers(load_model(demo, 24), images, mean, std)
    assert examine_units(sound, sound, 24, STUCK_CARD) == []
    net = copy.deepcopy(load_model(demo, 24))  # the other is kept in memory for all
    next(tensor for name, tensor in net.state_dict().items() if "block2" in name and "norm1.bias" in name).fill_(-100.0)
    found = examine_units(sound, examine_layers(net, images, mean, std), 24, STUCK_CARD)
    assert found[0].title == "Dead units in block2.act1"


# What silence means

SOUND = "Nothing looks wrong in its curves and its confusion matrix."


def silence(epochs, state="running", changes=(), **knobs):
    made, changed = make_rows(epochs, "epoch"), make_rows(changes, "change")
    return explain_silence(from_flat(CONSTANT | knobs), Status(state, epochs=20), made, changed)


def test_silence_says_what_was_not_examined():
    assert silence(rows(HEALTHY, HEALTHY), "finished") == SOUND
    assert silence(rows(HEALTHY, HEALTHY)) == f"{SOUND} Too early to tell: underfitting."
    three = rows(HEALTHY[:3], HEALTHY[:3])
    assert silence(three, "finished") == f"{SOUND} Too short to tell: overfitting, oscillation."
    assert silence(three, schedule="one_cycle") == (
        f"{SOUND} Too early to tell: whether it learns, overfitting, oscillation, underfitting."
    )


def test_too_early_is_not_called_sound():
    change = {"step": 95, "epoch": 9.5, "knob": "learning_rate", "old": 0.01, "new": 1.0}
    assert silence(rows(HEALTHY[:1], HEALTHY[:1])) == "Too early to tell."
    assert silence(rows(HEALTHY, HEALTHY), changes=[change]) == "Too early to tell since the last change."
    stopped = silence(rows(HEALTHY, HEALTHY), "stopped", changes=[change | {"step": 105}])
    assert stopped == "Not examined: it has no figures of an epoch since the last change."


def test_what_the_rules_pass_over_is_not_called_sound():
    assert silence(rows(HEALTHY, HEALTHY), schedule="range_test").startswith("Not examined: a range test")
    edited = [row | {"train": None, "val": None} for row in rows([1.0], [1.0])[1:]]
    assert silence(edited, "finished").startswith("Not examined: it has no figures of the network before its first")
    alone = [row | {"confusion": [[10]]} for row in rows(HEALTHY, HEALTHY)]
    assert silence(alone, "finished") == "Not examined: all images are of one class."


# Really trained


def trained(**knobs: object) -> list[Finding]:
    """Train a small run and look at it as the page would."""
    base = {"images_per_class": 60, "channels": "8-16", "fc_width": 32, "batch_size": 16, "schedule": "constant"}
    return examined(from_flat(base | {"device": "cpu", "precision": "float32", "threads": 1, "epochs": 3} | knobs))


def examined(config: RunConfig) -> list[Finding]:
    """Train, and look at it."""
    made, epochs, state = {}, [], "finished"
    message = ""
    for event in fit(config, open_arrays(config.data.dataset)):
        if isinstance(event, Progress):
            for name, value in vars(event).items():
                made.setdefault(name, []).append(value)
        elif isinstance(event, Epoch):
            epochs.append(to_row(event))
        elif isinstance(event, Diverged):
            state, message = "diverged", f"step {event.step}: {event.what}"
    for finding in (found := diagnose(config, Status(state, message, epochs=config.training.epochs), made, epochs)):
        assert finding.knob in KNOBS
        assert finding.evidence.endswith(".")
        assert finding.advice.endswith(".")
    return found


@pytest.mark.parametrize("optimizer", ["adamw", "sgd", "momentum", "rmsprop"])
def test_a_learning_rate_of_ten_diverges(optimizer):
    assert kinds(trained(learning_rate=10, optimizer=optimizer))[0] == "diverging"


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
def test_a_learning_rate_of_a_millionth_is_too_slow(optimizer):
    assert kinds(trained(learning_rate=1e-6, optimizer=optimizer))[0] == "too slow"


def test_few_images_many_epochs_and_no_decay_overfit():
    found = trained(images_per_class=10, validation_share=0.3, epochs=20, weight_decay=0.0)
    assert "overfitting" in kinds(found)
    assert found[0].knob == "images_per_class"


def test_deep_sigmoids_fall_asleep():
    knobs = {**PRESETS["saturated"].knobs, "epochs": 2}
    found = kinds(trained(**knobs))
    assert found == ["too slow"]


def test_a_sound_small_run_gives_no_warning():
    assert trained(images_per_class=0, epochs=2, batch_size=64) == []


# Runs that label pixels: four of five pixels are of one class

COUNTS = [[80, 0, 0], [4, 8, 0], [2, 0, 6]]


def pixel_rows(train, val, train_accuracy=0.9, val_accuracy=0.9, iou=0.6, counts=COUNTS):
    """Epoch rows as `rows` makes them, with the figures of pixels."""
    made = rows(train, val, train_accuracy, val_accuracy, start=1.2)
    for row in made:
        row["confusion"] = counts
        row["test"] = row["test"] | {"iou": iou, "boundary_f1": 0.5}
        row["val"] = row["val"] and row["test"]
    return made


GUESS = 0.635
"""Nats of entropy of the classes' shares: the cross-entropy of knowing how common each is, and no more."""
FALLS = [1.2, 1.1, 1.0, 0.9, 0.8]


@pytest.mark.parametrize("loss", ["cross_entropy", "mse", "dice", "focal", "cross_entropy_dice", "focal_dice"])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_guessing_is_answering_each_pixel_with_the_classes_shares(loss, smoothing):
    training = from_flat({"loss": loss, "label_smoothing": smoothing}).training
    found = TASKS["segmentation"].guess(training, COUNTS)
    assert (found.accuracy, found.score) == pytest.approx((0.8, 0.8 / 3))
    targets = torch.repeat_interleave(torch.arange(3), torch.tensor([80, 12, 8])).view(1, 10, 10)
    shares = torch.tensor([0.8, 0.12, 0.08]) * (1 - smoothing) + smoothing / 3
    wanted = float(loss_function(training)(shares.log().view(1, 3, 1, 1).expand(1, 3, 10, 10), targets))
    if smoothing == 0 or loss == "cross_entropy":
        assert found.loss == pytest.approx(wanted, abs=1e-5)
    else:  # only about, and never so low that a network that learns would seem not to
        assert found.loss > 0.97 * wanted
    of_images = TASKS["classification"].guess(training, COUNTS)
    assert (of_images.accuracy, of_images.score) == (1 / 3, 1 / 3)
    assert TASKS["segmentation"].guess(from_flat({"class_weights": True}).training, COUNTS).loss == pytest.approx(
        np.log(3)
    )


def test_pixels_that_are_right_by_the_common_class_alone_are_nothing_learned():
    epochs = pixel_rows([0.7, 0.66, 0.64, 0.635, 0.635], [0.64] * 5, 0.8, 0.79, iou=0.26)
    assert look(epochs, FALLS) == []  # many a network goes on from here
    (found,) = look(epochs, FALLS, state="finished")
    assert (found.kind, found.severity) == ("underfitting", "info")
    assert (
        "80.0 % of the pixels of the training images are right and 79.0 % of the pixels of the validation images "
        "(calling all of them the most common class gets 80.0 %)" in found.evidence
    )
    assert look(pixel_rows([0.7, 0.5, 0.3, 0.2, 0.1], [0.3] * 5, 0.96, 0.94), FALLS, state="finished") == []


def test_pixels_of_weights_that_hardly_move_or_are_thrown_about():
    still = pixel_rows([1.1, 1.09, 1.09], [1.1] * 3, 0.3, 0.3, iou=0.12)
    (slow,) = look(still, [1.2, 1.1, 1.09], norms=(9, 9.01))
    assert (slow.kind, slow.knob) == ("too slow", "learning_rate")
    assert (
        f"is 1.09 (guessing alone gets {GUESS:.4g}), and the mean IoU on the validation images is 12.0 % "
        "(calling every pixel the most common class gets 26.7 %)" in slow.evidence
    )
    # Rare or not: what learns nothing has other troubles, and one card.
    blind = [row | {"confusion": [[80, 0, 0], [12, 0, 0], [0, 0, 8]]} for row in still]
    assert [one.knob for one in look(blind, FALLS, state="finished", norms=(9, 9.01))] == ["learning_rate"]
    # As long as the loss falls it is on its way, though it is far above what guessing gets.
    assert look(pixel_rows([1.1, 1.0, 0.9], [1.1] * 3, 0.3, 0.3, iou=0.12), FALLS, norms=(9, 9.01)) == []
    for thrown in (look(still, [1.2, 3.0, 1.09], norms=(9, 14)), look(still, [1.2, 1.1, 1.09], norms=(9, 40))):
        assert [(found.kind, found.title) for found in thrown] == [("diverging", "Diverging")]
    leapt = look(still, [1.2, 50.0, 1.2, 1.1, 1.1, 1.1])
    assert [(found.kind, found.title) for found in leapt] == [("diverging", "Diverged, and did not recover")]
    assert "the mean IoU on the validation images is 12.0 %" in leapt[0].evidence
    # An IoU above that of guessing is something learned, however few pixels are right.
    assert look(pixel_rows([1.1, 1.09, 1.09], [1.1] * 3, 0.3, 0.3, iou=0.4), FALLS, norms=(9, 9.01)) == []


def test_where_all_is_of_one_class_there_is_nothing_to_learn():
    for counts in ([[100, 0], [0, 0]], [[100]]):
        epochs = pixel_rows(FALLING, [2.0, 1.6, 1.4, 1.3, 1.4, 1.5, 1.6, 1.8], 1.0, 0.9, 1.0, counts)
        assert look(epochs, FALLS, state="finished") == []
    for row in (epochs := rows([0.1] * 5, [0.1] * 5)):
        row["confusion"] = [[10]]
    assert look(epochs, FALLS, state="finished") == []


def test_a_gap_between_pixels_is_held_against_those_that_have_to_be_learned():
    resting = [2.0, 1.6, 1.4, 1.3, 1.3, 1.32, 1.31, 1.32]
    assert look(pixel_rows(FALLING, resting, 0.97, 0.95), FALLS) == []
    (found,) = look(pixel_rows(FALLING, resting, 0.97, 0.93), FALLS)
    assert found.kind == "overfitting"
    assert (
        "97.0 % of the pixels of the training images are right, and 93.0 % of the pixels of the validation images"
        in found.evidence
    )
    # The same gap is no underfitting, though the network is not half the way from guessing to all right.
    assert look(pixel_rows([1.0] * 5, [0.6] * 5, 0.89, 0.86), FALLS, state="finished") == []


@pytest.mark.parametrize(
    ("knobs", "knob"),
    [({}, "class_weights"), ({"class_weights": True}, "loss"), ({"class_weights": True, "loss": "dice"}, "epochs")],
)
def test_a_class_that_no_pixel_is_taken_for(knobs, knob):
    counts = [[80, 0, 0], [4, 8, 0], [8, 0, 0]]
    epochs = pixel_rows([0.5] * 10, [0.5] * 10, counts=counts)
    (found,) = look(epochs, FALLS, classes=("sky", "road", "sign"), **knobs)
    assert (found.title, found.knob) == ("“sign” is never predicted", knob)
    assert found.evidence == (
        "After epoch 10 none of the 100 pixels of the test images is predicted as sign, though 8 of them belong to it."
    )
    assert look(epochs[:10], FALLS, **knobs) == []  # rare classes come late: 9 of 20 epochs


PIXELS: dict[str, Any] = {"dataset": "few-shapes", "channels": "8-16", "norm": "batch", "batch_size": 8, "epochs": 3}
PIXELS |= {"learning_rate": 0.01, "validation_share": 0.2, "device": "cpu", "precision": "float32", "threads": 1}


def trained_on_pixels(**knobs: object) -> list[Finding]:
    store.write_shapes(
        DatasetInfo("few-shapes", "Few", shapes.CLASSES, 3, 32, 40, 30, "MIT", "here", "", task="segmentation")
    )
    return examined(from_flat(PIXELS | knobs))


@pytest.mark.parametrize("optimizer", ["adamw", "sgd", "momentum", "muon"])
def test_pixels_at_a_learning_rate_of_ten_diverge(optimizer):
    assert kinds(trained_on_pixels(learning_rate=10, optimizer=optimizer))[0] == "diverging"


@pytest.mark.parametrize("loss", ["cross_entropy", "focal_dice"])
def test_pixels_at_a_learning_rate_of_a_millionth_are_too_slow(loss):
    assert kinds(trained_on_pixels(learning_rate=1e-6, schedule="constant", loss=loss))[0] == "too slow"


def test_a_short_run_on_pixels_is_not_called_lost():
    assert set(kinds(trained_on_pixels(epochs=6))) <= {"never predicted", "underfitting"}


def test_few_images_and_many_epochs_overfit_on_pixels():
    found = trained_on_pixels(
        images_per_class=10, validation_share=0.3, epochs=60, weight_decay=0.0, channels="16-32", schedule="constant"
    )
    assert (found[0].kind, found[0].knob) == ("overfitting", "images_per_class")
    assert "of the pixels of the training images are right" in found[0].evidence
