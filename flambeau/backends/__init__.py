"""torch.backends: what this build computes with, and the switches that programs set."""

from flambeau.backends import cuda, cudnn, mkl, mkldnn, mps, openmp

__all__ = ["cuda", "cudnn", "mkl", "mkldnn", "mps", "openmp"]
