"""Real PNG and JPEG files, written here by Pillow (or by hand, where it can't), and damaged ones."""

from __future__ import annotations

import io
import struct
import warnings
import zlib

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from r2gen_lib.data.images.decode import load_grey
from r2gen_lib.data.images.preprocess import normalise, to_pixel_values, to_square
from r2gen_lib.data.study import Picture
from r2gen_lib.errors import DataError, ImageError


@pytest.fixture
def grey() -> np.ndarray:
    """A picture that tells its corners apart: (H, W) = (40, 60), bright in the upper left."""
    rows, columns = np.mgrid[0:40, 0:60]
    picture = 200 - 3 * rows - columns
    picture[0:8, 0:8] = 255
    picture[-4:, -4:] = 0
    return picture.astype(np.uint8)


def saved(tmp_path, image: Image.Image, name: str = "picture.png", **how):
    path = tmp_path / name
    image.save(path, **how)
    return path


def grey_png(path, width: int, height: int, bits: int, rows: bytes):
    """A grey PNG of any depth and any claim about its size, from packed rows that each begin with filter byte 0."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, bits, 0, 0, 0, 0)
    chunks = chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(chunks))
    return path


def test_8_bit_grey_png_comes_back_exactly(tmp_path, grey):
    loaded = load_grey(saved(tmp_path, Image.fromarray(grey)))
    assert loaded.dtype == np.uint8 and loaded.flags.writeable
    np.testing.assert_array_equal(loaded, grey)
    np.testing.assert_array_equal(Picture("frontal", saved(tmp_path, Image.fromarray(grey))).load(), grey)


def test_grey_jpeg_is_close(tmp_path, grey):
    loaded = load_grey(saved(tmp_path, Image.fromarray(grey), "picture.jpg", quality=95))
    assert loaded.shape == grey.shape
    assert np.abs(loaded.astype(int) - grey).mean() < 3


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "LA"])
def test_colour_modes_give_the_same_grey(tmp_path, grey, mode):
    loaded = load_grey(saved(tmp_path, Image.fromarray(grey).convert(mode)))
    assert np.abs(loaded.astype(int) - grey).max() <= 1


def test_adaptive_palette_is_close(tmp_path, grey):
    image = Image.fromarray(grey).convert("RGB").convert("P", palette=Image.Palette.ADAPTIVE, colors=256)
    assert np.abs(load_grey(saved(tmp_path, image)).astype(int) - grey).max() <= 4


def test_palette_of_greys_is_exact(tmp_path, grey):
    np.testing.assert_array_equal(load_grey(saved(tmp_path, Image.fromarray(grey).convert("P"))), grey)


def test_colour_becomes_luminance(tmp_path):
    colours = np.array([[[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 255]]], dtype=np.uint8)
    np.testing.assert_array_equal(load_grey(saved(tmp_path, Image.fromarray(colours))), [[76, 150, 29, 255]])


def test_transparent_parts_are_black(tmp_path, grey):
    rgba = np.dstack([grey, grey, grey, np.full_like(grey, 255)])
    rgba[:, 30:, 3] = 0
    loaded = load_grey(saved(tmp_path, Image.fromarray(rgba)))
    np.testing.assert_array_equal(loaded[:, :30], grey[:, :30])
    assert not loaded[:, 30:].any()


def test_transparent_palette_entry_is_black(tmp_path, grey):
    loaded = load_grey(saved(tmp_path, Image.fromarray(grey).convert("P"), transparency=255))
    assert not loaded[0:8, 0:8].any() and loaded[20, 20] == grey[20, 20]


@pytest.mark.parametrize("bits", [9, 12, 14, 16])
def test_deep_grey_keeps_black_and_full_scale(tmp_path, bits):
    full = (1 << bits) - 1
    deep = np.linspace(0, full, 40 * 60).reshape(40, 60).astype(np.uint16)
    path = saved(tmp_path, Image.fromarray(deep))
    with Image.open(path) as image:
        assert image.mode.startswith("I")  # it is stored in 16 bits
    loaded = load_grey(path)
    assert loaded.dtype == np.uint8 and loaded.min() == 0 and loaded.max() == 255
    np.testing.assert_allclose(loaded, deep / full * 255, atol=0.5001)


def test_deep_grey_that_holds_8_bit_values_is_not_stretched(tmp_path, grey):
    np.testing.assert_array_equal(load_grey(saved(tmp_path, Image.fromarray(grey.astype(np.uint16)))), grey)
    assert not load_grey(saved(tmp_path, Image.fromarray(np.zeros((5, 5), np.uint16)))).any()


def test_1_bit_png(tmp_path, grey):
    loaded = load_grey(saved(tmp_path, Image.fromarray(grey > 128)))
    np.testing.assert_array_equal(loaded, np.where(grey > 128, 255, 0))


def test_2_and_4_bit_png_reach_white(tmp_path):
    path = grey_png(tmp_path / "2.png", 4, 1, 2, bytes([0, 0b00011011]))
    np.testing.assert_array_equal(load_grey(path), [[0, 85, 170, 255]])
    path = grey_png(tmp_path / "4.png", 4, 1, 4, bytes([0, 0x05, 0xAF]))
    np.testing.assert_array_equal(load_grey(path), [[0, 85, 170, 255]])


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_orientation_tag_is_applied(tmp_path, grey, orientation):
    upright = Image.fromarray(grey)
    undo = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}  # how a camera held like that stores the picture
    stored = upright.transpose(Image.Transpose(undo[orientation])) if orientation > 1 else upright
    exif = Image.Exif()
    exif[0x0112] = orientation
    loaded = load_grey(saved(tmp_path, stored, "picture.jpg", quality=98, subsampling=0, exif=exif))
    assert loaded.shape == grey.shape
    assert np.abs(loaded.astype(int) - grey).mean() < 3


@pytest.mark.parametrize("mode", ["CMYK", "RGB", "L"])
@pytest.mark.parametrize("progressive", [False, True])
def test_jpegs_of_every_kind_keep_black_and_white_where_they_are(tmp_path, grey, mode, progressive):
    image = Image.fromarray(grey).convert("RGB").convert(mode)
    loaded = load_grey(saved(tmp_path, image, f"{mode}.jpg", quality=95, progressive=progressive))
    assert np.abs(loaded.astype(int) - grey).mean() < 3


def test_the_content_decides_not_the_name(tmp_path, grey):
    image = Image.fromarray(grey)
    np.testing.assert_array_equal(load_grey(saved(tmp_path, image, "png.jpg", format="PNG")), grey)
    np.testing.assert_array_equal(load_grey(saved(tmp_path, image, "png.dcm", format="PNG")), grey)
    assert load_grey(saved(tmp_path, image, "jpeg", format="JPEG")).shape == grey.shape


def refused(path, *expected: str) -> str:
    """The one error's message, which must name the file, what was expected, and each of ``expected``."""
    with pytest.raises(ImageError) as caught:
        load_grey(path)
    message = str(caught.value)
    assert isinstance(caught.value, DataError)
    for part in (str(path), "expected a PNG, JPEG or DICOM picture", *expected):
        assert part in message, message
    return message


