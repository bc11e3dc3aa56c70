"""Text to unit-length vectors, by any encoder or decoder that transformers can load.

The vector is the mean of the last hidden layer over the text's tokens (padding left out), through
the linear map if there is one, scaled to length one. The same holds for BERT-type encoders and for
GPT-type decoders. On a GPU the model runs in half precision; on a CPU in float32, or with 8-bit
weights in its linear layers (dynamic quantisation with a scale a channel, three times faster).
"""

import math
import os
import re
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from msgspec import Struct, field
from numpy.typing import NDArray

from udfs.errors import ModelError
from udfs.handler import Failure, Limits, Role, Space, Text, Vector
from udfs.models import MINILM, Located, locate
from udfs.running import run

Device = Literal["auto", "cuda", "mps", "cpu"]
Precision = Literal["auto", "float32", "float16", "int8"]

_IS_E5 = re.compile(r"(?<![a-z0-9])e5(?![a-z0-9])")
_E5_PREFIXES = {"query": "query: ", "passage": "passage: "}


class EncoderSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which encoder, and how it runs.

    Attributes:
        model: Folder, hub id or `package:NAME`, see `udfs.models`.
        dimensions: What the vectors must be long; None takes what the model gives.
        device: Where it runs; `auto` takes a GPU if there is one.
        precision: `auto` is float16 on a GPU and float32 on a CPU; `int8` is for CPUs.
        max_tokens: Where a text is cut; at most what the model can read.
        prefixes: Put in front by role (`query`, `passage`); None takes those of e5 if the model's
            name has the word `e5`, and none otherwise.
        limits: Of one call.
        threads: Of a CPU model; None leaves it to torch.
    """

    model: str = MINILM
    dimensions: int | None = None
    device: Device = "auto"
    precision: Precision = "auto"
    max_tokens: int = 256
    prefixes: dict[Role, str] | None = None
    limits: Limits = field(default_factory=Limits)
    threads: int | None = None


class Encoder:
    """A handler from texts to vectors, float32 of shape (dimensions,)."""

    name = "embedding"

    def __init__(self, settings: EncoderSettings) -> None:
        self.settings = settings
        self.limits = settings.limits
        self._loaded: tuple[Any, Any] | None = None
        self._located: Located | None = None
        self.device = ""
        self.tokens = 0

    @property
    def model(self) -> str:
        return str(self.space)

    @property
    def space(self) -> Space:
        """Where its vectors live; known once it is loaded."""
        _, model = self.parts
        return Space(
            model=self._label(),
            map_version="0",
            dimensions=int(model.config.hidden_size),
            precision="int8" if self._precision() == "int8" else "float32",
        )

    def load(self) -> None:
        import torch
        import transformers

        settings = self.settings
        self._located = where = locate(settings.model)
        self.device = pick_device(settings.device)
        if settings.precision == "int8" and self.device != "cpu":
            message = f"int8 runs on a CPU only, and the device is {self.device}."
            raise ModelError(message)
        if settings.threads:
            torch.set_num_threads(settings.threads)
        tokenizer = load_part(transformers.AutoTokenizer, where)
        if tokenizer.pad_token_id is None:
            tokenizer.pad_token = tokenizer.eos_token  # decoders have none, and it is masked anyway
        model = load_part(transformers.AutoModel, where, dtype=self._dtype())
        self._check(model)
        self._loaded = (tokenizer, _ready(model, self.device, self._precision()))

    def _check(self, model: Any) -> None:
        found, wanted = int(model.config.hidden_size), self.settings.dimensions
        if wanted is not None and found != wanted:
            message = (
                f"{self.settings.model} makes vectors of {found} numbers and {wanted} are expected:"
                f" set dimensions to {found} and make the tables anew, or take another model."
            )
            raise ModelError(message)

    def _precision(self) -> str:
        if self.settings.precision != "auto":
            return self.settings.precision
        return "float32" if self.device == "cpu" else "float16"

    def _dtype(self) -> Any:
        import torch

        return torch.float16 if self._precision() == "float16" else torch.float32

    def prefix(self, role: Role) -> str:
        """What is put in front of a text."""
        prefixes = self.settings.prefixes
        if prefixes is None:
            name = self.settings.model.rstrip("/").rpartition("/")[2].lower()
            return _E5_PREFIXES[role] if _IS_E5.search(name) else ""
        return prefixes.get(role, "")

    def _label(self) -> str:
        assert self._located is not None
        prefixes = self.prefix("query") + self.prefix("passage")
        marks = [self._located.name, f"cut{self.settings.max_tokens}", prefixes.replace(" ", "")]
        return "+".join(mark for mark in marks if mark)

    @property
    def parts(self) -> tuple[Any, Any]:
        """Tokenizer and model; loaded if they are not yet."""
        if self._loaded is None:
            self.load()
        assert self._loaded is not None
        return self._loaded

    def infer(self, batch: Sequence[Text]) -> list[Vector | Failure]:
        if not batch:
            return []
        tokenizer, model = self.parts
        ids = self.token_ids(batch)
        self.tokens += sum(map(len, ids))

        def call(chosen: Sequence[Sequence[int]]) -> list[Vector | None]:
            return unit(pool(model, chosen, tokenizer.pad_token_id))

        answers = run([() if self._unknown(one) else one for one in ids], self.limits, call)
        for at, one in enumerate(ids):
            if self._unknown(one):
                answers[at] = Failure("before", f"{self.settings.model} knows none of its words")
        return answers

    def _unknown(self, ids: Sequence[int]) -> bool:
        """Whether nothing is left of a text: all such texts would have the same vector."""
        tokenizer, _ = self.parts
        unknown = tokenizer.unk_token_id
        return unknown in ids and set(ids) <= {unknown, *tokenizer.all_special_ids}

    def lengths(self, batch: Sequence[Text]) -> list[int]:
        """Tokens of each text, with its prefix and the model's special tokens."""
        return [len(one) for one in self.token_ids(batch)] if batch else []

    def token_ids(self, batch: Sequence[Text]) -> list[list[int]]:
        """Token ids of each text with its prefix, cut, with the model's special tokens."""
        tokenizer, model = self.parts
        positions = getattr(model.config, "max_position_embeddings", None) or math.inf
        longest = int(min(self.settings.max_tokens, positions, tokenizer.model_max_length))
        texts = [self.prefix(one.role) + one.text for one in batch]
        encoded = tokenizer(texts, truncation=True, max_length=longest, padding=False)
        return list(encoded["input_ids"])


