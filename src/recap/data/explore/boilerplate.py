"""Captions that are no descriptions: what cameras, websites and agencies leave in alt texts."""

import re
from collections.abc import Iterable

HTML = r"</?[A-Za-z][A-Za-z0-9]*(\s[^<>]*)?/?>|&([a-z]{2,8}|#[0-9]{1,6});"
"""Tags, and characters written by name or number."""

PATTERNS = {
    "file_name": re.compile(
        r"^\s*\S+\.(?:jpe?g|png|gif|webp|bmp|tiff?)\s*$|\b(?:img|dsc[nf]?|dcim|pict|p\d{3})[_ -]?\d{3,}\b",
        re.IGNORECASE,
    ),
    "stock_photo": re.compile(
        r"\bstock (?:photo|image|picture|vector|illustration|footage)|\broyalty[ -]free\b|\bclip ?art\b"
        r"|\b(?:shutterstock|istock|getty images|alamy|dreamstime|depositphotos|123rf)\b|©|\ball rights reserved\b",
        re.IGNORECASE,
    ),
    "url": re.compile(r"https?://|\bwww\.\w", re.IGNORECASE),
    "html": re.compile(HTML),
    "placeholder": re.compile(
        r"^\W*(?:image|photo|picture|img|untitled|null|none|nan|n/a|undefined|no caption|loading)\W*\d*\W*$",
        re.IGNORECASE,
    ),
}


def kinds_of(caption: str) -> list[str]:
    """The kinds of boilerplate that a caption shows, of `PATTERNS`."""
    return [kind for kind, pattern in PATTERNS.items() if pattern.search(caption)]


def boilerplate(captions: Iterable[str]) -> list[list[str]]:
    """`kinds_of` each caption."""
    return [kinds_of(caption) for caption in captions]
