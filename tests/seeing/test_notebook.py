"""In notebooks: modules as trees, tensors with their text, and the magic `%flambeau`."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

import flambeau
from flambeau import nn

ROOT = Path(__file__).resolve().parents[2]


class Text(HTMLParser):
    """The text of a page; fails where elements do not close."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.text = ""
        self.most = 0
        self.feed(html)
        assert not self.open

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.open.append(tag)
        self.most = max(self.most, self.open.count("details"))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def test_a_module_is_a_tree() -> None:
    class Odd(nn.Module):
        def __init__(self):
            super().__init__()
            self.none = None
            self.register_module("missing", None)
            self.inner = nn.Sequential(nn.Linear(3, 4), nn.Sequential(nn.ReLU()))

        def extra_repr(self):
            return "<b>&x"

    model = Odd()
    page = Text(model._repr_html_())
    assert page.most == 3
    assert "Odd(<b>&x) 16 parameters" in page.text
    assert "(missing): None" in page.text
    assert "(0): Linear(in_features=3, out_features=4, bias=True) 16 parameters" in page.text
    model.inner[0].bias.requires_grad_(False)
    assert "16 parameters, 4 of them frozen" in Text(model._repr_html_()).text
    assert Text(nn.ReLU()._repr_html_()).text == "ReLU()"


def test_a_small_tensor_keeps_its_text() -> None:
    x = flambeau.randn(random.randrange(1, 5), 3, requires_grad=True) * 2
    page = Text(x._repr_html_())
    assert page.text.startswith(repr(x)) and "grad_fn=<MulBackward0>" in page.text
    assert page.text.endswith(f"{x.shape[0]} x 3, torch.float32")
    assert flambeau.zeros(1001)._repr_html_() is None
    assert "scalar" in flambeau.zeros(())._repr_html_()


# Cells run in one kernel; each prints what it showed.
KERNEL = """
import io, json, sys, types
from contextlib import redirect_stdout, redirect_stderr
from IPython.core.interactiveshell import InteractiveShell

shell = InteractiveShell.instance()
for cell in json.loads(sys.argv[1]):
    out = io.StringIO()
    with redirect_stdout(out), redirect_stderr(out):
        shell.run_cell(cell)
    print(json.dumps(out.getvalue()))
"""


def kernel(*cells: str) -> list[str]:
    pytest.importorskip("IPython")
    answer = subprocess.run(
        [sys.executable, "-c", KERNEL, json.dumps(cells)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    return [json.loads(line) for line in answer.stdout.splitlines()]


FAKE = "import sys, types; sys.modules['torch'] = torch = types.ModuleType('torch')"
NAME = "import torch, torchvision; print(torch.__name__, torchvision.__name__)"


def test_the_magic_makes_torch_mean_flambeau() -> None:
    on = f"import torch means Flambeau {flambeau.FLAMBEAU_VERSION} here\n"
    seen = kernel(
        *("%load_ext flambeau", "%flambeau", NAME, "%flambeau", "%reload_ext flambeau"),
        *("%flambeau status", "%flambeau off", "'torch' in sys.modules", "%flambeau bogus"),
        *("%flambeau --leave x", "%flambeau --leave torchmetrics", "%unload_ext flambeau"),
        "%flambeau",
    )
    assert seen[0] == "" and seen[1] == on and seen[2] == "flambeau flambeau.vision\n"
    assert seen[3] == on
    assert seen[5] == seen[6] == "import torch means PyTorch here, if it is installed\n"
    assert "does not know 'bogus'" in seen[8]
    assert "torchmetrics and torchvision can be left" in seen[9]
    assert seen[10] == on
    assert "not found" in seen[12]


def test_torch_that_was_there_before_is_told() -> None:
    seen = kernel(FAKE, "nn = torch", "%load_ext flambeau", "%flambeau", "%flambeau status")
    assert "torch of PyTorch is imported in this kernel already" in seen[3]
    assert "(names in use here: torch, nn)" in seen[3] and "Restart the kernel" in seen[3]
    assert "means PyTorch" in seen[4]
    again = kernel("%load_ext flambeau", "%flambeau", NAME)  # a kernel started anew
    assert again[2] == "flambeau flambeau.vision\n"
