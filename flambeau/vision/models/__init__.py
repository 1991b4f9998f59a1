"""Image classifiers: torchvision's torchvision.models."""

from flambeau.vision.models.alexnet import AlexNet, alexnet

__all__ = ["AlexNet", "alexnet"]
