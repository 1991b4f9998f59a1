"""Published weights of detectors, segmenters and video models: facts about files, no files."""

from __future__ import annotations

from typing import Any

# Task: the name of the preset in presets.py, and its arguments.
Task = tuple[str, dict[str, Any]]
DETECTION: Task = ("ObjectDetection", {})
SEGMENTATION: Task = ("SemanticSegmentation", {"resize_size": 520})
CLIPS: Task = ("VideoClassification", {"crop_size": (112, 112), "resize_size": (128, 171)})
LARGE_CLIPS: Task = ("VideoClassification", {"crop_size": (224, 224), "resize_size": (256, 256)})

# (member, file, parameters, least side, task)
# The last row is DEFAULT.
TaskRow = tuple[str, str, int, int, Task]


def _voc(file: str, parameters: int) -> list[TaskRow]:
    return [("COCO_WITH_VOC_LABELS_V1", file, parameters, 1, SEGMENTATION)]


def _coco(file: str, parameters: int) -> list[TaskRow]:
    return [("COCO_V1", file, parameters, 1, DETECTION)]


def _clips(file: str, parameters: int) -> list[TaskRow]:
    return [("KINETICS400_V1", file, parameters, 1, CLIPS)]


TASKS: dict[str, list[TaskRow]] = {
    "DeepLabV3_MobileNet_V3_Large_Weights": _voc(
        "deeplabv3_mobilenet_v3_large-fc3c493d.pth", 11_029_328
    ),
    "DeepLabV3_ResNet101_Weights": _voc("deeplabv3_resnet101_coco-586e9e4e.pth", 60_996_202),
    "DeepLabV3_ResNet50_Weights": _voc("deeplabv3_resnet50_coco-cd0a2569.pth", 42_004_074),
    "FCN_ResNet101_Weights": _voc("fcn_resnet101_coco-7ecb50ca.pth", 54_314_346),
    "FCN_ResNet50_Weights": _voc("fcn_resnet50_coco-1167a1af.pth", 35_322_218),
    "LRASPP_MobileNet_V3_Large_Weights": _voc("lraspp_mobilenet_v3_large-d234d4ea.pth", 3_221_538),
    "FCOS_ResNet50_FPN_Weights": _coco("fcos_resnet50_fpn_coco-99b0c9b7.pth", 32_269_600),
    "FasterRCNN_MobileNet_V3_Large_320_FPN_Weights": _coco(
        "fasterrcnn_mobilenet_v3_large_320_fpn-907ea3f9.pth", 19_386_354
    ),
    "FasterRCNN_MobileNet_V3_Large_FPN_Weights": _coco(
        "fasterrcnn_mobilenet_v3_large_fpn-fb6a3cc7.pth", 19_386_354
    ),
    "FasterRCNN_ResNet50_FPN_V2_Weights": _coco(
        "fasterrcnn_resnet50_fpn_v2_coco-dd69338a.pth", 43_712_278
    ),
    "FasterRCNN_ResNet50_FPN_Weights": _coco(
        "fasterrcnn_resnet50_fpn_coco-258fb6c6.pth", 41_755_286
    ),
    "KeypointRCNN_ResNet50_FPN_Weights": [
        ("COCO_LEGACY", "keypointrcnn_resnet50_fpn_coco-9f466800.pth", 59_137_258, 1, DETECTION),
        ("COCO_V1", "keypointrcnn_resnet50_fpn_coco-fc266e95.pth", 59_137_258, 1, DETECTION),
    ],
    "MaskRCNN_ResNet50_FPN_V2_Weights": _coco(
        "maskrcnn_resnet50_fpn_v2_coco-73cbd019.pth", 46_359_409
    ),
    "MaskRCNN_ResNet50_FPN_Weights": _coco("maskrcnn_resnet50_fpn_coco-bf2d0c1e.pth", 44_401_393),
    "RetinaNet_ResNet50_FPN_V2_Weights": _coco(
        "retinanet_resnet50_fpn_v2_coco-5905b1c5.pth", 38_198_935
    ),
    "RetinaNet_ResNet50_FPN_Weights": _coco("retinanet_resnet50_fpn_coco-eeacb38b.pth", 34_014_999),
    "SSD300_VGG16_Weights": _coco("ssd300_vgg16_coco-b556d3b4.pth", 35_641_826),
    "SSDLite320_MobileNet_V3_Large_Weights": _coco(
        "ssdlite320_mobilenet_v3_large_coco-a79551df.pth", 3_440_060
    ),
    "MC3_18_Weights": _clips("mc3_18-a90a0ba3.pth", 11_695_440),
    "R2Plus1D_18_Weights": _clips("r2plus1d_18-91a641e6.pth", 31_505_325),
    "R3D_18_Weights": _clips("r3d_18-b3b3357e.pth", 33_371_472),
    "S3D_Weights": [("KINETICS400_V1", "s3d-d76dad2f.pth", 8_320_048, 224, LARGE_CLIPS)],
}
