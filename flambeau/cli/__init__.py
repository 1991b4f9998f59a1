"""The command `flambeau`: run PyTorch scripts, and say what this machine offers."""

from flambeau.cli.command import main

__all__ = ["main"]
