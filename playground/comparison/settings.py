"""What differs between the settings of two runs or more. No torch."""

from collections.abc import Sequence
from typing import Any

from playground.config import KNOBS, RunConfig, flatten, from_flat


def find_differences(configs: Sequence[RunConfig]) -> dict[str, list[Any]]:
    """Return `{knob name: its value in each config}` for the knobs that are not the same in all."""
    flat = [flatten(config) for config in configs]
    columns = {name: [values[name] for values in flat] for name in KNOBS}
    return {name: column for name, column in columns.items() if any(value != column[0] for value in column)}


def drop_seed(config: RunConfig) -> RunConfig:
    """Return the config with seed and fold at 0."""
    return from_flat({"seed": 0, "fold": 0}, config)
