"""Tensors on their way to where a model computes."""

from __future__ import annotations

from typing import NamedTuple, TypeVar

import torch
from torch import nn

Tensors = TypeVar("Tensors", bound=NamedTuple)


def device_of(model: nn.Module) -> torch.device:
    """Where a model's weights are."""
    return next(model.parameters()).device


def on_device(tensors: Tensors, device: torch.device) -> Tensors:
    """A named tuple of tensors, each on the device."""
    return type(tensors)(*(tensor.to(device) for tensor in tensors))
