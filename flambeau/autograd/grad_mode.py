"""torch.autograd.grad_mode: the modes under their file's name."""

from flambeau.autograd.modes import enable_grad, inference_mode, no_grad, set_grad_enabled

__all__ = ["enable_grad", "inference_mode", "no_grad", "set_grad_enabled"]
