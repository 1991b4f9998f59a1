"""Data loading and checkpoints, Flambeau against PyTorch and torchvision, side by side.

    python bench/data.py [--cases mnist,mlp,cnn,rows,cifar,vgg16] [--data FOLDER] [--threads 2]
                         [--rounds 5]

A process for each framework; they take turns, a whole epoch at a time. Figures are medians over
the rounds, ratios medians of the ratios within rounds; the first round is shown apart, since
compiling is part of it. `--data` holds `mnist/` (the four idx.gz files) and `cifar10_subset/`
(pickled batches in CIFAR-10's layout); without them, random pictures of the same sizes are used.
torchvision is imported as it is installed, or from the folder that FLAMBEAU_TORCHVISION names.
`vgg16` writes a state dict of 528 MB into a temporary folder.
"""

from __future__ import annotations

import argparse
import contextlib
import gzip
import json
import os
import pickle
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

ROOT = Path(__file__).resolve().parent.parent
Job = Callable[[], float]
# What torchvision declares in C++, which may not be there for this PyTorch.
DECLARED = (
    "nms qnms roi_align _roi_align_backward roi_pool _roi_pool_backward ps_roi_align "
    "_ps_roi_align_backward ps_roi_pool _ps_roi_pool_backward deform_conv2d "
    "_deform_conv2d_backward"
).split()


def frameworks(name: str) -> tuple[Any, Any]:
    """torch and torchvision under their names."""
    if name == "flambeau":
        sys.path.insert(0, str(ROOT))
        from flambeau import compat

        compat.install()
    import torch

    if name == "torch":
        if folder := os.environ.get("FLAMBEAU_TORCHVISION"):
            sys.path.append(folder)
        with contextlib.suppress(Exception):
            declared: Any = torch.library.Library("torchvision", "DEF")
            for op in DECLARED:
                declared.define(f"{op}(Tensor a, Tensor b, float c) -> Tensor")
            frameworks.kept = declared  # type: ignore[attr-defined]
    import torchvision

    return torch, torchvision


def timed(job: Callable[[], Any]) -> Job:
    def run() -> float:
        began = time.perf_counter()
        job()
        return time.perf_counter() - began

    return run


def mnist_root(data: Path, scratch: Path) -> Path:
    """A folder as torchvision's MNIST wants it: <root>/MNIST/raw/*-ubyte."""
    import numpy as np

    raw = scratch / "MNIST" / "raw"
    raw.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    for part, count in (("train", 60000), ("t10k", 10000)):
        for kind, shape in (("images-idx3", (count, 28, 28)), ("labels-idx1", (count,))):
            target, source = (
                raw / f"{part}-{kind}-ubyte",
                data / "mnist" / f"{part}-{kind}-ubyte.gz",
            )
            if target.exists():
                continue
            if source.exists():
                target.write_bytes(gzip.decompress(source.read_bytes()))
                continue
            head = (0x800 + len(shape)).to_bytes(4, "big")
            head += b"".join(size.to_bytes(4, "big") for size in shape)
            top = 256 if len(shape) == 3 else 10
            target.write_bytes(head + rng.integers(0, top, shape).astype(np.uint8).tobytes())
    return scratch


def mnist_loaders(torch: Any, vision: Any, root: Path) -> tuple[Any, Any]:
    transforms = vision.transforms
    pipeline = transforms.Compose(
        [transforms.ToTensor(), transforms.Normalize((0.1307,), (0.3081,))]
    )
    sets = [vision.datasets.MNIST(str(root), train=train, transform=pipeline) for train in (1, 0)]
    loader = torch.utils.data.DataLoader
    return loader(sets[0], batch_size=64, shuffle=True), loader(sets[1], batch_size=64)


def over_loader(loader: Any) -> Job:
    def job() -> None:
        seen = 0
        for _, y in loader:
            seen += len(y)
        assert seen == len(loader.dataset), seen

    return timed(job)


def mnist(torch: Any, vision: Any, data: Path, scratch: Path) -> Job:
    """An epoch of MNIST, batch 64, shuffled, ToTensor and Normalize: data alone."""
    return over_loader(mnist_loaders(torch, vision, mnist_root(data, scratch))[0])


