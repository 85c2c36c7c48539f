"""DICOM radiographs written here by pydicom in tmp_path; compressed ones against the same picture uncompressed."""

from __future__ import annotations

import io
import subprocess
import sys
import warnings

import numpy as np
import pydicom
import pytest
from dicom_files import dicom, lut, saved
from PIL import Image
from pydicom import Dataset
from pydicom.data import get_testdata_file
from pydicom.encaps import encapsulate
from pydicom.pixels import get_decoder
from pydicom.uid import (
    BasicTextSRStorage,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

from r2gen_lib.data.images.decode import load_grey
from r2gen_lib.data.study import Picture
from r2gen_lib.errors import ImageError


@pytest.fixture
def show(tmp_path):
    """``show(pixels, ...)``: the picture of a DICOM file that ``dicom(pixels, ...)`` makes."""
    return lambda pixels, *args, **elements: load_grey(saved(tmp_path, dicom(pixels, *args, **elements)))


@pytest.fixture
def ramp() -> np.ndarray:
    """All 4,096 values of 12 bits, in rows: uint16 (64, 64)."""
    return np.arange(4096, dtype=np.uint16).reshape(64, 64)


@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
def test_every_depth_goes_from_black_to_white(show, bits):
    full = (1 << bits) - 1
    pixels = np.linspace(0, full, 4096).reshape(64, 64).astype(np.uint8 if bits == 8 else np.uint16)
    grey = show(pixels, bits)
    assert grey.dtype == np.uint8 and grey.shape == (64, 64)
    np.testing.assert_allclose(grey, pixels / full * 255, atol=0.5001)
    np.testing.assert_array_equal(show(pixels, bits, PhotometricInterpretation="MONOCHROME1"), 255 - grey)


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
def test_a_picture_loads_its_dicom_whatever_its_name(tmp_path, ramp, syntax):
    for name in ("picture.dcm", "picture.png", "1_IM-0001-3001"):
        path = saved(tmp_path, dicom(ramp, syntax=syntax), name)
        np.testing.assert_allclose(Picture("frontal", path).load(), ramp / 4095 * 255, atol=0.5001)


def test_without_window_the_pictures_own_range_is_shown(show, ramp):
    grey = show(ramp[16:48])
    assert grey.min() == 0 and grey.max() == 255
    np.testing.assert_allclose(grey, (ramp[16:48] - 1024.0) / 2047 * 255, atol=0.5001)
    assert not show(np.full((4, 4), 700, np.uint16)).any()


def test_the_window_is_applied_and_the_first_one_where_there_are_several(show, ramp):
    grey = show(ramp, WindowCenter=2048, WindowWidth=1024)
    assert not grey[ramp < 1536].any() and (grey[ramp > 2559] == 255).all()
    between = (ramp >= 1536) & (ramp <= 2559)
    np.testing.assert_allclose(grey[between], (ramp[between] - 1536.0) / 1023 * 255, atol=0.5001)
    np.testing.assert_array_equal(show(ramp, WindowCenter=[2048, 100], WindowWidth=[1024, 10]), grey)
    inverted = show(ramp, WindowCenter=2048, WindowWidth=1024, PhotometricInterpretation="MONOCHROME1")
    np.testing.assert_array_equal(inverted, 255 - grey)


def test_window_functions(show, ramp):
    exact = show(ramp, WindowCenter=2048, WindowWidth=1024, VOILUTFunction="LINEAR_EXACT")
    inside = (ramp > 1536) & (ramp <= 2560)
    np.testing.assert_allclose(exact[inside], (ramp[inside] - 1536.0) / 1024 * 255, atol=0.5001)
    for width in (20, 1024):  # a steep one overflows on its way to black
        sigmoid = show(ramp, WindowCenter=2048, WindowWidth=width, VOILUTFunction="SIGMOID")
        with np.errstate(over="ignore"):
            expected = 255 / (1 + np.exp(-4 * (ramp - 2048.0) / width))
        np.testing.assert_allclose(sigmoid, expected, atol=0.5001)


def test_signed_values_and_rescale_before_the_window(show):
    pixels = np.arange(-2048, 2048, dtype=np.int16).reshape(64, 64)
    np.testing.assert_allclose(show(pixels), (pixels + 2048.0) / 4095 * 255, atol=0.5001)
    scaled = pixels * 2.0 + 1000
    grey = show(pixels, RescaleSlope=2, RescaleIntercept=1000, WindowCenter=1000, WindowWidth=2001)
    np.testing.assert_allclose(grey, ((scaled - 999.5) / 2000 + 0.5).clip(0, 1) * 255, atol=0.5001)
    turned = show(pixels, RescaleSlope=-1, RescaleIntercept=0)
    np.testing.assert_allclose(turned, (2047.0 - pixels) / 4095 * 255, atol=0.5001)


def test_bits_above_those_stored_are_ignored(show, ramp):
    np.testing.assert_array_equal(show(ramp | 0x8000), show(ramp))


@pytest.mark.parametrize("bits", [8, 10, 16])
def test_a_voi_lut_is_preferred_to_the_window(show, ramp, bits):
    full = (1 << bits) - 1
    curve = [round(full * (i / 999) ** 0.5) for i in range(1000)]
    expected = np.array(curve)[(ramp.astype(int) - 1500).clip(0, 999)] / full * 255
    for window in ({}, {"WindowCenter": 100, "WindowWidth": 10}):
        grey = show(ramp, VOILUTSequence=lut(1500, curve, bits), **window)
        np.testing.assert_allclose(grey, expected, atol=0.5001)
    inverted = show(ramp, VOILUTSequence=lut(1500, curve, bits), PhotometricInterpretation="MONOCHROME1")
    np.testing.assert_allclose(inverted, 255 - expected, atol=0.5001)


def test_a_voi_lut_after_rescale_begins_below_zero(show):
    pixels = np.arange(-2048, 2048, dtype=np.int16).reshape(64, 64)
    steps = lut(-100, list(range(0, 256)), 8)
    grey = show(pixels, VOILUTSequence=steps, RescaleSlope=1, RescaleIntercept=0)
    np.testing.assert_array_equal(grey, (pixels + 100).clip(0, 255))


def test_a_modality_lut_comes_first(show, ramp):
    backwards = lut(0, list(range(4095, -1, -1)), 16)
    np.testing.assert_allclose(show(ramp, ModalityLUTSequence=backwards), (4095 - ramp) / 4095 * 255, atol=0.5001)


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_padding_is_black_and_does_not_set_the_range(show, ramp, photometric):
    pixels = ramp.clip(1000, 3000)
    pixels[:, :10], pixels[:, -10:] = 0, 4095
    elements = {"PhotometricInterpretation": photometric, "PixelPaddingValue": 0}
    grey = show(pixels, PixelPaddingRangeLimit=3, **elements)
    assert not grey[:, :10].any()
    assert not (show(pixels, **elements)[:, :10]).any()
    high = {"PhotometricInterpretation": photometric, "PixelPaddingValue": 4095}
    pixels[:, :10] = 4095
    grey = show(pixels, **high)
    assert not grey[:, :10].any() and not grey[:, -10:].any()
    inner = (pixels[:, 10:-10] - 1000.0) / 2000 * 255
    np.testing.assert_allclose(grey[:, 10:-10], inner if photometric == "MONOCHROME2" else 255 - inner, atol=0.5001)


def test_the_first_of_several_frames(show, ramp):
    np.testing.assert_array_equal(show(np.stack([ramp, ramp[::-1], ramp * 0]), NumberOfFrames=3), show(ramp))


def test_colour_becomes_luminance(show):
    colours = np.array([[[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 255]]] * 2, dtype=np.uint8)
    grey = show(colours, 8, PhotometricInterpretation="RGB", PlanarConfiguration=0)
    np.testing.assert_array_equal(grey, [[76, 150, 29, 255]] * 2)


def test_a_palette_of_colours(tmp_path):
    dataset = dicom(np.arange(256, dtype=np.uint8).reshape(16, 16), 8, PhotometricInterpretation="PALETTE COLOR")
    for colour in ("Red", "Green", "Blue"):
        dataset.add_new(f"{colour}PaletteColorLookupTableDescriptor", "US", [256, 0, 8])
        dataset.add_new(f"{colour}PaletteColorLookupTableData", "OW", bytes(range(255, -1, -1)))
    np.testing.assert_array_equal(load_grey(saved(tmp_path, dataset)), np.arange(255, -1, -1).reshape(16, 16))


# Compressed transfer syntaxes.


def encapsulated(dataset: Dataset, frame: bytes, syntax: str) -> Dataset:
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.PixelData = encapsulate([frame])
    dataset["PixelData"].VR = "OB"
    dataset["PixelData"].is_undefined_length = True
    return dataset


@pytest.mark.parametrize("syntax", [RLELossless, JPEG2000Lossless])
@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_lossless_syntaxes_give_the_same_picture(tmp_path, ramp, syntax, photometric):
    dataset = dicom(ramp, PhotometricInterpretation=photometric, WindowCenter=2000, WindowWidth=3000)
    expected = load_grey(saved(tmp_path, dataset))
    dataset.compress(syntax)
    np.testing.assert_array_equal(load_grey(saved(tmp_path, dataset)), expected)


def test_jpeg_baseline(tmp_path, ramp):
    grey = (ramp >> 4).astype(np.uint8)
    frame = io.BytesIO()
    Image.fromarray(grey).save(frame, "JPEG", quality=95)
    dataset = encapsulated(dicom(grey, 8), frame.getvalue(), JPEGBaseline8Bit)
    assert np.abs(load_grey(saved(tmp_path, dataset)).astype(int) - grey).mean() < 2


def lossless_jpeg(pixels: np.ndarray, bits: int) -> bytes:
    """Lossless JPEG (ITU-T T.81, process 14, first-order prediction) of uint16 (H, W), all Huffman codes of 5 bits."""
    values = pixels.astype(int)
    predicted = np.zeros_like(values)
    predicted[:, 1:] = values[:, :-1]
    predicted[1:, 0] = values[:-1, 0]
    predicted[0, 0] = 1 << (bits - 1)
    stream = ""
    for difference in ((values - predicted + 32768) % 65536 - 32768).ravel().tolist():  # modulo 16 bits
        size = abs(difference).bit_length()
        extra = difference if difference > 0 else difference + (1 << size) - 1
        stream += f"{size:05b}" + (f"{extra:0{size}b}" if 0 < size < 16 else "")
    stream += "1" * (-len(stream) % 8)
    scan = int(stream, 2).to_bytes(len(stream) // 8, "big").replace(b"\xff", b"\xff\x00")
    height, width = pixels.shape

    def segment(marker: int, body: bytes) -> bytes:
        return bytes([0xFF, marker]) + (len(body) + 2).to_bytes(2, "big") + body

    frame = bytes([bits]) + height.to_bytes(2, "big") + width.to_bytes(2, "big") + bytes([1, 1, 0x11, 0])
    codes = bytes([0, 0, 0, 0, 0, 17, *[0] * 11]) + bytes(range(17))
    start = bytes([1, 1, 0, 1, 0, 0])
    return b"\xff\xd8" + segment(0xC3, frame) + segment(0xC4, codes) + segment(0xDA, start) + scan + b"\xff\xd9"


@pytest.mark.parametrize("bits", [12, 16])
def test_jpeg_lossless_the_usual_syntax_of_radiographs(tmp_path, bits):
    pytest.importorskip("libjpeg", reason="the extra dicom is not installed")
    pixels = np.random.default_rng(0).integers(0, 1 << bits, (16, 24)).astype(np.uint16)
    expected = load_grey(saved(tmp_path, dicom(pixels, bits)))
    dataset = encapsulated(dicom(pixels, bits), lossless_jpeg(pixels, bits), JPEGLosslessSV1)
    np.testing.assert_array_equal(load_grey(saved(tmp_path, dataset)), expected)


SAME_PICTURE = ("RLE", "jp2klossless", "jpeg_ls_lossless", "bigendian", "implicit", "expb")


@pytest.mark.parametrize("name", SAME_PICTURE)
def test_pydicoms_own_samples_of_one_picture_agree(name):
    path, reference = (get_testdata_file(f"MR_small{part}.dcm", download=False) for part in (f"_{name}", ""))
    if not path or not reference:
        pytest.skip("this pydicom comes without its sample files")
    if not get_decoder(pydicom.dcmread(path).file_meta.TransferSyntaxUID).is_available:
        pytest.skip("the extra dicom is not installed")
    np.testing.assert_array_equal(load_grey(path), load_grey(reference))


def test_a_missing_plugin_is_named_with_the_extra_to_install(tmp_path, ramp, monkeypatch):
    path = saved(tmp_path, encapsulated(dicom(ramp), b"\xff\xd8", JPEGLSLossless))
    monkeypatch.setattr(get_decoder(JPEGLSLossless), "_available", {})
    refused(path, "JPEG-LS Lossless", 'pip install "r2gen-course[dicom]"')


def test_a_syntax_that_is_no_still_picture(tmp_path, ramp):
    path = saved(tmp_path, encapsulated(dicom(ramp), b"\0\0", "1.2.840.10008.1.2.4.102"))
    refused(path, "MPEG-4", "export the picture uncompressed")


# What cannot be read.


def refused(path, *expected: str) -> None:
    with pytest.raises(ImageError) as caught:
        load_grey(path)
    message = str(caught.value)
    assert "\n" not in message and len(message) < 900
    for part in (str(path), "expected", *expected):
        assert part in message, message


def test_no_pixel_data(tmp_path, ramp):
    refused(saved(tmp_path, dicom(ramp, PixelData=None)), "no pixel data", "Digital X-Ray Image Storage")
    report = dicom(ramp, PixelData=None, Rows=None, Columns=None, Modality="SR")
    report.SOPClassUID = BasicTextSRStorage
    refused(saved(tmp_path, report), "no pixel data", "Basic Text SR")
    refused(saved(tmp_path, dicom(ramp, PixelData=b"")), "no pixel data")


def test_truncated_and_not_really_dicom(tmp_path, ramp):
    path = saved(tmp_path, dicom(ramp))
    content = path.read_bytes()
    for kept in (132, 140, 200, 400, len(content) // 2, len(content) - 2):
        path.write_bytes(content[:kept])
        refused(path)
    path.write_bytes(bytes(128) + b"DICM" + b"nothing of the kind")
    refused(path)


@pytest.mark.parametrize(
    "elements, expected",
    [
        ({"Rows": None}, "Rows"),
        ({"Rows": 60_000, "Columns": 60_000}, "60,000 x 60,000 pixels"),
        ({"Rows": 0}, "64 x 0 pixels"),
        ({"PhotometricInterpretation": "CMYK"}, "PhotometricInterpretation is 'CMYK'"),
        ({"BitsAllocated": 32, "BitsStored": 32}, "BitsStored is 32"),
        ({"PixelPaddingValue": 0, "PixelPaddingRangeLimit": 4095}, "every pixel is padding"),
    ],
)
def test_elements_that_make_no_picture(tmp_path, ramp, elements, expected):
    refused(saved(tmp_path, dicom(ramp, **elements)), expected)


def test_damaged_bytes_give_a_picture_or_the_one_error(tmp_path, ramp):
    rng = np.random.default_rng(2)
    path = tmp_path / "damaged.dcm"
    plain = dicom(ramp[:8, :8], WindowCenter=2048, WindowWidth=1000, VOILUTSequence=lut(0, [1, 2, 3], 8))
    plain.save_as(path, enforce_file_format=True)
    contents = [path.read_bytes()]
    plain.compress(RLELossless)
    plain.save_as(path, enforce_file_format=True)
    contents.append(path.read_bytes())
    for whole in contents:
        for _ in range(60):
            content = bytearray(whole)
            for position in rng.integers(132, len(content), 4):
                content[position] = rng.integers(0, 256)
            path.write_bytes(content)
            with warnings.catch_warnings():
                warnings.simplefilter("error")  # pydicom's many warnings are not passed on
                try:
                    assert load_grey(path).dtype == np.uint8
                except ImageError as error:
                    assert str(path) in str(error)


def test_pydicom_is_not_imported_for_other_pictures(tmp_path):
    Image.new("L", (4, 4)).save(tmp_path / "picture.png")
    code = (
        "import sys; from r2gen_lib.data.images.decode import load_grey; "
        f"load_grey({str(tmp_path / 'picture.png')!r}); print('pydicom' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
