"""The fields themselves: each knob with its default, bounds, unit, label and help."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, GetCoreSchemaHandler, create_model, model_validator
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from playground.choices import ACTIVATIONS, AUGMENTATIONS, LOSSES, NORMS, OPTIMIZERS, POOLINGS, SCHEDULES, Augmentation
from playground.errors import PlaygroundError

Architecture = Literal["auto", "cnn", "fcn", "unet"]
Padding = Literal["same", "0", "1", "2", "3", "4", "5"]
Upsampling = Literal["interpolation", "transposed"]
Precision = Literal["auto", "float32", "bfloat16"]


class OneOf:
    """The names of a table of choices, as they are when a value is checked."""

    def __init__(self, table: Mapping[str, Any]) -> None:
        self.table = table

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Check a text, as pydantic asks for it."""
        return core_schema.no_info_after_validator_function(self._check, handler(source))

    def _check(self, value: str) -> str:
        if value not in self.table:
            raise PydanticCustomError("one_of", "it is none of the choices")
        return value


LIVE_KNOBS = ("learning_rate", "weight_decay", "dropout")
"""The knobs that a run in progress accepts a new value for."""


class ConfigError(PlaygroundError, ValueError):
    """A knob that cannot have the value it was given; the message is one line, fit to be shown."""


def knob(default: Any, label: str, help: str, *, unit: str = "", log: bool = False, **bounds: Any) -> Any:
    """Describe one knob; `log` asks for a logarithmic widget, `bounds` are pydantic's `ge` and `le`."""
    return Field(default, title=label, description=help, json_schema_extra={"unit": unit, "log": log}, **bounds)


def _split(value: Any) -> Any:
    """Accept "16, 32, 64" and "16-32-64" where a list of numbers is meant."""
    return value.replace("-", ",").split(",") if isinstance(value, str) else value


