"""Knobs: what each takes and refuses, and the ways in and out: flat values, URL, JSON."""

import json
import random
from urllib.parse import parse_qsl, urlencode

import numpy as np
import pytest
import torch

from playground.config import (
    KNOBS,
    LIVE_KNOBS,
    ConfigError,
    DataConfig,
    ModelConfig,
    RunConfig,
    diff,
    flatten,
    from_flat,
    from_json,
    to_query,
)
from playground.geometry import layers
from playground.training.losses import loss_function

NUMBERS = [knob for knob in KNOBS.values() if knob.kind in ("int", "float")]
DATASETS = ("cifar10", "cifar10-mini", "my_own-set2", "0")
DEVICES = ("auto", "cpu", "mps", "cuda", "cuda:0", "cuda:15")


def draw(knob, rng):
    """A value that the knob takes; its bounds more often than chance would have it."""
    match knob.kind:
        case "bool":
            return rng.random() < 0.5
        case "choice":
            return rng.choice(knob.choices)
        case "int":
            return rng.choice([knob.low, knob.high, rng.randint(knob.low, knob.high)])
        case "float":
            return float(rng.choice([knob.low, knob.high, rng.uniform(knob.low, knob.high)]))
        case "ints":
            return tuple(rng.randint(knob.low, knob.high) for _ in range(rng.randint(*knob.lengths)))
    return rng.choice(DEVICES if knob.name == "device" else DATASETS)


def draw_config(seed: int) -> RunConfig:
    rng = random.Random(seed)
    values = {name: draw(knob, rng) for name, knob in KNOBS.items() if rng.random() < 0.7}
    folds = values["folds"] = rng.choice([0, 2, 20])
    return from_flat(values | {"fold": rng.randrange(max(1, folds))})


def refusal(values) -> str:
    """The message with which the values are refused: one line, of a length that fits on a screen."""
    with pytest.raises(ConfigError) as caught:
        from_flat(values)
    message = str(caught.value)
    assert message.isprintable()
    assert len(message) < 700
    return message


# What is known of each knob


def test_the_knobs_are_the_fields_of_the_groups():
    fields = [name for group in RunConfig.model_fields for name in type(getattr(RunConfig(), group)).model_fields]
    assert list(KNOBS) == fields
    assert len(set(fields)) == len(fields), "names are unique over the groups, or a flat mapping would be ambiguous"


@pytest.mark.parametrize("name", KNOBS)
def test_each_knob_says_all_that_a_form_needs(name):
    knob = KNOBS[name]
    assert knob.name == name
    assert getattr(getattr(RunConfig(), knob.group), name) == knob.default
    assert knob.label and knob.label != name and not knob.label.endswith(".")
    assert knob.help.endswith(".") and 30 < len(knob.help) < 250
    assert knob.kind in {"bool", "int", "float", "choice", "text", "ints"}
    assert (knob.low is not None and knob.high is not None and knob.low < knob.high) == (
        knob.kind in {"int", "float", "ints"}
    )
    assert bool(knob.choices) == (knob.kind == "choice")
    assert bool(knob.lengths) == (knob.kind == "ints")
    if knob.kind in {"int", "float"}:
        assert knob.low <= knob.default <= knob.high


def test_labels_are_unique():
    assert len({knob.label for knob in KNOBS.values()}) == len(KNOBS)


def test_the_live_knobs_are_numbers():
    assert [name for name, knob in KNOBS.items() if knob.live] == ["dropout", "learning_rate", "weight_decay"]
    assert {KNOBS[name].kind for name in LIVE_KNOBS} == {"float"}


def test_the_default_network_is_the_article_s_with_batch_normalisation():
    model = RunConfig().model
    assert (model.channels, model.kernel_size, model.stride, model.pooling) == ((16, 32, 64), 3, 1, "max")
    assert (model.activation, model.fc_width, model.norm, model.dropout) == ("relu", 128, "batch", 0.0)


# Bounds


@pytest.mark.parametrize("knob", NUMBERS, ids=lambda knob: knob.name)
def test_bounds_are_inclusive(knob):
    for bound in (knob.low, knob.high):
        beside = {"folds": 20} if knob.name == "fold" else {}
        assert flatten(from_flat({**beside, knob.name: bound}))[knob.name] == bound


@pytest.mark.parametrize(
    ("folds", "fold", "says"),
    [
        (1, 0, "data: folds cannot be 1; it takes 0 for none, or 2 to 20"),
        (0, 1, "data: fold cannot be 1; it takes 0 while folds is 0"),
        (5, 5, "data: fold cannot be 5; it takes 0 to 4"),
        ("3", "7", "data: fold cannot be 7; it takes 0 to 2"),
    ],
)
def test_a_fold_is_one_of_the_folds(folds, fold, says):
    assert refusal({"folds": folds, "fold": fold}) == says
    with pytest.raises(ConfigError, match=says):
        from_json(json.dumps({"data": {"folds": int(folds), "fold": int(fold)}}))


