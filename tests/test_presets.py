"""The named settings: each is a config, of a network that can be built."""

import math

import pytest
import torch

from playground.config import KNOBS, ConfigError, ModelConfig, RunConfig, diff, flatten, from_flat, to_query
from playground.geometry import layers
from playground.models import build
from playground.presets import KEPT, PRESETS


@pytest.fixture(params=PRESETS)
def preset(request):
    """Each preset."""
    return PRESETS[request.param]


def test_there_are_the_article_s_good_ones_and_two_that_fail():
    assert list(PRESETS) == ["article", "fastest", "good", "pixels", "too_fast", "saturated"]
    assert [preset.name for preset in PRESETS.values() if preset.title.startswith("Fails")] == ["too_fast", "saturated"]


def test_a_preset_says_what_it_is(preset):
    assert PRESETS[preset.name] is preset
    assert preset.title and not preset.title.endswith(".")
    assert preset.help.endswith(".") and len(preset.help) < 300
    assert len({p.title for p in PRESETS.values()}) == len(PRESETS)


def test_a_preset_names_knobs_alone_and_each_differs_from_the_others_config(preset):
    assert set(preset.knobs) <= set(KNOBS)
    own = {"dataset"} if preset.name == "pixels" else set()  # of the others, where to train is the person's choice
    assert set(preset.knobs) & set(KEPT) == own
    config = preset.config
    assert {name: flatten(config)[name] for name in preset.knobs} == dict(preset.knobs)
    assert from_flat(to_query(config)) == config
    assert sum(other.config == config for other in PRESETS.values()) == 1


@pytest.mark.parametrize("shape", [(3, 32, 32), (1, 28, 28), (1, 32, 32)])
def test_its_network_fits_every_data_set_of_the_catalog(preset, shape):
    with torch.device("meta"):
        assert build(preset.config.model, shape, 10)(torch.empty(2, *shape)).shape == (2, 10)


def test_apply_keeps_the_data_set_and_the_machine(preset):
    current = from_flat(
        {"dataset": "mnist", "device": "cpu", "threads": 2, "epochs": 77, "kernel_size": 5, "images_per_class": 9}
    )
    applied = preset.apply(current)
    dataset = preset.knobs.get("dataset", "mnist")
    assert flatten(applied) == flatten(preset.config) | {"dataset": dataset, "device": "cpu", "threads": 2}


def test_apply_leaves_a_data_set_that_labels_pixels_unless_it_is_the_presets_own(preset):
    applied = preset.apply(from_flat({"dataset": "shapes", "threads": 2}))
    assert applied.data.dataset == preset.knobs.get("dataset", "cifar10-mini")
    assert preset.apply(from_flat({"dataset": "unknown-here"})).data.dataset in ("unknown-here", "shapes")


def test_apply_to_the_default_is_the_preset(preset):
    assert preset.apply(RunConfig()) == preset.config


def test_a_preset_says_itself_whether_it_flips_and_normalises(preset):
    """So each stayed what it was when both became the default."""
    said = (preset.knobs["flip"], preset.knobs["norm"])
    assert said == ((True, "batch") if preset.name in ("good", "pixels") else (False, "none"))


def test_the_article_s_training():
    article = PRESETS["article"].config
    assert article.model == ModelConfig(norm="none"), "the article's network is the default one without that"
    changed = {name: new for name, (_, new) in diff(RunConfig(), article).items()}
    assert changed == {
        "flip": False,
        "norm": "none",
        "optimizer": "momentum",
        "learning_rate": 0.001,
        "schedule": "constant",
        "weight_decay": 0.0,
        "batch_size": 4,
    }
    assert article.training.momentum == 0.9
    assert article.training.epochs == 10


def test_the_fastest_has_the_article_s_network():
    assert PRESETS["fastest"].config.model == PRESETS["article"].config.model


def test_what_the_help_claims():
    too_fast, article = PRESETS["too_fast"].config.training, PRESETS["article"].config.training
    assert too_fast.learning_rate == 1000 * article.learning_rate
    saturated = PRESETS["saturated"]
    chain = layers(saturated.config.model, (3, 32, 32), 10)
    assert sum(layer.kind == "activation" for layer in chain) == 5
    assert saturated.config.model.activation == "sigmoid"
    assert f"{math.log(10):.2f}" in saturated.help


def test_a_preset_cannot_smuggle_a_bad_value():
    with pytest.raises(ConfigError):
        from_flat({**PRESETS["good"].knobs, "epochs": 0})
