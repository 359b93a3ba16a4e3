"""`fit`: the order of its events, its figures against independent sums, and exactness: seeds, resumes, changes."""

import itertools
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from sklearn.metrics import confusion_matrix
from torch import Tensor

import playground.training.trainer as trainer_module
from playground.choices import SCHEDULES
from playground.config import KNOBS, ConfigError, DataConfig, RunConfig, TrainingConfig, from_flat
from playground.data.catalog import DatasetInfo
from playground.data.splits import split
from playground.data.store import Arrays, compute_statistics
from playground.events import Batch, Change, Diverged, Epoch, Event, Progress, Snapshot
from playground.geometry import GeometryError
from playground.models import build
from playground.runs import create_run
from playground.training import ResumeError, fit
from playground.training.device import choose_device, uses_bfloat16
from playground.training.losses import loss_function

E = TypeVar("E", bound=Event)
CLASSES = 4
CALM = {
    "channels": (4, 6),
    "norm": "none",
    "flip": False,
    "fc_width": 8,
    "epochs": 2,
    "batch_size": 16,
    "device": "cpu",
    "precision": "float32",
    "validation_share": 0.2,
    "schedule": "constant",
    "learning_rate": 0.01,
}
WILD = {
    "dropout": 0.3,
    "flip": True,
    "shift": 2,
    "rotation": 15,
    "colour": 0.2,
    "cutout": 3,
    "norm": "batch",
    "label_smoothing": 0.1,
    "schedule": "one_cycle",
}


def make_data(count: int = 60, size: int = 12, channels: int = 3, seed: int = 0) -> Arrays:
    """Noise with a brightness that tells the class, as a data set of its own."""
    rng = np.random.default_rng(seed)

    def images(targets):
        noise = rng.integers(0, 120, (len(targets), channels, size, size))
        return (noise + 40 * targets[:, None, None, None]).astype(np.uint8)

    train, test = rng.permutation(np.arange(count) % CLASSES), rng.permutation(np.arange(30) % CLASSES)
    train_images, test_images = images(train), images(test)
    mean, std = compute_statistics(train_images)
    info = DatasetInfo(
        "toy", "Toy", tuple("abcd"), channels, size, count, 30, "none", "none", "none", mean=mean, std=std
    )
    return Arrays(info, train_images, train, test_images, test)


@pytest.fixture(scope="module")
def data() -> Arrays:
    """60 training images (48 when a fifth is held back) and 30 test images."""
    return make_data()


def config(**knobs: Any) -> RunConfig:
    return from_flat(CALM | knobs)


def drive(
    events,
    send: Callable[[Event], Mapping[str, Any] | None] = lambda event: None,
    until: Callable = lambda event: False,
) -> list[Event]:
    """Read events to the end, or through the first that `until` is true of, answering each with `send`."""
    seen, reply = [], None
    while True:
        try:
            seen.append(events.send(reply))
        except StopIteration:
            return seen
        if until(seen[-1]):
            return seen
        reply = send(seen[-1])


def of(kind: type[E], events: Iterable[Event]) -> list[E]:
    return [event for event in events if isinstance(event, kind)]


def last_state(events: Iterable[Event]) -> Snapshot:
    return of(Epoch, events)[-1].snapshot


def same(first: Snapshot, second: Snapshot) -> None:
    """Weights, buffers, optimizer and random states are equal to the bit."""
    assert first.tensors.keys() == second.tensors.keys()
    unequal = [name for name, array in first.tensors.items() if not np.array_equal(array, second.tensors[name])]
    assert unequal == []
    assert (first.epoch, first.step) == (second.epoch, second.step)
    for fact in first.facts.keys() - {"seconds", "reported", "totals"}:
        assert first.facts[fact] == second.facts[fact], fact


def weights_of(snapshot: Snapshot) -> dict[str, Tensor]:
    return {k.removeprefix("model."): torch.tensor(v) for k, v in snapshot.tensors.items() if k.startswith("model.")}


def snapshot_at(events, step: int, kind: type = Batch) -> Snapshot:
    """Read until the event of that kind after `step` steps, and ask there for the state."""
    drive(events, until=lambda event: isinstance(event, kind) and event.step == step)
    snapshot = events.send({"snapshot": True})
    assert isinstance(snapshot, Snapshot)
    events.close()
    return snapshot


class Oracle:
    """The network in double precision, on images normalised by hand; nothing of the training loop."""

    def __init__(self, config: RunConfig, data: Arrays, snapshot: Snapshot) -> None:
        self.config, self.data = config, data
        self.net = build(config.model, (data.info.channels, data.info.size, data.info.size), CLASSES)
        self.net.load_state_dict(weights_of(snapshot))
        self.net.double().eval()
        self.rows, self.val_rows = split(data.train_targets, config.data)

    def logits(self, images: np.ndarray) -> Tensor:
        pixels = torch.tensor(images / 255)
        mean, std = (torch.tensor(figure).view(1, -1, 1, 1) for figure in (self.data.info.mean, self.data.info.std))
        return self.net((pixels - mean) / std)

    def loss(self, images: np.ndarray, targets: np.ndarray) -> Tensor:
        weights = None
        if self.config.training.class_weights:  # the median frequency over a class's own
            counts = np.bincount(self.data.train_targets[self.rows], minlength=CLASSES)
            weights = torch.tensor(np.median(counts) / counts)
        return loss_function(self.config.training, weights)(self.logits(images), torch.tensor(targets))

    def train_loss(self) -> float:
        with torch.no_grad():
            return float(self.loss(self.data.train_images[self.rows], self.data.train_targets[self.rows]))

    def gradient(self) -> dict[str, Tensor]:
        """Of the mean loss over all training images."""
        named = dict(self.net.named_parameters())
        loss = self.loss(self.data.train_images[self.rows], self.data.train_targets[self.rows])
        return dict(zip(named, torch.autograd.grad(loss, list(named.values())), strict=True))

    def weights(self) -> dict[str, Tensor]:
        return {name: parameter.detach().clone() for name, parameter in self.net.named_parameters()}


