"""`flambeau run` against `python`: the same script, the same world, the same ending."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
Answer = subprocess.CompletedProcess[str]


def environment(**more: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name != "FLAMBEAU_REPORT"}
    return {**kept, "PYTHONPATH": str(ROOT), **more}


def launch(command: list[str], where: Path, typed: str = "", **more: str) -> Answer:
    return subprocess.run(
        [sys.executable, *command],
        cwd=where,
        env=environment(**more),
        input=typed,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def flambeau(arguments: list[str], where: Path, typed: str = "", **more: str) -> Answer:
    return launch(["-m", "flambeau.cli", *arguments], where, typed, **more)


def both(arguments: list[str], where: Path, typed: str = "") -> tuple[Answer, Answer]:
    return launch(arguments, where, typed), flambeau(["run", *arguments], where, typed)


PROBE = """\
import os, sys
print(__name__, __file__, __package__, __spec__ and __spec__.name, sorted(globals()))
print(sys.argv, sys.path[0], type(__loader__).__name__, __doc__)
print(sys.modules["__main__"].__dict__ is globals(), __builtins__.__name__)
"""


def same_world(arguments: list[str], where: Path) -> str:
    python, ours = both(arguments, where)
    assert python.returncode == ours.returncode == 0, ours.stderr
    assert ours.stdout == python.stdout
    return ours.stdout


def test_script_sees_what_python_shows(tmp_path: Path) -> None:
    folder = tmp_path / "deep"
    folder.mkdir()
    (folder / "probe.py").write_text('"""Doc."""\n' + PROBE)
    number = str(random.randrange(10**6))
    seen = same_world(["deep/probe.py", "--report", "-m", number], tmp_path)
    assert number in seen
    assert str(folder) in seen


@pytest.mark.skipif(sys.platform == "win32", reason="symbolic links need rights on Windows")
def test_symlinked_script(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "probe.py").write_text(PROBE)
    (tmp_path / "link.py").symlink_to(tmp_path / "real" / "probe.py")
    same_world(["link.py"], tmp_path)


def test_module_and_package_and_folder(tmp_path: Path) -> None:
    (tmp_path / "single.py").write_text(PROBE)
    package = tmp_path / "pack"
    package.mkdir()
    (package / "__init__.py").write_text("print('package first', __name__)")
    (package / "__main__.py").write_text(PROBE)
    (package / "part.py").write_text("from . import __name__ as up\nprint(up)\n" + PROBE)
    same_world(["-m", "single", "a", "-b"], tmp_path)
    same_world(["-m", "pack", "x"], tmp_path)
    same_world(["-m", "pack.part"], tmp_path)
    same_world(["pack", "y"], tmp_path)


def test_neighbour_modules_are_found(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "neighbour.py").write_text("value = 41")
    (tmp_path / "a" / "main.py").write_text("import neighbour\nprint(neighbour.value + 1)")
    assert same_world(["a/main.py"], tmp_path) == "42\n"


def test_import_torch_is_flambeau(tmp_path: Path) -> None:
    (tmp_path / "s.py").write_text(
        "import torch, torch.nn as nn, flambeau, flambeau.nn\n"
        "from torch import optim\nfrom torch.utils import data\n"
        "print(torch is flambeau, nn is flambeau.nn, optim.__name__, data.__name__)"
    )
    answer = flambeau(["run", "s.py"], tmp_path)
    assert answer.stdout == "True True flambeau.optim flambeau.utils.data\n", answer.stderr


@pytest.mark.parametrize(
    "ending",
    [
        "sys.exit()",
        "sys.exit(7)",
        "sys.exit('a last word')",
        "raise SystemExit(3)",
        "pass",
        "1 / 0",
        "def f(n):\n    return f(n - 1) if n else {}['key']\nf(3)",
        "try:\n    1 / 0\nexcept ZeroDivisionError as e:\n    raise ValueError('chained') from e",
        "import no_such_module_here",
        "assert False, 'no'",
        "raise ExceptionGroup('g', [ValueError(1)])" if sys.version_info >= (3, 11) else "pass",
        "sys.excepthook = lambda k, v, t: print(k.__name__, v, t.tb_frame.f_code.co_name)\n1 / 0",
    ],
)
def test_endings(tmp_path: Path, ending: str) -> None:
    (tmp_path / "end.py").write_text(f"import sys\nprint('began')\n{ending}\n")
    python, ours = both(["end.py"], tmp_path)
    assert ours.returncode == python.returncode
    assert ours.stdout == python.stdout
    assert ours.stderr == python.stderr


def test_syntax_error_in_the_script(tmp_path: Path) -> None:
    (tmp_path / "bad.py").write_text("print('no')\nx = (1,\n")
    python, ours = both(["bad.py"], tmp_path)
    assert ours.returncode == python.returncode == 1
    assert ours.stderr == python.stderr
    assert ours.stdout == ""


def test_annotations_follow_the_script_not_the_runner(tmp_path: Path) -> None:
    (tmp_path / "s.py").write_text("def f(x: 1 + 1): pass\nprint(f.__annotations__)")
    assert same_world(["s.py"], tmp_path) == "{'x': 2}\n"


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_interrupt_ends_as_python_does(tmp_path: Path) -> None:
    # Where the tests run in the background, interrupts come ignored; the script wants them.
    (tmp_path / "s.py").write_text(
        "import os, signal\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "os.kill(os.getpid(), signal.SIGINT)\n"
    )
    python, ours = both(["s.py"], tmp_path)
    assert ours.returncode == python.returncode == -signal.SIGINT
    assert ours.stderr == python.stderr


def test_input_is_the_users(tmp_path: Path) -> None:
    (tmp_path / "s.py").write_text("print('hello', input('name? '), input())")
    python, ours = both(["s.py"], tmp_path, "Ada\nByron\n")
    assert ours.stdout == python.stdout == "name? hello Ada Byron\n"


CHILDREN = """\
import multiprocessing, torch

