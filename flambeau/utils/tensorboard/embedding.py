"""The files beside the event files that TensorBoard's projector reads."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
from google.protobuf import text_format
from tensorboard.plugins.projector.projector_config_pb2 import EmbeddingInfo, ProjectorConfig

from flambeau.utils.tensorboard import arrays

CONFIG = "projector_config.pbtxt"


def write_embedding(
    folder: Path, place: str, name: str, matrix: Any, metadata: Any, images: Any, header: Any
) -> None:
    """Write the points, their labels and pictures to folder/place, and name them in the config."""
    below = folder / place
    below.mkdir(parents=True, exist_ok=True)
    if matrix.ndim != 2:
        raise AssertionError("mat should be 2D, where mat.size(0) is the number of data points")
    lines = ["\t".join(repr(x) for x in row) for row in matrix.astype(np.float64).tolist()]
    (below / "tensors.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    info = EmbeddingInfo(tensor_name=name, tensor_path=f"{place}/tensors.tsv")
    if metadata is not None:
        if len(metadata) != len(matrix):
            raise AssertionError("#labels should equal with #data points")
        _write_labels(below / "metadata.tsv", metadata, header)
        info.metadata_path = f"{place}/metadata.tsv"
    if images is not None:
        if len(images) != len(matrix):
            raise AssertionError("#images should equal with #data points")
        if images.shape[2] != images.shape[3]:
            raise AssertionError("Image should be square, see tensorflow/tensorboard#670")
        _write_sprite(below / "sprite.png", images)
        info.sprite.image_path = f"{place}/sprite.png"
        info.sprite.single_image_dim.extend([images.shape[3], images.shape[2]])
    config = ProjectorConfig()
    file = folder / CONFIG
    if file.exists():
        text_format.Parse(file.read_text(encoding="utf-8"), config)
    config.embeddings.append(info)
    file.write_text(text_format.MessageToString(config), encoding="utf-8")


def _write_labels(file: Path, metadata: Any, header: Any) -> None:
    lines = [str(part) for part in metadata]
    if header:
        if len(header) != len(metadata[0]):
            raise AssertionError("len of header must be equal to the number of columns in metadata")
        lines = ["\t".join(str(h) for h in header)]
        lines += ["\t".join(str(part) for part in row) for row in metadata]
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _write_sprite(file: Path, images: Any) -> None:
    """All pictures in one square one, row by row."""
    columns = math.ceil(math.sqrt(len(images)))
    blank = np.zeros((columns * columns - len(images), *images.shape[1:]), images.dtype)
    whole = arrays.grid(np.concatenate([images, blank]), columns)
    file.write_bytes(arrays.png(arrays.pixels(whole, "HWC"))[0])


def place_of(step: int | None, tag: str) -> str:
    """The folder of one embedding."""
    number = str(step if step is not None else 0).zfill(5)
    escaped = tag.replace("%", "%25").replace("/", "%2f").replace("\\", "%5c")
    return f"{number}/{escaped}"
