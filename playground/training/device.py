"""Which device computes, and in which precision."""

import torch

from playground.config import ConfigError, TrainingConfig


def choose_device(name: str) -> torch.device:
    """Return the device a name means; "auto" is the first GPU, or else the CPU.

    Raises:
        ConfigError: torch does not see that device.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    device = torch.device(name)
    missing = (device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count()) or (
        device.type == "mps" and not torch.backends.mps.is_available()
    )
    if missing:
        raise ConfigError(f"this machine has no device {name}; choose auto or cpu")
    return device


def uses_bfloat16(config: TrainingConfig, device: torch.device) -> bool:
    """Whether products are computed in bfloat16: as the knob says, or where the hardware has it."""
    if config.precision != "auto":
        return config.precision == "bfloat16"
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    able = torch.cpu.get_capabilities()
    return device.type == "cpu" and bool(able.get("avx512_bf16") or able.get("amx_bf16"))
