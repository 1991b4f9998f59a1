import torch, warnings, logging
warnings.simplefilter('ignore'); logging.getLogger('lightning.pytorch').setLevel(logging.ERROR)
import lightning as L
from torch import nn
from torch.utils.data import DataLoader, TensorDataset
L.seed_everything(0, verbose=False)
X=torch.randn(128,6); y=(X[:,:2].sum(1)>0).long()
class M(L.LightningModule):
    def __init__(self): super().__init__(); self.net=nn.Sequential(nn.Linear(6,16),nn.ReLU(),nn.Linear(16,2)); self.save_hyperparameters()
    def training_step(self,b,i): l=nn.functional.cross_entropy(self.net(b[0]),b[1]); self.log('loss',l); return l
    def validation_step(self,b,i): self.log('acc',(self.net(b[0]).argmax(1)==b[1]).float().mean())
    def configure_optimizers(self): return torch.optim.Adam(self.parameters(),1e-2)
m=M(); d=DataLoader(TensorDataset(X,y),16,shuffle=True)
import tempfile
with tempfile.TemporaryDirectory() as t:
    tr=L.Trainer(max_epochs=3,accelerator='cpu',enable_progress_bar=False,logger=False,enable_model_summary=False,default_root_dir=t)
    tr.fit(m,d,DataLoader(TensorDataset(X,y),32)); print({k:round(v.item(),4) for k,v in tr.callback_metrics.items()})
    tr.save_checkpoint(t+'/x.ckpt'); n=M.load_from_checkpoint(t+'/x.ckpt',weights_only=False); print((n.net[0].weight==m.net[0].weight).all()); print(tr.validate(m,DataLoader(TensorDataset(X,y),32),verbose=False))
