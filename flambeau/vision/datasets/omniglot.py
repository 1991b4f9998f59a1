"""Omniglot: handwritten characters of fifty alphabets."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, ClassVar

from flambeau.vision.datasets.download import (
    download_url,
    extract_archive,
    list_dir,
    list_files,
    not_found,
)
from flambeau.vision.datasets.vision import VisionDataset
from flambeau.vision.pillow import pillow


class Omniglot(VisionDataset):
    """Characters of the alphabets for training (`background`) or for evaluation.

    The images lie in root/omniglot-py/images_background (or images_evaluation); an archive of that
    name beside it is unpacked. RuntimeError says what was looked for.
    """

    folder = "omniglot-py"
    download_url_prefix = "https://raw.githubusercontent.com/brendenlake/omniglot/master/python"
    zips_md5: ClassVar[Any] = {
        "images_background": "68d2efa1b9178cc56df9314c21c6e718",
        "images_evaluation": "6b91aef0f799c5bb55b94e3f2daec811",
    }

    def __init__(
        self,
        root: Any,
        background: bool = True,
        transform: Callable[..., Any] | None = None,
        target_transform: Callable[..., Any] | None = None,
        download: bool = False,
        loader: Callable[[Any], Any] | None = None,
    ) -> None:
        super().__init__(
            os.path.join(os.path.expanduser(root), self.folder),
            transform=transform,
            target_transform=target_transform,
        )
        self.background = background
        self.target_folder = os.path.join(self.root, self._name())
        if download:
            self.download()
        if not self._unpacked():
            names = [self._name(), f"{self._name()}.zip"]
            text = not_found([self.root], names, "Dataset not found or corrupted.")
            raise RuntimeError(text)
        self._characters = [
            os.path.join(alphabet, character)
            for alphabet in list_dir(self.target_folder)
            for character in list_dir(os.path.join(self.target_folder, alphabet))
        ]
        self._flat_character_images = [
            (name, number)
            for number, character in enumerate(self._characters)
            for name in list_files(os.path.join(self.target_folder, character), ".png")
        ]
        self.loader = loader

    def _name(self) -> str:
        return "images_background" if self.background else "images_evaluation"

    def _unpacked(self) -> bool:
        archive = f"{self.target_folder}.zip"
        if not os.path.isdir(self.target_folder) and os.path.isfile(archive):
            extract_archive(archive, self.root)
        return os.path.isdir(self.target_folder)

    def download(self) -> None:
        """Fetches the archive, if the images are not there."""
        if not self._unpacked():
            name = f"{self._name()}.zip"
            url = f"{self.download_url_prefix}/{name}"
            download_url(url, self.root, name, self.zips_md5[self._name()])

    def __len__(self) -> int:
        return len(self._flat_character_images)

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        name, number = self._flat_character_images[index]
        path = os.path.join(self.target_folder, self._characters[number], name)
        if self.loader is not None:
            image = self.loader(path)
        else:
            with pillow().open(path) as file:
                image = file.convert("L")
        return self._sample(image, number)
