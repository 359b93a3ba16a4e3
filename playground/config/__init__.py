"""Every knob of a run, defined once.

A knob is a field of one of three frozen models: `DataConfig`, `ModelConfig`, `TrainingConfig`. Together they make a
`RunConfig`. The form, the command line, the URL, the table in the README and the comparison of two runs are all
derived from the fields, by way of `KNOBS`: to add a knob, add a field in `models.py`.

Knob names are unique over the three groups, so a flat `{name: value}` mapping says everything (`flatten`,
`from_flat`). Everything that comes from outside goes through `from_flat` or `from_json` and is refused with one line.
"""

from playground.config.knobs import KNOBS, Knob, diff, flatten, from_flat, from_json, to_json, to_query
from playground.config.migrations import FORMAT, RENAMED, rename
from playground.config.models import (
    LIVE_KNOBS,
    ConfigError,
    DataConfig,
    ModelConfig,
    Padding,
    Precision,
    RunConfig,
    TrainingConfig,
)

__all__ = [
    "FORMAT",
    "KNOBS",
    "LIVE_KNOBS",
    "RENAMED",
    "ConfigError",
    "DataConfig",
    "Knob",
    "ModelConfig",
    "Padding",
    "Precision",
    "RunConfig",
    "TrainingConfig",
    "diff",
    "flatten",
    "from_flat",
    "from_json",
    "rename",
    "to_json",
    "to_query",
]
