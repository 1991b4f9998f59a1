"""Classifiers of clips: torchvision.models.video, but for MViT and the video Swin transformers."""

from flambeau.vision.models.video.resnet import (
    MC3_18_Weights,
    R2Plus1D_18_Weights,
    R3D_18_Weights,
    VideoResNet,
    mc3_18,
    r2plus1d_18,
    r3d_18,
)
from flambeau.vision.models.video.s3d import S3D, S3D_Weights, s3d

__all__ = [
    "MC3_18_Weights", "R2Plus1D_18_Weights", "R3D_18_Weights", "S3D", "S3D_Weights", "VideoResNet",
    "mc3_18", "r2plus1d_18", "r3d_18", "s3d",
]  # fmt: skip
