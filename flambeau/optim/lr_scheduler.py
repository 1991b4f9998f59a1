"""Learning-rate schedules, under PyTorch's names."""

from flambeau.optim.combined_schedule import ChainedScheduler, ReduceLROnPlateau, SequentialLR
from flambeau.optim.cyclic_schedule import CosineAnnealingWarmRestarts, CyclicLR, OneCycleLR
from flambeau.optim.schedule import (
    ConstantLR,
    CosineAnnealingLR,
    ExponentialLR,
    LambdaLR,
    LinearLR,
    LRScheduler,
    MultiplicativeLR,
    MultiStepLR,
    PolynomialLR,
    StepLR,
)

# The base class's name before PyTorch 2.0.
_LRScheduler = LRScheduler

__all__ = [
    "ChainedScheduler",
    "ConstantLR",
    "CosineAnnealingLR",
    "CosineAnnealingWarmRestarts",
    "CyclicLR",
    "ExponentialLR",
    "LRScheduler",
    "LambdaLR",
    "LinearLR",
    "MultiStepLR",
    "MultiplicativeLR",
    "OneCycleLR",
    "PolynomialLR",
    "ReduceLROnPlateau",
    "SequentialLR",
    "StepLR",
]
