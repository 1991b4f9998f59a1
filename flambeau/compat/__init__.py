"""The names torch, torchvision and torchmetrics for Flambeau's own modules.

Nothing happens on import: `flambeau run` installs the aliases for the script it runs, and a
program may call `install()` itself. `import torch` then gives the flambeau package, `torch.nn`
is `flambeau.nn` (the same module object), and so on.
"""

from flambeau.compat.finder import install, installed, uninstall

__all__ = ["install", "installed", "uninstall"]
