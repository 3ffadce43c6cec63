"""The program that all images hold: built once from lab/service, then taken from the cache."""

import hashlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from lab.tools.cache import cache_root
from lab.twin.errors import TwinError

SOURCE = Path(__file__).parents[1] / "service"
_LINKER_FLAGS = "-s -w"


def program() -> Path:
    """The built program. Raises TwinError where Go is missing or the build fails."""
    sources = sorted(path for path in SOURCE.iterdir() if path.suffix in {".go", ".mod", ".sum"})
    mixed = hashlib.sha256(_LINKER_FLAGS.encode())
    for path in sources:
        mixed.update(path.name.encode() + b"\0" + path.read_bytes())
    built = cache_root() / "tools/service" / mixed.hexdigest()[:16] / "service"
    if not built.exists():
        _build(built)
    return built


def _build(target: Path) -> None:
    go = shutil.which("go")
    if not go:
        raise TwinError("the Go compiler is missing, which builds the services' program\ninstall it: https://go.dev/dl")
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        output = Path(folder, "service")
        done = subprocess.run(
            [go, "build", "-trimpath", "-buildvcs=false", "-ldflags", _LINKER_FLAGS, "-o", str(output), "."],
            cwd=SOURCE,
            env=os.environ | {"CGO_ENABLED": "0"},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise TwinError(f"lab/service does not build:\n{done.stderr.strip()}")
        output.rename(target)
