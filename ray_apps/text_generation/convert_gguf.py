"""`python convert_gguf.py GGUF FOLDER`: a GGUF model as a folder that vLLM can read.

A program of its own, so that what it takes (a gigabyte, transformers) is given back when it ends.
After every step it prints "STEP NUM_STEPS".
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

NUM_STEPS = 4


def convert(gguf: Path, folder: Path) -> None:
    """Write configuration, tokenizer and weights (bfloat16) into `folder`."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    _done(1)
    AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name).save_pretrained(folder)
    _done(2)
    model = AutoModelForCausalLM.from_pretrained(
        gguf.parent,
        gguf_file=gguf.name,
        quantization_config=GgufConfig(dequantize=True),
        dtype=torch.bfloat16,
    )
    _done(3)
    model.save_pretrained(folder)
    _forget_quantization(folder / "config.json")
    _done(4)


def _forget_quantization(config: Path) -> None:
    """The written weights are dense; a leftover entry would say otherwise."""
    content = json.loads(config.read_text())
    content.pop("quantization_config", None)
    config.write_text(json.dumps(content, indent=2))


def _done(step: int) -> None:
    print(step, NUM_STEPS, flush=True)


if __name__ == "__main__":
    convert(Path(sys.argv[1]), Path(sys.argv[2]))
