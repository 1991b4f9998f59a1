"""Linear regression with nn.Module, a loss and an optimizer: three points on a line."""

import torch

torch.manual_seed(0)

x_data = torch.tensor([[1.0], [2.0], [3.0]])
y_data = torch.tensor([[2.0], [4.0], [6.0]])


class LinearModel(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = torch.nn.Linear(1, 1)

    def forward(self, x):
        return self.linear(x)


model = LinearModel()
criterion = torch.nn.MSELoss(reduction="sum")
optimizer = torch.optim.SGD(model.parameters(), lr=0.01)

for epoch in range(1000):
    y_pred = model(x_data)
    loss = criterion(y_pred, y_data)
    if epoch % 200 == 0:
        print(f"epoch {epoch:4}  loss {loss.item():.6f}")
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()

print("w =", model.linear.weight.item())
print("b =", model.linear.bias.item())
prediction = model(torch.tensor([[4.0]]))
print("prediction for 4:", prediction.data)
assert abs(prediction.item() - 8.0) < 0.1
