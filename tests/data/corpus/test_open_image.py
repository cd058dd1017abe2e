import io
import os
import struct
import zlib
from pathlib import Path

import numpy
import pytest
from PIL import Image

from recap.data.corpus import images
from recap.data.corpus.images import BadImage, decode_image, locate, open_image

RED = (200, 30, 40)


def reason(root: Path, name: str) -> str:
    with pytest.raises(BadImage) as error:
        open_image(root, name)
    return error.value.reason


@pytest.mark.parametrize("name", ["a.png", "a.bmp", "a.tiff", "a.webp", "a.gif", "sub/folder/a.png"])
def test_formats_give_the_same_pixels(tmp_path, name: str) -> None:
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (4, 3), RED).save(tmp_path / name, **({"lossless": True} if name.endswith("webp") else {}))
    image = open_image(tmp_path, name)
    assert (image.mode, image.size, image.getpixel((1, 1))) == ("RGB", (4, 3), RED)


def test_grey_and_palette_and_cmyk_become_rgb(tmp_path) -> None:
    Image.new("L", (2, 2), 100).save(tmp_path / "grey.png")
    Image.new("RGB", (2, 2), RED).quantize().save(tmp_path / "palette.png")
    Image.new("CMYK", (8, 8), (0, 255, 255, 0)).save(tmp_path / "cmyk.jpg", quality=100)
    Image.new("1", (2, 2), 1).save(tmp_path / "bits.png")
    assert open_image(tmp_path, "grey.png").getpixel((0, 0)) == (100, 100, 100)
    assert open_image(tmp_path, "palette.png").getpixel((0, 0)) == RED
    assert numpy.allclose(open_image(tmp_path, "cmyk.jpg").getpixel((4, 4)), (255, 0, 0), atol=3)
    assert open_image(tmp_path, "bits.png").getpixel((0, 0)) == (255, 255, 255)


def test_transparent_parts_are_white(tmp_path) -> None:
    Image.new("RGBA", (2, 2), (*RED, 0)).save(tmp_path / "clear.png")
    Image.new("LA", (2, 2), (10, 255)).save(tmp_path / "solid.png")
    palette = Image.new("P", (2, 2), 0)
    palette.putpalette([*RED])
    palette.save(tmp_path / "palette.png", transparency=0)
    assert open_image(tmp_path, "clear.png").getpixel((0, 0)) == (255, 255, 255)
    assert open_image(tmp_path, "solid.png").getpixel((0, 0)) == (10, 10, 10)
    assert open_image(tmp_path, "palette.png").getpixel((0, 0)) == (255, 255, 255)


@pytest.mark.parametrize(
    ("pixels", "name", "grey"),
    [
        (numpy.full((2, 2), 32768, numpy.uint16), "a.png", 128),
        (numpy.full((2, 2), 100, numpy.uint16), "a.png", 0),
        (numpy.full((2, 2), 0.5, numpy.float32), "a.tiff", 128),
        (numpy.full((2, 2), 200.0, numpy.float32), "a.tiff", 200),
        (numpy.full((2, 2), 70000, numpy.int32), "a.tiff", 255),
        (numpy.full((2, 2), numpy.nan, numpy.float32), "a.tiff", 0),
    ],
)
def test_deep_pixels_are_scaled_not_clipped(tmp_path, pixels, name: str, grey: int) -> None:
    Image.fromarray(pixels).save(tmp_path / name)
    assert open_image(tmp_path, name).getpixel((0, 0)) == (grey,) * 3


def test_exif_orientation_is_applied(tmp_path) -> None:
    image = Image.new("RGB", (40, 20), "white")
    image.paste(RED, (0, 0, 20, 20))
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: shown upright, left becomes top
    image.save(tmp_path / "turned.jpg", exif=exif, quality=95)
    upright = open_image(tmp_path, "turned.jpg")
    assert upright.size == (20, 40)
    assert numpy.allclose(upright.getpixel((10, 5)), RED, atol=8)


def test_broken_files(tmp_path) -> None:
    Image.effect_noise((64, 64), 50).save(tmp_path / "whole.jpg")
    data = (tmp_path / "whole.jpg").read_bytes()
    Image.effect_noise((64, 64), 50).save(tmp_path / "whole.png")
    png = (tmp_path / "whole.png").read_bytes()
    files = {
        "truncated.jpg": data[: len(data) // 2],
        "truncated.png": png[: len(png) // 2],
        "flipped.png": png[:60] + bytes(byte ^ 255 for byte in png[60:90]) + png[90:],
        "empty.jpg": b"",
        "text.jpg": b"<html>404 not found</html>",
        # Pillow could open it, by starting Ghostscript.
        "script.jpg": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\n",
    }
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
        assert reason(tmp_path, name) == "broken_image", name


def test_missing_files(tmp_path) -> None:
    (tmp_path / "folder.jpg").mkdir()
    (tmp_path / "loop.jpg").symlink_to(tmp_path / "loop.jpg")
    os.mkfifo(tmp_path / "pipe.jpg")
    for name in ("none.jpg", "folder.jpg", "loop.jpg", "pipe.jpg", "x" * 5000, "nul\0.jpg", "none.jpg/more.jpg"):
        assert reason(tmp_path, name) == "missing_image", name


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_size_is_checked_before_decoding(tmp_path, monkeypatch) -> None:
    header = struct.pack(">II5B", 12000, 10000, 8, 2, 0, 0, 0)  # claims 120 megapixels
    chunks = b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in ((b"IHDR", header), (b"IDAT", zlib.compress(b"")), (b"IEND", b""))
    )
    (tmp_path / "bomb.png").write_bytes(b"\x89PNG\r\n\x1a\n" + chunks)
    assert reason(tmp_path, "bomb.png") == "image_too_large"
    Image.new("RGB", (10, 10)).save(tmp_path / "small.png")
    monkeypatch.setattr(images, "MAX_PIXELS", 99)
    assert reason(tmp_path, "small.png") == "image_too_large"
    monkeypatch.setattr(images, "MAX_PIXELS", 100)
    assert open_image(tmp_path, "small.png").size == (10, 10)


def test_paths_stay_below_the_root(tmp_path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    Image.new("RGB", (2, 2)).save(tmp_path / "secret.png")
    Image.new("RGB", (2, 2)).save(root / "fine.png")
    (root / "link.png").symlink_to(tmp_path / "secret.png")
    (root / "folder").symlink_to(tmp_path)
    (root / "inside.png").symlink_to(root / "fine.png")
    for name in ("../secret.png", "folder/../../secret.png", str(tmp_path / "secret.png"), str(root / "fine.png")):
        assert reason(root, name) == "path_leaves_root", name
    for name in ("link.png", "folder/secret.png"):
        with pytest.raises(BadImage, match="path_leaves_root"):
            locate(root, name, links_may_leave=False)
        assert open_image(root, name).size == (2, 2)  # a stage output that DVC linked into its cache
    assert locate(root, "inside.png", links_may_leave=False) == root / "inside.png"


def test_decode_image_reads_bytes() -> None:
    stream = io.BytesIO()
    Image.new("RGB", (3, 3), RED).save(stream, "PNG")
    assert decode_image(io.BytesIO(stream.getvalue()), "row 7").getpixel((0, 0)) == RED
    with pytest.raises(BadImage, match="row 7"):
        decode_image(io.BytesIO(b"nothing"), "row 7")
