"""Which language a text is in, and whether what the sender says about it can be true.

The script decides wherever it can: Chinese, Japanese, Korean, Thai and a few more are told apart by
their letters, in one pass and on three characters. Only among languages of the same script a
statistical model (py3langid) is asked, and only on text long enough for it: on `silent film` it
says Maltese. Short Latin text is what the sender says, and English if the sender says nothing.
"""

import re
from collections.abc import Mapping
from functools import cache
from typing import Any

UNKNOWN = "und"

_SCRIPTS: Mapping[str, re.Pattern[str]] = {
    name: re.compile(f"[{letters}]+")
    for name, letters in {
        "han": r"\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff",
        "kana": r"\u3040-\u30ff\u31f0-\u31ff",
        "hangul": r"\uac00-\ud7af\u1100-\u11ff",
        "thai": r"\u0e00-\u0e7f",
        "arabic": r"\u0600-\u06ff",
        "hebrew": r"\u0590-\u05ff",
        "greek": r"\u0370-\u03ff",
        "devanagari": r"\u0900-\u097f",
        "cyrillic": r"\u0400-\u04ff",
        "latin": r"A-Za-z\u00c0-\u024f",
    }.items()
}
_LANGUAGES: Mapping[str, tuple[str, ...]] = {
    "han": ("zh", "ja"),
    "kana": ("ja",),
    "hangul": ("ko",),
    "thai": ("th",),
    "hebrew": ("he",),
    "greek": ("el",),
    "arabic": ("ar", "fa", "ur"),
    "devanagari": ("hi", "mr", "ne"),
    "cyrillic": ("ru", "uk", "bg", "sr", "mk", "kk", "be", "mn"),
    "latin": (
        *("en", "de", "fr", "es", "it", "pt", "nl", "pl", "sv", "da", "nb", "no", "fi", "cs"),
        *("tr", "ro", "hu", "vi", "id", "ms", "ca", "hr", "sk", "sl", "et", "lv", "lt"),
    ),
}
"""Languages by script, the one that is meant when nothing else tells first."""

_LETTERS_A_WORD = {"han": 1.5, "kana": 2.0, "hangul": 2.0, "thai": 4.0}
"""Of scripts whose words are not set apart by spaces."""

_ENOUGH_LETTERS = 24
_SURE = 0.9


def load() -> None:
    """Load the statistical model, which the first long text would wait for."""
    _identifier()


def guard(text: str, said: str | None = None) -> tuple[str, str]:
    """The language, and a note if it is not the one that the sender says.

    >>> guard("这款耳机很好", "en-US")
    ('zh', 'the language is not en-US but zh')
    >>> guard("silent film"), guard("🎬🎬")
    (('en', ''), ('und', ''))
    """
    found = detect(text, (said or "").split("-")[0].split("_")[0].lower())
    primary = (said or found).split("-")[0].split("_")[0].lower()
    same = primary == found or found == UNKNOWN
    return found, "" if same else f"the language is not {(said or '')[:16]} but {found}"


def detect(text: str, said: str = "") -> str:
    """ISO 639-1 code of the main language, or `und`; `said` decides only where letters do not."""
    weights = _weigh(text)
    script = max(weights, key=lambda name: weights[name])
    if not weights[script]:
        return UNKNOWN
    if script == "han" and weights["kana"] * 10 >= weights["han"]:
        return "ja"
    candidates = _LANGUAGES[script]
    if len(candidates) == 1 or script == "han":
        return candidates[0]
    guess = said if said in candidates else candidates[0]
    letters = sum(map(len, _SCRIPTS[script].findall(text)))
    if letters < _ENOUGH_LETTERS:
        return guess
    best, probability = _identifier().classify(text)
    return str(best) if probability >= _SURE and best in candidates else guess


def _weigh(text: str) -> dict[str, float]:
    """About how many words of each script are in a text."""
    weights: dict[str, float] = {}
    for name, letters in _SCRIPTS.items():
        runs = letters.findall(text)
        a_word = _LETTERS_A_WORD.get(name)
        weights[name] = sum(map(len, runs)) / a_word if a_word else len(runs)
    return weights


@cache
def _identifier() -> Any:
    """The statistical model: about a second to load."""
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    identifier = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
    wanted = {language for languages in _LANGUAGES.values() for language in languages}
    identifier.set_languages(sorted(wanted & set(identifier.labels)))
    return identifier