def test_missing_file_and_folder(tmp_path):
    refused(tmp_path / "none.png", "found no file", "Check the path")
    refused(tmp_path, "found a folder")


@pytest.mark.parametrize("name", ["picture.png", "picture.jpg"])
@pytest.mark.parametrize("kept", [0.95, 0.5, 0.2])
def test_truncated(tmp_path, name, kept):
    noise = np.random.default_rng(0).integers(0, 256, (200, 200), dtype=np.uint8)
    path = saved(tmp_path, Image.fromarray(noise), name)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * kept)])
    refused(path, "cannot be read to its end", "truncated or damaged", "bytes")


@pytest.mark.parametrize("kept", range(1, 60, 4))
def test_truncated_in_the_header(tmp_path, grey, kept):
    for name in ("picture.png", "picture.jpg"):
        path = saved(tmp_path, Image.fromarray(grey), name)
        path.write_bytes(path.read_bytes()[:kept])
        refused(path)


def test_damaged_bytes_give_a_picture_or_the_one_error(tmp_path, grey):
    rng = np.random.default_rng(1)
    path = tmp_path / "damaged"
    for file_format in ("PNG", "JPEG"):
        buffer = io.BytesIO()
        Image.fromarray(grey).save(buffer, file_format)
        for _ in range(150):
            content = bytearray(buffer.getvalue())
            for position in rng.integers(2, len(content), 6):
                content[position] = rng.integers(0, 256)
            path.write_bytes(content)
            with warnings.catch_warnings():
                warnings.simplefilter("error")  # a damaged size may look like a decompression bomb
                try:
                    assert load_grey(path).dtype == np.uint8
                except ImageError as error:
                    assert str(path) in str(error)


