"""torchvision.datasets: images to learn from."""

from flambeau.vision.datasets.cifar import CIFAR10, CIFAR100
from flambeau.vision.datasets.fakedata import FakeData
from flambeau.vision.datasets.folder import DatasetFolder, ImageFolder
from flambeau.vision.datasets.mnist import EMNIST, KMNIST, MNIST, QMNIST, FashionMNIST
from flambeau.vision.datasets.omniglot import Omniglot
from flambeau.vision.datasets.svhn import SVHN
from flambeau.vision.datasets.vision import VisionDataset

__all__ = [
    "CIFAR10", "CIFAR100", "EMNIST", "KMNIST", "MNIST", "QMNIST", "SVHN", "DatasetFolder",
    "FakeData", "FashionMNIST", "ImageFolder", "Omniglot", "VisionDataset",
]  # fmt: skip
