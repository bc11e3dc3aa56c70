"""From what arrived to what a model may read, and the key under which the answer is kept.

Normalisation is by NFKC, so that full-width and half-width forms of a letter are one, without
markup, control characters and repeated white space. Everything that had to be mended is noted.
"""

import codecs
import html
import re
import unicodedata
from hashlib import blake2b

from udfs.handler import Failure, Role, Space, Text
from udfs.language import guard

MAX_CHARACTERS = 2000
"""About what an encoder reads at most: 512 tokens, English; Chinese needs a third of it."""

_RAW_FACTOR = 16  # markup may outweigh the words in it; what lies behind this is never looked at
_BROKEN = "\ufffd"
_TAG = re.compile(
    r"</?(?:a|b|blockquote|body|br|code|div|em|font|h[1-6]|head|hr|html|i|img|li|link|meta|ol|p|pre"
    r"|script|section|small|span|strong|style|sub|sup|table|tbody|td|th|title|tr|u|ul)\b[^<>]*>"
    r"|<!--|<!doctype",
    re.IGNORECASE,
)
_ENTITY = re.compile(r"&(?:#\d{1,7}|#x[0-9a-f]{1,6}|[a-z]{2,8}\d{0,2});", re.IGNORECASE)
_SPACE = re.compile(r"\s+")


def prepare(
    raw: str | bytes,
    language: str | None = None,
    role: Role = "query",
    max_characters: int = MAX_CHARACTERS,
) -> Text | Failure:
    """A text that a handler may read.

    Args:
        raw: As it arrived; bytes are taken for UTF-8, and what is not is replaced and noted.
        language: What the sender says; used only where the letters allow it.
        role: Whether it is an item's text or somebody's own.
        max_characters: Where a longer text is cut.

    Returns:
        The text, or a failure `before` inference if nothing readable is in it.
    """
    notes: list[str] = []
    looked_at = 4 * _RAW_FACTOR * max_characters
    decoded = _decode(raw[:looked_at], notes, whole=len(raw) <= looked_at)
    clean = normalise(strip_markup(decoded[: _RAW_FACTOR * max_characters]))
    if len(clean) > max_characters or len(decoded) > _RAW_FACTOR * max_characters:
        clean = clean[:max_characters].rstrip()
        notes.append(f"cut to its first {len(clean)} characters, from {len(raw)}")
    if not clean.replace(_BROKEN, "").strip():
        return Failure("before", f"no text in it ({len(raw)} characters or bytes arrived)")
    found, note = guard(clean, language)
    notes += [note] if note else []
    return Text(text=clean, language=found, role=role, notes=tuple(notes))


def _decode(raw: str | bytes, notes: list[str], *, whole: bool) -> str:
    """A string of Unicode without surrogates: half a pair, as JSON may hold it, is no character."""
    if isinstance(raw, bytes):
        decoded = codecs.getincrementaldecoder("utf-8")("replace").decode(raw, final=whole)
    else:
        decoded = raw.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    broken = decoded.count(_BROKEN)
    if broken:
        notes.append(f"not UTF-8 in {broken} places")
    return decoded


def strip_markup(text: str) -> str:
    """The text of HTML; what only looks a little like it stays as it is.

    >>> strip_markup("<p>I <3 this</p>") , strip_markup("I <3 this, a < b")
    ('I <3 this', 'I <3 this, a < b')
    """
    if not _TAG.search(text):
        return html.unescape(text) if _ENTITY.search(text) else text
    from selectolax.lexbor import LexborHTMLParser

    tree = LexborHTMLParser(text)
    tree.strip_tags(["script", "style", "template", "noscript"])
    body = tree.body
    return body.text(separator=" ").strip() if body is not None else ""


def normalise(text: str) -> str:
    r"""NFKC, printable, single spaces.

    >>> normalise("Ｈｅａｔ\u200b  (１９９５)\x00")
    'Heat (1995)'
    """
    plain = unicodedata.normalize("NFKC", text)
    if not plain.isprintable():
        plain = "".join(c if c.isprintable() else " " if c.isspace() else "" for c in plain)
    return _SPACE.sub(" ", plain).strip()


def content_key(text: Text, model: Space | str) -> str:
    """Under which the answer for a text is kept: the same text and model, the same key.

    Args:
        text: As prepared, so that what looks the same is the same.
        model: Of the handler that answers; its string holds the map version too.

    Returns:
        128 bits of BLAKE2b over model, role, language and text, as hex.
    """
    joined = "\x00".join((str(model), text.role, text.language, text.text)).encode()
    return blake2b(joined, digest_size=16).hexdigest()
