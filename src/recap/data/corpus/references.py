"""Find the file that a user's row means: rows and disks that were written on different systems nearly agree.

A path is taken as it stands if a file is there. Else "\\" is read as "/", and each part is compared without regard to
capitals, Unicode form, %20 and blanks around it; a file's suffix may be another image suffix. What fits exactly one
file means that file.
"""

import configparser
import difflib
import os
import re
import unicodedata
from collections import defaultdict
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Literal
from urllib.parse import unquote

from recap.runtime.faults import Unusable

# Suffixes of images, in order of preference where a question names its image without one.
SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm")

# Where a user's symbolic links may lead: inside the folder, and to what a hub or DVC put beside it; or anywhere.
Links = Literal["inside", "anywhere"]

_URL = re.compile(r"(https?|s3|gs|ftp)://", re.IGNORECASE)

# A path is shown up to so many characters: what is longer is no path, but perhaps the picture itself.
SHOWN = 120

_BASE64 = re.compile(r"[A-Za-z0-9+/=_\s-]+")


class Unresolved(Unusable):
    """No file, or one that may not be taken: missing_image, path_leaves_root or base64_image."""


def resolve(root: Path, written: str, *, links: Links = "inside") -> str:
    """The path, below `root` and with "/" between parts, of the file that a row means.

    Args:
        root: The folder that a user's paths start from.
        written: What the row says; an absolute path is taken where it leads into `root`.
        links: "inside": a symbolic link has to end in `root`, in the blobs of the hub snapshot that `root` is, or in
            the cache of the DVC repository around it. "anywhere": links are the user's own affair.

    Raises:
        Unresolved: No file fits, several do, or the one that does is outside.
    """
    shown = shortened(written)
    if looks_like_base64(written):
        raise Unresolved("base64_image", f"expected the path of a file, found base64 of {len(written)} characters")
    if _URL.match(written):
        raise Unresolved(
            "missing_image", f"expected the path of a file, found the URL {shown}; Recap downloads nothing"
        )
    try:
        relative = _below(root, written)
        if not (root / relative).is_file():
            if (root / relative).is_symlink():
                raise Unresolved("missing_image", f"{shown}: a link to what is no file")
            relative = _nearest(root, relative, shown)
        path = (root / relative).resolve()
        if links == "inside" and not any(path.is_relative_to(place) for place in _own_places(root.resolve())):
            raise Unresolved(
                "path_leaves_root",
                f"{shown} is a link out of {root}, to {path}; data.links: anywhere takes such links",
            )
    except (OSError, ValueError, RuntimeError) as error:  # too long, a NUL byte, a loop of links
        problem = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise Unresolved("missing_image", f"{shown}: {problem[:SHOWN]}") from None
    return relative


def shortened(written: str) -> str:
    """A path for a message, quoted."""
    return repr(written if len(written) <= SHOWN else f"{written[:SHOWN]}...")


def looks_like_base64(written: str) -> bool:
    """Whether a row holds the picture itself where a path belongs: a data URI, or more than a file name can hold."""
    return written.startswith("data:") or (len(written) > 255 and _BASE64.fullmatch(written[:4096]) is not None)


def _below(root: Path, written: str) -> str:
    """The path without what only says where it starts, provided that it stays below the root."""
    written = written.removeprefix("file://")
    pure = PurePosixPath(written)
    if not (root / pure).is_file() and "\\" in written:
        pure = PurePosixPath(written.replace("\\", "/"))
    if pure.is_absolute() or ".." in pure.parts or _has_drive(pure):
        for base in (root, root.resolve()):
            folded = Path(os.path.normpath(base.absolute() / pure))
            if not _has_drive(pure) and folded.is_relative_to(base.absolute()):
                return folded.relative_to(base.absolute()).as_posix()
        # "/images/a.jpg": the folder's own root was meant.
        if (
            pure.is_absolute()
            and ".." not in pure.parts
            and _entries(root).same(pure.parts[1] if pure.parts[1:] else "")
        ):
            return pure.relative_to("/").as_posix()
        raise Unresolved(
            "path_leaves_root",
            f"expected a path below {root}, found {shortened(written)}; where the files lie elsewhere, link their "
            "folder into it, set data.links: anywhere, and give paths below it",
        )
    return pure.as_posix()


def _has_drive(pure: PurePosixPath) -> bool:
    return bool(pure.parts) and len(pure.parts[0]) == 2 and pure.parts[0][1] == ":"


