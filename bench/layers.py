"""Recurrent and attention layers beside PyTorch: training steps, and inference with GPT-2.

    python bench/layers.py [--cases lstm,gru,transformer] [--threads 1] [--rounds 7]
                           [--seconds 0.3] [--compile] [--losses 100]

Measured as in steps.py: a process for each framework, blocks of steps in turns. `--losses N` first
lays the losses of N steps from the same seed over each other and prints the largest relative
difference.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "bench")]

import cases
from models import Built, Case, Inference


def classifier(kind: str, hidden: int = 128, length: int = 50) -> Callable[[Any], Built]:
    """A recurrent layer, batch 32; ten classes from the last step; Adam."""

    def build(torch: Any) -> Built:
        nn = torch.nn

        class Classifier(nn.Module):  # type: ignore[misc,name-defined]
            def __init__(self) -> None:
                super().__init__()
                self.layer = getattr(nn, kind)(hidden, hidden, batch_first=True)
                self.head = nn.Linear(hidden, 10)

            def forward(self, x: Any) -> Any:
                return self.head(self.layer(x)[0][:, -1])

        model = Classifier()
        x = torch.randn(32, length, hidden)
        y = torch.randint(0, 10, (32,))
        optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
        return Built(model, nn.CrossEntropyLoss(), optimizer, x, y)

    return build


def characters(kind: str, hidden: int, layers: int) -> Callable[[Any], Built]:
    """A character model: 64 symbols, 32 x 64 of them, each predicted from those before; Adam."""

    def build(torch: Any) -> Built:
        nn = torch.nn

        class Model(nn.Module):  # type: ignore[misc,name-defined]
            def __init__(self) -> None:
                super().__init__()
                self.symbols = nn.Embedding(64, hidden)
                self.body = getattr(nn, kind)(hidden, hidden, layers, batch_first=True)
                self.head = nn.Linear(hidden, 64)

            def forward(self, tokens: Any) -> Any:
                return self.head(self.body(self.symbols(tokens))[0]).reshape(-1, 64)

        model = Model()
        x = torch.randint(0, 64, (32, 64))
        y = torch.randint(0, 64, (32 * 64,))
        optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
        return Built(model, nn.CrossEntropyLoss(), optimizer, x, y)

    return build


def transformer(
    layers: int, batch: int, length: int, dropout: float = 0.0, activation: str = "gelu"
) -> Callable[[Any], Built]:
    """A causal language model of 64 symbols, 128 wide, 4 heads, inner width 512; AdamW."""

    def build(torch: Any) -> Built:
        nn = torch.nn

        class Model(nn.Module):  # type: ignore[misc,name-defined]
            def __init__(self) -> None:
                super().__init__()
                self.symbols = nn.Embedding(64, 128)
                self.places = nn.Embedding(length, 128)
                layer = nn.TransformerEncoderLayer(
                    128,
                    4,
                    512,
                    dropout=dropout,
                    activation=activation,
                    batch_first=True,
                    norm_first=True,
                )
                self.body = nn.TransformerEncoder(layer, layers, enable_nested_tensor=False)
                self.norm = nn.LayerNorm(128)
                self.head = nn.Linear(128, 64)
                mask = nn.Transformer.generate_square_subsequent_mask(length)
                self.register_buffer("mask", mask)
                self.register_buffer("positions", torch.arange(length))

            def forward(self, tokens: Any) -> Any:
                x = self.symbols(tokens) + self.places(self.positions)
                x = self.body(x, mask=self.mask, is_causal=True)
                return self.head(self.norm(x)).reshape(-1, 64)

        model = Model()
        x = torch.randint(0, 64, (batch, length))
        y = torch.randint(0, 64, (batch * length,))
        optimizer = torch.optim.AdamW(model.parameters(), lr=3e-4)
        return Built(model, nn.CrossEntropyLoss(), optimizer, x, y)

    return build


def gpt(blocks: int, batch: int, places: int, by_hand: bool = False) -> Callable[[Any], Built]:
    """Pre-norm blocks as small GPTs write them, 128 wide with a joint projection; AdamW. `by_hand`:
    their attention is written out, with a mask in a buffer.
    """

    def build(torch: Any) -> Built:
        nn = torch.nn
        functional = nn.functional

        class Block(nn.Module):  # type: ignore[misc,name-defined]
            def __init__(self) -> None:
                super().__init__()
                self.first, self.second = nn.LayerNorm(128), nn.LayerNorm(128)
                self.joint, self.out = nn.Linear(128, 384), nn.Linear(128, 128)
                self.wide, self.narrow = nn.Linear(128, 512), nn.Linear(512, 128)
                if by_hand:
                    self.register_buffer("mask", torch.tril(torch.ones(places, places)))

            def attend(self, q: Any, k: Any, v: Any) -> Any:
                if not by_hand:
                    return functional.scaled_dot_product_attention(q, k, v, is_causal=True)
                scores = (q @ k.transpose(-2, -1)) * 32**-0.5
                hidden = self.mask[: q.shape[2], : q.shape[2]] == 0
                return functional.softmax(scores.masked_fill(hidden, float("-inf")), dim=-1) @ v

            def forward(self, x: Any) -> Any:
                n, length, width = x.shape
                parts = self.joint(self.first(x)).split(width, dim=2)
                q, k, v = (part.view(n, length, 4, 32).transpose(1, 2) for part in parts)
                y = self.attend(q, k, v).transpose(1, 2).contiguous().view(n, length, width)
                x = x + self.out(y)
                return x + self.narrow(functional.gelu(self.wide(self.second(x))))

        model = nn.Sequential(*[Block() for _ in range(blocks)])
        x, y = torch.randn(batch, places, 128), torch.randn(batch, places, 128)
        optimizer = torch.optim.AdamW(model.parameters(), lr=3e-4)
        return Built(model, nn.MSELoss(), optimizer, x, y)

    return build


def padded_encoder(torch: Any) -> Built:
    """Two encoder layers over 16 x 128 places, some of them padding; AdamW."""
    nn = torch.nn

    class Model(nn.Module):  # type: ignore[misc,name-defined]
        def __init__(self) -> None:
            super().__init__()
            layer = nn.TransformerEncoderLayer(128, 4, 512, dropout=0.0, batch_first=True)
            self.body = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
            lengths = torch.arange(128 - 15 * 4, 129, 4)
            self.register_buffer("padding", torch.arange(128)[None, :] >= lengths[:, None])

        def forward(self, x: Any) -> Any:
            return self.body(x, src_key_padding_mask=self.padding)

    model = Model()
    x, y = torch.randn(16, 128, 128), torch.randn(16, 128, 128)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-4)
    return Built(model, nn.MSELoss(), optimizer, x, y)


@dataclass(frozen=True)
class Generation:
    """Tokens one by one behind a prompt, each from the keys and values of those before."""

    torch: Any
    model: Any
    x: Any
    count: int

    def step(self) -> float:
        with self.torch.no_grad():
            logits, known = self.model(self.x)
            total = 0
            for _ in range(self.count):
                token = logits[:, -1].argmax(dim=-1, keepdim=True)
                total += int(token.item())
                logits, known = self.model(token, known)
        return float(total)


def gpt2(torch: Any) -> Any:
    """GPT-2 small: 12 layers x 768, 12 heads, 50257 symbols, as Hugging Face's is composed."""
    nn = torch.nn
    functional = nn.functional

    class Block(nn.Module):  # type: ignore[misc,name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = nn.LayerNorm(768), nn.LayerNorm(768)
            self.joint, self.out = nn.Linear(768, 3 * 768), nn.Linear(768, 768)
            self.wide, self.narrow = nn.Linear(768, 4 * 768), nn.Linear(4 * 768, 768)

        def forward(self, x: Any, known: Any) -> Any:
            n, length, width = x.shape
            parts = self.joint(self.first(x)).split(width, dim=2)
            q, k, v = (part.view(n, length, 12, 64).transpose(1, 2) for part in parts)
            if known is not None:
                k = torch.cat([known[0], k], dim=2)
                v = torch.cat([known[1], v], dim=2)
            y = functional.scaled_dot_product_attention(q, k, v, is_causal=known is None)
            x = x + self.out(y.transpose(1, 2).reshape(n, length, width))
            wide = functional.gelu(self.wide(self.second(x)), approximate="tanh")
            return x + self.narrow(wide), (k, v)

    class Model(nn.Module):  # type: ignore[misc,name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.symbols, self.places = nn.Embedding(50257, 768), nn.Embedding(1024, 768)
            self.body = nn.ModuleList([Block() for _ in range(12)])
            self.norm = nn.LayerNorm(768)

        def forward(self, tokens: Any, known: Any = None) -> Any:
            start = 0 if known is None else known[0][0].shape[2]
            places = torch.arange(start, start + tokens.shape[1])
            x = self.symbols(tokens) + self.places(places)
            after = []
            for number, block in enumerate(self.body):
                x, kept = block(x, None if known is None else known[number])
                after.append(kept)
            return self.norm(x) @ self.symbols.weight.T, after

    return Model().eval()


