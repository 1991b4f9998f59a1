"""One command for each job, on a machine with only Python and git:

    python3 tools/dev.py demo      train the digits network on real data, with Flambeau
    python3 tools/dev.py test      run the tests (without PyTorch); arguments go to pytest
    python3 tools/dev.py parity    the same with PyTorch as the reference
    python3 tools/dev.py lint      ruff: rules and format
    python3 tools/dev.py types     mypy (strict for the package)
    python3 tools/dev.py soak      random programs and kernels by the ten thousand, and pressure
                                   a hundred times as long (hours)
    python3 tools/dev.py audit     known vulnerabilities of what tools/requirements.lock lists
    python3 tools/dev.py bench     Flambeau and PyTorch side by side
    python3 tools/dev.py suite     all benches in one table; --quick: some of them
    python3 tools/dev.py guard     whether ratios to PyTorch fell below bench/ratios.json
    python3 tools/dev.py site      the documentation as a site, in build/site (the book's chapters
                                   run: minutes); --quick: without their outputs
    python3 tools/dev.py clean     remove the virtual environment

Each makes the virtual environment .venv (FLAMBEAU_VENV names another place) and installs into it
what the job needs, if that is not there yet. Nothing but pip uses the network. Standard library
only: it runs before anything is installed. The Makefile has the same names.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = Path(os.environ.get("FLAMBEAU_VENV") or ROOT / ".venv").absolute()
SCRIPTS = VENV / ("Scripts" if os.name == "nt" else "bin")
PYTHON = SCRIPTS / ("python.exe" if os.name == "nt" else "python")
TORCH = os.environ.get("FLAMBEAU_TORCH", "torch==2.13.0")
SOAK_SEED = 1_000_000  # programs that CI does not run
# Beside PyTorch, what the tests of parity compare with; they need it installed before.
REFERENCES = ("torchmetrics==1.9.*", "scikit-learn>=1.5", "torchinfo==1.8.*", "ipython>=8")


def run(*command: object) -> None:
    """Run a command from the repository's root; its failure ends this program with its status."""
    words = [str(word) for word in command]
    print("+", " ".join(words), flush=True)
    status = subprocess.run(words, cwd=ROOT, check=False).returncode
    if status:
        sys.exit(status if status > 0 else 128 - status)


def make_environment() -> None:
    if PYTHON.exists():
        return
    try:
        import ensurepip  # noqa: F401  (is it there?)
        import venv  # noqa: F401  (is it there?)
    except ImportError:
        sys.exit(
            "dev.py: this Python has no venv module with pip (on Debian and Ubuntu it is in the "
            "package python3-venv); install it and run this again"
        )
    run(sys.executable, "-m", "venv", VENV)


def installed(what: str) -> Path:
    """The file that says that `what` is installed, for this pyproject.toml."""
    seen = hashlib.sha256((ROOT / "pyproject.toml").read_bytes()).hexdigest()[:16]
    label = "".join(c if c.isalnum() else "-" for c in what)
    return VENV / f".installed-{label}-{seen}"


def need(*extras: str) -> None:
    """Install Flambeau from this checkout (editable) with the extras, once."""
    make_environment()
    missing = [extra for extra in extras if not installed(extra).exists()]
    if not missing:
        return
    run(PYTHON, "-m", "pip", "install", "-q", "-e", f".[{','.join(missing)}]")
    for extra in missing:
        installed(extra).touch()


def need_torch(*more: str) -> None:
    for what in (TORCH, *more):
        if not installed(what).exists():
            run(PYTHON, "-m", "pip", "install", "-q", what)
            installed(what).touch()


def demo(arguments: list[str]) -> None:
    need("plot")
    run(SCRIPTS / "flambeau", "run", "--report", "examples/digits.py", *arguments)


def test(arguments: list[str]) -> None:
    need("test")
    run(PYTHON, "-m", "pytest", *arguments)


def parity(arguments: list[str]) -> None:
    need("test")
    need_torch(*REFERENCES)
    # In an environment that has torch, the tests of parity run instead of being skipped.
    run(PYTHON, "-m", "pytest", *arguments)


def lint(arguments: list[str]) -> None:
    need("dev")
    run(PYTHON, "-m", "ruff", "check", *arguments)
    run(PYTHON, "-m", "ruff", "format", "--check", *arguments)


def types(arguments: list[str]) -> None:
    need("dev")
    run(PYTHON, "-m", "mypy", *arguments)


