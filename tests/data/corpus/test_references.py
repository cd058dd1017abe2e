import json
import os
import shutil
import unicodedata
from pathlib import Path

import pytest
from PIL import Image, PngImagePlugin

from recap.data.corpus.images import BadImage, decode_image, locate, open_image
from recap.data.corpus.references import Unresolved, resolve


def opened(root: Path, written: str) -> Image.Image:
    """The picture that a user's row names, as `prepare` reads it."""
    return decode_image(locate(root, written, links_may_leave=False), written)


@pytest.fixture
def root(tmp_path) -> Path:
    folder = tmp_path / "user"
    for name in ("images/a.jpg", "images/b.png", "images/IMG_7.JPG", "images/two words.jpg", "deep/er/c.webp"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (4, 3), (200, 30, 40)).save(folder / name)
    shutil.copy(folder / "images/a.jpg", folder / "images" / unicodedata.normalize("NFD", "café.jpg"))
    return folder


@pytest.mark.parametrize(
    ("written", "means"),
    [
        ("images/a.jpg", "images/a.jpg"),
        ("./images//a.jpg", "images/a.jpg"),
        ("images\\a.jpg", "images/a.jpg"),
        (".\\images\\b.png", "images/b.png"),
        ("images/b.jpg", "images/b.png"),
        ("images/b", "images/b.png"),
        ("images/b.png ", "images/b.png"),
        ("Images/A.JPG", "images/a.jpg"),
        ("images/img_7.jpeg", "images/IMG_7.JPG"),
        ("images/two%20words.jpg", "images/two words.jpg"),
        ("images/two%20words.png", "images/two words.jpg"),
        ("images/" + unicodedata.normalize("NFC", "café.jpg"), "images/" + unicodedata.normalize("NFD", "café.jpg")),
        ("images/caf%C3%A9.jpg", "images/" + unicodedata.normalize("NFD", "café.jpg")),
        ("deep\\Er\\c.jpg", "deep/er/c.webp"),
        ("images/../images/a.jpg", "images/a.jpg"),
        ("/images/a.jpg", "images/a.jpg"),
        ("file:///images/b.png", "images/b.png"),
    ],
)
def test_a_path_that_fits_one_file_means_it(root, written: str, means: str) -> None:
    assert resolve(root, written) == means
    assert locate(root, written, links_may_leave=False) == root / means
    assert opened(root, written).size == (4, 3)
    assert resolve(root, str(root / "images/a.jpg")) == "images/a.jpg"


def test_a_name_as_it_stands_comes_first(root) -> None:
    shutil.copy(root / "images/a.jpg", root / "images/A.jpg")
    (root / "images/two%20words.jpg").write_bytes((root / "images/a.jpg").read_bytes())
    assert resolve(root, "images/A.jpg") == "images/A.jpg"
    assert resolve(root, "images/two%20words.jpg") == "images/two%20words.jpg"


def test_what_fits_several_files_or_none_is_named(root) -> None:
    shutil.copy(root / "images/a.jpg", root / "images/A.jpg")
    shutil.copy(root / "images/a.jpg", root / "images/b.gif")
    for written, near in {
        "images/A.JPG": "nearest: images/A.jpg, images/a.jpg",
        "images/b.jpg": "nearest: images/b.gif, images/b.png",
        "images/IMG_8.JPG": "nearest: images/IMG_7.JPG",
        "coco/b.png": "no such file below",
        "a.jpg": "nearest: images/a.jpg",
        "image/a.jpg": "nearest: images/a.jpg$",
        "image/z.jpg": "no such file below [^;]*$",
        "imagez": "no such file below [^;]*$",  # like images, which is a folder
        "dep/er/c.webp": "nearest: deep/er/c.webp$",
    }.items():
        with pytest.raises(Unresolved, match=near) as error:
            resolve(root, written)
        assert error.value.reason == "missing_image", written


def test_paths_do_not_leave_the_folder(root, tmp_path) -> None:
    shutil.copy(root / "images/a.jpg", tmp_path / "outside.jpg")
    (root / "images/link.jpg").symlink_to(tmp_path / "outside.jpg")
    for written in ("../outside.jpg", str(tmp_path / "outside.jpg"), "..\\outside.jpg", "C:\\outside.jpg"):
        for links in ("inside", "anywhere"):
            with pytest.raises(Unresolved) as error:
                resolve(root, written, links=links)
            assert error.value.reason == "path_leaves_root", written
    with pytest.raises(BadImage, match=r"data\.links: anywhere") as error:
        locate(root, "images/link.jpg", links_may_leave=False)
    assert error.value.reason == "path_leaves_root"
    assert locate(root, "images/link.jpg", links_may_leave=False, links="anywhere").is_file()


def test_a_link_to_nothing_is_told(root) -> None:
    (root / "images/gone.jpg").symlink_to("../blobs/gone")
    (root / "images/loop.jpg").symlink_to("loop.jpg")
    os.mkfifo(root / "images/pipe.jpg")
    for name in ("gone", "loop", "pipe"):
        with pytest.raises(Unresolved, match="missing_image: .* a link to what" if name != "pipe" else "no such file"):
            resolve(root, f"images/{name}.jpg")


