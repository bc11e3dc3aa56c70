"""Words, parts of speech and tags in both languages."""

import numpy as np

from udfs.handler import Embedded
from udfs.tags import MAX_TAGS, Tags, tags
from udfs.text import prepare
from udfs.words import words


def names(text, language=None):
    return [tag.name for tag in tags(prepare(text, language))]


def test_chinese_nouns_are_tags_and_traditional_ones_are_the_same():
    simple = names("这款蓝牙耳机音质很好，但是电池不行")
    assert set(simple) >= {"耳机", "音质", "电池"}
    assert names("這款藍牙耳機音質很好，但是電池不行") == simple
    assert not {"很好", "但是", "这款", "，"} & set(simple)


def test_english_words_come_in_dictionary_form_and_phrases_stay_together():
    found = names("The batteries of these wireless headphones died. Avoid these batteries.")
    assert found[0] == "battery"
    assert "wireless headphone" in found
    assert not {"the", "these", "avoid", "died"} & set(found)


def test_mixed_text_has_tags_of_both_languages():
    found = names("我买的 Fender 吉他和 guitar strings")
    assert {"吉他", "guitar string"} <= set(found) or {"吉他", "guitar", "string"} <= set(found)


def test_a_sentence_begins_with_a_capital_and_not_with_a_name():
    kinds = {word.text: word.kind for word in words("Guitars by Nolan", "en")}
    assert kinds["guitar"] == "noun"
    assert kinds["Nolan"] == "name"


def test_what_says_nothing_has_no_tags():
    assert names("🎬🎬") == names("the of and") == names("的 了 吗") == []


def test_weights_fall_from_one_and_tags_are_few():
    many = " ".join(f"Thing{chr(97 + at)}. Guitar." for at in range(26))
    found = tags(prepare(many))
    assert len(found) == MAX_TAGS
    assert found[0].weight == 1
    assert [one.weight for one in found] == sorted((one.weight for one in found), reverse=True)


def test_the_handler_reads_the_text_alone():
    text = prepare("Nice guitar")
    handler = Tags()
    handler.load()
    (found,) = handler.infer([Embedded(text, np.zeros(1, np.float32))])
    assert [tag.name for tag in found] == ["guitar"]
