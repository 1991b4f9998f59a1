"""What the vision data sets share: transforms, the description, whole batches."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import numpy as np

from flambeau.utils.data import default_collate
from flambeau.utils.data.dataset import Dataset
from flambeau.vision._torch import Tensor, from_array, int64
from flambeau.vision.pillow import image_from_array
from flambeau.vision.transforms.batch import planned, run

Transform = Callable[..., Any] | None


class VisionDataset(Dataset[Any]):
    """A data set with a folder and transforms: of samples and targets apart, or of both."""

    _repr_indent = 4

    def __init__(
        self,
        root: Any = None,
        transforms: Transform = None,
        transform: Transform = None,
        target_transform: Transform = None,
    ) -> None:
        self.root = os.path.expanduser(root) if isinstance(root, str) else root
        apart = transform is not None or target_transform is not None
        if transforms is not None and apart:
            raise ValueError(
                "Only transforms or transform/target_transform can be passed as argument"
            )
        self.transform = transform
        self.target_transform = target_transform
        self.transforms = StandardTransform(transform, target_transform) if apart else transforms

    def __getitem__(self, index: int) -> Any:
        raise NotImplementedError

    def __len__(self) -> int:
        raise NotImplementedError

    def extra_repr(self) -> str:
        """Further lines of the description."""
        return ""

    def __repr__(self) -> str:
        body = [f"Number of datapoints: {len(self)}"]
        if self.root is not None:
            body.append(f"Root location: {self.root}")
        body += self.extra_repr().splitlines()
        if self.transforms is not None:
            body.append(repr(self.transforms))
        indent = " " * self._repr_indent
        return "\n".join([f"Dataset {type(self).__name__}", *(indent + line for line in body)])

    def _sample(self, sample: Any, target: Any) -> tuple[Any, Any]:
        """Sample and target through their transforms."""
        if self.transform is not None:
            sample = self.transform(sample)
        if self.target_transform is not None:
            target = self.target_transform(target)
        return sample, target


class StandardTransform:
    """A transform of samples and one of targets, as one of both."""

    def __init__(self, transform: Transform = None, target_transform: Transform = None) -> None:
        self.transform = transform
        self.target_transform = target_transform

    def __call__(self, input: Any, target: Any) -> tuple[Any, Any]:
        if self.transform is not None:
            input = self.transform(input)
        if self.target_transform is not None:
            target = self.target_transform(target)
        return input, target

    def __repr__(self) -> str:
        body = [type(self).__name__]
        for head, each in (
            ("Transform: ", self.transform),
            ("Target transform: ", self.target_transform),
        ):
            if each is not None:
                first, *rest = repr(each).splitlines()
                body += [head + first, *(" " * len(head) + line for line in rest)]
        return "\n".join(body)


class ImagesInMemory(VisionDataset):
    """A data set whose images are bytes of one size in memory, each with a number as its target.

    Subclasses say where they lie: `_pixels` and `_numbers`. A batch of them is made at once where
    the transform is known and `__getitem__` is the data set's own.
    """

    _mode: str | None = None  # of Pillow; None: found from the array

    def _pixels(self) -> Any:
        """Bytes [N, H, W] or [N, H, W, C]."""
        raise NotImplementedError

    def _target(self, index: int) -> Any:
        """The target of a sample, a number."""
        raise NotImplementedError

    def _targets(self, indices: list[int]) -> Any:
        """The targets of these samples: an array, or a list."""
        return [self._target(i) for i in indices]

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        image = image_from_array(self._pixels()[index], self._mode)
        return self._sample(image, self._target(index))

    def _batch(self, indices: list[int]) -> tuple[Tensor, Any] | None:
        kind = type(self)
        if (
            kind.__getitem__ is not kind._own_getitem
            or self.transform is None
            or set(map(type, indices)) != {int}
        ):
            return None
        pixels = self._pixels()
        if pixels.dtype != np.uint8:
            return None
        planes = pixels[:, None] if pixels.ndim == 3 else pixels.transpose(0, 3, 1, 2)
        stages = planned(self.transform, planes)
        if stages is None:
            return None
        if self.target_transform is not None and any(stage.words for stage in stages):
            return None  # it might draw numbers too, between those of the samples
        images = run(stages, planes[np.array(indices, np.intp)])
        if self.target_transform is None:
            return images, self._targets(indices)
        return images, [self.target_transform(self._target(i)) for i in indices]

    _own_getitem: Any = __getitem__

    def __getbatch__(self, indices: list[int]) -> Any:
        """What `default_collate` would make of these samples; None: it is to be asked."""
        made = self._batch(indices)
        if made is None:
            return None
        images, targets = made
        if isinstance(targets, np.ndarray):
            return [images, from_array(targets, int64)]
        return [images, default_collate(tuple(targets))]

    def __getitems__(self, indices: list[int]) -> list[Any]:
        """These samples, one by one."""
        made = self._batch(indices)
        if made is None:
            return [self[i] for i in indices]
        images, targets = made
        rows, kind = images._array(), images.dtype
        targets = targets.tolist() if isinstance(targets, np.ndarray) else targets
        return [(from_array(row, kind), target) for row, target in zip(rows, targets)]
