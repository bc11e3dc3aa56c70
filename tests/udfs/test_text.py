"""What arrives, however broken, becomes a text with notes or a failure with a reason."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from udfs.handler import Failure, Space, Text
from udfs.language import guard
from udfs.text import content_key, normalise, prepare, strip_markup

SPACE = Space(model="m:1", map_version="0", dimensions=3)


@pytest.mark.parametrize(
    "raw", ["", "  \n\t", "\x00\x07", b"", b"\xff\xfe\xff", "<p></p>", "<br>" * 9]
)
def test_what_holds_no_text_fails_before_inference(raw):
    failure = prepare(raw)
    assert isinstance(failure, Failure)
    assert failure.phase == "before"
    assert "no text" in failure.reason


def test_broken_utf8_is_read_as_far_as_it_goes_and_noted():
    text = prepare(b"good \xff\xfe strings \xe4\xbd")
    assert text.text.startswith("good")
    assert "strings" in text.text
    assert text.notes == ("not UTF-8 in 3 places",)


def test_half_a_surrogate_pair_cannot_reach_a_tokenizer():
    text = prepare("fine \ud83d film")
    text.text.encode()
    assert text.notes == ("not UTF-8 in 1 places",)
    assert prepare("whole \ud83c\udfac pair").notes == ()


@pytest.mark.parametrize("raw", ["word " * 200_000, ("word " * 200_000).encode()])
def test_a_megabyte_is_cut_and_says_so(raw):
    text = prepare(raw)
    assert len(text.text) <= 2000
    assert text.notes == ("cut to its first 1999 characters, from 1000000",)


def test_bytes_are_not_called_broken_where_they_are_cut():
    text = prepare(("好" * 100_000).encode(), max_characters=10)
    assert text.text == "好" * 10
    assert [note for note in text.notes if "UTF-8" in note] == []


def test_emoji_alone_are_text_without_a_language():
    assert prepare("🎬🎬 👍") == Text(text="🎬🎬 👍", language="und")


def test_markup_goes_and_its_words_stay():
    raw = "<div class='x'>Nice <b>guitar</b>&nbsp;strings</div><script>alert('no')</script>"
    assert prepare(raw).text == "Nice guitar strings"
    assert strip_markup("a < b and c > d") == "a < b and c > d"
    assert strip_markup("I &lt;3 it") == "I <3 it"


@pytest.mark.parametrize(
    ("text", "said", "language"),
    [
        ("这款耳机的音质很好", None, "zh"),
        ("這款耳機的音質很好", "zh-TW", "zh"),
        ("这款 iPhone 手机壳 very nice", "en", "zh"),
        ("The new iPhone, 好, is a fine phone", "zh", "en"),
        ("このギターはとても良い", "zh", "ja"),
        ("이 기타는 정말 좋아요", None, "ko"),
        ("silent film", "fr", "fr"),
        ("silent film", "zh", "en"),
        ("Ce film est magnifique et triste, je suis content", "en", "fr"),
        ("great sound but the strap broke after a week", "de", "en"),
        ("12345 :-)", "en", "und"),
    ],
)
def test_the_letters_decide_and_the_sender_fills_in(text, said, language):
    assert guard(text, said)[0] == language


def test_a_wrong_tag_is_noted_and_a_right_one_is_not():
    assert guard("这款耳机", "en-US")[1] == "the language is not en-US but zh"
    assert guard("这款耳机", "zh-Hans")[1] == ""
    assert guard("这款耳机", "x" * 1000)[1].startswith("the language is not xxxx")
    assert len(guard("这款耳机", "x" * 1000)[1]) < 60


def test_what_looks_the_same_has_the_same_key():
    one, other = prepare("Ｈｅａｔ  (1995)\n"), prepare("<b>Heat</b> (1995)")
    assert content_key(one, SPACE) == content_key(other, SPACE)


def test_another_model_map_role_or_text_has_another_key():
    base = Text(text="Heat", language="en")
    spaces = [
        SPACE,
        Space(model="m:2", map_version="0", dimensions=3),
        Space(model="m:1", map_version="1", dimensions=3),
        Space(model="m:1", map_version="0", dimensions=3, precision="int8"),
    ]
    keys = [content_key(base, space) for space in spaces]
    keys.append(content_key(Text(text="Heat", language="en", role="passage"), SPACE))
    keys.append(content_key(Text(text="Heat 2", language="en"), SPACE))
    assert len(set(keys)) == len(keys)


@given(st.text())
def test_normalisation_is_done_after_once(text):
    once = normalise(text)
    assert normalise(once) == once


@given(st.binary(max_size=200) | st.text(max_size=200), st.none() | st.text(max_size=9))
def test_nothing_that_arrives_raises(raw, language):
    answer = prepare(raw, language, max_characters=50)
    if isinstance(answer, Text):
        assert 0 < len(answer.text) <= 50
        answer.text.encode()
