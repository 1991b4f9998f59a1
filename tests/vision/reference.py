"""torchvision as the reference, also where only its Python part loads."""

from __future__ import annotations

from typing import Any

import pytest

torch = pytest.importorskip("torch")

_OPS = (
    "nms qnms roi_align _roi_align_backward roi_pool _roi_pool_backward ps_roi_align "
    "_ps_roi_align_backward ps_roi_pool _ps_roi_pool_backward deform_conv2d _deform_conv2d_backward"
)
_kept: list[Any] = []


def _import() -> Any:
    try:
        import torchvision
    except ImportError:
        pytest.skip("torchvision is not installed", allow_module_level=True)
    except RuntimeError:
        # Its compiled ops are missing: declare their names, none of them is called.
        library = torch.library.Library("torchvision", "DEF")
        _kept.append(library)
        for name in _OPS.split():
            library.define(f"{name}(Tensor a, Tensor b, float c) -> Tensor")
        import torchvision
    return torchvision


torchvision = _import()