# The order of events


def test_events_come_in_order(data):
    events = drive(fit(config(epochs=3), data))
    assert isinstance(events[0], Epoch) and isinstance(events[-1], Epoch)
    assert [(event.epoch, event.step) for event in of(Epoch, events)] == [(0, 0), (1, 3), (2, 6), (3, 9)]
    assert [event.step for event in of(Batch, events)] == list(range(1, 10)), "48 images in batches of 16"
    assert [event.step for event in of(Progress, events)] == list(range(1, 10))
    kinds = [type(event).__name__ for event in events]
    assert kinds == ["Epoch"] + (["Progress", "Batch"] * 3 + ["Epoch"]) * 3
    assert [event.epoch for event in of(Batch, events)] == [0] * 3 + [1] * 3 + [2] * 3
    assert [event.epoch for event in of(Progress, events)] == [pytest.approx(step / 3) for step in range(1, 10)]
    seconds = [event.seconds for event in events if isinstance(event, Progress | Epoch)]
    assert seconds == sorted(seconds) and seconds[0] > 0


def test_epoch_0_is_the_untrained_network(data):
    first = next(fit(config(seed=5), data))
    assert isinstance(first, Epoch) and first.train is None
    torch.manual_seed(5)
    fresh = build(config().model, (3, 12, 12), CLASSES).state_dict()
    assert all(torch.equal(tensor, fresh[name]) for name, tensor in weights_of(first.snapshot).items())
    assert not any(name.startswith("optimizer") for name in first.snapshot.tensors)