def test_not_a_picture(tmp_path, grey):
    path = tmp_path / "report.png"
    path.write_text("The lungs are clear.")
    refused(path, "20 bytes beginning b'The lung'", "Convert report.png to PNG")
    path.write_bytes(b"")
    refused(path, "found an empty file")
    refused(saved(tmp_path, Image.fromarray(grey), "picture.gif"), "found a GIF picture")


@pytest.mark.parametrize(
    "content, expected",
    [
        (b"\n<!DOCTYPE html><html><title>Log in</title>", "a login page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0", "git lfs pull"),
        (b"\x1f\x8b\x08\x00", "gzip"),
        (b"PK\x03\x04\x14\x00", "zip"),
    ],
)
def test_what_is_often_saved_in_a_pictures_place_is_named(tmp_path, content, expected):
    path = tmp_path / "picture.png"
    path.write_bytes(content)
    refused(path, expected)


def test_a_dcm_file_without_a_dicom_header(tmp_path):
    path = tmp_path / "picture.dcm"
    path.write_bytes(bytes(300))
    refused(path, "'DICM' at byte 128")


def test_a_file_that_may_not_be_read(tmp_path, grey, monkeypatch):
    def denied(self):
        raise PermissionError(13, "Permission denied")

    path = saved(tmp_path, Image.fromarray(grey))
    monkeypatch.setattr(type(path), "read_bytes", denied)
    refused(path, "Permission denied", "Check that you may read it")


@pytest.mark.parametrize("side", [9_000, 100_000])
def test_a_small_file_that_unpacks_to_gigabytes(tmp_path, side):
    path = grey_png(tmp_path / "bomb.png", side, side, 8, bytes(1000))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        refused(path, "Scale it down")


def test_a_file_of_absurd_length(tmp_path, grey, monkeypatch):
    monkeypatch.setattr("r2gen_lib.data.images.limits.MAX_BYTES", 100)
    refused(saved(tmp_path, Image.fromarray(grey)), "of at most 100", "Scale it down")


def test_a_text_chunk_that_unpacks_to_megabytes(tmp_path, grey):
    info = PngImagePlugin.PngInfo()
    info.add_text("bomb", "x" * 2_000_000, zip=True)
    path = saved(tmp_path, Image.fromarray(grey), pnginfo=info)
    refused(path)


def test_pixel_values_keep_the_aspect_and_pad_with_black():
    wide = np.full((100, 200), 255, dtype=np.uint8)
    values = to_pixel_values(wide, 224, 0.0, 1.0)
    assert values.shape == (3, 224, 224) and values.dtype == np.float32 and values.flags.c_contiguous
    np.testing.assert_array_equal(values[0], values[2])
    assert (values[0, 56:168] == 1).all() and not values[0, :56].any() and not values[0, 168:].any()
    tall = to_pixel_values(wide.T, 224, 0.0, 1.0)
    np.testing.assert_array_equal(tall[0], values[0].T)