def soak(arguments: list[str]) -> None:
    """100,000 random programs, 10,000 that train, 10,000 that change from run to run, 20,000 graphs
    of primitives with and without checks, long pressure, 10,000,000 steps.
    """
    os.environ.setdefault("FLAMBEAU_PROGRAMS", "100000")
    os.environ.setdefault("FLAMBEAU_PROGRAMS_FROM", str(SOAK_SEED))
    os.environ.setdefault("FLAMBEAU_TRAININGS", "10000")
    os.environ.setdefault("FLAMBEAU_CHANGING", "10000")
    os.environ.setdefault("FLAMBEAU_FUZZ", "20000")
    os.environ.setdefault("FLAMBEAU_FUZZ_FROM", str(SOAK_SEED))
    tests = arguments or ["-q", "-n", str(os.cpu_count() or 1)]
    parity([*tests, "tests/programs", "tests/execute/test_cpu_random_values.py"])
    os.environ.setdefault("FLAMBEAU_PRESSURE", "100")
    os.environ.setdefault("FLAMBEAU_MEMORY_STEPS", "10000000")
    long = ["-o", "timeout=0", "tests/pressure", "tests/programs/test_memory.py"]
    parity([*tests, *long, "tests/record/test_adversarial.py"])
    os.environ["FLAMBEAU_CHECK"] = "1"
    parity([*tests, "tests/execute/test_cpu_random_values.py"])


def audit(arguments: list[str]) -> None:
    """Asks pip-audit's vulnerability service; `--strict`: not reaching it is a failure, too."""
    if arguments not in ([], ["--strict"]):
        sys.exit(f"dev.py: audit takes --strict only, got {' '.join(arguments)}")
    make_environment()
    if not installed("pip-audit").exists():
        run(PYTHON, "-m", "pip", "install", "-q", "pip-audit")
        installed("pip-audit").touch()
    listed = ROOT / "tools" / "requirements.lock"
    words = ("-m", "pip_audit", "-r", str(listed), "--disable-pip", "--require-hashes")
    done = subprocess.run(
        [str(PYTHON), *words, "-f", "json", "--progress-spinner", "off"],
        capture_output=True,
        text=True,
        check=False,
    )
    try:
        packages = json.loads(done.stdout)["dependencies"]
    except (ValueError, KeyError, TypeError):
        last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        print(f"dev.py: not audited, the vulnerability service gave no answer: {last}")
        sys.exit(1 if arguments else 0)
    bad = [(p["name"], p["version"], v["id"]) for p in packages for v in p.get("vulns", ())]
    for name, version, which in bad:
        print(f"{name} {version}: {which}")
    print(f"{len(packages)} packages, {len(bad)} known vulnerabilities")
    sys.exit(1 if bad else 0)


def bench(arguments: list[str]) -> None:
    need("test")
    need_torch()
    run(PYTHON, "bench/steps.py", *arguments)
    run(PYTHON, "bench/startup.py")
    run(PYTHON, "bench/recorder.py")


def suite(arguments: list[str]) -> None:
    """All benches in one table, with a chart and the figures as JSON in `build`."""
    need("test", "plot")
    need_torch()
    made = ROOT / "build"
    made.mkdir(exist_ok=True)
    written = ["--json", made / "bench.json", "--chart", made / "bench.png"]
    run(PYTHON, "bench/suite.py", *written, *arguments)


def guard(arguments: list[str]) -> None:
    need("test")
    need_torch()
    run(PYTHON, "bench/guard.py", *arguments)


def site(arguments: list[str]) -> None:
    need("site")
    run(PYTHON, "tools/make_site.py", *arguments)


def clean(arguments: list[str]) -> None:
    if arguments:
        sys.exit(f"dev.py: clean takes no arguments, got {arguments[0]!r}")
    if (VENV / "pyvenv.cfg").exists():
        shutil.rmtree(VENV)


JOBS = {
    job.__name__: job
    for job in (demo, test, parity, lint, types, soak, audit, bench, suite, guard, site, clean)
}


def main() -> None:
    if sys.version_info < (3, 10):  # noqa: UP036 (what the check is for)
        sys.exit(f"dev.py: Python 3.10 or newer is needed; this is {sys.version.split()[0]}")
    words = sys.argv[1:]
    if not words or words[0] not in JOBS:
        sys.exit(__doc__)
    JOBS[words[0]](words[1:])


if __name__ == "__main__":
    main()
