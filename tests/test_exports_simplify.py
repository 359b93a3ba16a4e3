"""What is known of a run goes into a function's source: branches not taken are gone, and the rest stays as written."""

import inspect
from textwrap import dedent
from types import SimpleNamespace

import pytest
import torch.nn.functional as F
from torch import nn

from playground.exports.codegen.lift import Lifter
from playground.exports.codegen.simplify import TORCH_DEFAULTS
from playground.exports.codegen.values import Code, of_knob, written

SOURCE = '''
from playground.metrics import IGNORE
from torch import nn

FACTOR = 2
"""Twice."""


def branches(x, config):
    """Do one of three things.

    A second paragraph.
    """
    # why it may be turned
    if config.kind == "turn":
        x = -x  # the turn
    elif config.kind == "double":
        # comments of a branch stay with it
        x = FACTOR * x
    else:
        x = 0
    # gone with what it speaks of
    if config.off:
        x = x + 1
    if x > 3 or config.off:
        x = 3
    elif config.kind == "double":
        x = 4
    if x != x:
        raise ValueError(f"{config.kind} of nothing")
    y = x * config.strength if config.kind == "double" else x
    return y


def loop(xs, config):
    """Add up."""
    total = config.start
    for x in xs:
        total = total + helper(x, config, IGNORE)
    return total


def helper(x, config, most=3):
    """Help."""
    return min(x, most) * config.strength


def names(x, config):
    """Rename."""
    strength = config.strength
    if x:
        strength = 5
    return strength * x


def options(config):
    """Make a layer."""
    match config.kind:
        case "turn":
            return None
        case "double" | "triple" if config.strength:
            return nn.Conv2d(*config.sides, kernel_size=3, stride=config.one, padding=config.nothing, **config.more)
    return None
'''


@pytest.fixture
def module(tmp_path, monkeypatch) -> str:
    name = f"simplified_{tmp_path.name.replace('-', '_')}"
    (tmp_path / f"{name}.py").write_text(SOURCE)
    monkeypatch.syspath_prepend(tmp_path)
    return name


def known(**values) -> SimpleNamespace:
    base = {"kind": "double", "off": False, "strength": of_knob(0.5, "strength"), "start": of_knob(1, "start")}
    return SimpleNamespace(**base | values)


def test_branches_that_are_not_taken_are_gone(module):
    wanted = '''\
        FACTOR = 2
        """Twice."""


        def branches(x):
            """Do one of three things."""
            # why it may be turned
            # comments of a branch stay with it
            x = FACTOR * x
            if x > 3:
                x = 3
            else:
                x = 4
            return x * STRENGTH'''
    assert Lifter().define(f"{module}:branches", config=known()) == dedent(wanted)
    turned = Lifter().define(f"{module}:branches", config=known(kind="turn"))
    assert "    x = -x  # the turn\n    if x > 3:\n        x = 3\n    return x" in turned and "FACTOR" not in turned


def test_what_a_function_uses_comes_before_it_and_once(module):
    lifter = Lifter()
    code = lifter.define(f"{module}:loop", config=known())
    assert max(code.index("IGNORE = 255"), code.index("def helper(x, most=3):")) < code.index("def loop(xs):")
    # A loop's own sum is not what it was before it, and an argument that is a number stays one.
    assert "    total = START\n" in code and "total = total + helper(x, IGNORE)" in code
    assert lifter.define(f"{module}:helper", config=known()) == ""


def test_what_is_assigned_in_a_branch_is_not_known_behind_it(module):
    assert "strength = STRENGTH\n    if x:\n        strength = 5\n    return strength * x" in Lifter().define(
        f"{module}:names", config=known()
    )


def test_a_match_comes_to_one_expression_without_what_torch_assumes(module):
    config = known(sides=(3, 4), one=1, nothing=0, more={"bias": False})
    assert Lifter().expression(f"{module}:options", config=config) == "nn.Conv2d(3, 4, kernel_size=3, bias=False)"
    strided = known(sides=(3, 4), one=2, nothing=0, more={})
    assert Lifter().expression(f"{module}:options", config=strided) == "nn.Conv2d(3, 4, kernel_size=3, stride=2)"


@pytest.mark.parametrize("of", [F.cross_entropy, nn.Conv2d], ids=lambda of: of.__name__)
def test_torch_assumes_what_is_left_out(of):
    parameters = inspect.signature(of).parameters
    assert {name: parameters[name].default for name in TORCH_DEFAULTS if name in parameters} == {
        name: value for name, value in TORCH_DEFAULTS.items() if name in parameters
    }


def test_values_are_written_so_that_they_call_nothing():
    assert written('a"b\n') == '"a\\"b\\n"'
    assert written(of_knob(0.5, "rate")) == "RATE" and written(of_knob(True, "flip")) == "True"
    assert written(Code("x")) == "x" and written(("a", 1)) == "('a', 1)"
    with pytest.raises(TypeError, match="object cannot be written"):
        written(object())