def pick_device(wanted: Device) -> str:
    """The device to run on.

    Raises:
        ModelError: One is asked for that this machine has not.
    """
    import torch

    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if wanted == "auto":
        return next((name for name, is_there in there.items() if is_there), "cpu")
    if not there.get(wanted, True):
        message = f"No {wanted} on this machine: set device to auto or cpu."
        raise ModelError(message)
    return wanted


def load_part(loader: Any, where: Located, **options: Any) -> Any:
    """A tokenizer or model by one of transformers' Auto classes.

    Raises:
        ModelError: It cannot be loaded; says from where and why.
    """
    if where.local:
        options["local_files_only"] = True
    _silence()
    try:
        return loader.from_pretrained(where.source, revision=where.revision, **options)
    except Exception as error:  # a missing file, a bad one, no network: as many types as causes
        offline = os.environ.get("HF_HUB_OFFLINE")
        hint = "" if where.local else f" (hub id; HF_HUB_OFFLINE={offline or 'not set'})"
        first = (str(error).splitlines() or [""])[0]
        message = (
            f"The model {where.source} cannot be loaded{hint}: {type(error).__name__}: {first}"
        )
        raise ModelError(message) from error


def _silence() -> None:
    """No bars and no tables of weights that are not used: a worker's log is read by people."""
    from transformers.utils import logging

    log: Any = logging
    log.disable_progress_bar()
    log.set_verbosity_error()


def _ready(model: Any, device: str, precision: str) -> Any:
    import warnings

    import torch

    model.eval()
    if precision != "int8":
        return model.to(device)
    quantise: Any = torch.ao.quantization.quantize_dynamic
    by_channel = {torch.nn.Linear: torch.ao.quantization.per_channel_dynamic_qconfig}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it is deprecated in favour of a package that is not here
        return quantise(model, by_channel, torch.qint8)


def rectangle(ids: Sequence[Sequence[int]], padding_id: int, device: Any) -> tuple[Any, Any]:
    """Token ids and attention mask as int64 tensors of shape (texts, longest)."""
    import torch

    longest = max(map(len, ids))
    table = np.full((len(ids), longest), padding_id, np.int64)
    mask = np.zeros((len(ids), longest), np.int64)
    for row, one in enumerate(ids):
        table[row, : len(one)] = one
        mask[row, : len(one)] = 1
    return torch.from_numpy(table).to(device), torch.from_numpy(mask).to(device)


def pool(model: Any, ids: Sequence[Sequence[int]], padding_id: int) -> NDArray[np.float32]:
    """Mean of the last hidden layer over each text's tokens: float32, (texts, hidden)."""
    import torch

    table, mask = rectangle(ids, padding_id, model.device)
    with torch.inference_mode():
        hidden = model(input_ids=table, attention_mask=mask).last_hidden_state.float()
        weights = mask.unsqueeze(-1).float()
        mean = (hidden * weights).sum(1) / weights.sum(1)
    return np.asarray(mean.cpu().numpy(), np.float32)


def unit(vectors: NDArray[np.float32]) -> list[Vector | None]:
    """Each vector at length one; None where it has no length or is no number."""
    lengths = np.linalg.norm(vectors, axis=1)
    return [
        np.asarray(row / length, np.float32) if np.isfinite(length) and length > 0 else None
        for row, length in zip(vectors, lengths, strict=True)
    ]