def test_a_long_run_reports_about_as_often_as_asked(data, monkeypatch):
    monkeypatch.setattr(trainer_module, "REPORTS", 10)
    events = drive(fit(config(epochs=20, batch_size=4), data))
    steps = [event.step for event in of(Progress, events)]
    assert steps[0] == 1, "at once, so that a curve begins"
    assert 20 <= len(steps) <= 40, "at least one an epoch"
    assert {(step - 1) // 12 for step in steps} == set(range(20))
    assert len(of(Batch, events)) == 240


def test_a_slow_run_reports_every_second(data, monkeypatch):
    monkeypatch.setattr(trainer_module, "REPORTS", 1)
    seldom = [event.step for event in of(Progress, drive(fit(config(epochs=1), data)))]
    monkeypatch.setattr("playground.training.reports.REPORT_SECONDS", 0.0)
    often = [event.step for event in of(Progress, drive(fit(config(epochs=1), data)))]
    assert (seldom, often) == ([1, 3], [1, 2, 3])


def test_a_report_comes_when_asked_for(data, monkeypatch):
    monkeypatch.setattr(trainer_module, "REPORTS", 1)
    for kind, step, expected in [(Batch, 1, 2), (Epoch, 3, 4), (Batch, 3, 4), (Progress, 3, 4)]:
        asked = drive(
            fit(config(), data),
            send=lambda event, kind=kind, step=step: (
                {"report": True} if isinstance(event, kind) and event.step == step else None
            ),
        )
        steps = [event.step for event in of(Progress, asked)]
        assert steps == sorted({1, 3, 6, expected}), f"asked at {kind.__name__} {step}"


def test_nothing_is_left_to_do_after_the_last_epoch(data):
    snapshot = last_state(drive(fit(config(), data)))
    assert drive(fit(config(), data, (snapshot.tensors, snapshot.facts))) == []


def test_closing_early_is_quiet(data):
    events = fit(config(), data)
    next(events)
    next(events)
    events.close()
    with pytest.raises(StopIteration):
        next(events)


def test_what_the_reader_does_is_not_timed(data, monkeypatch):
    now = itertools.count(step=1.0)
    monkeypatch.setattr("playground.training.meters.time.perf_counter", lambda: next(now))
    quick = drive(fit(config(), data))[-1]

    def dawdle(event):
        for _ in range(1000):
            next(now)

    slow = drive(fit(config(), data), send=dawdle)[-1]
    assert isinstance(quick, Epoch) and isinstance(slow, Epoch)
    assert slow.seconds == quick.seconds > 0


# Figures


@pytest.mark.parametrize(
    "knobs",
    [
        {},
        WILD,
        {"loss": "mse", "label_smoothing": 0.2},
        {"activation": "tanh", "pooling": "average", "fc_width": 0},
    ],
    ids=["calm", "wild", "mse", "tanh"],
)
def test_figures_of_an_epoch_are_those_of_its_weights(data, knobs):
    for epoch in of(Epoch, drive(fit(config(**knobs), data))):
        oracle = Oracle(config(**knobs), data, epoch.snapshot)
        with torch.no_grad():
            logits = oracle.logits(data.test_images)
            assert epoch.test.loss == pytest.approx(float(oracle.loss(data.test_images, data.test_targets)), rel=1e-4)
            val = data.train_images[oracle.val_rows], data.train_targets[oracle.val_rows]
            assert epoch.val is not None
            assert epoch.val.loss == pytest.approx(float(oracle.loss(*val)), rel=1e-4)
            logits_of_val = oracle.logits(val[0])
            assert epoch.val_probs is not None
            np.testing.assert_allclose(epoch.val_probs, logits_of_val.softmax(1).numpy(), atol=2e-3)
            assert epoch.val_probs.dtype == np.float16
            hits = logits_of_val.argmax(1).numpy() == val[1]
            assert epoch.val.accuracy == pytest.approx(hits.mean(), abs=1e-9)
        preds = logits.argmax(1).numpy()
        assert np.array_equal(epoch.confusion, confusion_matrix(data.test_targets, preds, labels=range(CLASSES)))
        assert epoch.test.accuracy == pytest.approx((preds == data.test_targets).mean(), abs=1e-9)
        assert epoch.test_probs.dtype == np.float16 and epoch.test_probs.shape == (30, CLASSES)
        np.testing.assert_allclose(epoch.test_probs, logits.softmax(1).numpy(), atol=2e-3)


def test_nothing_held_back_has_no_probabilities(data):
    epoch = next(fit(config(validation_share=0), data))
    assert epoch.val is None and epoch.val_probs is None


def test_a_fold_is_held_back_and_judged(data):
    epoch = next(fit(config(folds=3, fold=2), data))
    held_back = split(data.train_targets, DataConfig(folds=3, fold=2))[1]
    assert len(epoch.val_probs) == len(held_back) < len(split(data.train_targets, DataConfig(folds=2))[1])
    hits = epoch.val_probs.argmax(1) == data.train_targets[held_back]
    assert epoch.val.accuracy == pytest.approx(hits.mean(), abs=1e-9)


def test_evaluation_in_pieces_is_evaluation_as_a_whole(data, monkeypatch):
    whole = drive(fit(config(), data))[-1]
    monkeypatch.setattr(trainer_module, "EVALUATION_BATCH", 7)
    pieces = drive(fit(config(), data))[-1]
    assert isinstance(whole, Epoch) and isinstance(pieces, Epoch)
    assert whole.confusion == pieces.confusion
    assert whole.test.loss == pytest.approx(pieces.test.loss, rel=1e-6)
    assert len(pieces.test_probs) == 30


def test_the_figures_of_a_step(data):
    knobs = {"batch_size": 4096, "optimizer": "sgd", "schedule": "cosine", "epochs": 4, "weight_decay": 0.1}
    events = drive(fit(config(**knobs), data))
    epochs = of(Epoch, events)
    for progress, before, after in zip(of(Progress, events), epochs, epochs[1:], strict=False):
        oracle = Oracle(config(**knobs), data, before.snapshot)
        assert progress.loss == pytest.approx(oracle.train_loss(), rel=1e-4)
        hits = oracle.logits(data.train_images[oracle.rows]).argmax(1).numpy() == data.train_targets[oracle.rows]
        assert progress.accuracy == pytest.approx(hits.mean(), abs=1e-9)
        assert progress.learning_rate == pytest.approx(0.01 * SCHEDULES["cosine"].factor(before.step / 4))
        norms = [
            math.sqrt(sum(float(t.double().square().sum()) for t in tensors))
            for tensors in (oracle.gradient().values(), weights_of(after.snapshot).values())
        ]
        assert [progress.grad_norm, progress.weight_norm] == [pytest.approx(norm, rel=1e-4) for norm in norms]
        assert after.train is not None
        assert (after.train.loss, after.train.accuracy) == (progress.loss, progress.accuracy)
        assert progress.images_per_second > 0


@pytest.mark.parametrize("reports", [2, 1000])
def test_the_training_figures_of_an_epoch_are_means_over_its_images(data, monkeypatch, reports):
    monkeypatch.setattr(trainer_module, "REPORTS", 1000)
    knobs = {"batch_size": 20}  # 20, 20 and 8 images
    events = drive(fit(config(**knobs), data))
    steps = of(Progress, events)
    monkeypatch.setattr(trainer_module, "REPORTS", reports)
    for k, epoch in enumerate(of(Epoch, drive(fit(config(**knobs), data)))[1:]):
        parts = steps[3 * k : 3 * k + 3]
        assert epoch.train is not None
        for name in ("loss", "accuracy"):
            mean = sum(getattr(part, name) * n for part, n in zip(parts, (20, 20, 8), strict=True)) / 48
            assert getattr(epoch.train, name) == pytest.approx(mean, rel=1e-5)


def test_a_report_is_the_mean_since_the_last(data, monkeypatch):
    knobs = {"batch_size": 20, "epochs": 1}
    steps = of(Progress, drive(fit(config(**knobs), data)))
    monkeypatch.setattr(trainer_module, "REPORTS", 1)
    first, second = of(Progress, drive(fit(config(**knobs), data)))
    assert (first.step, first.loss) == (1, steps[0].loss)
    assert second.step == 3
    assert second.loss == pytest.approx((20 * steps[1].loss + 8 * steps[2].loss) / 28, rel=1e-6)
    assert second.learning_rate == steps[2].learning_rate
    assert second.grad_norm == steps[2].grad_norm


def test_it_learns(data):
    knobs = {"optimizer": "adamw", "schedule": "one_cycle", "learning_rate": 0.02, "batch_size": 8, "epochs": 25}
    events = of(Epoch, drive(fit(config(**knobs), data)))
    assert events[-1].test.accuracy > 0.9 > 0.5 > events[0].test.accuracy
    assert events[-1].test.loss < 0.5 * events[0].test.loss


def test_every_image_is_seen_once_an_epoch_in_another_order(data, monkeypatch):
    seen: list[list[int]] = []
    real = trainer_module.Trainer.gradient

    def gradient(self, rows, share):
        seen.append(rows.tolist())
        return real(self, rows, share)

    monkeypatch.setattr(trainer_module.Trainer, "gradient", gradient)
    drive(fit(config(batch_size=20), data))
    assert [len(rows) for rows in seen] == [20, 20, 8] * 2
    first, second = [*itertools.chain(*seen[:3])], [*itertools.chain(*seen[3:])]
    assert sorted(first) == sorted(second) == split(data.train_targets, config().data)[0].tolist()
    assert first != second != sorted(second)


# Steps against the rule


@pytest.mark.parametrize("chunk", [512, 7, 48])
@pytest.mark.parametrize("loss", [loss for loss in KNOBS["loss"].choices if "dice" not in loss])  # no mean over images
@pytest.mark.parametrize("weighted", [False, True])
def test_gradient_descent_is_a_step_along_the_gradient_over_all_images(data, monkeypatch, chunk, loss, weighted):
    monkeypatch.setattr(trainer_module, "FULL_BATCH_CHUNK", chunk)
    if weighted:  # of half as many images, of a third …
        uneven = np.repeat(np.arange(CLASSES), [len(data.train_targets) // 2 // (k + 1) for k in range(CLASSES)])
        targets = np.resize(uneven, len(data.train_targets))
        data = replace(data, train_targets=targets)
    knobs = {"optimizer": "gradient_descent", "loss": loss, "weight_decay": 0.1, "learning_rate": 0.5}
    knobs |= {"class_weights": weighted}
    events = drive(fit(config(**knobs), data))
    first, second, _ = of(Epoch, events)
    assert second.step == 1, "one step an epoch"
    oracle = Oracle(config(**knobs), data, first.snapshot)
    gradient, start = oracle.gradient(), oracle.weights()
    for name, weight in weights_of(second.snapshot).items():
        decay = 0.1 * start[name] if start[name].ndim > 1 else 0
        torch.testing.assert_close(weight.double(), start[name] - 0.5 * (gradient[name] + decay), rtol=1e-4, atol=1e-6)
    report = of(Progress, events)[0]
    assert report.loss == pytest.approx(oracle.train_loss(), rel=1e-4)
    assert [event.step for event in of(Progress, events)] == [1, 2]


def test_sgd_with_one_batch_an_epoch_is_gradient_descent(data):
    one, other = (
        last_state(drive(fit(config(optimizer=name, batch_size=48, epochs=3), data)))
        for name in ("sgd", "gradient_descent")
    )
    for name, weight in weights_of(one).items():
        torch.testing.assert_close(weight, weights_of(other)[name], rtol=1e-4, atol=1e-6)


def test_l1_pulls_every_weight_by_the_same_amount(data):
    knobs = {"optimizer": "gradient_descent", "l1": 0.05, "weight_decay": 0, "learning_rate": 0.1}
    events = drive(fit(config(**knobs), data))
    first, second, _ = of(Epoch, events)
    oracle = Oracle(config(**knobs), data, first.snapshot)
    gradient, start = oracle.gradient(), oracle.weights()
    for name, weight in weights_of(second.snapshot).items():
        pull = 0.05 * start[name].sign() if start[name].ndim > 1 else 0
        torch.testing.assert_close(weight.double(), start[name] - 0.1 * (gradient[name] + pull), rtol=1e-4, atol=1e-6)
    assert of(Progress, events)[0].loss == pytest.approx(oracle.train_loss(), rel=1e-4), "the data's loss alone"


def test_momentum_over_two_steps(data):
    knobs = {"optimizer": "momentum", "momentum": 0.5, "weight_decay": 0, "batch_size": 48, "learning_rate": 0.2}
    states = [epoch.snapshot for epoch in of(Epoch, drive(fit(config(**knobs), data)))]
    oracles = [Oracle(config(**knobs), data, state) for state in states]
    gradients = [oracle.gradient() for oracle in oracles[:2]]
    for name, weight in oracles[2].weights().items():
        velocity = 0.5 * gradients[0][name] + gradients[1][name]
        torch.testing.assert_close(weight, oracles[1].weights()[name] - 0.2 * velocity, rtol=1e-4, atol=1e-6)


# The same again


@pytest.mark.parametrize("optimizer", KNOBS["optimizer"].choices)
def test_the_same_seed_gives_the_same_bits(data, optimizer):
    first, second = (last_state(drive(fit(config(**WILD, optimizer=optimizer), data))) for _ in range(2))
    same(first, second)


def test_another_seed_gives_other_weights_on_the_same_split(data):
    first, second = (last_state(drive(fit(config(seed=seed), data))) for seed in (0, 1))
    assert not any(torch.equal(weight, weights_of(second)[name]) for name, weight in weights_of(first).items())


def test_random_numbers_drawn_elsewhere_have_no_say(data):
    quiet = last_state(drive(fit(config(), data)))
    torch.manual_seed(99)
    np.random.seed(99)
    same(quiet, last_state(drive(fit(config(), data))))


def test_reports_and_snapshots_change_nothing(data, monkeypatch):
    quiet = last_state(drive(fit(config(**WILD), data)))
    monkeypatch.setattr(trainer_module, "REPORTS", 1)
    asked = drive(
        fit(config(**WILD), data),
        send=lambda event: None if isinstance(event, Snapshot) else {"snapshot": True, "report": True},
    )
    assert len(of(Snapshot, asked)) == len(of(Batch, asked)) + len(of(Progress, asked)) + len(of(Epoch, asked)) == 15
    same(quiet, last_state(asked))


def test_two_epochs_are_the_first_two_of_three_under_a_constant_rate(data):
    short, long = (of(Epoch, drive(fit(config(**WILD | {"schedule": "constant", "epochs": n}), data))) for n in (2, 3))
    same(short[2].snapshot, long[2].snapshot)


# Resuming


def through_a_file(snapshot: Snapshot) -> tuple[Mapping[str, np.ndarray], Mapping[str, Any]]:
    run = create_run(RunConfig())
    run.save_resume(snapshot.tensors, snapshot.facts)
    saved = run.load_resume()
    assert saved is not None
    return saved


@pytest.mark.parametrize("optimizer", KNOBS["optimizer"].choices)
@pytest.mark.parametrize(("kind", "step"), [(Batch, 2), (Progress, 2), (Batch, 3), (Epoch, 3), (Epoch, 0), (Batch, 5)])
def test_a_resume_ends_at_the_same_bits(data, monkeypatch, optimizer, kind, step):
    if optimizer == "gradient_descent":
        monkeypatch.setattr(trainer_module, "FULL_BATCH_CHUNK", 16)
        step = {2: 1, 3: 1, 5: 2}.get(step, 0)
    knobs = config(**WILD, optimizer=optimizer, momentum=0.8, l1=1e-4)
    whole = drive(fit(knobs, data))
    snapshot = snapshot_at(fit(knobs, data), step, kind)
    torch.manual_seed(123)  # another process has other random states
    rest = drive(fit(knobs, data, through_a_file(snapshot)))
    assert not any(isinstance(event, Epoch) and event.epoch == 0 for event in rest)
    same(last_state(whole), last_state(rest))
    final, resumed = of(Epoch, whole)[-1], of(Epoch, rest)[-1]
    assert (final.test, final.val, final.confusion) == (resumed.test, resumed.val, resumed.confusion)
    assert final.train is not None and resumed.train is not None
    assert resumed.train.loss == pytest.approx(final.train.loss, rel=1e-6)
    assert resumed.train.accuracy == pytest.approx(final.train.accuracy, rel=1e-9)


def test_what_was_not_reported_yet_counts_in_the_epoch_s_figures(data, monkeypatch):
    monkeypatch.setattr(trainer_module, "REPORTS", 1)
    whole = of(Epoch, drive(fit(config(batch_size=4), data)))[1]
    snapshot = snapshot_at(fit(config(batch_size=4), data), 7)
    resumed = of(Epoch, drive(fit(config(batch_size=4), data, through_a_file(snapshot))))[0]
    assert whole.epoch == resumed.epoch == 1
    assert whole.train is not None and resumed.train is not None
    assert resumed.train.loss == pytest.approx(whole.train.loss, rel=1e-6)
    assert resumed.train.accuracy == pytest.approx(whole.train.accuracy, rel=1e-9)


def test_a_resume_in_the_middle_of_a_full_batch_starts_the_epoch_again(data, monkeypatch):
    monkeypatch.setattr(trainer_module, "FULL_BATCH_CHUNK", 16)
    knobs = config(**WILD, optimizer="gradient_descent", epochs=3)
    whole = drive(fit(knobs, data))
    batches = [i for i, event in enumerate(whole) if isinstance(event, Batch)]
    assert len(batches) == 9 and len(of(Epoch, whole)) == 4
    events = fit(knobs, data)
    for _ in range(batches[4] + 1):  # two of three pieces of the second epoch
        next(events)
    snapshot = events.send({"snapshot": True})
    assert isinstance(snapshot, Snapshot) and snapshot.step == 1
    rest = drive(fit(knobs, data, through_a_file(snapshot)))
    assert len(of(Batch, rest)) == 6
    same(last_state(whole), last_state(rest))


def test_resuming_twice_and_again_and_again(data):
    knobs = config(**WILD, optimizer="muon")
    whole = drive(fit(knobs, data))
    state = None
    for step in range(1, 7):
        state = snapshot_at(fit(knobs, data, state and (state.tensors, state.facts)), step)
    assert state is not None
    same(last_state(whole), last_state(drive(fit(knobs, data, (state.tensors, state.facts)))))


@pytest.mark.parametrize("optimizer", ["adamw", "rmsprop", "muon"])
def test_a_snapshot_is_a_copy(data, optimizer):
    knobs = config(**WILD, optimizer=optimizer)
    events = fit(knobs, data)
    drive(events, until=lambda event: isinstance(event, Batch) and event.step == 2)
    snapshot = events.send({"snapshot": True})
    assert isinstance(snapshot, Snapshot)
    before = {name: array.copy() for name, array in snapshot.tensors.items()}
    first = last_state(drive(events))
    for _ in range(2):  # neither the run it was taken of nor one that resumes from it changes it
        same(first, last_state(drive(fit(knobs, data, (snapshot.tensors, snapshot.facts)))))
        assert all(np.array_equal(array, before[name]) for name, array in snapshot.tensors.items())


def test_the_clock_goes_on_after_a_resume(data):
    snapshot = snapshot_at(fit(config(), data), 2)
    facts = dict(snapshot.facts) | {"seconds": 1000.0}
    first = of(Progress, drive(fit(config(), data, (snapshot.tensors, facts))))[0]
    assert 1000 < first.seconds < 1060


@pytest.mark.parametrize(
    "spoil",
    [
        lambda tensors, facts: tensors.pop("model.output.weight"),
        lambda tensors, facts: tensors.update({"model.output.weight": np.zeros((2, 2), np.float32)}),
        lambda tensors, facts: tensors.update({"model.more": np.zeros(2, np.float32)}),
        lambda tensors, facts: tensors.update({"optimizer.0.99.exp_avg": np.zeros(2, np.float32)}),
        lambda tensors, facts: tensors.update({"optimizer.0.exp_avg": np.zeros(2, np.float32)}),
        lambda tensors, facts: tensors.update({"optimizer.0.x.exp_avg": np.zeros(2, np.float32)}),
        lambda tensors, facts: tensors.pop("rng.torch"),
        lambda tensors, facts: tensors.update({"rng.torch": np.zeros(3, np.uint8)}),
        lambda tensors, facts: tensors.update({"rng.torch": np.zeros(3, np.float32)}),
        lambda tensors, facts: tensors.pop("rng.augment"),
        lambda tensors, facts: facts.pop("step"),
        lambda tensors, facts: facts.update(step="many"),
        lambda tensors, facts: facts.update(totals=None),
        lambda tensors, facts: facts.update(changed=None),
        lambda tensors, facts: facts.update(changed={"learning_rate": 99}),
        lambda tensors, facts: facts.update(changed={"no knob": 1}),
    ],
)
def test_a_state_that_does_not_fit_is_refused_in_one_line(data, spoil):
    snapshot = snapshot_at(fit(config(), data), 2)
    tensors, facts = dict(snapshot.tensors), dict(snapshot.facts)
    spoil(tensors, facts)
    with pytest.raises(ResumeError, match="does not fit this run's knobs") as error:
        next(fit(config(), data, (tensors, facts)))
    assert str(error.value).isprintable() and len(str(error.value)) < 250


def test_a_state_of_another_network_is_refused(data):
    snapshot = snapshot_at(fit(config(), data), 2)
    with pytest.raises(ResumeError):
        next(fit(config(fc_width=16), data, (snapshot.tensors, snapshot.facts)))


# Changes on the way


def test_a_change_is_told_and_acts_from_the_next_step(data):
    knobs = {"optimizer": "sgd", "batch_size": 48, "weight_decay": 0, "epochs": 3}
    events = drive(
        fit(config(**knobs), data),
        send=lambda event: {"learning_rate": 0.3} if isinstance(event, Epoch) and event.epoch == 1 else None,
    )
    assert of(Change, events) == [Change(1.0, 1, "learning_rate", 0.01, 0.3)]
    assert [event.learning_rate for event in of(Progress, events)] == [0.01, 0.3, 0.3]
    epochs = of(Epoch, events)
    oracle = Oracle(config(**knobs), data, epochs[1].snapshot)
    for name, weight in weights_of(epochs[2].snapshot).items():
        expected = oracle.weights()[name] - 0.3 * oracle.gradient()[name]
        torch.testing.assert_close(weight.double(), expected, rtol=1e-4, atol=1e-6)


def test_the_schedule_goes_on_with_a_new_rate(data):
    events = drive(
        fit(config(schedule="cosine"), data),
        send=lambda event: {"learning_rate": 1.0} if isinstance(event, Batch) and event.step == 2 else None,
    )
    rates = [event.learning_rate for event in of(Progress, events)]
    factors = [SCHEDULES["cosine"].factor(step / 6) for step in range(6)]
    assert rates == [pytest.approx((0.01 if step < 2 else 1.0) * factors[step]) for step in range(6)]


def test_a_new_weight_decay_acts_on_kernels_and_matrices_alone(data):
    knobs = {"optimizer": "gradient_descent", "weight_decay": 0, "epochs": 1, "learning_rate": 0.5}
    events = drive(fit(config(**knobs), data), send=lambda e: {"weight_decay": 0.4} if isinstance(e, Epoch) else None)
    assert of(Change, events)[0] == Change(0.0, 0, "weight_decay", 0.0, 0.4)
    first, second = of(Epoch, events)
    oracle = Oracle(config(**knobs), data, first.snapshot)
    start, gradient = oracle.weights(), oracle.gradient()
    for name, weight in weights_of(second.snapshot).items():
        decay = 0.4 * start[name] if start[name].ndim > 1 else 0
        torch.testing.assert_close(weight.double(), start[name] - 0.5 * (gradient[name] + decay), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("optimizer", ["sgd", "adamw", "muon"])
def test_a_change_to_the_same_values_from_the_start_is_the_same_run(data, optimizer):
    wanted = {"learning_rate": 0.02, "weight_decay": 0.2, "dropout": 0.5}
    plain = last_state(drive(fit(config(**CALM | wanted | {"optimizer": optimizer}), data)))
    changed = drive(
        fit(config(optimizer=optimizer), data),
        send=lambda event: wanted if isinstance(event, Epoch) and event.epoch == 0 else None,
    )
    assert [change.knob for change in of(Change, changed)] == ["learning_rate", "weight_decay", "dropout"]
    same(plain, last_state(changed))


@pytest.mark.parametrize("optimizer", ["momentum", "adamw", "muon", "gradient_descent"])
@pytest.mark.parametrize("knob", ["learning_rate", "weight_decay", "dropout"])
def test_changes_survive_a_resume(data, optimizer, knob):
    knobs = config(**WILD, optimizer=optimizer, epochs=3)
    at = 1 if optimizer == "gradient_descent" else 4

    def send(event):
        return {knob: 0.25} if isinstance(event, Batch) and event.step == at else None

    whole = drive(fit(knobs, data), send=send)
    assert len(of(Change, whole)) == 1
    events = fit(knobs, data)
    drive(events, send=send, until=lambda event: isinstance(event, Change))
    snapshot = events.send({"snapshot": True})
    assert isinstance(snapshot, Snapshot) and snapshot.facts["changed"][knob] == 0.25
    same(last_state(whole), last_state(drive(fit(knobs, data, through_a_file(snapshot)))))
    unchanged = last_state(drive(fit(knobs, data)))
    assert any(not torch.equal(w, weights_of(unchanged)[n]) for n, w in weights_of(last_state(whole)).items())


def test_several_changes_and_a_snapshot_at_once(data):
    events = fit(config(), data)
    next(events)
    wish = {"learning_rate": 0.5, "dropout": 0.1, "snapshot": True, "report": True}
    answers = [events.send(wish), next(events), next(events)]
    assert [type(answer) for answer in answers] == [Change, Change, Snapshot]
    snapshot = answers[2]
    assert isinstance(snapshot, Snapshot)
    assert snapshot.facts["changed"] == {"learning_rate": 0.5, "weight_decay": 0.01, "dropout": 0.1}


def test_a_wish_sent_at_an_answer_is_heard_too(data):
    events = fit(config(), data)
    next(events)
    first = events.send({"learning_rate": 0.5, "dropout": 0.1})
    assert isinstance(first, Change) and first.knob == "learning_rate"
    second = events.send({"weight_decay": 0.3})
    assert isinstance(second, Change) and second.knob == "dropout"
    third = events.send({"snapshot": True})
    assert isinstance(third, Change) and third.knob == "weight_decay"
    assert isinstance(next(events), Snapshot)
    assert isinstance(next(events), Progress)


@pytest.mark.parametrize(
    ("wish", "says"),
    [({"learning_rate": -1}, "Learning rate"), ({"dropout": 1}, "Dropout"), ({"weight_decay": "x"}, "Weight decay")],
)
def test_a_value_that_is_not_allowed_is_one_line(data, wish, says):
    events = fit(config(), data)
    next(events)
    with pytest.raises(ConfigError, match=says) as error:
        events.send(wish)
    assert str(error.value).isprintable()


def test_other_knobs_are_not_changed_on_the_way(data):
    plain = drive(fit(config(), data))
    deaf = drive(fit(config(), data), send=lambda event: {"batch_size": 1, "seed": 4, "momentum": 0.1})
    assert of(Change, deaf) == []
    same(last_state(plain), last_state(deaf))


# Divergence


@pytest.fixture
def watched(monkeypatch):
    """What each step's loss was, and which step left a weight that is not finite, seen from outside."""
    log: dict[str, list] = {"losses": [], "spoiled": []}
    gradient, update = trainer_module.Trainer.gradient, trainer_module.Trainer.update

    def watched_gradient(self, rows, share):
        loss, hits = gradient(self, rows, share)
        log["losses"].append(float(loss))
        return loss, hits

    def watched_update(self):
        update(self)
        if not all(p.isfinite().all() and p.norm().isfinite() for p in self.parameters):
            log["spoiled"].append(self.step)

    monkeypatch.setattr(trainer_module.Trainer, "gradient", watched_gradient)
    monkeypatch.setattr(trainer_module.Trainer, "update", watched_update)
    return log


@pytest.mark.parametrize("reports", [10_000, 30])
@pytest.mark.parametrize(
    "knobs",
    [
        {"optimizer": "momentum", "learning_rate": 10.0, "batch_size": 4, "epochs": 40},
        {"optimizer": "sgd", "learning_rate": 10.0, "batch_size": 4, "epochs": 40, "activation": "elu"},
        {"optimizer": "gradient_descent", "learning_rate": 10.0, "epochs": 60, "weight_decay": 1.0},
        {"optimizer": "nesterov", "learning_rate": 10.0, "batch_size": 16, "epochs": 40, "weight_decay": 1.0},
    ],
    ids=lambda knobs: knobs["optimizer"],
)
def test_divergence_is_told_with_its_step_and_ends_the_run(data, monkeypatch, watched, knobs, reports):
    monkeypatch.setattr(trainer_module, "REPORTS", reports)
    events = drive(fit(config(**knobs), data))
    end = events[-1]
    assert isinstance(end, Diverged) and len(of(Diverged, events)) == 1
    bad_losses = [step for step, loss in enumerate(watched["losses"], 1) if not math.isfinite(loss)]
    if end.what == "the loss is no longer a finite number":
        assert end.step == bad_losses[0]
    else:
        assert end.what == "a gradient or a weight is no longer a finite number"
        assert bad_losses == [] and watched["spoiled"] == [end.step]
    assert end.epoch == pytest.approx(end.step / (48 / knobs.get("batch_size", 48)), abs=1)
    for progress in of(Progress, events):
        assert progress.step < end.step
        assert all(math.isfinite(getattr(progress, name)) for name in ("loss", "grad_norm", "weight_norm"))
    for epoch in of(Epoch, events):
        assert all(np.isfinite(array).all() for array in epoch.snapshot.tensors.values())
        assert math.isfinite(epoch.test.loss) and np.isfinite(epoch.test_probs).all()


def test_weights_that_are_not_finite_at_the_end_of_an_epoch(data, monkeypatch):
    real = trainer_module.Trainer.update

    def update(self):
        real(self)
        if self.step == 3:
            self.net.block1_conv1.bias.data[0] = -math.inf  # which ReLU takes for 0, so that no loss shows it

    monkeypatch.setattr(trainer_module.Trainer, "update", update)
    monkeypatch.setattr(trainer_module, "REPORTS", 3)
    events = drive(fit(config(), data))
    assert [event.step for event in of(Progress, events)] == [1, 2], "none after the third step, that would notice"
    assert [event.epoch for event in of(Epoch, events)] == [0]
    assert events[-1] == Diverged(1.0, 3, "a weight is no longer a finite number")


# Every choice trains


@pytest.mark.parametrize("name", ["activation", "pooling", "loss", "optimizer", "schedule", "padding", "precision"])
def test_every_choice_trains(data, name):
    for choice in KNOBS[name].choices:
        knobs = {name: choice, "epochs": 1}
        events = drive(fit(config(**knobs), data))
        first, last = of(Epoch, events)
        assert math.isfinite(last.test.loss) and last.test != first.test, choice
        start = weights_of(first.snapshot)
        still = [key for key, weight in weights_of(last.snapshot).items() if torch.equal(weight, start[key])]
        assert still == [], choice


def test_bfloat16_is_near_float32(data):
    exact, rough = (
        of(Epoch, drive(fit(config(precision=name, optimizer="sgd"), data))) for name in ("float32", "bfloat16")
    )
    assert rough[0].test.loss == pytest.approx(exact[0].test.loss, rel=0.01)
    assert rough[0].test.loss != exact[0].test.loss
    assert rough[-1].test.loss == pytest.approx(exact[-1].test.loss, rel=0.05)
    assert all(array.dtype == np.float32 for name, array in rough[-1].snapshot.tensors.items() if "model." in name)


def test_bfloat16_resumes_to_the_same_bits(data):
    knobs = config(**WILD, precision="bfloat16", optimizer="adamw")
    snapshot = snapshot_at(fit(knobs, data), 4)
    same(last_state(drive(fit(knobs, data))), last_state(drive(fit(knobs, data, through_a_file(snapshot)))))


@pytest.mark.parametrize("optimizer", ["sgd", "gradient_descent", "muon"])
@pytest.mark.parametrize("norm", KNOBS["norm"].choices)
def test_batches_of_one_image(data, norm, optimizer):
    events = drive(fit(config(batch_size=1, norm=norm, images_per_class=2, optimizer=optimizer), data))
    assert of(Epoch, events)[-1].epoch == 2


@pytest.mark.parametrize("batch_size", [1, 16, 47])
def test_a_last_batch_of_one_image_and_maps_of_one_pixel_under_batch_norm(batch_size):
    # 48 + 1 images; torch's own batch normalisation refuses a single value per channel.
    data = make_data(count=49)
    shrunk = config(
        batch_size=batch_size, norm="batch", channels=(4,) * 4, stride=2, pooling="none", validation_share=0
    )
    assert len(split(data.train_targets, shrunk.data)[0]) == 49
    last = drive(fit(shrunk, data))[-1]
    assert isinstance(last, Epoch)
    assert all(np.isfinite(array).all() for array in last.snapshot.tensors.values())


def test_fewer_images_than_a_batch(data):
    events = drive(fit(config(images_per_class=2, batch_size=64, validation_share=0.5), data))
    assert [event.step for event in of(Batch, events)] == [1, 2]
    assert of(Epoch, events)[-1].val is not None


def test_one_image_of_each_class(data):
    events = drive(fit(config(images_per_class=1), data))
    assert of(Epoch, events)[-1].val is None, "none can be held back"


def test_nothing_held_back(data):
    events = drive(fit(config(validation_share=0), data))
    assert all(event.val is None for event in of(Epoch, events))
    assert [event.step for event in of(Batch, events)] == list(range(1, 9)), "60 images in batches of 16"


@pytest.mark.parametrize(("channels", "size"), [(1, 12), (1, 28), (3, 20)])
def test_other_shapes_of_images(channels, size):
    shaped = make_data(count=20, size=size, channels=channels)
    events = drive(fit(config(**WILD | {"epochs": 1, "optimizer": "muon"}), shaped))
    assert of(Epoch, events)[-1].epoch == 1


def test_images_on_disk_are_not_changed(data):
    before = [array.copy() for array in (data.train_images, data.train_targets, data.test_images, data.test_targets)]
    drive(fit(config(**WILD), data))
    after = (data.train_images, data.train_targets, data.test_images, data.test_targets)
    assert all(np.array_equal(a, b) for a, b in zip(before, after, strict=True))


def test_dropout_and_augmentation_are_off_when_it_is_judged(data):
    first = next(fit(config(**WILD | {"dropout": 0.9}), data))
    assert isinstance(first, Epoch)
    oracle = Oracle(config(**WILD), data, first.snapshot)
    assert first.test.loss == pytest.approx(float(oracle.loss(data.test_images, data.test_targets).detach()), rel=1e-4)


# What cannot be


def test_a_network_that_does_not_fit_the_images(data):
    with pytest.raises(GeometryError, match=r"^block4\.pool: "):
        next(fit(config(channels=(4,) * 4), data))


def test_a_device_that_is_not_there():
    missing = "cuda:99"
    with pytest.raises(ValueError, match=r"no device cuda:99; choose auto or cpu") as error:
        choose_device(missing)
    assert str(error.value).isprintable()


def test_devices(monkeypatch):
    assert choose_device("cpu") == torch.device("cpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    assert choose_device("auto") == torch.device("cpu")
    with pytest.raises(ValueError, match="no device mps"):
        choose_device("mps")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert choose_device("auto") == torch.device("cuda")
    assert choose_device("cuda:1") == torch.device("cuda:1")
    with pytest.raises(ValueError, match="no device cuda:2"):
        choose_device("cuda:2")


@pytest.mark.parametrize(
    ("able", "expected"),
    [({}, False), ({"avx512_bf16": True}, True), ({"amx_bf16": True}, True), ({"avx512_bf16": False}, False)],
)
def test_auto_uses_bfloat16_where_the_hardware_has_it(monkeypatch, able, expected):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: able)
    cpu = torch.device("cpu")
    assert uses_bfloat16(TrainingConfig(precision="auto"), cpu) is expected
    assert uses_bfloat16(TrainingConfig(precision="float32"), cpu) is False
    assert uses_bfloat16(TrainingConfig(precision="bfloat16"), cpu) is True


def test_the_loss_of_a_toy_epoch_by_torch_alone(data):
    """The oracle itself, against a loss written with torch's functions and nothing of ours."""
    first = next(fit(config(), data))
    assert isinstance(first, Epoch)
    oracle = Oracle(config(), data, first.snapshot)
    logits = oracle.logits(data.test_images).detach()
    expected = F.cross_entropy(logits, torch.tensor(data.test_targets))
    ours = oracle.loss(data.test_images, data.test_targets).detach()
    assert float(ours) == pytest.approx(float(expected))
