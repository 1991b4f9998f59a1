import torch
from pytorch_metric_learning import losses, miners, distances, reducers
torch.manual_seed(0)
e=torch.randn(32,16,requires_grad=True); y=torch.randint(0,5,(32,))
for L in (losses.TripletMarginLoss(),losses.ContrastiveLoss(),losses.NTXentLoss(),losses.ArcFaceLoss(5,16),losses.ProxyNCALoss(5,16),losses.SupConLoss(),losses.MultiSimilarityLoss(),losses.CircleLoss(),losses.AngularLoss()):
    l=L(e,y); e.grad=None; l.backward(); print(type(L).__name__,f'{l.item():.4f} {e.grad.abs().sum().item():.4f}')
mi=miners.MultiSimilarityMiner(); print([t.shape for t in mi(e,y)])
