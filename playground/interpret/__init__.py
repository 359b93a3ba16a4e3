"""A trained network opened up: what each layer holds, the arithmetic behind one number, and what a decision rests on.

Pure functions: a network and uint8 images in, frozen values and numpy arrays out. Networks are shared between people
and threads (`inference.load_model` keeps one of each), so nothing here changes one or hooks into it.

    network      the layers beside their modules, copies that share weights, passes over many images
    trace        every layer's output for one image
    fields       what a number sees of the input image
    arithmetic   how one number came about
    scale        colours and thumbnail sheets
    kernels      kernels as pictures, histograms of weights and gradients
    health       dead and saturated units
    exciting     the images that excite a map most
    attribution  which pixels a class's score rests on (captum)
    edit         a network with changed kernels, and keeping it as a run
    embedding    the test set's features in two dimensions

Import the modules inside functions where start-up counts: all but `fields` and `scale` bring torch along.
"""

from playground.interpret.errors import InterpretError

__all__ = ["InterpretError"]
