"""The classes of TorchScript's modules: ordinary modules, for programs that derive or ask."""

from __future__ import annotations

from flambeau.nn.modules.module import Module


class ScriptModule(Module):
    """A module. `torch.jit.script` gives the plain module back, so only classes derived are it."""

    @property
    def original_name(self) -> str:
        """The name of the class."""
        return type(self).__name__


class RecursiveScriptModule(ScriptModule):
    """What `torch.jit.script` makes of modules in PyTorch; nothing makes one here."""


class TopLevelTracedModule(ScriptModule):
    """What `torch.jit.trace` makes of modules in PyTorch; nothing makes one here."""