class Job:
    def __init__(self, n):
        self.n = n

def work(job):
    import torch as again
    return job.n * 2, again.__name__, torch.__name__, __name__ in ("__main__", "__mp_main__")

if __name__ == "__main__":
    with multiprocessing.get_context({method!r}).Pool(2) as pool:
        print(pool.map(work, [Job(3), Job(4)]))
"""


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_multiprocessing(tmp_path: Path, method: str) -> None:
    import multiprocessing

    if method not in multiprocessing.get_all_start_methods():
        pytest.skip(f"no {method} here")
    (tmp_path / "s.py").write_text(CHILDREN.format(method=method))
    answer = flambeau(["run", "s.py"], tmp_path)
    expected = [(n * 2, "flambeau", "flambeau", True) for n in (3, 4)]
    assert answer.stdout == f"{expected}\n", answer.stderr


def test_report_comes_last_and_to_stderr(tmp_path: Path) -> None:
    (tmp_path / "s.py").write_text(
        "import atexit, sys\natexit.register(lambda: print('bye', file=sys.stderr))\n"
        "print('out')\nsys.exit(5)"
    )
    for answer in (
        flambeau(["run", "--report", "s.py"], tmp_path),
        flambeau(["run", "s.py"], tmp_path, FLAMBEAU_REPORT="1"),
    ):
        assert answer.returncode == 5
        assert answer.stdout == "out\n"
        first, rest = answer.stderr.split("\n", 1)
        assert first == "bye"
        assert rest.strip()
    silent = flambeau(["run", "s.py", "--report"], tmp_path)
    assert silent.stderr == "bye\n"


def test_wrong_command_lines(tmp_path: Path) -> None:
    for wrong in ([], ["walk"], ["run"], ["run", "--fast", "s.py"], ["run", "-m"], ["env", "x"]):
        answer = flambeau(wrong, tmp_path)
        assert answer.returncode == 2, wrong
        assert "usage:" in answer.stderr
    absent = flambeau(["run", "absent.py"], tmp_path)
    assert absent.returncode == 2
    assert "can't open file" in absent.stderr
    assert "No such file" in absent.stderr
    module = flambeau(["run", "-m", "no.such.module"], tmp_path)
    assert module.returncode == 1
    assert "No module named no.such.module" in module.stderr


def test_help_on_topics(tmp_path: Path) -> None:
    listed = flambeau(["help"], tmp_path).stdout.splitlines()[-1]
    topics = listed.removeprefix("topics: ").split(", ")
    assert {"shapes", "gradients", "nan"} <= set(topics)
    for topic in topics:
        assert flambeau(["help", topic], tmp_path).stdout.startswith("# ")
    wrong = flambeau(["help", "cooking"], tmp_path)
    assert wrong.returncode == 2 and "no topic 'cooking'" in wrong.stderr


def test_version_help_and_env(tmp_path: Path) -> None:
    assert flambeau(["--version"], tmp_path).stdout.startswith("flambeau ")
    assert "usage:" in flambeau(["--help"], tmp_path).stdout
    facts = flambeau(["env"], tmp_path, FLAMBEAU_NUM_THREADS="1")
    assert facts.returncode == 0
    lines = dict(line.split(None, 1) for line in facts.stdout.splitlines())
    assert {"flambeau", "python", "numpy", "cpu", "threads", "kernel", "vector"} <= set(lines)
    assert lines["FLAMBEAU_NUM_THREADS"] == "1"


def test_the_package_is_the_command(tmp_path: Path) -> None:
    (tmp_path / "probe.py").write_text(PROBE)
    wanted = flambeau(["run", "probe.py"], tmp_path)
    found = launch(["-m", "flambeau", "run", "probe.py"], tmp_path)
    assert (found.returncode, found.stdout) == (wanted.returncode, wanted.stdout)
    assert not found.returncode
