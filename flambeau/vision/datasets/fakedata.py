"""Random images, for trying programs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flambeau.vision._torch import generators, randint, randn
from flambeau.vision.datasets.vision import VisionDataset
from flambeau.vision.transforms.functional import to_pil_image


class FakeData(VisionDataset):
    """`size` random images and classes; sample i depends on i and `random_offset` alone."""

    def __init__(
        self,
        size: int = 1000,
        image_size: tuple[int, int, int] = (3, 224, 224),
        num_classes: int = 10,
        transform: Callable[..., Any] | None = None,
        target_transform: Callable[..., Any] | None = None,
        random_offset: int = 0,
    ) -> None:
        super().__init__(transform=transform, target_transform=target_transform)
        self.size = size
        self.num_classes = num_classes
        self.image_size = image_size
        self.random_offset = random_offset

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        if index >= len(self):
            raise IndexError(f"{type(self).__name__} index out of range")
        generator = generators.Generator().manual_seed(index + self.random_offset)
        image = randn(*self.image_size, generator=generator)
        target = randint(0, self.num_classes, (1,), generator=generator)[0]
        sample, label = self._sample(to_pil_image(image), target)
        return sample, label.item()

    def __len__(self) -> int:
        return self.size