def gpt2_inference(torch: Any) -> Inference:
    """The logits of 1 x 128 tokens."""
    return Inference(
        torch, gpt2(torch), torch.randint(0, 50257, (1, 128)), lambda out: out[0][0, -1]
    )


def gpt2_generation(torch: Any) -> Generation:
    """Eight tokens behind a prompt of 16."""
    return Generation(torch, gpt2(torch), torch.randint(0, 50257, (1, 16)), 8)


def vocabulary(width: int, optimizer: str) -> Callable[[Any], Built]:
    """Ten classes of 12 x 64 words out of 50,257, each by itself: nearly all is the table."""

    def build(torch: Any) -> Built:
        nn = torch.nn
        words = nn.Embedding(50257, width)
        model = nn.Sequential(words, nn.Flatten(0, 1), nn.Tanh(), nn.Linear(width, 10))
        x = torch.randint(0, 50257, (12, 64))
        y = torch.randint(0, 10, (12 * 64,))
        chosen = getattr(torch.optim, optimizer)(model.parameters(), lr=1e-3)
        return Built(model, nn.CrossEntropyLoss(), chosen, x, y)

    return build


CASES: dict[str, Case] = {
    "lstm": Case("LSTM 128-128, 50 steps, batch 32, Adam", classifier("LSTM"), 1.5),
    "gru": Case("GRU 128-128, 50 steps, batch 32, Adam", classifier("GRU"), 1.5),
    "lstm_chars": Case("char LSTM 2x128, 64 steps, b. 32, Adam", characters("LSTM", 128, 2), 1.5),
    "lstm_wide": Case("char LSTM 1x256, 64 steps, b. 32, Adam", characters("LSTM", 256, 1), 1.5),
    "gru_chars": Case("char GRU 2x128, 64 steps, b. 32, Adam", characters("GRU", 128, 2), 1.5),
    "transformer": Case("transformer 4x128, 12x64, AdamW", transformer(4, 12, 64), 1.5),
    "transformer_long": Case(
        "transformer 2x128, ReLU, 16x128, AdamW", transformer(2, 16, 128, 0.0, "relu"), 1.5
    ),
    "transformer_dropout": Case(
        "transformer 2x128, dropout 0.1, 16x64", transformer(2, 16, 64, 0.1, "relu"), 1.5
    ),
    "gpt_block": Case("GPT block 128, 4 heads, 16x64, AdamW", gpt(1, 16, 64), 1.5),
    "gpt_by_hand": Case("4 GPT blocks by hand, 12x64, AdamW", gpt(4, 12, 64, by_hand=True), 1.5),
    "gpt_by_hand_long": Case(
        "1 GPT block by hand, 4x512, AdamW", gpt(1, 4, 512, by_hand=True), 1.5
    ),
    "encoder_padded": Case("encoder 2x128, padding, 16x128, AdamW", padded_encoder, 1.5),
    "vocabulary_sgd": Case("50,257 words of 128, 12x64, SGD", vocabulary(128, "SGD"), 1.5),
    "vocabulary_sgd_wide": Case("50,257 words of 768, 12x64, SGD", vocabulary(768, "SGD"), 1.5),
    "vocabulary_adam": Case("50,257 words of 128, 12x64, Adam", vocabulary(128, "Adam"), 1.5),
    "vocabulary_adam_wide": Case("50,257 words of 768, 12x64, Adam", vocabulary(768, "Adam"), 1.5),
    "gpt2": Case("GPT-2 small, 1x128 tokens", gpt2_inference, 1.2),
    "gpt2_generation": Case("GPT-2 small, 8 tokens one by one", gpt2_generation, 1.0),
}


def main() -> None:
    options = cases.parser(
        "Recurrent and attention layers, Flambeau against PyTorch.", CASES, 7, 0.3
    )
    options.add_argument("--compile", action="store_true", help="also through flambeau.compile")
    cases.run(CASES, __file__, options)


if __name__ == "__main__":
    main()