def test_cropping_keeps_the_middle_and_the_aspect():
    wide = np.zeros((100, 200), dtype=np.uint8)
    wide[:, 50:150] = 255  # the middle square is white, the ends black
    square = to_square(wide, 64, "crop")
    assert square.shape == (64, 64) and square.dtype == np.uint8 and square[:, 2:-2].min() == 255
    np.testing.assert_array_equal(to_square(wide.T, 64, "crop"), square.T)
    rows, columns = np.mgrid[-50:50, -100:100]
    disc = to_square(np.where(rows**2 + columns**2 < 40**2, 255, 0).astype(np.uint8), 64, "crop") > 127
    assert disc.any(axis=0).sum() == disc.any(axis=1).sum() == pytest.approx(64 * 0.8, abs=2)


def test_cropped_and_padded_squares_are_the_same_picture(grey):
    square = np.ascontiguousarray(grey[:40, :40])
    np.testing.assert_array_equal(to_square(square, 32, "crop"), to_square(square, 32, "pad"))
    np.testing.assert_array_equal(
        to_pixel_values(grey, 32, 0.5, 0.25, "crop"), normalise(to_square(grey, 32, "crop"), 0.5, 0.25)
    )
    with pytest.raises(ImageError, match="fit: found 'squeeze', expected one of pad, crop, stretch"):
        to_pixel_values(grey, 32, 0.5, 0.5, "squeeze")


def test_stretching_loses_the_aspect_and_nothing_else():
    wide = np.zeros((100, 200), dtype=np.uint8)
    wide[:, :100] = 255
    square = to_square(wide, 64, "stretch")
    assert square.shape == (64, 64) and square[:, :30].min() == 255 and square[:, 34:].max() == 0


def test_pixel_values_are_normalised_by_channel():
    grey = np.full((10, 10), 51, dtype=np.uint8)  # 0.2
    values = to_pixel_values(grey, 8, (0.1, 0.2, 0.4), (0.5, 1.0, 0.25))
    np.testing.assert_allclose(values.mean(axis=(1, 2)), [0.2, 0.0, -0.8], atol=1e-6)
    np.testing.assert_allclose(to_pixel_values(grey, 8, 0.5, 0.5), -0.6, atol=1e-6)


def test_pixel_values_of_the_right_size_are_the_bytes_themselves(grey):
    square = grey[:40, :40]
    np.testing.assert_allclose(to_pixel_values(square, 40, 0.0, 1.0)[1], square / 255, atol=1e-7)


def test_scaling_down_averages_instead_of_skipping():
    stripes = np.zeros((896, 896), dtype=np.uint8)
    stripes[:, ::2] = 255
    values = to_pixel_values(stripes, 224, 0.0, 1.0)[0]
    assert np.abs(values[:, 5:-5] - 0.5).max() < 0.05


def test_extreme_shapes_and_wrong_arrays():
    for fit in ("pad", "crop", "stretch"):
        assert to_pixel_values(np.full((1, 5000), 9, np.uint8), 32, 0.5, 0.5, fit).shape == (3, 32, 32)
    for wrong in (np.zeros((4, 4)), np.zeros((3, 4, 4), np.uint8), np.zeros((0, 0), np.uint8), [[1]]):
        with pytest.raises(ImageError, match=r"expected uint8 \(H, W\)"):
            to_pixel_values(wrong, 32, 0.5, 0.5)


@pytest.mark.parametrize("bits", [12, 16])
def test_transparent_deep_grey_is_black(tmp_path, bits):
    full = (1 << bits) - 1
    deep = np.linspace(0, full, 40 * 60).reshape(40, 60).astype(np.uint16)
    deep[:, :5] = 65535 if bits == 12 else 1234
    loaded = load_grey(saved(tmp_path, Image.fromarray(deep), transparency=int(deep[0, 0])))
    assert not loaded[:, :5].any()
    np.testing.assert_allclose(loaded[:, 5:], deep[:, 5:] / full * 255, atol=0.5001)


