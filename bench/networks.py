"""Networks of images that are measured, written once for both frameworks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

Tensor = Any


@dataclass(frozen=True)
class Pairs:
    """A network of two inputs, ready to train; `step` is as in models.Built."""

    model: Any
    loss: Any
    optimizer: Any
    x: tuple[Tensor, Tensor]
    y: Tensor

    def step(self) -> float:
        value: float = self.whole(self.x, self.y).item()
        return value

    def whole(self, x: tuple[Tensor, Tensor], y: Tensor) -> Tensor:
        self.optimizer.zero_grad()
        loss = self.loss(self.model(*x), y)
        loss.backward()
        self.optimizer.step()
        return loss


def omniglot(torch: Any) -> Pairs:
    """64x64 pictures and 30 alphabets: Conv(1,16,3)-pool-ELU-Linear(16384,128), Linear(30,8), 964
    classes.
    """
    nn = torch.nn

    class Net(nn.Module):  # type: ignore[misc,name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.image = nn.Sequential(
                nn.Conv2d(1, 16, 3, padding=1),
                nn.MaxPool2d(2),
                nn.ELU(),
                nn.Flatten(),
                nn.Linear(16 * 32 * 32, 128),
                nn.ELU(),
            )
            self.alphabet = nn.Sequential(nn.Linear(30, 8), nn.ELU())
            self.classifier = nn.Sequential(nn.Linear(128 + 8, 964))

        def forward(self, image: Any, alphabet: Any) -> Any:
            both = torch.cat((self.image(image), self.alphabet(alphabet)), dim=1)
            return self.classifier(both)

    model = Net()
    x = torch.randn(32, 1, 64, 64), torch.nn.functional.one_hot(torch.arange(32) % 30, 30).float()
    y = torch.randint(0, 964, (32,))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    return Pairs(model, nn.CrossEntropyLoss(), optimizer, x, y)


def cifar(torch: Any) -> Any:
    """Three times conv, BatchNorm, ReLU, pool; 32, 64, 128 channels."""
    nn = torch.nn
    layers = []
    for c, o in ((3, 32), (32, 64), (64, 128)):
        layers += [nn.Conv2d(c, o, 3, padding=1), nn.BatchNorm2d(o), nn.ReLU(), nn.MaxPool2d(2)]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(128 * 16, 10))


def vgg16(torch: Any) -> Any:
    """VGG16 with its three large layers."""
    nn = torch.nn
    layers, c = [], 3
    for count, o in ((2, 64), (2, 128), (3, 256), (3, 512), (3, 512)):
        for _ in range(count):
            layers += [nn.Conv2d(c, o, 3, padding=1), nn.ReLU(inplace=True)]
            c = o
        layers.append(nn.MaxPool2d(2))
    head = [nn.Linear(512 * 49, 4096), nn.ReLU(True), nn.Dropout(), nn.Linear(4096, 4096)]
    return nn.Sequential(
        *layers, nn.Flatten(), *head, nn.ReLU(True), nn.Dropout(), nn.Linear(4096, 1000)
    )


def _residual(torch: Any) -> Any:
    nn = torch.nn

    class Residual(nn.Module):  # type: ignore[misc,name-defined]
        """ReLU of what a body and a shortcut make."""

        def __init__(self, body: Any, shortcut: Any) -> None:
            super().__init__()
            self.body, self.shortcut = body, shortcut
            self.last = nn.ReLU(inplace=True)

        def forward(self, x: Any) -> Any:
            return self.last(self.body(x) + self.shortcut(x))

    return Residual


def _resnet(torch: Any, counts: tuple[int, ...], bottleneck: bool) -> Any:
    nn = torch.nn
    residual = _residual(torch)

    def conv(c: int, o: int, k: int, s: int) -> list[Any]:
        return [nn.Conv2d(c, o, k, s, k // 2, bias=False), nn.BatchNorm2d(o)]

    layers = [*conv(3, 64, 7, 2), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2, 1)]
    c = 64
    for stage, count in enumerate(counts):
        width = 64 << stage
        for number in range(count):
            s = 2 if stage and not number else 1
            if bottleneck:
                o = 4 * width
                parts = [*conv(c, width, 1, 1), nn.ReLU(inplace=True)]
                parts += [*conv(width, width, 3, s), nn.ReLU(inplace=True), *conv(width, o, 1, 1)]
            else:
                o = width
                parts = [*conv(c, o, 3, s), nn.ReLU(inplace=True), *conv(o, o, 3, 1)]
            same = s == 1 and c == o
            shortcut = nn.Identity() if same else nn.Sequential(*conv(c, o, 1, s))
            layers.append(residual(nn.Sequential(*parts), shortcut))
            c = o
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(c, 1000))


def resnet18(torch: Any) -> Any:
    """ResNet-18."""
    return _resnet(torch, (2, 2, 2, 2), False)


def resnet50(torch: Any) -> Any:
    """ResNet-50 (strides in the 3x3 convolutions)."""
    return _resnet(torch, (3, 4, 6, 3), True)


def mobilenet_v2(torch: Any) -> Any:
    """MobileNet-v2."""
    nn = torch.nn

    class Sum(nn.Module):  # type: ignore[misc,name-defined]
        def __init__(self, body: Any) -> None:
            super().__init__()
            self.body = body

        def forward(self, x: Any) -> Any:
            return x + self.body(x)

    def conv(c: int, o: int, k: int, s: int, groups: int = 1) -> list[Any]:
        return [nn.Conv2d(c, o, k, s, k // 2, groups=groups, bias=False), nn.BatchNorm2d(o)]

    layers = [*conv(3, 32, 3, 2), nn.ReLU6(inplace=True)]
    c = 32
    rows = (1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2)
    for t, o, count, stride in (*rows, (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1)):
        for number in range(count):
            s = 1 if number else stride
            wide = c * t
            parts = [*conv(c, wide, 1, 1), nn.ReLU6(inplace=True)] if t > 1 else []
            parts += [*conv(wide, wide, 3, s, wide), nn.ReLU6(inplace=True), *conv(wide, o, 1, 1)]
            body = nn.Sequential(*parts)
            layers.append(Sum(body) if s == 1 and c == o else body)
            c = o
    layers += [*conv(c, 1280, 1, 1), nn.ReLU6(inplace=True)]
    head = [nn.Dropout(0.2), nn.Linear(1280, 1000)]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), *head)
