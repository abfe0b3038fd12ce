"""What can be set about item knowledge: which language model is asked, for what, and how hard."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator

from reaseq.types import Count, Positive

Source = Literal["auto", "vllm", "endpoint", "recorded", "none"]


class KnowledgeSettings(BaseModel):
    """The product agent and the language model behind it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    source: Source = "auto"
    """Where knowledge comes from: `vllm` in process, an OpenAI-compatible `endpoint`, what was
    `recorded` in the package, or `none`. `auto`: vLLM where it is installed, else recorded."""
    model: str | None = None
    """A Hugging Face name or a folder for vLLM, the model's name at an endpoint. None: the small
    SmolLM2-135M-Instruct that ships as a package; it proves the path, not the knowledge."""
    base_url: str | None = None
    """Of the endpoint, with its version: `https://host/v1`."""
    api_key: SecretStr | None = None
    """Sent to the endpoint as a bearer token."""

    num_best_sellers: Annotated[int, Field(ge=0)] = 24
    """These many best-selling items are worked at the start; new items always are."""
    max_concurrent: Count = 16
    """Items in work at once: what the model can batch."""
    max_tokens: Count = 224
    """Longest answer. Too few cut it off, and a cut answer is rejected."""
    temperature: Annotated[float, Field(ge=0, le=2)] = 0.0
    """0 takes the likeliest token: the same item gets the same answer."""
    frequency_penalty: Annotated[float, Field(ge=-2, le=2)] = 0.2
    """Makes a word less likely each time it is said: small models run in circles without."""
    timeout_s: Positive = 120.0
    """A call that has not ended by then has failed; the item is tried again later."""

    max_model_tokens: Count = 2048
    """vLLM: longest prompt and answer together."""
    kv_cache_gib: Positive | None = None
    """vLLM: memory for attention keys and values. None: half a GiB on a CPU; what vLLM finds free
    on a GPU, within `gpu_memory_share`."""
    gpu_memory_share: Annotated[float, Field(gt=0, le=1)] = 0.9
    """vLLM: share of a GPU's memory the engine may take; lower it where models share one."""
    num_threads: Count = 1
    """vLLM: threads on a CPU. More help a large model on cores that nobody else uses."""

    @model_validator(mode="after")
    def _check(self) -> KnowledgeSettings:
        if self.source == "endpoint" and not (self.base_url and self.model):
            raise ValueError(
                "knowledge.source endpoint needs knowledge.base_url and knowledge.model"
            )
        return self

    @property
    def model_name(self) -> str | None:
        """What provenance calls the model: a folder by its own name; None for the packaged one."""
        if self.model is None:
            return None
        folder = Path(self.model).expanduser()
        return folder.name if folder.is_dir() else self.model
