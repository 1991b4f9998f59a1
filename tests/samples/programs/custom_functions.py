"""Autograd functions of one's own: a polynomial, a straight-through estimator, gradcheck."""

import math

import torch
from torch.autograd import Function, gradcheck

torch.manual_seed(0)


class LegendrePolynomial3(torch.autograd.Function):
    @staticmethod
    def forward(ctx, input):
        ctx.save_for_backward(input)
        return 0.5 * (5 * input**3 - 3 * input)

    @staticmethod
    def backward(ctx, grad_output):
        (input,) = ctx.saved_tensors
        return grad_output * 1.5 * (5 * input**2 - 1)


dtype = torch.float
device = torch.device("cpu")
x = torch.linspace(-math.pi, math.pi, 200, device=device, dtype=dtype)
y = torch.sin(x)
a = torch.full((), 0.0, device=device, dtype=dtype, requires_grad=True)
b = torch.full((), -1.0, device=device, dtype=dtype, requires_grad=True)
c = torch.full((), 0.0, device=device, dtype=dtype, requires_grad=True)
d = torch.full((), 0.3, device=device, dtype=dtype, requires_grad=True)
learning_rate = 5e-6
for t in range(60):
    P3 = LegendrePolynomial3.apply
    y_pred = a + b * P3(c + d * x)
    loss = (y_pred - y).pow(2).sum()
    if t % 20 == 19:
        print(t, loss.item())
    loss.backward()
    with torch.no_grad():
        a -= learning_rate * a.grad
        b -= learning_rate * b.grad
        c -= learning_rate * c.grad
        d -= learning_rate * d.grad
        a.grad = None
        b.grad = None
        c.grad = None
        d.grad = None
print(f"Result: y = {a.item():.4f} + {b.item():.4f} * P3({c.item():.4f} + {d.item():.4f} x)")
print(y_pred.grad_fn, P3(x.requires_grad_()).grad_fn.name())


class Exp(Function):
    @staticmethod
    def forward(i):
        return i.exp()

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.save_for_backward(output)

    @staticmethod
    def backward(ctx, grad_output):
        (result,) = ctx.saved_tensors
        return grad_output * result


class LinearFunction(Function):
    @staticmethod
    def forward(ctx, input, weight, bias=None):
        ctx.save_for_backward(input, weight, bias)
        output = input.mm(weight.t())
        if bias is not None:
            output += bias.unsqueeze(0).expand_as(output)
        return output

    @staticmethod
    def backward(ctx, grad_output):
        input, weight, bias = ctx.saved_tensors
        grad_input = grad_weight = grad_bias = None
        if ctx.needs_input_grad[0]:
            grad_input = grad_output.mm(weight)
        if ctx.needs_input_grad[1]:
            grad_weight = grad_output.t().mm(input)
        if bias is not None and ctx.needs_input_grad[2]:
            grad_bias = grad_output.sum(0)
        return grad_input, grad_weight, grad_bias


class MulConstant(Function):
    @staticmethod
    def forward(ctx, tensor, constant):
        ctx.constant = constant
        return tensor * constant

    @staticmethod
    def backward(ctx, grad_output):
        return grad_output * ctx.constant, None


class Round(Function):
    @staticmethod
    def forward(ctx, x):
        return torch.round(x)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, g):
        return g.clamp(-1, 1)


class GradReverse(Function):
    @staticmethod
    def forward(ctx, x, lambd):
        ctx.lambd = lambd
        return x.view_as(x)

    @staticmethod
    def backward(ctx, grad_output):
        return grad_output.neg() * ctx.lambd, None


z = torch.randn(3, 2, requires_grad=True)
Exp.apply(z).sum().backward()
print(torch.allclose(z.grad, z.detach().exp()))
inputs = (
    torch.randn(4, 5, dtype=torch.double, requires_grad=True),
    torch.randn(3, 5, dtype=torch.double, requires_grad=True),
    torch.randn(3, dtype=torch.double, requires_grad=True),
)
print(gradcheck(LinearFunction.apply, inputs, eps=1e-6, atol=1e-4))
print(gradcheck(MulConstant.apply, (inputs[0], 2.5)))
w = torch.tensor([0.4, 1.7, -2.2], requires_grad=True)
(Round.apply(w * 2) * torch.tensor([0.5, 2.0, -3.0])).sum().backward()
print(w.grad)
w.grad.zero_()
(GradReverse.apply(w, 0.1) ** 2).sum().backward()
print(w.grad)


class MyLinear(torch.nn.Module):
    def __init__(self, n_in, n_out):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.empty(n_out, n_in))
        self.bias = torch.nn.Parameter(torch.empty(n_out))
        torch.nn.init.uniform_(self.weight, -0.1, 0.1)
        torch.nn.init.uniform_(self.bias, -0.1, 0.1)

    def forward(self, input):
        return LinearFunction.apply(input, self.weight, self.bias)

    def extra_repr(self):
        return f"in_features={self.weight.shape[1]}, out_features={self.weight.shape[0]}"


net = torch.nn.Sequential(MyLinear(4, 3), torch.nn.ReLU(), MyLinear(3, 1))
print(net)
opt = torch.optim.SGD(net.parameters(), 0.1)
data = torch.randn(10, 4)
for _ in range(3):
    opt.zero_grad()
    out = (net(data) - 1).square().mean()
    out.backward()
    opt.step()
    print(round(out.item(), 4))
with torch.autograd.set_detect_anomaly(False):
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    y = x**2
    y.register_hook(lambda g: print("hook", g))
    y.retain_grad()
    y.sum().backward()
    print(y.grad, x.grad, x.is_leaf, y.is_leaf)
try:
    y.sum().backward()
    (y * 1).backward()
except RuntimeError as error:
    print(error)
