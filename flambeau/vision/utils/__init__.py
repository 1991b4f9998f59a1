"""torchvision.utils: grids of images, drawings on images."""

from flambeau.vision.utils.drawing import (
    draw_bounding_boxes,
    draw_keypoints,
    draw_segmentation_masks,
    flow_to_image,
)
from flambeau.vision.utils.grids import make_grid, save_image

__all__ = [
    "draw_bounding_boxes", "draw_keypoints", "draw_segmentation_masks", "flow_to_image",
    "make_grid", "save_image",
]  # fmt: skip
