"""The published weights by the name of their enumeration: facts about files, no files."""

from __future__ import annotations

BASE = "https://download.pytorch.org/models/"

Statistics = tuple[tuple[float, float, float], tuple[float, float, float]]
IMAGENET: Statistics = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
HALF: Statistics = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
# Features that expect bytes: a mean is taken off, 1/255 makes bytes again of what lies in 0..1.
BYTES: Statistics = ((0.48235, 0.45882, 0.40784), (1 / 255, 1 / 255, 1 / 255))

# (member, file, parameters, least side, crop, resized to[, interpolation[, statistics]])
# The first row is DEFAULT.
Row = (
    tuple[str, str, int, int, int, int]
    | tuple[str, str, int, int, int, int, str]
    | tuple[str, str, int, int, int, int, str, Statistics]
)
PUBLISHED: dict[str, list[Row]] = {
    "AlexNet_Weights": [
        ("IMAGENET1K_V1", "alexnet-owt-7be5be79.pth", 61_100_840, 63, 224, 256),
    ],
    "ConvNeXt_Base_Weights": [
        ("IMAGENET1K_V1", "convnext_base-6075fbad.pth", 88_591_464, 32, 224, 232),
    ],
    "ConvNeXt_Large_Weights": [
        ("IMAGENET1K_V1", "convnext_large-ea097f82.pth", 197_767_336, 32, 224, 232),
    ],
    "ConvNeXt_Small_Weights": [
        ("IMAGENET1K_V1", "convnext_small-0c510722.pth", 50_223_688, 32, 224, 230),
    ],
    "ConvNeXt_Tiny_Weights": [
        ("IMAGENET1K_V1", "convnext_tiny-983f1562.pth", 28_589_128, 32, 224, 236),
    ],
    "DenseNet121_Weights": [
        ("IMAGENET1K_V1", "densenet121-a639ec97.pth", 7_978_856, 29, 224, 256),
    ],
    "DenseNet161_Weights": [
        ("IMAGENET1K_V1", "densenet161-8d451a50.pth", 28_681_000, 29, 224, 256),
    ],
    "DenseNet169_Weights": [
        ("IMAGENET1K_V1", "densenet169-b2777c0a.pth", 14_149_480, 29, 224, 256),
    ],
    "DenseNet201_Weights": [
        ("IMAGENET1K_V1", "densenet201-c1103571.pth", 20_013_928, 29, 224, 256),
    ],
    "EfficientNet_B0_Weights": [
        (
            "IMAGENET1K_V1",
            "efficientnet_b0_rwightman-7f5810bc.pth",
            5_288_548,
            1,
            224,
            256,
            "bicubic",
        ),
    ],
    "EfficientNet_B1_Weights": [
        ("IMAGENET1K_V2", "efficientnet_b1-c27df63c.pth", 7_794_184, 1, 240, 255),
        (
            "IMAGENET1K_V1",
            "efficientnet_b1_rwightman-bac287d4.pth",
            7_794_184,
            1,
            240,
            256,
            "bicubic",
        ),
    ],
    "EfficientNet_B2_Weights": [
        (
            "IMAGENET1K_V1",
            "efficientnet_b2_rwightman-c35c1473.pth",
            9_109_994,
            1,
            288,
            288,
            "bicubic",
        ),
    ],
    "EfficientNet_B3_Weights": [
        (
            "IMAGENET1K_V1",
            "efficientnet_b3_rwightman-b3899882.pth",
            12_233_232,
            1,
            300,
            320,
            "bicubic",
        ),
    ],
    "EfficientNet_B4_Weights": [
        (
            "IMAGENET1K_V1",
            "efficientnet_b4_rwightman-23ab8bcd.pth",
            19_341_616,
            1,
            380,
            384,
            "bicubic",
        ),
    ],
    "EfficientNet_B5_Weights": [
        (
            "IMAGENET1K_V1",
            "efficientnet_b5_lukemelas-1a07897c.pth",
            30_389_784,
            1,
            456,
            456,
            "bicubic",
        ),
    ],
    "EfficientNet_B6_Weights": [
        (
            "IMAGENET1K_V1",
            "efficientnet_b6_lukemelas-24a108a5.pth",
            43_040_704,
            1,
            528,
            528,
            "bicubic",
        ),
    ],
    "EfficientNet_B7_Weights": [
        (
            "IMAGENET1K_V1",
            "efficientnet_b7_lukemelas-c5b4e57e.pth",
            66_347_960,
            1,
            600,
            600,
            "bicubic",
        ),
    ],
    "EfficientNet_V2_L_Weights": [
        (
            "IMAGENET1K_V1",
            "efficientnet_v2_l-59c71312.pth",
            118_515_272,
            33,
            480,
            480,
            "bicubic",
            HALF,
        ),
    ],
    "EfficientNet_V2_M_Weights": [
        ("IMAGENET1K_V1", "efficientnet_v2_m-dc08266a.pth", 54_139_356, 33, 480, 480),
    ],
    "EfficientNet_V2_S_Weights": [
        ("IMAGENET1K_V1", "efficientnet_v2_s-dd5fe13b.pth", 21_458_488, 33, 384, 384),
    ],
    "GoogLeNet_Weights": [
        ("IMAGENET1K_V1", "googlenet-1378be20.pth", 6_624_904, 15, 224, 256),
    ],
    "Inception_V3_Weights": [
        ("IMAGENET1K_V1", "inception_v3_google-0cc3c7bd.pth", 27_161_264, 75, 299, 342),
    ],
    "MNASNet0_5_Weights": [
        ("IMAGENET1K_V1", "mnasnet0.5_top1_67.823-3ffadce67e.pth", 2_218_512, 1, 224, 256),
    ],
    "MNASNet0_75_Weights": [
        ("IMAGENET1K_V1", "mnasnet0_75-7090bc5f.pth", 3_170_208, 1, 224, 232),
    ],
    "MNASNet1_0_Weights": [
        ("IMAGENET1K_V1", "mnasnet1.0_top1_73.512-f206786ef8.pth", 4_383_312, 1, 224, 256),
    ],
    "MNASNet1_3_Weights": [
        ("IMAGENET1K_V1", "mnasnet1_3-a4c69d6f.pth", 6_282_256, 1, 224, 232),
    ],
    "MaxVit_T_Weights": [
        ("IMAGENET1K_V1", "maxvit_t-bc5ab103.pth", 30_919_624, 224, 224, 224, "bicubic"),
    ],
    "MobileNet_V2_Weights": [
        ("IMAGENET1K_V2", "mobilenet_v2-7ebf99e0.pth", 3_504_872, 1, 224, 232),
        ("IMAGENET1K_V1", "mobilenet_v2-b0353104.pth", 3_504_872, 1, 224, 256),
    ],
    "MobileNet_V3_Large_Weights": [
        ("IMAGENET1K_V2", "mobilenet_v3_large-5c1a4163.pth", 5_483_032, 1, 224, 232),
        ("IMAGENET1K_V1", "mobilenet_v3_large-8738ca79.pth", 5_483_032, 1, 224, 256),
    ],
    "MobileNet_V3_Small_Weights": [
        ("IMAGENET1K_V1", "mobilenet_v3_small-047dcff4.pth", 2_542_856, 1, 224, 256),
    ],
    "RegNet_X_16GF_Weights": [
        ("IMAGENET1K_V2", "regnet_x_16gf-ba3796d7.pth", 54_278_536, 1, 224, 232),
        ("IMAGENET1K_V1", "regnet_x_16gf-2007eb11.pth", 54_278_536, 1, 224, 256),
    ],
    "RegNet_X_1_6GF_Weights": [
        ("IMAGENET1K_V2", "regnet_x_1_6gf-a12f2b72.pth", 9_190_136, 1, 224, 232),
        ("IMAGENET1K_V1", "regnet_x_1_6gf-e3633e7f.pth", 9_190_136, 1, 224, 256),
    ],
    "RegNet_X_32GF_Weights": [
        ("IMAGENET1K_V2", "regnet_x_32gf-6eb8fdc6.pth", 107_811_560, 1, 224, 232),
        ("IMAGENET1K_V1", "regnet_x_32gf-9d47f8d0.pth", 107_811_560, 1, 224, 256),
    ],
    "RegNet_X_3_2GF_Weights": [
        ("IMAGENET1K_V2", "regnet_x_3_2gf-7071aa85.pth", 15_296_552, 1, 224, 232),
        ("IMAGENET1K_V1", "regnet_x_3_2gf-f342aeae.pth", 15_296_552, 1, 224, 256),
    ],
    "RegNet_X_400MF_Weights": [
        ("IMAGENET1K_V2", "regnet_x_400mf-62229a5f.pth", 5_495_976, 1, 224, 232),
        ("IMAGENET1K_V1", "regnet_x_400mf-adf1edd5.pth", 5_495_976, 1, 224, 256),
    ],
    "RegNet_X_800MF_Weights": [
        ("IMAGENET1K_V2", "regnet_x_800mf-94a99ebd.pth", 7_259_656, 1, 224, 232),
        ("IMAGENET1K_V1", "regnet_x_800mf-ad17e45c.pth", 7_259_656, 1, 224, 256),
    ],
    "RegNet_X_8GF_Weights": [
        ("IMAGENET1K_V2", "regnet_x_8gf-2b70d774.pth", 39_572_648, 1, 224, 232),
        ("IMAGENET1K_V1", "regnet_x_8gf-03ceed89.pth", 39_572_648, 1, 224, 256),
    ],
    "RegNet_Y_128GF_Weights": [
        (
            "IMAGENET1K_SWAG_E2E_V1",
            "regnet_y_128gf_swag-c8ce3e52.pth",
            644_812_894,
            1,
            384,
            384,
            "bicubic",
        ),
        (
            "IMAGENET1K_SWAG_LINEAR_V1",
            "regnet_y_128gf_lc_swag-cbe8ce12.pth",
            644_812_894,
            1,
            224,
            224,
            "bicubic",
        ),
    ],
    "RegNet_Y_16GF_Weights": [
        ("IMAGENET1K_V2", "regnet_y_16gf-3e4a00f9.pth", 83_590_140, 1, 224, 232),
        ("IMAGENET1K_V1", "regnet_y_16gf-9e6ed7dd.pth", 83_590_140, 1, 224, 256),
        (
            "IMAGENET1K_SWAG_E2E_V1",
            "regnet_y_16gf_swag-43afe44d.pth",
            83_590_140,
            1,
            384,
            384,
            "bicubic",
        ),
        (
            "IMAGENET1K_SWAG_LINEAR_V1",
            "regnet_y_16gf_lc_swag-f3ec0043.pth",
            83_590_140,
            1,
            224,
            224,
            "bicubic",
        ),
    ],
    "RegNet_Y_1_6GF_Weights": [
        ("IMAGENET1K_V2", "regnet_y_1_6gf-0d7bc02a.pth", 11_202_430, 1, 224, 232),
        ("IMAGENET1K_V1", "regnet_y_1_6gf-b11a554e.pth", 11_202_430, 1, 224, 256),
    ],
    "RegNet_Y_32GF_Weights": [
        ("IMAGENET1K_V2", "regnet_y_32gf-8db6d4b5.pth", 145_046_770, 1, 224, 232),
        ("IMAGENET1K_V1", "regnet_y_32gf-4dee3f7a.pth", 145_046_770, 1, 224, 256),
        (
            "IMAGENET1K_SWAG_E2E_V1",
            "regnet_y_32gf_swag-04fdfa75.pth",
            145_046_770,
            1,
            384,
            384,
            "bicubic",
        ),
        (
            "IMAGENET1K_SWAG_LINEAR_V1",
            "regnet_y_32gf_lc_swag-e1583746.pth",
            145_046_770,
            1,
            224,
            224,
            "bicubic",
        ),
    ],
    "RegNet_Y_3_2GF_Weights": [
        ("IMAGENET1K_V2", "regnet_y_3_2gf-9180c971.pth", 19_436_338, 1, 224, 232),
        ("IMAGENET1K_V1", "regnet_y_3_2gf-b5a9779c.pth", 19_436_338, 1, 224, 256),
    ],
    "RegNet_Y_400MF_Weights": [
        ("IMAGENET1K_V2", "regnet_y_400mf-e6988f5f.pth", 4_344_144, 1, 224, 232),
        ("IMAGENET1K_V1", "regnet_y_400mf-c65dace8.pth", 4_344_144, 1, 224, 256),
    ],
    "RegNet_Y_800MF_Weights": [
        ("IMAGENET1K_V2", "regnet_y_800mf-58fc7688.pth", 6_432_512, 1, 224, 232),
        ("IMAGENET1K_V1", "regnet_y_800mf-1b27b58c.pth", 6_432_512, 1, 224, 256),
    ],
    "RegNet_Y_8GF_Weights": [
        ("IMAGENET1K_V2", "regnet_y_8gf-dc2b1b54.pth", 39_381_472, 1, 224, 232),
        ("IMAGENET1K_V1", "regnet_y_8gf-d0d0e4a8.pth", 39_381_472, 1, 224, 256),
    ],
    "ResNeXt101_32X8D_Weights": [
        ("IMAGENET1K_V2", "resnext101_32x8d-110c445d.pth", 88_791_336, 1, 224, 232),
        ("IMAGENET1K_V1", "resnext101_32x8d-8ba56ff5.pth", 88_791_336, 1, 224, 256),
    ],
    "ResNeXt101_64X4D_Weights": [
        ("IMAGENET1K_V1", "resnext101_64x4d-173b62eb.pth", 83_455_272, 1, 224, 232),
    ],
    "ResNeXt50_32X4D_Weights": [
        ("IMAGENET1K_V2", "resnext50_32x4d-1a0047aa.pth", 25_028_904, 1, 224, 232),
        ("IMAGENET1K_V1", "resnext50_32x4d-7cdf4587.pth", 25_028_904, 1, 224, 256),
    ],
    "ResNet101_Weights": [
        ("IMAGENET1K_V2", "resnet101-cd907fc2.pth", 44_549_160, 1, 224, 232),
        ("IMAGENET1K_V1", "resnet101-63fe2227.pth", 44_549_160, 1, 224, 256),
    ],
    "ResNet152_Weights": [
        ("IMAGENET1K_V2", "resnet152-f82ba261.pth", 60_192_808, 1, 224, 232),
        ("IMAGENET1K_V1", "resnet152-394f9c45.pth", 60_192_808, 1, 224, 256),
    ],
    "ResNet18_Weights": [
        ("IMAGENET1K_V1", "resnet18-f37072fd.pth", 11_689_512, 1, 224, 256),
    ],
    "ResNet34_Weights": [
        ("IMAGENET1K_V1", "resnet34-b627a593.pth", 21_797_672, 1, 224, 256),
    ],
    "ResNet50_Weights": [
        ("IMAGENET1K_V2", "resnet50-11ad3fa6.pth", 25_557_032, 1, 224, 232),
        ("IMAGENET1K_V1", "resnet50-0676ba61.pth", 25_557_032, 1, 224, 256),
    ],
    "ShuffleNet_V2_X0_5_Weights": [
        ("IMAGENET1K_V1", "shufflenetv2_x0.5-f707e7126e.pth", 1_366_792, 1, 224, 256),
    ],
    "ShuffleNet_V2_X1_0_Weights": [
        ("IMAGENET1K_V1", "shufflenetv2_x1-5666bf0f80.pth", 2_278_604, 1, 224, 256),
    ],
    "ShuffleNet_V2_X1_5_Weights": [
        ("IMAGENET1K_V1", "shufflenetv2_x1_5-3c479a10.pth", 3_503_624, 1, 224, 232),
    ],
    "ShuffleNet_V2_X2_0_Weights": [
        ("IMAGENET1K_V1", "shufflenetv2_x2_0-8be3c8ee.pth", 7_393_996, 1, 224, 232),
    ],
    "SqueezeNet1_0_Weights": [
        ("IMAGENET1K_V1", "squeezenet1_0-b66bff10.pth", 1_248_424, 21, 224, 256),
    ],
    "SqueezeNet1_1_Weights": [
        ("IMAGENET1K_V1", "squeezenet1_1-b8a52dc0.pth", 1_235_496, 17, 224, 256),
    ],
    "Swin_B_Weights": [
        ("IMAGENET1K_V1", "swin_b-68c6b09e.pth", 87_768_224, 224, 224, 238, "bicubic"),
    ],
    "Swin_S_Weights": [
        ("IMAGENET1K_V1", "swin_s-5e29d889.pth", 49_606_258, 224, 224, 246, "bicubic"),
    ],
    "Swin_T_Weights": [
        ("IMAGENET1K_V1", "swin_t-704ceda3.pth", 28_288_354, 224, 224, 232, "bicubic"),
    ],
    "Swin_V2_B_Weights": [
        ("IMAGENET1K_V1", "swin_v2_b-781e5279.pth", 87_930_848, 256, 256, 272, "bicubic"),
    ],
    "Swin_V2_S_Weights": [
        ("IMAGENET1K_V1", "swin_v2_s-637d8ceb.pth", 49_737_442, 256, 256, 260, "bicubic"),
    ],
    "Swin_V2_T_Weights": [
        ("IMAGENET1K_V1", "swin_v2_t-b137f0e2.pth", 28_351_570, 256, 256, 260, "bicubic"),
    ],
    "VGG11_BN_Weights": [
        ("IMAGENET1K_V1", "vgg11_bn-6002323d.pth", 132_868_840, 32, 224, 256),
    ],
    "VGG11_Weights": [
        ("IMAGENET1K_V1", "vgg11-8a719046.pth", 132_863_336, 32, 224, 256),
    ],
    "VGG13_BN_Weights": [
        ("IMAGENET1K_V1", "vgg13_bn-abd245e5.pth", 133_053_736, 32, 224, 256),
    ],
    "VGG13_Weights": [
        ("IMAGENET1K_V1", "vgg13-19584684.pth", 133_047_848, 32, 224, 256),
    ],
    "VGG16_BN_Weights": [
        ("IMAGENET1K_V1", "vgg16_bn-6c64b313.pth", 138_365_992, 32, 224, 256),
    ],
    "VGG16_Weights": [
        ("IMAGENET1K_V1", "vgg16-397923af.pth", 138_357_544, 32, 224, 256),
        (
            "IMAGENET1K_FEATURES",
            "vgg16_features-amdegroot-88682ab5.pth",
            138_357_544,
            32,
            224,
            256,
            "bilinear",
            BYTES,
        ),
    ],
    "VGG19_BN_Weights": [
        ("IMAGENET1K_V1", "vgg19_bn-c79401a0.pth", 143_678_248, 32, 224, 256),
    ],
    "VGG19_Weights": [
        ("IMAGENET1K_V1", "vgg19-dcbb9e9d.pth", 143_667_240, 32, 224, 256),
    ],
    "ViT_B_16_Weights": [
        ("IMAGENET1K_V1", "vit_b_16-c867db91.pth", 86_567_656, 224, 224, 256),
        (
            "IMAGENET1K_SWAG_E2E_V1",
            "vit_b_16_swag-9ac1b537.pth",
            86_859_496,
            384,
            384,
            384,
            "bicubic",
        ),
        (
            "IMAGENET1K_SWAG_LINEAR_V1",
            "vit_b_16_lc_swag-4e70ced5.pth",
            86_567_656,
            224,
            224,
            224,
            "bicubic",
        ),
    ],
    "ViT_B_32_Weights": [
        ("IMAGENET1K_V1", "vit_b_32-d86f8d99.pth", 88_224_232, 224, 224, 256),
    ],
    "ViT_H_14_Weights": [
        (
            "IMAGENET1K_SWAG_E2E_V1",
            "vit_h_14_swag-80465313.pth",
            633_470_440,
            518,
            518,
            518,
            "bicubic",
        ),
        (
            "IMAGENET1K_SWAG_LINEAR_V1",
            "vit_h_14_lc_swag-c1eb923e.pth",
            632_045_800,
            224,
            224,
            224,
            "bicubic",
        ),
    ],
    "ViT_L_16_Weights": [
        ("IMAGENET1K_V1", "vit_l_16-852ce7e3.pth", 304_326_632, 224, 224, 242),
        (
            "IMAGENET1K_SWAG_E2E_V1",
            "vit_l_16_swag-4f3808c9.pth",
            305_174_504,
            512,
            512,
            512,
            "bicubic",
        ),
        (
            "IMAGENET1K_SWAG_LINEAR_V1",
            "vit_l_16_lc_swag-4d563306.pth",
            304_326_632,
            224,
            224,
            224,
            "bicubic",
        ),
    ],
    "ViT_L_32_Weights": [
        ("IMAGENET1K_V1", "vit_l_32-c7638314.pth", 306_535_400, 224, 224, 256),
    ],
    "Wide_ResNet101_2_Weights": [
        ("IMAGENET1K_V2", "wide_resnet101_2-d733dc28.pth", 126_886_696, 1, 224, 232),
        ("IMAGENET1K_V1", "wide_resnet101_2-32ee1156.pth", 126_886_696, 1, 224, 256),
    ],
    "Wide_ResNet50_2_Weights": [
        ("IMAGENET1K_V2", "wide_resnet50_2-9ba9bcbe.pth", 68_883_240, 1, 224, 232),
        ("IMAGENET1K_V1", "wide_resnet50_2-95faca4d.pth", 68_883_240, 1, 224, 256),
    ],
}
