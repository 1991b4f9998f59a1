"""What `flambeau run --progress` and `flambeau.progress` cost a step.

    python3 bench/progress.py [--rounds 5]

One process trains an MLP 8-6-4-1 over a DataLoader (batch 32), reading the loss each step: as it
is, with the hooks of `--progress` (drawing to a pseudo-terminal's width, into memory), and with
`flambeau.progress` around the loader. Ways take turns; medians of the rounds are shown.
"""

import argparse
import io
import statistics
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import flambeau as torch
from flambeau.cli import progress as cli


def training():
    torch.manual_seed(0)
    data = torch.utils.data.TensorDataset(torch.randn(32 * 2000, 8), torch.randn(32 * 2000, 1))
    loader = torch.utils.data.DataLoader(data, batch_size=32)
    layers = [torch.nn.Linear(8, 6), torch.nn.ReLU(), torch.nn.Linear(6, 4), torch.nn.ReLU()]
    model = torch.nn.Sequential(*layers, torch.nn.Linear(4, 1))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    loss_of = torch.nn.MSELoss()

    def epoch(batches):
        began = time.perf_counter()
        for x, y in batches:
            loss = loss_of(model(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            loss.item()
        return (time.perf_counter() - began) / len(loader)

    return loader, epoch


class Terminal(io.StringIO):
    def isatty(self):
        return True


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    loader, epoch = training()
    plain_iter, plain_item = torch.utils.data.DataLoader.__iter__, torch.Tensor.item
    seen = {"as it is": [], "--progress": [], "flambeau.progress": []}
    epoch(loader)
    errors, sys.stderr = sys.stderr, Terminal()
    try:
        for _ in range(rounds):
            seen["as it is"].append(epoch(loader))
            watch = cli.Watch("terminal")
            watch.start()
            seen["--progress"].append(epoch(loader))
            watch._end()
            torch.utils.data.DataLoader.__iter__, torch.Tensor.item = plain_iter, plain_item
            seen["flambeau.progress"].append(epoch(torch.progress(loader)))
    finally:
        sys.stderr = errors
    base = statistics.median(seen["as it is"])
    for name, times in seen.items():
        median = statistics.median(times)
        print(f"{name:<18} {1e6 * median:7.2f} us a step  {100 * (median / base - 1):+.1f} %")


if __name__ == "__main__":
    main()