def test_folders_are_told_apart_by_where_they_are(root, tmp_path, monkeypatch) -> None:
    """Relative roots mean other folders after a change of folder."""
    shutil.copytree(root, tmp_path / "second" / "user")
    (tmp_path / "second/user/images/b.png").rename(tmp_path / "second/user/images/b.webp")
    monkeypatch.chdir(tmp_path)
    assert resolve(Path("user"), "images/b.jpg") == "images/b.png"
    monkeypatch.chdir(tmp_path / "second")
    assert resolve(Path("user"), "images/b.jpg") == "images/b.webp"


def test_links_inside_the_folder_are_the_users_own(root) -> None:
    (root / "blobs").mkdir()
    os.rename(root / "images/a.jpg", root / "blobs/0123")
    (root / "images/a.jpg").symlink_to("../blobs/0123")
    assert resolve(root, "images/a.jpg") == "images/a.jpg"


def test_a_hub_snapshot_links_into_its_blobs(root, tmp_path) -> None:
    snapshot, blobs = (tmp_path / "datasets--me--pairs" / name for name in ("snapshots/abc", "blobs"))
    shutil.copytree(root, snapshot)
    blobs.mkdir()
    os.rename(snapshot / "images/a.jpg", blobs / "0123")
    (snapshot / "images/a.jpg").symlink_to("../../../blobs/0123")
    assert opened(snapshot, "images/a.jpg").size == (4, 3)
    shutil.copy(blobs / "0123", tmp_path / "datasets--me--pairs" / "secret.jpg")
    (snapshot / "images/s.jpg").symlink_to("../../../secret.jpg")
    with pytest.raises(Unresolved, match="path_leaves_root"):
        resolve(snapshot, "images/s.jpg")


@pytest.mark.parametrize("elsewhere", [False, True])
def test_a_folder_that_dvc_linked_is_taken(root, tmp_path, elsewhere: bool) -> None:
    """As `cache.type symlink` leaves it, with DVC's cache in the repository or where its configuration says."""
    repository = tmp_path / "repository"
    (repository / ".dvc").mkdir(parents=True)
    cache = tmp_path / "disk" if elsewhere else repository / ".dvc" / "cache"
    (repository / ".dvc/config.local").write_text(f"['remote \"x\"']\n    url = a%b\n[cache]\n    dir = {cache}\n")
    shutil.copytree(root, repository / "data" / "mine")
    (cache / "files").mkdir(parents=True)
    os.rename(repository / "data/mine/images/a.jpg", cache / "files/0123")
    (repository / "data/mine/images/a.jpg").symlink_to(cache / "files/0123")
    assert opened(repository / "data/mine", "images/a.jpg").size == (4, 3)


def test_a_ribbon_is_refused_by_its_sides(tmp_path) -> None:
    for size, sound in {(2000, 20): True, (2001, 20): False, (20, 2001): False, (1, 1): True}.items():
        Image.new("L", size).save(tmp_path / "a.png")
        if sound:
            assert open_image(tmp_path, "a.png").size == size
            continue
        with pytest.raises(BadImage, match="sides may differ by 100 times") as error:
            open_image(tmp_path, "a.png")
        assert error.value.reason == "image_too_thin"


def test_a_png_may_hold_a_long_profile_or_comment(tmp_path) -> None:
    comment = PngImagePlugin.PngInfo()
    comment.add_text("history", "x" * 3_000_000, zip=True)
    Image.new("RGB", (4, 3)).save(tmp_path / "text.png", pnginfo=comment)
    Image.new("RGB", (4, 3)).save(tmp_path / "profile.png", icc_profile=bytes(3_000_000))
    for name in ("text.png", "profile.png"):
        assert open_image(tmp_path, name).size == (4, 3)


@pytest.mark.parametrize("case", ["07-backslash-paths", "08-odd-names", "10-hub-snapshot", "19-png-big-chunks"])
def test_what_people_bring(shared, tmp_path, case: str) -> None:
    folder = tmp_path / case
    shutil.copytree(shared / "cases" / case, folder)
    for path in [folder, *folder.rglob("*")]:
        path.chmod(0o755)
    if (folder / "links.txt").is_file():
        for line in (folder / "links.txt").read_text().splitlines():
            link, target = line.split(" -> ")
            (folder / link).parent.mkdir(parents=True, exist_ok=True)
            (folder / link).symlink_to(target)
    (rows,) = folder.rglob("train.jsonl")
    for row in map(json.loads, rows.read_text(encoding="utf-8").splitlines()):
        image = row.get("image") or row["images"][0]
        if image.startswith("https:"):
            with pytest.raises(BadImage, match=r"missing_image: .* the URL"):
                opened(rows.parent, image)
            continue
        assert opened(rows.parent, image), image
