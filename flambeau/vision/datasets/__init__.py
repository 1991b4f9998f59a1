"""torchvision.datasets: images to learn from."""

from flambeau.vision.datasets.celeba import CelebA
from flambeau.vision.datasets.cifar import CIFAR10, CIFAR100
from flambeau.vision.datasets.cityscapes import Cityscapes
from flambeau.vision.datasets.fakedata import FakeData
from flambeau.vision.datasets.folder import DatasetFolder, ImageFolder
from flambeau.vision.datasets.imagenet import ImageNet
from flambeau.vision.datasets.listed import (
    DTD,
    GTSRB,
    SUN397,
    Country211,
    EuroSAT,
    FGVCAircraft,
    Flowers102,
    Food101,
    OxfordIIITPet,
    RenderedSST2,
)
from flambeau.vision.datasets.mnist import EMNIST, KMNIST, MNIST, QMNIST, FashionMNIST
from flambeau.vision.datasets.objects import (
    FER2013,
    Caltech101,
    Caltech256,
    CLEVRClassification,
    LFWPairs,
    LFWPeople,
    StanfordCars,
)
from flambeau.vision.datasets.omniglot import Omniglot
from flambeau.vision.datasets.scenes import (
    CocoCaptions,
    CocoDetection,
    VOCDetection,
    VOCSegmentation,
)
from flambeau.vision.datasets.small import SEMEION, STL10, USPS
from flambeau.vision.datasets.svhn import SVHN
from flambeau.vision.datasets.vision import VisionDataset

__all__ = [
    "CIFAR10", "CIFAR100", "DTD", "EMNIST", "GTSRB", "KMNIST", "MNIST", "QMNIST", "SEMEION",
    "STL10", "SUN397", "SVHN", "USPS", "CelebA", "CocoCaptions", "CocoDetection", "Country211",
    "DatasetFolder", "EuroSAT", "FGVCAircraft", "FakeData", "FashionMNIST", "Flowers102",
    "Food101", "ImageFolder", "Omniglot", "OxfordIIITPet", "RenderedSST2", "VOCDetection",
    "VOCSegmentation", "VisionDataset", "CLEVRClassification", "Caltech101", "Caltech256",
    "Cityscapes", "FER2013", "ImageNet", "LFWPairs", "LFWPeople", "StanfordCars",
]  # fmt: skip
