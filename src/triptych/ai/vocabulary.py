"""The vocabulary of tags: a text file that users edit.

It has one tag per line; ``#`` starts a comment. After a colon, texts separated by semicolons may
describe what the tag looks like; a tag without texts is its own text::

    sneaker: a sneaker; a running shoe
    beach

Lines that are indented by four spaces or a tab are kinds of the tag above them: a picture gets a
kind, or the tag, but not both::

    fruit
        apple
        banana: a banana; a bunch of bananas
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path

from triptych.errors import SettingsError

FIELD = "TRIPTYCH_TAGS"
FILE_MAX_BYTES = 1024 * 1024
TAGS_MAX = 2_000
TAG_MAX_CHARS = 100
TEXTS_MAX = 8
"""The most texts of one tag."""
TEXT_MAX_CHARS = 300
INDENT = ("    ", "\t")


@dataclass(frozen=True, slots=True)
class Tag:
    """A tag, and the texts that pictures are compared with."""

    name: str
    texts: tuple[str, ...]
    parent: str | None = None
    """The tag that this one is a kind of. A parent has no parent itself."""


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """The tags in the order of their file. No name comes twice."""

    tags: tuple[Tag, ...]

    @property
    def digest(self) -> str:
        """Identity of this vocabulary: the SHA-256 of its tags, texts and parents."""
        lines = (
            f"{'' if tag.parent is None else ' '}{tag.name}: {'; '.join(tag.texts)}\n"
            for tag in self.tags
        )
        return hashlib.sha256("".join(lines).encode()).hexdigest()


@cache
def default_vocabulary() -> Vocabulary:
    """Return the vocabulary that comes with Triptych."""
    file = resources.files(__package__).joinpath("vocabulary.txt")
    return parse_vocabulary(file.read_text(encoding="utf-8"))


def read_vocabulary(path: Path | None) -> Vocabulary:
    """Return the vocabulary of a file, or the default one for None.

    Raises:
        SettingsError: the file cannot be read, or a line of it is invalid; the line is named.
    """
    if path is None:
        return default_vocabulary()
    try:
        with path.open("rb") as file:
            content = file.read(FILE_MAX_BYTES + 1)
        if len(content) > FILE_MAX_BYTES:
            raise _wrong(f"{path} has more than {FILE_MAX_BYTES} bytes.")
        text = content.decode("utf-8-sig")
    except OSError as error:
        raise _wrong(f"{path} cannot be read ({error.strerror}).") from error
    except UnicodeDecodeError as error:
        raise _wrong(f"{path} is not text in UTF-8.") from error
    return parse_vocabulary(text)


def parse_vocabulary(text: str) -> Vocabulary:
    """Parse a vocabulary.

    Raises:
        SettingsError: a line is invalid, or there is no tag.
    """
    tags: dict[str, Tag] = {}
    above: str | None = None
    for number, line in enumerate(text.splitlines(), start=1):
        content = line.partition("#")[0].strip()
        if not content:
            continue
        indented = line.startswith(INDENT)
        if indented and above is None:
            raise _wrong(f"Line {number}: it is indented, and there is no tag above that it is of.")
        tag = _tag(content, number, above if indented else None)
        above = above if indented else tag.name
        if tag.name in tags:
            raise _wrong(f"Line {number}: the tag {tag.name!r} is there already.")
        tags[tag.name] = tag
    if not 0 < len(tags) <= TAGS_MAX:
        raise _wrong(f"It has {len(tags)} tags; 1 to {TAGS_MAX} are wanted.")
    return Vocabulary(tuple(tags.values()))


def _tag(content: str, number: int, parent: str | None) -> Tag:
    name, _, described = (part.strip() for part in content.partition(":"))
    texts = tuple(text for part in described.split(";") if (text := part.strip())) or (name,)
    if not (0 < len(name) <= TAG_MAX_CHARS and name.isprintable()):
        raise _wrong(f"Line {number}: a tag has 1 to {TAG_MAX_CHARS} printable characters.")
    if len(texts) > TEXTS_MAX or any(len(text) > TEXT_MAX_CHARS for text in texts):
        message = f"a tag has at most {TEXTS_MAX} texts of {TEXT_MAX_CHARS} characters."
        raise _wrong(f"Line {number}: {message}")
    return Tag(name, texts, parent)


def _wrong(message: str) -> SettingsError:
    return SettingsError(
        message, field=FIELD, remedy="One tag a line: `tag`, or `tag: a text; another text`."
    )