def test_the_last_fold_is_one_of_them():
    assert from_flat({"folds": 5, "fold": 4}).data.fold == 4


@pytest.mark.parametrize("knob", NUMBERS, ids=lambda knob: knob.name)
@pytest.mark.parametrize("end", ["low", "high"])
@pytest.mark.parametrize("as_text", [False, True])
def test_what_is_out_of_bounds_is_refused_with_name_and_bounds(knob, end, as_text):
    step = 1 if knob.kind == "int" else 1e-7
    value = knob.low - step if end == "low" else knob.high + step
    message = refusal({knob.name: str(value) if as_text else value})
    assert message == f"{knob.label} ({knob.name}) cannot be {value}; it takes {knob.allowed}"
    low, high = (
        f"{bound:,.0f}" if knob.kind == "int" else f"{bound:g}"  # as in a sentence, not as in code
        for bound in (knob.low, knob.high)
    )
    assert f"from {low} to {high}" in message


@pytest.mark.parametrize("knob", NUMBERS, ids=lambda knob: knob.name)
@pytest.mark.parametrize(
    "value", [float("nan"), float("inf"), float("-inf"), "nan", "inf", "-Infinity", "", "three", "0x3", None, [1], {}]
)
def test_what_is_no_number_is_refused(knob, value):
    assert f"({knob.name}) cannot be" in refusal({knob.name: value})


@pytest.mark.parametrize("knob", [knob for knob in NUMBERS if knob.kind == "int"], ids=lambda knob: knob.name)
def test_a_fraction_is_no_whole_number(knob):
    for value in (knob.low + 0.5, str(knob.low + 0.5)):
        assert knob.allowed in refusal({knob.name: value})


@pytest.mark.parametrize("knob", [knob for knob in KNOBS.values() if knob.kind == "choice"], ids=lambda knob: knob.name)
def test_choices(knob):
    for choice in knob.choices:
        assert flatten(from_flat({knob.name: choice}))[knob.name] == choice
    for value in ("nothing", knob.choices[0].upper() + "x", None, 7):
        message = refusal({knob.name: value})
        assert f"({knob.name})" in message
        assert ", ".join(knob.choices) in message


@pytest.mark.parametrize("knob", [knob for knob in KNOBS.values() if knob.kind == "bool"], ids=lambda knob: knob.name)
def test_switches(knob):
    for text, value in {"true": True, "false": False, "1": True, "0": False, True: True, False: False}.items():
        assert flatten(from_flat({knob.name: text}))[knob.name] is value
    for value in (2, "", "maybe", None):
        assert "it takes true or false" in refusal({knob.name: value})


@pytest.mark.parametrize("value", ["16, 32,64", "16-32-64", [16, 32, 64], (16, 32, 64), ["16", "32", "64"]])
def test_channels_are_read_as_people_write_them(value):
    assert from_flat({"channels": value}).model.channels == (16, 32, 64)


@pytest.mark.parametrize(
    "value",
    ["", "-", "-16", "16--32", "16,,32", "16-32-", [], (), [0], [513], "0", "513", "1-2-3-4-5-6-7", 16, [[16]], "1.5"],
)
def test_channels_that_are_refused(value):
    message = refusal({"channels": value})
    assert message.startswith("Channels of each block (channels) cannot be ")
    assert message.endswith("it takes 1 to 6 whole numbers from 1 to 512")


@pytest.mark.parametrize("name", DEVICES)
def test_devices(name):
    assert from_flat({"device": name}).training.device == name


@pytest.mark.parametrize("name", ["gpu", "cuda:", "cuda:100", "cuda:0\n", "cpu\n", "cuda:-1", "", "CPU", "meta"])
def test_devices_that_are_refused(name):
    assert "(device)" in refusal({"device": name})


@pytest.mark.parametrize("name", DATASETS)
def test_data_sets(name):
    assert from_flat({"dataset": name}).data.dataset == name


@pytest.mark.parametrize(
    "name", ["../secret", "a/b", "", "-x", ".x", "x.y", "UPPER", "a b", "x" * 65, "x\n", "x\0", "ü", "\ud800", b"\xff"]
)
def test_data_sets_whose_name_could_be_a_path_are_refused(name):
    assert "(dataset)" in refusal({"dataset": name})


def test_a_name_that_is_no_knob_is_refused_and_the_knobs_are_listed():
    message = refusal({"kernel": 3})
    assert message.startswith("kernel is no knob; the knobs are dataset, images_per_class,")
    assert message.endswith("device, threads")


@pytest.mark.parametrize(
    "hostile",
    ["1e+999", "<script>alert(1)</script>", "%00", "\0", "a\nb\r\nc", "\x1b[31mred", "\u2028", "\ud800", "9" * 5000],
)
@pytest.mark.parametrize("name", KNOBS)
def test_hostile_values_from_a_url(name, hostile):
    assert f"({name}) cannot be" in refusal({name: hostile})


@pytest.mark.parametrize("name", ["a\nb", "__class__", "", "x" * 100_000, "\ud800"])
def test_hostile_names_from_a_url(name):
    assert "is no knob" in refusal({name: "1"})


