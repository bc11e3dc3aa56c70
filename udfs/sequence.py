"""Sequence-classification models of transformers, in the place of a head.

They read the text itself and not its vector, so each costs as much again as the encoder.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from udfs.embedding import Device, load_part, pick_device, rectangle
from udfs.handler import Embedded, Failure, Limits, Vector
from udfs.models import locate
from udfs.running import run


class SequenceClassifier:
    """A classifier by hub id or folder.

    Args:
        reference: See `udfs.models.locate`.
        device: Where it runs.
        limits: Of one call.
        max_tokens: Where a text is cut.
    """

    def __init__(
        self,
        reference: str,
        device: Device = "auto",
        limits: Limits | None = None,
        max_tokens: int = 256,
    ) -> None:
        self.reference = reference
        self.limits = limits or Limits()
        self._device, self._max_tokens = device, max_tokens
        self.labels: tuple[str, ...] = ()
        self.model = reference

    def load(self) -> None:
        """Read model and tokenizer.

        Raises:
            ModelError: They cannot be loaded.
        """
        import transformers

        where = locate(self.reference)
        self.model = where.name
        self._tokenizer = load_part(transformers.AutoTokenizer, where)
        loaded: Any = load_part(transformers.AutoModelForSequenceClassification, where)
        self._model = loaded.to(pick_device(self._device)).eval()
        names = self._model.config.id2label
        self.labels = tuple(str(names[at]) for at in range(len(names)))

    def classify(self, batch: Sequence[Embedded]) -> list[Vector | Failure]:
        """Probabilities of the labels, a text."""
        if not batch:
            return []
        texts = [one.text.text for one in batch]
        encoded = self._tokenizer(texts, truncation=True, max_length=self._max_tokens)
        return run(encoded["input_ids"], self.limits, self._call)

    def _call(self, ids: Sequence[Sequence[int]]) -> list[Vector | None]:
        import torch

        padding_id = self._tokenizer.pad_token_id or 0
        table, mask = rectangle(ids, padding_id, self._model.device)
        with torch.inference_mode():
            logits = self._model(input_ids=table, attention_mask=mask).logits.float()
        rows = np.asarray(logits.softmax(-1).cpu().numpy(), np.float32)
        return [row if np.isfinite(row).all() else None for row in rows]
