"""The benchmark of the handlers does what it says, on few texts."""

import json

import numpy as np
from typer.testing import CliRunner

from deploy.understanding.benchmark import app, bare
from udfs.embedding import Encoder, EncoderSettings
from udfs.models import MINILM
from udfs.text import prepare


def test_the_bare_loop_computes_what_the_encoder_does():
    encoder = Encoder(EncoderSettings(device="cpu"))
    texts = [prepare(f"{'word ' * (at % 7)}number {at}") for at in range(40)]
    rows = np.concatenate(bare(encoder, texts, in_order=True))
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    assert np.allclose(rows, encoder.infer(texts), atol=1e-4)


def test_quality_keeps_its_vectors_and_says_the_same_twice(tmp_path):
    data = tmp_path / "reviews.csv"
    pairs = [("great guitar", 1), ("awful guitar", 0)] * 30
    data.write_text(
        "review,label\n" + "".join(f"{a} {at},{b}\n" for at, (a, b) in enumerate(pairs))
    )
    options = ["--train-texts", "40", "--test-texts", "20", "--model", MINILM]
    command = ["quality", str(data), *options, "--cache", str(tmp_path / "kept")]
    first, second = (CliRunner().invoke(app, command) for _ in range(2))
    results = [json.loads(one.stdout.splitlines()[-1]) for one in (first, second)]
    assert results[0] == results[1]
    assert results[0]["head"] == 1.0
    assert len(list((tmp_path / "kept").iterdir())) == 1