def test_a_config_cannot_be_changed():
    for group, name in (("training", "seed"), ("model", "channels"), ("data", "flip")):
        with pytest.raises(ValueError, match="frozen"):
            setattr(getattr(RunConfig(), group), name, 1)


# Ways in and out


def test_random_configs_differ():
    assert len({draw_config(seed) for seed in range(100)}) > 95


@pytest.mark.parametrize("seed", range(100))
def test_a_config_survives_the_round_trips(seed):
    config = draw_config(seed)
    query = to_query(config)
    assert from_flat(query) == config
    assert from_flat(dict(parse_qsl(urlencode(query)))) == config
    assert set(query) == set(diff(RunConfig(), config))
    assert from_flat(flatten(config)) == config
    assert from_json(config.model_dump_json()) == config
    assert from_json(config.model_dump_json(indent=1).encode()) == config
    other = draw_config(seed + 1000)
    assert from_flat({name: value for name, (_, value) in diff(other, config).items()}, base=other) == config


def test_the_default_config_has_an_empty_query():
    assert to_query(RunConfig()) == {}
    assert from_flat({}) == RunConfig()


def test_values_in_a_query_are_readable():
    config = from_flat({"channels": [8, 16], "flip": False, "learning_rate": 1e-5, "padding": "2", "epochs": 3})
    assert to_query(config) == {
        "flip": "false",
        "channels": "8-16",
        "padding": "2",
        "learning_rate": "1e-05",
        "epochs": "3",
    }


def test_knobs_that_are_not_named_keep_the_base_s_value():
    base = from_flat({"epochs": 3, "kernel_size": 5})
    assert flatten(from_flat({"epochs": 4}, base=base)) == flatten(base) | {"epochs": 4}


def test_diff_names_both_values_in_the_order_of_the_form():
    before, after = from_flat({"epochs": 3}), from_flat({"kernel_size": 5, "epochs": 4})
    assert list(diff(before, after).items()) == [("kernel_size", (3, 5)), ("epochs", (3, 4))]
    assert diff(after, after) == {}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "JSON"),
        ("{", "JSON"),
        (b"\xff\xfe", "JSON"),
        ("[" * 100_000, "JSON"),
        ("[]", "the config: this is no JSON object"),
        ('{"model": 5}', "model: input should be an object"),
        ('{"surprise": 1}', "surprise: extra inputs are not permitted"),
        ('{"model": {"new\\nline": 1}}', "model.new"),
        ('{"training": {"kernel_size": 3}}', "training.kernel_size: extra inputs are not permitted"),
        (
            '{"model": {"kernel_size": 12}}',
            "Kernel size (kernel_size) cannot be 12; it takes a whole number from 1 to 11",
        ),
        ('{"training": {"learning_rate": NaN}}', "Learning rate (learning_rate) cannot be NaN"),
        ('{"training": {"learning_rate": Infinity}}', "Learning rate (learning_rate) cannot be Infinity"),
        ('{"training": {"learning_rate": 1e999}}', "Learning rate (learning_rate) cannot be Infinity"),
        ('{"model": {"channels": [16, 1000]}}', "Channels of each block (channels) cannot be 1000"),
    ],
)
def test_json_that_is_refused(text, says):
    with pytest.raises(ConfigError) as caught:
        from_json(text)
    assert says in str(caught.value)
    assert str(caught.value).isprintable()


def test_json_of_an_older_program_gets_the_defaults():
    stored = json.loads(RunConfig(data=DataConfig(flip=False)).model_dump_json())
    del stored["data"]["cutout"], stored["model"]["dilation"]
    assert from_json(json.dumps(stored)) == RunConfig(data=DataConfig(flip=False))


# Words that state a figure


def test_what_the_help_says_of_two_3x3_in_place_of_one_5x5():
    def multiplications(into: int, out: int, kernel_size: int, convs: int) -> int:
        model = ModelConfig(channels=(into, out), kernel_size=kernel_size, convs_per_block=convs)
        return sum(layer.macs for layer in layers(model, (3, 32, 32), 10) if layer.name.startswith("block2.conv"))

    assert multiplications(64, 64, 3, 2) / multiplications(64, 64, 5, 1) == pytest.approx(18 / 25)
    assert multiplications(32, 64, 3, 2) > multiplications(32, 64, 5, 1)
    assert "18/25" in KNOBS["convs_per_block"].help


def test_what_the_help_says_of_label_smoothing():
    """The loss is least where the probabilities are the target: of two classes 0.9 and 0.1."""
    loss = loss_function(from_flat({"label_smoothing": 0.2}).training)
    probs = torch.linspace(0.01, 0.99, 99)
    losses = [float(loss(torch.stack([p, 1 - p]).log()[None], torch.tensor([0]))) for p in probs]
    assert float(probs[int(np.argmin(losses))]) == pytest.approx(0.9)
    assert "of two classes, 0.2 leaves it 0.9" in KNOBS["label_smoothing"].help
