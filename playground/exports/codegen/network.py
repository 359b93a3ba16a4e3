"""The network of a run as code: what `geometry.layers` lists, layer by layer, each as `models.cnn` builds it."""

import math
from textwrap import indent
from typing import Any

from playground.choices import ACTIVATIONS, NORMS, POOLINGS
from playground.exports.codegen.lift import Lifter, class_name
from playground.exports.codegen.values import Code
from playground.exports.context import ExportContext
from playground.geometry import INPUT, Layer


class Network:
    """Writes a network.

    Args:
        facts: the run; `model` its settings of the group, whose numbers know their names.
        drops: whether units are silenced, at least for a part of the run.
    """

    def __init__(self, facts: ExportContext, lifter: Lifter, drops: bool) -> None:
        self.facts, self.model, self.lifter, self.drops = facts, facts.config.model, lifter, drops
        self.chain = [layer for layer in facts.chain if drops or layer.kind != "dropout"]
        norm = NORMS[self.model.norm]
        # torch refuses to normalise a map of one pixel, in a batch of one image.
        tiny = any(layer.kind == "norm" and math.prod(layer.out_shape[1:]) == 1 for layer in facts.chain)
        self.wheres = {
            "norm.module_class": norm.module if tiny or not norm.plain else norm.plain,
            "ACTIVATIONS[model.activation].module_class": ACTIVATIONS[self.model.activation].module,
            "POOLINGS[model.pooling].module_class": POOLINGS[self.model.pooling].module,
        }

    def code(self) -> str:
        """Write the network, and the classes of its modules that are not torch's."""
        own = [self.lifter.define(where) for where in self.wheres.values() if where]
        net = self._net_of_masks() if self.facts.masks else self._chain_of_layers()
        return "\n\n\n".join([*filter(None, own), net])

    def module(self, layer: Layer) -> str:
        """Write one layer; what is as torch has it unasked is left out."""
        if layer.kind == "up":
            ends = f"{layer.in_shape[0]}, {layer.out_shape[0]}"
            return f"nn.ConvTranspose2d({ends}, kernel_size={layer.kernel_size}, stride={layer.stride})"
        known: dict[str, Any] = {key: Code(class_name(where)) for key, where in self.wheres.items() if where}
        known["NORMS[model.norm]"] = NORMS[self.model.norm]
        return self.lifter.expression("playground.models.cnn:build_layer", layer=layer, model=self.model, **known)

    def _chain_of_layers(self) -> str:
        lines = []
        for layer in self.chain:
            shape = ", ".join(map(str, layer.out_shape))
            lines.append(f"    {_name(layer)}={self.module(layer)},  # (N, {shape})\n")
        return (
            f"torch.manual_seed(SEED)\nlayers = OrderedDict(\n{''.join(lines)})\n"
            "net = nn.Sequential(layers).to(DEVICE).to(memory_format=torch.channels_last)"
        )

    # A network that labels pixels

    def _net_of_masks(self) -> str:
        """Write a class: what has weights, and how the maps go through it."""
        parts = [f"self.{_name(layer)} = {self.module(layer)}" for layer in self.chain if layer.parameters]
        for kind in ("activation", "pool", "dropout"):
            if layer := next((layer for layer in self.chain if layer.kind == kind), None):
                parts.append(f"self.{kind} = {self.module(layer)}")
        return (
            "class Net(nn.Module):\n"
            f'    """{self._about()}"""\n\n'
            "    def __init__(self) -> None:\n"
            "        super().__init__()\n"
            f"{indent(chr(10).join(parts), ' ' * 8)}\n\n"
            "    def forward(self, images: Tensor) -> Tensor:\n"
            '        """Map images (N, C, H, W) to logits (N, classes, H, W)."""\n'
            f"{indent(chr(10).join(self._steps()), ' ' * 8)}\n\n\n"
            "torch.manual_seed(SEED)\n"
            "net = Net().to(DEVICE).to(memory_format=torch.channels_last)"
        )

    def _about(self) -> str:
        if self.model.architecture == "fcn":
            finer = ", with the scores of finer maps" if self.model.skips else ""
            return f"A score for each class, scaled up to the image{finer}."
        across = ", each with what was seen at its size on the way down" if self.model.skips else ""
        return f"Down in steps, and up again{across}."

    def _steps(self) -> list[str]:
        """Write the forward pass: a line for each convolution with norm and activation, and for all that follows."""
        sources = {layer.source for layer in self.facts.chain}
        steps: list[tuple[str, str, Layer]] = []  # variable, what it is given, the layer that ends there
        maps = "images"
        for layer, following in zip(self.facts.chain, [*self.facts.chain[1:], None], strict=True):
            code = self._call(layer, maps)
            variable = _kept(layer.name) if layer.name in sources else "x"
            if code == maps:  # dropout that is off
                if variable != "x":
                    steps[-1] = (variable, *steps[-1][1:])
                    maps = variable
            elif variable == "x" and following and following.kind in ("norm", "activation", "add"):
                maps = code
            else:
                steps.append((variable, code, layer))
                maps = variable
        lines = [f"{variable} = {code}" for variable, code, _ in steps[:-1]] + [f"return {steps[-1][1]}"]
        shapes = [", ".join(map(str, layer.out_shape)) for *_, layer in steps]
        return [f"{line}  # (N, {shape})" for line, shape in zip(lines, shapes, strict=True)]

    def _call(self, layer: Layer, maps: str) -> str:
        """Write what a layer makes of the maps, which are a variable or an expression."""
        match layer.kind:
            case "conv":
                return f"self.{_name(layer)}({_kept(layer.source) if layer.source else maps})"
            case "norm":
                return f"self.{_name(layer)}({maps})"
            case "up" if layer.parameters:
                return _fitted(f"self.{_name(layer)}({maps})", layer)
            case "up":
                return f'F.interpolate({maps}, {_kept(layer.source)}.shape[2:], mode="bilinear")'
            case "concat":
                return f"torch.cat([{maps}, {_kept(layer.source)}], 1)"
            case "add":
                return f"{maps} + {_kept(layer.source)}"
            case "dropout" if not self.drops:
                return maps
        return f"self.{layer.kind}({maps})"


def _name(layer: Layer) -> str:
    return layer.name.replace(".", "_")


def _kept(source: str) -> str:
    """Name the variable that keeps an earlier layer's maps."""
    return "images" if source == INPUT else source.split(".")[0]


def _fitted(doubled: str, layer: Layer) -> str:
    """Cut off or repeat the last rows and columns of doubled maps, where they are not the size they should be."""
    sides = list(zip(layer.in_shape[1:], layer.out_shape[1:], strict=True))
    if any(layer.stride * old > new for old, new in sides):
        doubled += f"[..., :{sides[0][1]}, :{sides[1][1]}]"
    below, right = (max(0, new - layer.stride * old) for old, new in sides)
    return f'F.pad({doubled}, (0, {right}, 0, {below}), mode="replicate")' if below or right else doubled
