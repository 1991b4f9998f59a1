"""Transforms by expected values, errors and draws; no torchvision is needed."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest

pytest.importorskip("PIL")
from PIL import Image

import flambeau
from flambeau.vision import transforms as T
from flambeau.vision.transforms import draws, v2
from flambeau.vision.transforms import functional as F

RAMP = np.arange(4 * 5 * 3, dtype=np.uint8).reshape(4, 5, 3)
IMAGE = Image.fromarray(RAMP)


def array(image: Any) -> Any:
    return np.asarray(image)


def test_to_tensor_and_back() -> None:
    out = T.ToTensor()(IMAGE)
    assert out.dtype is flambeau.float32 and out.is_contiguous()
    np.testing.assert_array_equal(array(out), RAMP.transpose(2, 0, 1) / np.float32(255))
    np.testing.assert_array_equal(array(T.ToPILImage()(out)), RAMP)
    np.testing.assert_array_equal(array(T.ToTensor()(RAMP)), array(out))
    floats = np.ones((2, 3), np.float64)
    assert T.ToTensor()(floats).dtype is flambeau.float64  # only bytes are scaled


@pytest.mark.parametrize(
    "mode, dtype, scale",
    [("L", np.uint8, 255), ("1", np.uint8, 1), ("I", np.int32, None), ("F", np.float32, None)],
)
def test_modes(mode: str, dtype: Any, scale: int | None) -> None:
    image = IMAGE.convert("L").convert(mode)
    out = T.ToTensor()(image)
    assert out.shape == (1, 4, 5)
    values = array(image).astype(dtype)
    expected = values if scale is None else values / np.float32(scale)
    np.testing.assert_array_equal(array(out)[0], expected)
    if mode not in "1F":  # without a mode, floats become bytes
        assert T.ToPILImage()(T.PILToTensor()(image)).mode == mode


def test_normalize() -> None:
    x = flambeau.tensor([[[0.5]], [[1.0]]])
    out = T.Normalize((0.5, 0.0), (2.0, 0.25))(x)
    assert out.flatten().tolist() == [0.0, 4.0] and x.flatten().tolist() == [0.5, 1.0]
    T.Normalize(0.5, 0.5, inplace=True)(x)
    assert x.flatten().tolist() == [0.0, 1.0]
    with pytest.raises(ValueError, match="leading to division by zero"):
        T.Normalize((0.5, 0.5), (0.5, 0.0))(x)
    with pytest.raises(TypeError, match=r"should be a float tensor\. Got torch\.uint8"):
        T.Normalize(0.5, 0.5)(flambeau.zeros(3, 2, 2, dtype=flambeau.uint8))
    with pytest.raises(TypeError, match="should be Tensor Image"):
        T.Normalize(0.5, 0.5)(IMAGE)


def test_tensors_keep_their_gradients() -> None:
    x = flambeau.rand(3, 6, 6, requires_grad=True)
    steps = [T.CenterCrop(4), T.Pad(1), T.RandomHorizontalFlip(1.1), T.Normalize(0.5, 0.5)]
    T.Compose(steps)(x).sum().backward()
    assert x.grad is not None
    expected = np.zeros((3, 6, 6), np.float32)
    expected[:, 1:5, 1:5] = 2.0
    np.testing.assert_array_equal(array(x.grad), expected)


def test_windows_of_tensors() -> None:
    x = flambeau.arange(30).reshape(1, 5, 6)
    assert F.crop(x, 1, 2, 2, 3).tolist() == [[[8, 9, 10], [14, 15, 16]]]
    assert F.crop(x, -1, 4, 3, 4).tolist() == [[[0] * 4, [4, 5, 0, 0], [10, 11, 0, 0]]]
    assert F.pad(x[:, :1, :2], [1, 0]).tolist() == [[[0, 0, 1, 0]]]
    assert F.hflip(x)[0, 0].tolist() == [5, 4, 3, 2, 1, 0]
    assert F.vflip(x)[0, :, 0].tolist() == [24, 18, 12, 6, 0]
    window = F.crop(x, 0, 0, 2, 2)
    window.zero_()  # a view, as in PyTorch
    assert x[0, 0].tolist() == [0, 0, 2, 3, 4, 5]


def test_draws_are_those_of_the_tensor_functions() -> None:
    flambeau.manual_seed(4)
    taken = [draws.unit(), draws.integer(3, 90), draws.uniform(-2, 5), draws.integer(0, 1 << 30)]
    order = draws.order(6)
    flambeau.manual_seed(4)
    assert taken[0] == flambeau.rand(1).item()
    assert taken[1] == flambeau.randint(3, 90, (1,)).item()
    assert taken[2] == flambeau.empty(1).uniform_(-2, 5).item()
    assert taken[3] == flambeau.randint(0, 1 << 30, (1,)).item()
    assert order == flambeau.randperm(6).tolist()


def test_draws_and_tensor_functions_share_a_stream() -> None:
    flambeau.manual_seed(9)
    mixed = []
    for count in range(400):  # past several renewals of the generator
        mixed.append(draws.unit())
        if count % 3 == 0:
            mixed += flambeau.rand(2).tolist()
        if count % 50 == 0:
            mixed += [float(n & 0xFFFFFF) / 2**24 for n in draws.words(300).tolist()]
            state = flambeau.get_rng_state()
            again = draws.unit()
            flambeau.set_rng_state(state)
            assert draws.unit() == again
            mixed.append(again)
    flambeau.manual_seed(9)
    assert mixed == flambeau.rand(len(mixed)).tolist()


def test_a_flip_for_a_seed() -> None:
    """The numbers of seed 0 are 0.4963, 0.7682, 0.0885, 0.1320, ..."""
    flambeau.manual_seed(0)
    flipped = [array(T.RandomHorizontalFlip()(IMAGE))[0, 0, 0] != 0 for _ in range(4)]
    assert flipped == [True, False, True, True]


MISTAKES = [
    (lambda: T.Resize((1, 2, 3)), ValueError, "should have 1 or 2 values"),
    (lambda: T.RandomCrop(9)(IMAGE), ValueError, r"Required crop size \(9, 9\) is larger"),
    (lambda: T.RandomCrop((1, 2, 3)), ValueError, "only two dimensions"),
    (lambda: T.Pad("x"), TypeError, "inappropriate padding"),
    (lambda: T.Pad(1, padding_mode="x"), ValueError, "Padding mode should be"),
    (lambda: T.Pad((1, 2, 3)), ValueError, "1, 2, or 4 element tuple"),
    (lambda: T.RandomRotation(-1), ValueError, "must be positive"),
    (lambda: T.RandomAffine(0, translate=(2, 0)), ValueError, "between 0 and 1"),
    (lambda: T.ColorJitter(hue=0.9), ValueError, "hue values should be between"),
    (lambda: T.ColorJitter(brightness=-1), ValueError, "must be non negative"),
    (lambda: T.GaussianBlur(4), ValueError, "odd and positive"),
    (lambda: T.RandomErasing(value="x"), ValueError, "it should be 'random'"),
    (lambda: T.Lambda(3), TypeError, "should be callable, got 'int'"),
    (lambda: T.FiveCrop(9)(IMAGE), ValueError, "bigger than input size"),
    (lambda: T.ToTensor()("x"), TypeError, "pic should be PIL Image or ndarray"),
    (lambda: F.adjust_hue(IMAGE, 1), ValueError, r"is not in \[-0.5, 0.5\]"),
    (lambda: F.hflip(3), TypeError, "img should be PIL Image"),
    (lambda: F.rotate(IMAGE, "x"), TypeError, "angle should be int or float"),
    (lambda: F.resize(IMAGE, 3, "bilinear"), TypeError, "should be a InterpolationMode"),
    (lambda: v2.Compose([]), ValueError, "at least one transform"),
    (lambda: v2.RandomHorizontalFlip(2), ValueError, "floating point value in the interval"),
]


@pytest.mark.parametrize("place", range(len(MISTAKES)))
def test_mistakes(place: int) -> None:
    make, kind, text = MISTAKES[place]
    with pytest.raises(kind, match=text):
        make()


def test_without_pillow_the_error_names_the_extra() -> None:
    program = (
        "import sys; sys.modules['PIL'] = None\n"
        "import flambeau\n"
        "from flambeau.vision import transforms as T\n"
        "x = flambeau.rand(3, 8, 8)\n"
        "assert T.Compose([T.RandomCrop(6), T.Normalize(0.5, 0.5)])(x).shape == (3, 6, 6)\n"
        "try:\n    T.ToPILImage()(x)\n"
        "except ImportError as error:\n    print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert "pip install 'flambeau[vision]'" in done.stdout, done.stderr
