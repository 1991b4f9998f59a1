"""Draw the bundled subset of MNIST: examples/data/digits.npz.

    python tools/make_digits.py FOLDER

FOLDER holds the four original files (train-images-idx3-ubyte.gz, ...). The draw is seeded and
balanced: of each digit, 600 training images come from the training files and 100 test images from
the test files. The result is the same bytes for the same NumPy version.
"""

from __future__ import annotations

import gzip
import sys
from pathlib import Path

import numpy as np

SEED = 20260101
TRAIN_PER_DIGIT = 600
TEST_PER_DIGIT = 100
OUT = Path(__file__).resolve().parent.parent / "examples" / "data" / "digits.npz"


def read_idx(path: Path) -> np.ndarray:
    """An idx file of unsigned bytes: 2 zero bytes, type, rank, big-endian sizes, data."""
    raw = gzip.decompress(path.read_bytes())
    if raw[:3] != b"\x00\x00\x08":
        raise ValueError(f"{path}: not an idx file of unsigned bytes")
    rank = raw[3]
    shape = np.frombuffer(raw, ">i4", rank, 4)
    return np.frombuffer(raw, np.uint8, offset=4 + 4 * rank).reshape(shape)


def draw(
    images: np.ndarray, labels: np.ndarray, per_digit: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """`per_digit` images of each digit, in random order."""
    chosen = [
        rng.choice(np.flatnonzero(labels == digit), per_digit, replace=False) for digit in range(10)
    ]
    order = rng.permutation(np.concatenate(chosen))
    return images[order], labels[order]


def main() -> None:
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    folder = Path(sys.argv[1])
    rng = np.random.default_rng(SEED)
    parts = {}
    for split, prefix, count in (
        ("train", "train", TRAIN_PER_DIGIT),
        ("test", "t10k", TEST_PER_DIGIT),
    ):
        images = read_idx(folder / f"{prefix}-images-idx3-ubyte.gz")
        labels = read_idx(folder / f"{prefix}-labels-idx1-ubyte.gz")
        parts[f"{split}_images"], parts[f"{split}_labels"] = draw(images, labels, count, rng)
    np.savez_compressed(OUT, **parts)
    print(f"{OUT}: {OUT.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
