"""The CPU compiler and its runtime: programs to machine code through LLVM."""

import flambeau.ops.value  # noqa: F401  (first of the ops modules, which need each other)