def rows(torch: Any, vision: Any, data: Path, scratch: Path) -> Job:
    """An epoch of a TensorDataset of 100,000 rows of 20, batch 32, shuffled."""
    torch.manual_seed(0)
    x, y = torch.rand(100_000, 20), torch.randint(0, 2, (100_000,))
    assert x[0, 0].item() >= 0 <= y[0].item()  # drawn before the clock runs
    return over_loader(_shuffled(torch, x, y))


def numpy_rows(torch: Any, vision: Any, data: Path, scratch: Path) -> Job:
    """The same of memory that NumPy still holds: it has to be read anew for each batch."""
    import numpy as np

    rng = np.random.default_rng(0)
    x, y = rng.random((100_000, 20), np.float32), rng.integers(0, 2, 100_000)
    job = over_loader(_shuffled(torch, torch.from_numpy(x), torch.from_numpy(y)))
    held = (x, y)
    return lambda held=held: job()  # type: ignore[misc]


def _shuffled(torch: Any, x: Any, y: Any) -> Any:
    dataset = torch.utils.data.TensorDataset(x, y)
    return torch.utils.data.DataLoader(dataset, batch_size=32, shuffle=True)


def cifar(torch: Any, vision: Any, data: Path, scratch: Path) -> Job:
    """An epoch of CIFAR-10 pictures, batch 64: RandomCrop(32, 4), flip, ToTensor, Normalize."""
    import numpy as np

    class Subset(vision.datasets.CIFAR10):  # type: ignore[misc,name-defined]
        train_list: ClassVar[Any] = [["data_batch_1", None]]
        test_list: ClassVar[Any] = [["test_batch", None]]
        meta: ClassVar[Any] = {"filename": "batches.meta", "key": "label_names", "md5": None}

        def _check_integrity(self) -> bool:
            return True

        def _load_meta(self) -> None:
            self.classes = [str(n) for n in range(10)]

    folder = scratch / "cifar-10-batches-py"
    folder.mkdir(exist_ok=True)
    given = data / "cifar10_subset" / "data_batch_1"
    if given.exists():
        content = given.read_bytes()
    else:
        rng = np.random.default_rng(0)
        pictures = rng.integers(0, 256, (4000, 3072)).astype(np.uint8)
        content = pickle.dumps({"data": pictures, "labels": rng.integers(0, 10, 4000).tolist()})
    (folder / "data_batch_1").write_bytes(content)
    names = {"label_names": [str(n) for n in range(10)]}
    (folder / "batches.meta").write_bytes(pickle.dumps(names))
    transforms = vision.transforms
    pipeline = transforms.Compose(
        [
            transforms.RandomCrop(32, padding=4),
            transforms.RandomHorizontalFlip(),
            transforms.ToTensor(),
            transforms.Normalize((0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)),
        ]
    )
    dataset = Subset(str(scratch), train=True, transform=pipeline)
    return over_loader(torch.utils.data.DataLoader(dataset, batch_size=64, shuffle=True))


def script(torch: Any, vision: Any, root: Path, model: Any, optimizer: Any, rate: float) -> Job:
    """Load, train an epoch, test."""
    nn = torch.nn

    def job() -> None:
        train, test = mnist_loaders(torch, vision, root)
        torch.manual_seed(1)
        network = model(nn)
        update = optimizer(network.parameters(), lr=rate)
        criterion = nn.CrossEntropyLoss()
        network.train()
        for step, (x, y) in enumerate(train):
            update.zero_grad()
            loss = criterion(network(x), y)
            loss.backward()
            update.step()
            if step % 300 == 299:
                loss.item()
        network.eval()
        right = 0
        with torch.no_grad():
            for x, y in test:
                right += (network(x).argmax(1) == y).sum().item()
        assert right > 5000 or not (root / "real").exists(), right

    return timed(job)


def mlp(torch: Any, vision: Any, data: Path, scratch: Path) -> Job:
    """The notes' MNIST program with an MLP 784-512-256-128-64-10, SGD: load, train, test."""

    def model(nn: Any) -> Any:
        layers: list[Any] = [nn.Flatten()]
        for before, after in ((784, 512), (512, 256), (256, 128), (128, 64)):
            layers += [nn.Linear(before, after), nn.ReLU()]
        return nn.Sequential(*layers, nn.Linear(64, 10))

    def sgd(parameters: Any, lr: float) -> Any:
        return torch.optim.SGD(parameters, lr=lr, momentum=0.5)

    return script(torch, vision, mnist_root(data, scratch), model, sgd, 0.01)


