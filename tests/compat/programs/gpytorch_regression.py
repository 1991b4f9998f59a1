import torch, gpytorch, math, warnings
warnings.simplefilter('ignore')
torch.manual_seed(0)
x=torch.linspace(0,1,40); y=torch.sin(x*2*math.pi)+0.1*torch.randn(40)
class M(gpytorch.models.ExactGP):
    def __init__(s,x,y,l): super().__init__(x,y,l); s.mean_module=gpytorch.means.ConstantMean(); s.covar_module=gpytorch.kernels.ScaleKernel(gpytorch.kernels.RBFKernel())
    def forward(s,x): return gpytorch.distributions.MultivariateNormal(s.mean_module(x),s.covar_module(x))
l=gpytorch.likelihoods.GaussianLikelihood(); m=M(x,y,l); m.train(); l.train(); o=torch.optim.Adam(m.parameters(),0.1); mll=gpytorch.mlls.ExactMarginalLogLikelihood(l,m)
for i in range(8):
    o.zero_grad(); loss=-mll(m(x),y); loss.backward(); o.step(); print(f'{loss.item():.3f} {m.covar_module.base_kernel.lengthscale.item():.3f} {m.likelihood.noise.item():.3f}')
m.eval(); l.eval()
with torch.no_grad(): p=l(m(torch.linspace(0,1,5))); print(p.mean, p.confidence_region()[0])
