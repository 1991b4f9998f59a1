import torch, timm
torch.manual_seed(0)
for n in ('resnet18','vit_tiny_patch16_224','efficientnet_b0','convnext_atto','mobilenetv3_small_050','densenet121'):
    k={'img_size':64} if 'vit' in n else {}
    m=timm.create_model(n,pretrained=False,num_classes=4,**k).eval(); o=m(torch.randn(1,3,64,64)); print(n,o.detach(), sum(p.numel() for p in m.parameters()))