class _Group(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class _ImagesConfig(_Group):
    """Which images the network sees."""

    dataset: str = knob(
        "cifar10-mini",
        "Data set",
        "The images to learn from. The bundled one works with no network; the others are downloaded once.",
        pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$",
    )
    images_per_class: int = knob(
        0,
        "Images per class",
        "How many training images of each class are used; 0 takes all. Fewer images train faster and overfit sooner.",
        ge=0,
        le=100_000,
    )
    validation_share: float = knob(
        0.1,
        "Validation share",
        "The part of the training images held back to watch for overfitting. The network never learns from them.",
        ge=0,
        le=0.5,
    )
    folds: int = knob(
        0,
        "Folds",
        "Cut the training images into this many parts, of which one is held back; a study holds back each in turn. "
        "0 holds back the validation share instead.",
        ge=0,
        le=20,
    )
    fold: int = knob(0, "Fold", "Which of the folds is held back, counted from 0.", ge=0, le=19)

    @model_validator(mode="after")
    def _fold_is_one_of_the_folds(self) -> Self:
        if self.folds == 1:
            raise PydanticCustomError("folds", "folds cannot be 1; it takes 0 for none, or 2 to 20")
        if self.fold >= max(1, self.folds):
            takes = f"0 to {self.folds - 1}" if self.folds else "0 while folds is 0"
            raise PydanticCustomError("fold", "fold cannot be {fold}; it takes {takes}", vars(self) | {"takes": takes})
        return self


def _field_of(entry: Augmentation) -> tuple[type, Any]:
    """Return the type of an augmentation's setting, and the setting."""
    bounds: dict[str, Any] = {} if isinstance(entry.default, bool) else {"ge": 0, "le": entry.high}
    return type(entry.default), knob(entry.default, entry.title, entry.help, unit=entry.unit, **bounds)


_fields: dict[str, Any] = {name: _field_of(entry) for name, entry in AUGMENTATIONS.items()}
_AugmentationConfig: Any = create_model("_AugmentationConfig", __base__=_Group, **_fields)


class DataConfig(_AugmentationConfig, _ImagesConfig):
    """Which images the network sees, and how they are varied: a field for each entry of `AUGMENTATIONS`."""

    if TYPE_CHECKING:

        def __init__(self, **values: Any) -> None: ...


class ModelConfig(_Group):
    """The network: blocks of convolution, activation and pooling, then fully connected layers."""

    architecture: Architecture = knob(
        "auto",
        "Architecture",
        "The family of networks. CNN gives one label an image; FCN and U-Net give one a pixel. "
        "Auto takes what the data set asks for: a CNN, or a U-Net.",
    )
    channels: Annotated[
        tuple[Annotated[int, Field(ge=1, le=512)], ...], BeforeValidator(_split), Field(min_length=1, max_length=6)
    ] = knob(
        (16, 32, 64),
        "Channels of each block",
        "One number a block: how many kernels it has, so how many patterns it can tell apart. More learn more, slower.",
    )
    convs_per_block: int = knob(
        1,
        "Convolutions per block",
        "How many convolutions follow one another before the pooling. Two 3×3 see as far as one 5×5: at 18/25 of the "
        "multiplications where the channels stay equal, and at more than its own where they double.",
        ge=1,
        le=4,
    )
    kernel_size: int = knob(
        3,
        "Kernel size",
        "The side of the window each kernel looks through. Larger sees wider, costs more, and blurs small detail.",
        unit="px",
        ge=1,
        le=11,
    )
    stride: int = knob(
        1,
        "Stride",
        "How far the window moves each time, in the first convolution of a block. 2 halves the map's sides.",
        unit="px",
        ge=1,
        le=4,
    )
    padding: Padding = knob(
        "same",
        "Padding",
        "Rings of zeros put around each map. Same keeps its size at stride 1 (an even kernel loses a pixel); "
        "0 lets it shrink.",
        unit="px",
    )
    dilation: int = knob(
        1,
        "Dilation",
        "Spread the kernel's taps apart by this step. It sees further with no more weights, and skips what is between.",
        ge=1,
        le=4,
    )
    pooling: Annotated[str, OneOf(POOLINGS)] = knob(
        "max",
        "Pooling",
        "How each 2×2 window shrinks to one number: its maximum keeps the strongest sign, its average the mood.",
    )
    activation: Annotated[str, OneOf(ACTIVATIONS)] = knob(
        "relu",
        "Activation",
        "The bend after each layer; without it the network could only draw straight lines. "
        "Sigmoid and tanh flatten out, which starves deep layers of gradient.",
    )
    norm: Annotated[str, OneOf(NORMS)] = knob(
        "batch",
        "Normalisation",
        "Centre and scale the maps, which lets the network take larger steps and learn faster. "
        + " ".join(f"{entry.title} {entry.help} ({entry.source})." for entry in NORMS.values() if entry.help),
    )
    dropout: float = knob(
        0.0,
        "Dropout",
        "Silence this share of the units at random in each step, so that none relies on another. Against overfitting.",
        ge=0,
        le=0.9,
    )
    fc_width: int = knob(
        128,
        "Fully connected width",
        "Units of the layer that weighs up the last maps before the decision; 0 goes straight to the classes.",
        ge=0,
        le=2048,
    )
    upsampling: Upsampling = knob(
        "interpolation",
        "Upsampling",
        "How FCN and U-Net bring small maps back to the image's size: between the pixels, which learns nothing, "
        "or by transposed convolutions, which are learned.",
    )
    skips: bool = knob(
        True,
        "Skip connections",
        "Hand what the early, finer blocks of FCN and U-Net saw to the late ones. Without them small detail and "
        "sharp boundaries are lost on the way down.",
    )


class TrainingConfig(_Group):
    """How the network learns."""

    loss: Annotated[str, OneOf(LOSSES)] = knob(
        "cross_entropy",
        "Loss",
        "What is made small. Cross-entropy punishes confident mistakes hard; MSE compares with a one-hot target; "
        "Dice wants each class's area to overlap, however small; focal looks past what is easy already.",
    )
    class_weights: bool = knob(
        False,
        "Class weights",
        "Let a rare class count for more (median frequency), so that it is not drowned out by the common ones.",
    )
    boundary_weight: float = knob(
        0.0,
        "Boundary weight",
        "How much more a pixel at a boundary between two classes counts, where each pixel has a label.",
        ge=0,
        le=20,
    )
    label_smoothing: float = knob(
        0.0,
        "Label smoothing",
        "Spread this share of the target evenly over all classes, the right one included: of two classes, 0.2 leaves "
        "it 0.9. The network grows less cocksure of itself.",
        ge=0,
        le=0.5,
    )
    optimizer: Annotated[str, OneOf(OPTIMIZERS)] = knob(
        "adamw",
        "Optimizer",
        "How a gradient becomes a step. Gradient descent takes one step an epoch, SGD one a batch, "
        "momentum keeps rolling, Adam gives each weight its own pace, Muon straightens each layer's step.",
    )
    learning_rate: float = knob(
        4e-3,
        "Learning rate",
        "The length of each step. Too small crawls, too large leaps over the valley and diverges.",
        log=True,
        ge=1e-6,
        le=10,
    )
    momentum: float = knob(
        0.9,
        "Momentum",
        "How much of the last step carries over into the next; used by momentum, Nesterov, RMSprop and Muon.",
        ge=0,
        le=0.999,
    )
    schedule: Annotated[str, OneOf(SCHEDULES)] = knob(
        "one_cycle",
        "Schedule",
        "How the learning rate moves over the run: constant, divided by 10 at half and three quarters, "
        "down a cosine, up and down again (one-cycle, warm-up), or up from a ten-thousandth until it breaks "
        "(range test).",
    )
    weight_decay: float = knob(
        0.01,
        "Weight decay",
        "Pull every weight towards zero in proportion to its size. AdamW and Muon do it beside the gradient's step; in "
        "the others it is an L2 penalty within the gradient.",
        log=True,
        ge=0,
        le=1,
    )
    l1: float = knob(
        0.0,
        "L1",
        "Pull every weight towards zero by the same amount. Weights that do not matter end at zero.",
        log=True,
        ge=0,
        le=0.1,
    )
    batch_size: int = knob(
        64,
        "Batch size",
        "Images averaged into one step. Small batches are noisy and many; large ones are smooth and few.",
        unit="images",
        log=True,
        ge=1,
        le=4096,
    )
    epochs: int = knob(10, "Epochs", "How many times the network sees every training image.", ge=1, le=1000)
    seed: int = knob(
        0,
        "Seed",
        "Where the random numbers start. The same seed repeats a run exactly; another shows how much was luck.",
        ge=0,
        le=2**31 - 1,
    )
    precision: Precision = knob(
        "auto",
        "Precision",
        "Bits of each product. bfloat16 is faster where the hardware has it; auto uses it there.",
    )
    device: str = knob(
        "auto",
        "Device",
        "Where it is computed: auto takes a free GPU, or else the CPU.",
        pattern=r"^(auto|cpu|mps|cuda(:\d{1,2})?)$",
    )
    threads: int = knob(
        0,
        "CPU threads",
        "Cores this run may use; 0 takes up to four. One thread each serves many runs side by side best.",
        ge=0,
        le=256,
    )


class RunConfig(_Group):
    """All knobs of one run."""

    data: DataConfig = DataConfig()
    model: ModelConfig = ModelConfig()
    training: TrainingConfig = TrainingConfig()