def cnn(torch: Any, vision: Any, data: Path, scratch: Path) -> Job:
    """The notes' MNIST program with a CNN 1-10-20 (5x5, pool 2), SGD: load, train, test."""

    def model(nn: Any) -> Any:
        return nn.Sequential(
            *(nn.Conv2d(1, 10, 5), nn.MaxPool2d(2), nn.ReLU()),
            *(nn.Conv2d(10, 20, 5), nn.MaxPool2d(2), nn.ReLU()),
            *(nn.Flatten(), nn.Linear(320, 10)),
        )

    def sgd(parameters: Any, lr: float) -> Any:
        return torch.optim.SGD(parameters, lr=lr, momentum=0.5)

    return script(torch, vision, mnist_root(data, scratch), model, sgd, 0.01)


def vgg16(torch: Any, vision: Any, data: Path, scratch: Path) -> Job:
    """torch.load of a VGG16 state dict (528 MB) from memory the file system has read before."""
    path = scratch / "vgg16.pt"
    if not path.exists():
        torch.save(vision.models.vgg16().state_dict(), path)

    def job() -> None:
        state = torch.load(path)
        assert len(state) == 32

    return timed(job)


CASES = {case.__name__: case for case in (mnist, mlp, cnn, rows, numpy_rows, cifar, vgg16)}


def read_time(path: Path) -> float:
    """Seconds to read a file that lies in the page cache into fresh memory."""
    began = time.perf_counter()
    memory = bytearray(path.stat().st_size)
    with path.open("rb", buffering=0) as file:
        file.readinto(memory)
    return time.perf_counter() - began


def serve(name: str, case: str, data: Path, scratch: Path, threads: int) -> None:
    """Answers each line on stdin with the seconds of one run."""
    torch, vision = frameworks(name)
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    job = CASES[case](torch, vision, data, scratch)
    for _ in sys.stdin:
        print(json.dumps(job()), flush=True)


def measured(case: str, options: argparse.Namespace, scratch: Path) -> None:
    # As after a first run: with the variable every process would compile all that it imports.
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    workers = {}
    for name in ("torch", "flambeau"):
        command = [sys.executable, __file__, "--serve", name, "--cases", case]
        command += ["--data", str(options.data), "--threads", str(options.threads)]
        workers[name] = subprocess.Popen(
            [*command, "--scratch", str(scratch)],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
    times: dict[str, list[float]] = {name: [] for name in workers}
    reads = []
    for turn in range(options.rounds + 1):
        for name, worker in [*workers.items()][:: 1 if turn % 2 else -1]:
            assert worker.stdin is not None
            assert worker.stdout is not None
            worker.stdin.write("\n")
            worker.stdin.flush()
            times[name].append(json.loads(worker.stdout.readline()))
        if case == "vgg16":
            reads.append(read_time(scratch / "vgg16.pt"))
    for worker in workers.values():
        assert worker.stdin is not None
        worker.stdin.close()
        worker.wait()
    theirs, ours = times["torch"], times["flambeau"]
    ratios = [a / b for a, b in zip(theirs[1:], ours[1:])]
    line = (
        f"{case:6} PyTorch {statistics.median(theirs[1:]):8.3f} s   "
        f"Flambeau {statistics.median(ours[1:]):8.3f} s   ratio {statistics.median(ratios):6.1f}"
        f"   first round {theirs[0]:.3f} / {ours[0]:.3f} s = {theirs[0] / ours[0]:.1f}"
    )
    if reads:
        share = statistics.median(b / r for b, r in zip(ours[1:], reads[1:]))
        line += f"   times the reading of the file: {share:.2f}"
    print(line, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--cases", default=",".join(CASES))
    parser.add_argument("--data", type=Path, default=ROOT / "data")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    parser.add_argument("--scratch", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve(options.serve, options.cases, options.data, options.scratch, options.threads)
        return
    with tempfile.TemporaryDirectory() as folder:
        for case in options.cases.split(","):
            measured(case, options, Path(folder))


if __name__ == "__main__":
    main()