@pytest.mark.parametrize("file_format", ["PNG", "MPO"])
def test_an_animation_or_several_pictures_give_the_first(tmp_path, grey, file_format):
    frames = [Image.fromarray(frame).convert("RGB") for frame in (grey, grey[::-1], grey // 2)]
    path = saved(tmp_path, frames[0], "picture", format=file_format, save_all=True, append_images=frames[1:])
    assert np.abs(load_grey(path).astype(int) - grey).mean() < 3


def test_pictures_of_other_formats_are_named(tmp_path, grey):
    for name, image in (("TIFF", Image.fromarray(grey.astype(np.float32))), ("BMP", Image.fromarray(grey))):
        refused(saved(tmp_path, image, "picture.png", format=name), f"found a {name} picture")


@pytest.mark.parametrize("file_format", ["PNG", "JPEG"])
@pytest.mark.parametrize(
    "tag, turned",
    [
        (b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0", True),
        (b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\0\0\0\0\0\0\0", False),  # 0: unknown
        (b"Exif\0\0MM\0*\0\0\0\x08\0\x09\x01\x12", False),
        (b"Exif\0\0MM\0*\xff\xff\xff\xff", False),
        (b"Exif\0\0nothing of the kind", False),
        (b"Exif\0\0", False),
    ],
)
def test_a_damaged_orientation_tag_does_not_cost_the_picture(tmp_path, grey, file_format, tag, turned):
    path = saved(tmp_path, Image.fromarray(grey), "picture", format=file_format, exif=tag)
    notes: list[str] = []
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        loaded = load_grey(path, notes)
    expected = np.rot90(grey, -1) if turned else grey
    assert loaded.shape == expected.shape and np.abs(loaded.astype(int) - expected).mean() < 3
    assert all("orientation" in note for note in notes) and (not turned or not notes)


def test_paths_that_no_system_knows(tmp_path):
    refused(tmp_path / ("x" * 5000))
    refused(tmp_path / "a\0b")


@pytest.mark.parametrize("kind", [RuntimeError, AssertionError, ZeroDivisionError, RecursionError, OverflowError])
def test_whatever_the_decoder_raises_is_the_one_error(tmp_path, grey, monkeypatch, kind):
    def fails(self):
        raise kind("of its own")

    path = saved(tmp_path, Image.fromarray(grey))
    monkeypatch.setattr(PngImagePlugin.PngImageFile, "load", fails)
    refused(path, "of its own", "cannot be read to its end")


def test_too_little_memory_is_told(tmp_path, grey, monkeypatch):
    def fails(self):
        raise MemoryError

    path = saved(tmp_path, Image.fromarray(grey))
    monkeypatch.setattr(PngImagePlugin.PngImageFile, "load", fails)
    with pytest.raises(ImageError, match="not enough memory"):
        load_grey(path)


def test_damaged_pictures_of_every_kind_give_grey_or_the_one_error_and_no_warning(tmp_path, grey, capfd):
    rng = np.random.default_rng(3)
    exif = Image.Exif()
    exif[0x0112], exif[0x011A] = 6, 72.0
    contents = []
    for mode in ("1", "L", "LA", "P", "RGB", "RGBA", "CMYK"):
        for file_format in ("PNG", "JPEG"):
            if (mode in ("1", "LA", "P", "RGBA") and file_format == "JPEG") or (mode, file_format) == ("CMYK", "PNG"):
                continue
            buffer = io.BytesIO()
            Image.fromarray(grey).convert("RGB").convert(mode).save(buffer, file_format, exif=exif)
            contents.append(buffer.getvalue())
    path = tmp_path / "damaged"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for whole in contents:
            for _ in range(60):
                content = bytearray(whole)
                for position in rng.integers(2, min(len(content), 200), 3):
                    content[position] = rng.integers(0, 256)
                path.write_bytes(content)
                notes: list[str] = []
                try:
                    loaded = load_grey(path, notes)
                    assert loaded.dtype == np.uint8 and loaded.ndim == 2
                except ImageError as error:
                    assert str(path) in str(error)
    assert capfd.readouterr() == ("", "")
