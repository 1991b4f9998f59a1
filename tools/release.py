"""What a release is made and checked with:

    python3 tools/release.py lock            write tools/requirements.lock: what CI installs
    python3 tools/release.py packages        build wheel and sdist into dist/, try each wheel found
    python3 tools/release.py sbom            write dist/flambeau.cdx.json, of the wheel and the lock

`packages` installs the wheel into a fresh environment of each Python given (`packages python3.12
..`; else those called python3.10 to python3.14 that are found), without the checkout in reach, and
trains a small model there. Standard library only; pip does the rest.
"""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import uuid
import venv
import zipfile
from datetime import datetime, timezone
from email.parser import Parser
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LOCK = ROOT / "tools" / "requirements.lock"
DIST = ROOT / "dist"
EXTRAS = "dev,vision,tensorboard,safetensors,plot"
PYTHONS = tuple(f"python3.{minor}" for minor in range(10, 15))

TRIAL = """
import sys
import flambeau as torch
assert "site-packages" in torch.__file__, torch.__file__
torch.manual_seed(0)
model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Linear(8, 1))
update = torch.optim.Adam(model.parameters(), lr=0.05)
x = torch.rand(64, 4)
y = x.sum(1, keepdim=True)
losses = []
for _ in range(60):
    update.zero_grad()
    loss = torch.nn.functional.mse_loss(model(x), y)
    loss.backward()
    update.step()
    losses.append(loss.item())
assert losses[-1] < losses[0] / 10, losses
foreign = {"torch", "jax", "tensorflow"} & set(sys.modules)
assert not foreign, foreign
print(sys.version.split()[0], torch.__version__, f"{losses[0]:.3f} -> {losses[-1]:.5f}")
"""


def run(*command: object, cwd: Path = ROOT) -> None:
    words = [str(word) for word in command]
    print("+", " ".join(words), flush=True)
    if subprocess.run(words, cwd=cwd, check=False).returncode:
        sys.exit(f"release.py: failed: {' '.join(words)}")


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def lock() -> None:
    """Resolves what CI installs, for this Python and platform."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        resolve = ("-m", "pip", "install", "-q", "--dry-run", "--ignore-installed")
        run(sys.executable, *resolve, "--report", report, f".[{EXTRAS}]")
        found = json.loads(report.read_text("utf-8"))
    lines = []
    for item in found["install"]:
        name = canonical(item["metadata"]["name"])
        digest = item["download_info"].get("archive_info", {}).get("hashes", {}).get("sha256")
        if name != "flambeau":
            if digest is None:
                sys.exit(f"release.py: no hash of {name} is known")
            lines.append(f"{name}=={item['metadata']['version']} --hash=sha256:{digest}")
    machine = found["environment"]
    where = f"Python {machine['python_version']}, {machine['sys_platform']}"
    head = f"# {where} {machine['platform_machine']}; written by tools/release.py lock\n"
    LOCK.write_text(head + "\n".join(sorted(lines)) + "\n", "utf-8")
    print(f"{len(lines)} packages in {LOCK.relative_to(ROOT)}")


def locked() -> list[tuple[str, str, str]]:
    """(name, version, SHA-256) of each package of the lock file."""
    found = []
    for line in LOCK.read_text("utf-8").splitlines():
        if line and not line.startswith("#"):
            pinned, digest = line.split(" --hash=sha256:")
            name, version = pinned.split("==")
            found.append((name, version, digest))
    return found


def wheel() -> Path:
    """The wheel in dist/; ends the program where there is not exactly one."""
    found = sorted(DIST.glob("*.whl"))
    if len(found) != 1:
        sys.exit(f"release.py: {len(found)} wheels in dist/; run `packages` first")
    return found[0]


def packages(pythons: list[str]) -> None:
    shutil.rmtree(DIST, ignore_errors=True)
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        builder = environment(sys.executable, home / "builder")
        run(builder, "-m", "pip", "install", "-q", "build")
        # The wheel is built from the sdist: what the sdist lacks, the wheel would lack.
        run(builder, "-m", "build", "--outdir", DIST, ROOT)
        for number, python in enumerate(pythons or list(filter(shutil.which, PYTHONS))):
            fresh = environment(python, home / str(number))
            run(fresh, "-m", "pip", "install", "-q", wheel())
            run(fresh, "-I", "-W", "error::SyntaxWarning", "-c", TRIAL, cwd=home)
            run(fresh.parent / "flambeau", "env", cwd=home)


def environment(python: str, folder: Path) -> Path:
    """A fresh virtual environment of a Python; its interpreter."""
    if python == sys.executable:
        venv.create(folder, with_pip=True)
    else:
        run(python, "-m", "venv", folder)
    return folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def sbom() -> None:
    """A software bill of materials (CycloneDX 1.5): the wheel, what it needs, what CI used."""
    path = wheel()
    with zipfile.ZipFile(path) as archive:
        name = next(n for n in archive.namelist() if n.endswith(".dist-info/METADATA"))
        metadata = Parser().parsestr(archive.read(name).decode())
    needed = {
        canonical(re.split(r"[ <>=!~;\[(]", need)[0])
        for need in metadata.get_all("Requires-Dist", [])
        if "extra" not in need
    }
    version = metadata["Version"]
    own = {
        **component("flambeau", version, hashlib.sha256(path.read_bytes()).hexdigest()),
        "licenses": [{"license": {"id": metadata["License-Expression"]}}],
    }
    parts = [
        {**component(*entry), "scope": "required" if entry[0] in needed else "excluded"}
        for entry in locked()
    ]
    missing = needed - {part["name"] for part in parts}
    if missing:
        sys.exit(f"release.py: not in the lock file: {', '.join(sorted(missing))}")
    bill = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "serialNumber": f"urn:uuid:{uuid.uuid4()}",
        "version": 1,
        "metadata": {
            "timestamp": datetime.now(timezone.utc).isoformat(timespec="seconds"),
            "component": own,
        },
        "components": parts,
        "dependencies": [
            {
                "ref": own["bom-ref"],
                "dependsOn": [part["bom-ref"] for part in parts if part["scope"] == "required"],
            }
        ],
    }
    target = DIST / "flambeau.cdx.json"
    target.write_text(json.dumps(bill, indent=2) + "\n", "utf-8")
    print(f"{len(parts)} components in {target.relative_to(ROOT)}")


def component(name: str, version: str, digest: str) -> dict[str, object]:
    reference = f"pkg:pypi/{name}@{version}"
    return {
        "type": "library",
        "bom-ref": reference,
        "name": name,
        "version": version,
        "purl": reference,
        "hashes": [{"alg": "SHA-256", "content": digest}],
    }


def main() -> None:
    words = sys.argv[1:]
    if words == ["lock"]:
        lock()
    elif words[:1] == ["packages"]:
        packages(words[1:])
    elif words == ["sbom"]:
        sbom()
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main()
