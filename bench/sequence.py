"""Training steps of sequence models, Flambeau against PyTorch, side by side.

    python bench/sequence.py [--cases lstm,gru,transformer] [--rounds 7] [--seconds 0.3]
                             [--compile] [--losses 100]

Measured as in steps.py: a process for each framework, blocks of steps in turns. `--losses N` first
lays the losses of N steps from the same seed over each other and prints the largest relative
difference.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "bench")]

import models
import steps
from models import Built, Case


def recurrent(kind: str) -> Callable[[Any], Built]:
    """A layer of 128 over 50 steps of 128, batch 32; ten classes from the last step; Adam."""

    def build(torch: Any) -> Built:
        nn = torch.nn

        class Classifier(nn.Module):  # type: ignore[misc,name-defined]
            def __init__(self) -> None:
                super().__init__()
                self.layer = getattr(nn, kind)(128, 128, batch_first=True)
                self.head = nn.Linear(128, 10)

            def forward(self, x: Any) -> Any:
                return self.head(self.layer(x)[0][:, -1])

        model = Classifier()
        x = torch.randn(32, 50, 128)
        y = torch.randint(0, 10, (32,))
        optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
        return Built(model, nn.CrossEntropyLoss(), optimizer, x, y)

    return build


def transformer(torch: Any) -> Built:
    """A causal language model, 4 layers, 128 wide, 4 heads; 64 symbols, 12 x 64 tokens; AdamW."""
    nn = torch.nn

    class Model(nn.Module):  # type: ignore[misc,name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.symbols = nn.Embedding(64, 128)
            self.places = nn.Embedding(64, 128)
            layer = nn.TransformerEncoderLayer(
                128, 4, 512, dropout=0.0, activation="gelu", batch_first=True, norm_first=True
            )
            self.body = nn.TransformerEncoder(layer, 4, enable_nested_tensor=False)
            self.norm = nn.LayerNorm(128)
            self.head = nn.Linear(128, 64)
            mask = nn.Transformer.generate_square_subsequent_mask(64)
            self.register_buffer("mask", mask)
            self.register_buffer("positions", torch.arange(64))

        def forward(self, tokens: Any) -> Any:
            x = self.symbols(tokens) + self.places(self.positions)
            x = self.body(x, mask=self.mask, is_causal=True)
            return self.head(self.norm(x)).reshape(-1, 64)

    model = Model()
    x = torch.randint(0, 64, (12, 64))
    y = torch.randint(0, 64, (12 * 64,))
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-4)
    return Built(model, nn.CrossEntropyLoss(), optimizer, x, y)


CASES: dict[str, Case] = {
    "lstm": Case("LSTM 128-128, 50 steps, batch 32, Adam", recurrent("LSTM"), 1.5),
    "gru": Case("GRU 128-128, 50 steps, batch 32, Adam", recurrent("GRU"), 1.5),
    "transformer": Case("transformer LM 4x128, 4 heads, 12x64, AdamW", transformer, 1.5),
}


class Framework(steps.Framework):
    """As in steps.py, with the cases of this file."""

    script = __file__


def losses(case: str, count: int) -> None:
    """Prints how far apart `count` losses from the same seed are."""
    import importlib

    curves = []
    for name in ("torch", "flambeau"):
        module = importlib.import_module(name)
        module.manual_seed(0)
        built = CASES[case].build(module)
        curves.append([built.step() for _ in range(count)])
    apart = max(abs(a - b) / max(abs(a), 1e-3) for a, b in zip(*curves))
    ends = f"{curves[0][-1]:.6f} {curves[1][-1]:.6f}"
    print(f"{case}: {count} losses, at most {apart:.1e} apart (relative); last {ends}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description="Sequence models, Flambeau against PyTorch.")
    parser.add_argument("--cases", default=",".join(CASES), help="of: %(default)s")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=0.3, help="length of a block")
    parser.add_argument("--compile", action="store_true", help="also through flambeau.compile")
    parser.add_argument("--losses", type=int, default=0, help="compare so many losses")
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    # The server in steps.py builds what models.py lists.
    models.CASES.update(CASES)
    if chosen.serve:
        steps.serve(chosen.serve)
        return
    cases = chosen.cases.split(",")
    if unknown := set(cases) - set(CASES):
        parser.error(f"no case {', '.join(sorted(unknown))}; there are {', '.join(CASES)}")
    if chosen.losses:
        for case in cases:
            losses(case, chosen.losses)
    frameworks: list[steps.Framework] = [Framework(name) for name in ("torch", "flambeau")]
    columns = [steps.Column(framework, compiled=False) for framework in frameworks]
    if chosen.compile:
        columns.append(steps.Column(frameworks[1], compiled=True))
    try:
        for case in cases:
            steps.measure(case, columns, chosen.rounds, chosen.seconds)
            steps.report(case, columns)
    finally:
        for framework in frameworks:
            framework.close()


if __name__ == "__main__":
    main()
