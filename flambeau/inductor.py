"""torch._inductor and torch._inductor.config: what PyTorch's compiler could be told.

Options are what is assigned to this module; they are kept and change nothing.
"""

from __future__ import annotations

import sys
from types import SimpleNamespace

__path__: list[str] = []
config = sys.modules[__name__]

coordinate_descent_tuning = False
epilogue_fusion = True
force_fuse_int_mm_with_mul = False
freezing = False
fx_graph_cache = True
max_autotune = False
cpp = SimpleNamespace(threads=-1)
triton = SimpleNamespace(cudagraphs=False, unique_kernel_names=True)
