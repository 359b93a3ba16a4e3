"""The tables of choices: each entry is whole, and one that is added from outside is used everywhere."""

import math
import os
import subprocess
import sys

import pytest
import torch
import torch.nn.functional as F
from exports_support import run_scripts, same_weights, trained, unpacked, with_images
from torch import Tensor, nn
from ui_support import ROOT, app_home, open_page

from playground.choices import (
    ACTIVATIONS,
    LOSSES,
    NORMS,
    OPTIMIZERS,
    SCHEDULES,
    TABLES,
    Activation,
    Loss,
    Norm,
    Optimizer,
    Schedule,
    Term,
    title_of,
)
from playground.config import KNOBS, ConfigError, TrainingConfig, from_flat
from playground.exports.codegen.script import write_script
from playground.exports.context import load_context
from playground.inference.load import load_model
from playground.interpret.arithmetic import explain_number
from playground.interpret.dead_units import examine_layers
from playground.interpret.trace import trace_image

__all__ = ["app_home", "unpacked", "with_images"]


@pytest.mark.parametrize("table", TABLES, ids=lambda table: next(iter(table)))
def test_each_entry_is_known_by_its_name_and_has_a_title(table):
    assert all(entry.name == name and entry.title for name, entry in table.items())
    assert len({entry.title for entry in table.values()}) == len(table)


def test_choices_that_share_a_name_share_their_title():
    titles = {(name, entry.title) for table in TABLES for name, entry in table.items()}
    assert len(titles) == len({name for name, _ in titles})
    assert title_of("leaky_relu") == "Leaky ReLU" and title_of("no such") is None


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_an_activation_says_of_numbers_what_its_module_does(name):
    entry, values = ACTIVATIONS[name], torch.linspace(-4, 4, 33, dtype=torch.float64)
    outputs = entry.module_class()(values)
    assert [entry.function(value) for value in values.tolist()] == pytest.approx(outputs.tolist(), abs=1e-9)
    assert entry.is_flat(outputs).dtype == torch.bool
    assert entry.bounded == bool(outputs.abs().max() <= 1)


class Bent(nn.Module):
    """The square root above zero, and its mirror image below."""

    def forward(self, images: Tensor) -> Tensor:
        """Bend any tensor."""
        return torch.sign(images) * torch.sqrt(images.abs() + 1e-6)


class Centred(nn.Module):
    """Take its mean off each map of each image."""

    eps = 0.0

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.ones(channels)), nn.Parameter(torch.zeros(channels))

    def forward(self, maps: Tensor) -> Tensor:
        """Centre maps (N, C, H, W)."""
        return (maps - maps.mean((2, 3), keepdim=True)) * self.weight[:, None, None] + self.bias[:, None, None]


def _signs(gradient: Tensor) -> Tensor:
    return gradient.sign()


class SignDescent(torch.optim.SGD):
    """Gradient descent by the signs of the gradient alone."""

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # ty: ignore[incompatible-method-override]
        """Take a step; each weight moves by as much."""
        for group in self.param_groups:
            for weight in group["params"]:
                weight.grad = _signs(weight.grad)
        super().step()


def margin(logits: Tensor, targets: Tensor, config: TrainingConfig, class_weights: Tensor | None) -> Tensor:
    """The multi-class margin loss."""
    return F.multi_margin_loss(logits, targets)


def fade(done: float) -> float:
    """Fall as e⁻ᵈ."""
    return math.exp(-done)


@pytest.fixture
def newcomers(monkeypatch) -> dict[str, str]:
    """One entry more in each table; knobs that ask for them."""
    bent = Activation(
        name="bent",
        title="Bent root",
        module="test_choices:Bent",
        rule="±√|x|",
        function=lambda x: math.copysign(math.sqrt(abs(x) + 1e-6), x),
        written=lambda _, x, write: f"±√|{x}|",
        unit_word="dead",
        unit_meaning="None of its units can die.",
        is_flat=lambda v: v != v,
    )
    monkeypatch.setitem(ACTIVATIONS, "bent", bent)
    centred = Norm(
        name="centred",
        title="Centred",
        module="test_choices:Centred",
        rule="(input − mean of its map) × γ + β",
        statistics=lambda module, maps, channel: (float(maps[channel].mean()), 1.0),
    )
    monkeypatch.setitem(NORMS, "centred", centred)
    by_signs = Optimizer(
        "signs",
        "By signs",
        "test_choices:SignDescent",
        lambda training: {"momentum": training.momentum},
        fused=False,
    )
    monkeypatch.setitem(OPTIMIZERS, "signs", by_signs)
    term = Term(
        name="margin",
        words="the margin loss",
        function="test_choices:margin",
        guess=lambda p: 1.0,
        averages=False,
    )
    monkeypatch.setitem(LOSSES, "margin", Loss("margin", "Margin", (term,)))
    monkeypatch.setitem(SCHEDULES, "fade", Schedule("fade", "Fading", fade))
    return {"activation": "bent", "norm": "centred", "schedule": "fade", "optimizer": "signs", "loss": "margin"}


def test_a_newcomer_is_offered_and_checked(newcomers):
    for knob, name in newcomers.items():
        assert name in KNOBS[knob].choices and name in KNOBS[knob].allowed
        assert from_flat({knob: name}) != from_flat({})
        with pytest.raises(ConfigError, match=f"cannot be magic; it takes one of .*{name}"):
            from_flat({knob: "magic"})


@pytest.mark.usefixtures("app_home")
def test_a_newcomer_stands_in_the_form(newcomers):
    at = open_page("train", **newcomers)
    for knob, name in newcomers.items():
        box = next(box for box in at.selectbox if box.key and box.key.endswith(knob))
        assert box.value == name and title_of(name) in box.options


def test_a_newcomer_learns_is_explained_and_exported(newcomers, with_images, tmp_path):
    run = trained(**newcomers, epochs=2, learning_rate=1e-3)
    rates = [row.learning_rate for row in run.rows() if row.type == "progress"]
    assert rates[0] > rates[-1] > rates[0] * math.exp(-1) - 1e-9
    net, info = load_model(run, 2), run.dataset
    image = torch.zeros(info.shape, dtype=torch.uint8).numpy()
    step = explain_number(net, trace_image(net, image, info.mean, info.std), "block1.act1", (0, 3, 3)).step
    assert step.formula == "±√|x|" and step.numbers.startswith("±√|")
    norm = explain_number(net, trace_image(net, image, info.mean, info.std), "block1.norm1", (0, 3, 3))
    assert norm.step.formula == "(input − mean of its map) × γ + β"
    assert norm.step.output == pytest.approx(norm.traced, abs=1e-5)
    assert {each.count for each in examine_layers(net, image[None], info.mean, info.std)} == {0}
    made = write_script(load_context(run, 2))
    assert "class Bent(nn.Module):" in made and "block1_norm1=Centred(4)," in made and "return math.exp(-done)" in made
    assert made.index("def _signs(") < made.index("SignDescent(groups, momentum=MOMENTUM)")
    run_scripts([made], with_images / "data" / "few", tmp_path)
    assert same_weights(run, 2, tmp_path / "0" / "weights.npz")


def test_an_augmentation_brings_its_setting_and_is_used_from_the_form_to_the_script(tmp_path):
    program = [sys.executable, ROOT / "tests" / "newcomer_augmentation.py", tmp_path]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(program, env=environment, capture_output=True, text=True, timeout=150, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