def _nearest(root: Path, relative: str, shown: str) -> str:
    """Follow a path part by part through names that mean the same.

    Raises:
        Unresolved: missing_image; the detail names what comes near.
    """
    taken = PurePosixPath()
    *folders, name = PurePosixPath(relative).parts or ("",)
    for depth, folder in enumerate(folders, start=1):
        entries = _entries(root / taken)
        fitting = entries.same(folder)
        if len(fitting) != 1:
            rest = PurePosixPath(*folders[depth:], name)
            near = [taken / entry / rest for entry in fitting or entries.like(folder)]
            raise Unresolved("missing_image", f"{shown}: no such file below {root}{_named(root, near)}")
        taken /= fitting[0]
    entries = _entries(root / taken)
    fitting = entries.same(name)
    fitting = [entry for entry in fitting if (root / taken / entry).is_file()] or entries.same_stem(name)
    if len(fitting) == 1 and (root / taken / fitting[0]).is_file():
        return (taken / fitting[0]).as_posix()
    near = [taken / entry for entry in fitting or entries.like(name)]
    if not near:
        # Paths that start at another folder are the usual case.
        near = [where for where in map(PurePosixPath, (name, f"images/{name}")) if where.as_posix() != relative]
    raise Unresolved("missing_image", f"{shown}: no such file below {root}{_named(root, near)}")


def _named(root: Path, near: list[PurePosixPath]) -> str:
    """The first of the paths that are files, for a message: a folder is no image."""
    files = [path.as_posix() for path in near if (root / path).is_file()]
    return f"; nearest: {', '.join(files[:3])}" if files else ""


class _Entries:
    """The names in a folder, by what they mean."""

    def __init__(self, names: list[str]) -> None:
        self.names = sorted(names)
        self._by_key: dict[str, list[str]] = defaultdict(list)
        self._by_stem: dict[str, list[str]] = defaultdict(list)
        for name in self.names:
            self._by_key[name_key(name)].append(name)
            if PurePosixPath(name).suffix.lower() in SUFFIXES:
                self._by_stem[name_key(PurePosixPath(name).stem)].append(name)

    def same(self, name: str) -> list[str]:
        """The name itself, else those that differ in capitals, Unicode form or %20 only."""
        if name in self._by_key.get(name_key(name), ()):
            return [name]
        return self._by_key.get(name_key(name)) or self._by_key.get(name_key(unquote(name)), [])

    def same_stem(self, name: str) -> list[str]:
        """Images that are called so up to the suffix."""
        pure = PurePosixPath(name)
        stem = pure.stem if pure.suffix.lower() in SUFFIXES else name
        return self._by_stem.get(name_key(stem)) or self._by_stem.get(name_key(unquote(stem)), [])

    def like(self, name: str) -> list[str]:
        """Names that look alike; not asked of large folders, where that takes long and everything looks alike."""
        return difflib.get_close_matches(name, self.names, n=3, cutoff=0.8) if len(self.names) <= 1000 else []


def name_key(name: str) -> str:
    """A name without regard to capitals, Unicode form and blanks around it."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold()).strip()


def _entries(folder: Path) -> _Entries:
    try:
        return _listed(folder.absolute(), folder.stat().st_mtime_ns)
    except OSError:
        return _Entries([])


@lru_cache(maxsize=256)
def _listed(folder: Path, _modified: int) -> _Entries:
    return _Entries(os.listdir(folder))


@lru_cache(maxsize=16)
def _own_places(root: Path) -> tuple[Path, ...]:
    """Where the links of a user's folder may end: in itself, and where tools put the files that they link into it."""
    places = [root]
    hubs = [folder.parent for folder in [root, *root.parents] if folder.name == "snapshots"]
    places += [(hub / "blobs").resolve() for hub in hubs if (hub / "blobs").is_dir()]
    repository = next((folder for folder in [root, *root.parents] if (folder / ".dvc").is_dir()), None)
    if repository is not None:
        places += _dvc_caches(repository / ".dvc")
    return tuple(places)


def _dvc_caches(dvc: Path) -> list[Path]:
    """DVC's own cache and the one that its configuration names, which may lie on another disk."""
    caches = [dvc / "cache"]
    config = configparser.ConfigParser(interpolation=None, strict=False)
    try:
        config.read([dvc / "config", dvc / "config.local"], encoding="utf-8")
        caches.append(dvc / config["cache"]["dir"].strip())
    except (KeyError, configparser.Error, UnicodeDecodeError):
        pass
    return [cache.resolve() for cache in caches]
