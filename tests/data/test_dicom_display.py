"""Display elements that are empty, odd or at odds with each other: what is shown, and what is said about it."""

from __future__ import annotations

import logging
import re
import warnings
from pathlib import Path

import numpy as np
import pydicom
import pytest
from dicom_files import dicom, lut, saved
from PIL import Image
from pydicom import Dataset
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from r2gen_lib.data.images.decode import load_grey
from r2gen_lib.errors import ImageError

CASES = Path(__file__).parents[1] / "cases"
CONTENTS = ("MONOCHROME1", "MONOCHROME2")


@pytest.fixture
def show(tmp_path):
    """``show(pixels, ...)``: the picture of a DICOM file that ``dicom(pixels, ...)`` makes, and the notes."""

    def shown(pixels, *args, edit=lambda dataset: None, **elements):
        notes: list[str] = []
        dataset = dicom(pixels, *args, **elements)
        edit(dataset)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            return load_grey(saved(tmp_path, dataset), notes), notes

    return shown


@pytest.fixture
def ramp() -> np.ndarray:
    """All 4,096 values of 12 bits, in rows: uint16 (64, 64)."""
    return np.arange(4096, dtype=np.uint16).reshape(64, 64)


@pytest.fixture
def signed() -> np.ndarray:
    """-2048 to 2047, in rows: int16 (64, 64)."""
    return np.arange(-2048, 2048, dtype=np.int16).reshape(64, 64)


def close(grey: np.ndarray, expected: np.ndarray) -> None:
    assert grey.dtype == np.uint8
    np.testing.assert_allclose(grey, np.clip(expected, 0, 255), atol=0.5001)


def table(first: int, entries, bits: int, count: int | None = None, vr: str = "US", data_vr: str = "OW", order="<"):
    """A LUT's item with any descriptor; ``entries``: numbers, written in 16 bits, or the bytes themselves."""
    item = Dataset()
    numbers = [len(entries) if count is None else count, first, bits]
    if vr == "SS":
        numbers = [(number + (1 << 15)) % (1 << 16) - (1 << 15) for number in numbers]
    item.add_new("LUTDescriptor", vr, numbers)
    data = (
        entries if isinstance(entries, bytes) else np.asarray(entries, dtype=np.uint16).astype(order + "u2").tobytes()
    )
    item.add_new("LUTData", data_vr, data)
    return [item]


# Every case that was handed in.

EXPECTED = sorted(path for path in CASES.glob("dicom_*/*.dcm"))


@pytest.mark.parametrize("path", EXPECTED, ids=lambda path: f"{path.parent.name[6:]}-{path.stem}")
def test_every_case_is_shown_as_expected(path):
    name = "expected_nowindow.png" if path.stem == "window_width_0" else "expected.png"
    expected = np.array(Image.open(path.with_name(name)).convert("L")).astype(int)
    notes: list[str] = []
    grey = load_grey(path, notes)
    assert grey.shape == expected.shape and np.abs(grey - expected).mean() < 1
    assert bool(notes) == (path.parent.name != "dicom_lut_65536_entries")  # which is odd, but allowed
    assert all("\n" not in note and re.search(r"\([0-9A-F]{4},[0-9A-F]{4}\)", note) for note in notes)
    np.testing.assert_array_equal(load_grey(path), grey)


def test_there_are_cases():
    assert len(EXPECTED) >= 13


# Lookup tables.


@pytest.mark.parametrize(
    "declared, bits", [(16, 12), (16, 10), (16, 8), (12, 10), (8, 12), (8, 16), (10, 12), (12, 16)]
)
@pytest.mark.parametrize("photometric", CONTENTS)
def test_a_voi_luts_entries_say_how_many_bits_they_have(show, ramp, declared, bits, photometric):
    curve = (np.arange(4096) / 4095) ** 0.5 * ((1 << bits) - 1)
    grey, notes = show(ramp, VOILUTSequence=table(0, curve, declared), PhotometricInterpretation=photometric)
    expected = np.floor(curve)[ramp] / ((1 << bits) - 1) * 255
    close(grey, expected if photometric == "MONOCHROME2" else 255 - expected)
    assert len(notes) == 1 and f"of {declared} bits at (0028,3002)" in notes[0]


@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
def test_a_voi_lut_that_is_as_declared_is_no_fall_back(show, ramp, bits):
    highest = int(((1 << bits) - 1) * 0.9)  # white is what the bits allow, not the highest entry
    curve = np.arange(4096) / 4095 * highest
    grey, notes = show(ramp, VOILUTSequence=table(0, curve, bits))
    close(grey, np.floor(curve)[ramp] / ((1 << bits) - 1) * 255)
    assert notes == []


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian])
@pytest.mark.parametrize("vr", ["US", "SS"])
@pytest.mark.parametrize("first", [-1000, 64536])
def test_the_first_value_of_a_voi_lut_is_signed_as_values_after_rescale_are(show, ramp, syntax, vr, first):
    steps = table(first % (1 << 16), range(256), 8, vr=vr, order=">" if syntax == ExplicitVRBigEndian else "<")
    pixels = ramp.astype(">u2") if syntax == ExplicitVRBigEndian else ramp
    grey, _ = show(pixels, 12, syntax, VOILUTSequence=steps, RescaleSlope=1, RescaleIntercept=-1024)
    np.testing.assert_array_equal(grey, (ramp.astype(int) - 24).clip(0, 255))  # unsigned pixels, signed values


@pytest.mark.parametrize("vr", ["US", "SS"])
def test_the_first_value_of_a_voi_lut_is_unsigned_where_values_are(show, vr):
    pixels = np.arange(-8192, 8192, dtype=np.int16).reshape(128, 128)
    steps = table(32768 + 8000, range(256), 8, vr=vr)
    grey, notes = show(pixels, 16, VOILUTSequence=steps, RescaleSlope=1, RescaleIntercept=32768 + 8000)
    np.testing.assert_array_equal(grey, pixels.clip(0, 255))
    assert notes == []


@pytest.mark.parametrize("vr", ["US", "SS"])
def test_the_first_value_of_a_modality_lut_is_signed_as_pixels_are(show, signed, vr):
    backwards = table(-2048 % (1 << 16), range(4095, -1, -1), 16, vr=vr)
    grey, _ = show(signed, ModalityLUTSequence=backwards)
    close(grey, (2047.0 - signed) / 4095 * 255)
    high = (np.arange(4096, dtype=np.uint16) + 40_000).reshape(64, 64)
    grey, _ = show(high, 16, ModalityLUTSequence=table(40_000, range(4095, -1, -1), 16, vr=vr))
    close(grey, (44_095.0 - high) / 4095 * 255)


def test_the_other_sign_is_read_where_the_right_one_meets_no_value(show):
    pixels = (np.arange(4096, dtype=np.uint16) + 40_000).reshape(64, 64)
    steps = table(40_000, range(0, 4096), 12)
    grey, notes = show(pixels, 16, VOILUTSequence=steps, RescaleSlope=1, RescaleIntercept=-1)
    close(grey, (pixels - 40_001.0) / 4095 * 255)
    assert len(notes) == 1 and "read as 40000" in notes[0]


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
@pytest.mark.parametrize("count", [256, 255])
@pytest.mark.parametrize("vr", ["OW", "OB", "UN"])
def test_entries_of_8_bits_are_packed_or_not(show, syntax, count, vr):
    pixels = np.arange(count, dtype=np.uint8).reshape(-1, 5 if count == 255 else 16)
    curve = [round(255 * (i / (count - 1)) ** 2) for i in range(count)]
    packed = bytes(curve) + b"\0" * (count % 2)
    for entries in (packed, curve):
        grey, notes = show(pixels, 8, syntax, VOILUTSequence=table(0, entries, 8, count, data_vr=vr))
        np.testing.assert_array_equal(grey, np.array(curve)[pixels])
        assert notes == []
        grey, notes = show(pixels, 8, syntax, ModalityLUTSequence=table(0, entries, 8, count, data_vr=vr))
        np.testing.assert_array_equal(grey, np.array(curve)[pixels])
        assert notes == []
    grey, notes = show(pixels, 8, syntax, VOILUTSequence=table(0, packed, 16, count, data_vr=vr))
    np.testing.assert_array_equal(grey, np.array(curve)[pixels])
    assert len(notes) == 2 and "one byte an entry" in notes[0]


def test_packed_entries_of_a_file_written_in_words(show):
    """Big-endian words hold the first of two entries in their low byte, which then comes second."""
    pixels = np.arange(256, dtype=np.uint8).reshape(16, 16)
    curve = np.array([round(255 * (i / 255) ** 2) for i in range(256)], dtype=np.uint8)
    swapped = curve.view("<u2").astype(">u2").tobytes()
    grey, _ = show(pixels, 8, ExplicitVRBigEndian, VOILUTSequence=table(0, swapped, 8, 256), edit=as_bytes)
    np.testing.assert_array_equal(grey, curve[pixels])


def as_bytes(dataset: Dataset) -> None:
    dataset["PixelData"].VR = "OB"


@pytest.mark.parametrize("sequence", ["VOILUTSequence", "ModalityLUTSequence"])
@pytest.mark.parametrize("vr", ["UN", "OW"])
@pytest.mark.parametrize("order", ["<", ">"])
def test_tables_of_65536_entries(show, sequence, vr, order):
    syntax = ExplicitVRBigEndian if order == ">" else ExplicitVRLittleEndian
    pixels = np.linspace(0, 65535, 4096).astype(order + "u2").reshape(64, 64)
    curve = np.round(65535 * (np.arange(65536) / 65535) ** 2)
    for written in {order, "<" if vr == "UN" else order}:  # a UN is little-endian, but not everyone knows
        grey, notes = show(pixels, 16, syntax, **{sequence: table(0, curve, 16, 0, data_vr=vr, order=written)})
        close(grey, curve[pixels.astype(int)] / 65535 * 255)
        assert notes == []


@pytest.mark.parametrize("bits", [10, 12, 14])
def test_a_modality_lut_of_other_bits_than_8_and_16(show, ramp, bits):
    backwards = np.arange(4095, -1, -1) >> max(0, 12 - bits)
    grey, notes = show(ramp, ModalityLUTSequence=table(0, backwards, bits))
    close(grey, backwards[ramp] / backwards.max() * 255)
    assert len(notes) == 1 and f"Modality LUT of {bits} bits" in notes[0]


@pytest.mark.parametrize("sequence", ["VOILUTSequence", "ModalityLUTSequence"])
def test_a_table_that_disagrees_with_its_descriptor(show, ramp, sequence):
    forwards = list(range(4096))
    backwards = forwards[::-1]
    grey, notes = show(ramp, **{sequence: table(0, backwards + [0] * 200, 12 if "VOI" in sequence else 16, 4096)})
    close(grey, (4095.0 - ramp) / 4095 * 255)
    assert any("the first 4,096 are used" in note for note in notes)
    grey, notes = show(ramp, **{sequence: table(0, backwards, 12 if "VOI" in sequence else 16, 256)})
    close(grey, (4095.0 - ramp) / 4095 * 255)
    assert any("all are used" in note for note in notes)
    grey, notes = show(ramp, **{sequence: table(0, backwards[:2000], 12, 4096)})  # half of the values have no entry
    close(grey, ramp / 4095 * 255)
    assert any("holds 2,000: not used" in note for note in notes)
    grey, notes = show(ramp.clip(0, 1999), **{sequence: table(0, [n % 2048 for n in forwards[:2000]], 11, 4096)})
    assert any("holds 2,000: used" in note for note in notes)


@pytest.mark.parametrize(
    "entries",
    [
        table(0, [], 8, 0),
        table(0, b"", 16, 256),
        table(0, [7] * 4096, 12),  # one shade
        [Dataset()],
    ],
    ids=["nothing", "no data", "one shade", "empty item"],
)
@pytest.mark.parametrize("photometric", CONTENTS)
def test_tables_that_cannot_be_used_are_passed_over(show, ramp, entries, photometric):
    elements = {"WindowCenter": 1024.5, "WindowWidth": 1024, "PhotometricInterpretation": photometric}
    expected, _ = show(ramp, **elements)
    for sequence in ("VOILUTSequence", "ModalityLUTSequence"):
        grey, notes = show(ramp, **{sequence: entries}, **elements)
        np.testing.assert_array_equal(grey, expected)
        assert len(notes) == 1 and "not used" in notes[0]
        grey, notes = show(ramp, **{sequence: []}, **elements)
        np.testing.assert_array_equal(grey, expected)
    good = lut(0, list(range(4095, -1, -1)), 12)
    grey, notes = show(ramp, VOILUTSequence=entries + good, **elements)
    np.testing.assert_array_equal(grey, show(ramp, VOILUTSequence=good, **elements)[0])
    assert len(notes) == 1


# Rescale and windows.


def raw(keyword: str, text: str):
    """An edit that writes an element as it stands, without pydicom's checks."""

    def edit(dataset: Dataset) -> None:
        number = pydicom.datadict.tag_for_keyword(keyword)
        value = text.encode() + b" " * (len(text) % 2)
        dataset[number] = pydicom.dataelem.RawDataElement(
            pydicom.tag.Tag(number), "DS", len(value), value, 0, False, True
        )

    return edit


@pytest.mark.parametrize("photometric", CONTENTS)
@pytest.mark.parametrize(
    "elements, slope, intercept",
    [
        ({"RescaleSlope": None, "RescaleIntercept": None}, 1, 0),
        ({"RescaleSlope": "", "RescaleIntercept": -100}, 1, -100),
        ({"RescaleSlope": 2, "RescaleIntercept": ""}, 2, 0),
        ({"RescaleSlope": 2}, 2, 0),
        ({"RescaleIntercept": -100}, 1, -100),
        ({"RescaleSlope": 0, "RescaleIntercept": 5}, 1, 5),
    ],
)
def test_an_empty_or_missing_rescale_is_1_and_0(show, ramp, elements, slope, intercept, photometric):
    dataset_elements = {"WindowCenter": 1024, "WindowWidth": 2049, "PhotometricInterpretation": photometric}

    def edit(dataset: Dataset) -> None:
        for name, value in elements.items():
            setattr(dataset, name, value)

    grey, notes = show(ramp, edit=edit, **dataset_elements)
    expected = ((ramp * float(slope) + intercept - 1023.5) / 2048 + 0.5).clip(0, 1) * 255
    close(grey, expected if photometric == "MONOCHROME2" else 255 - expected)
    assert notes and all("taken as" in note for note in notes)


@pytest.mark.parametrize(
    "keyword, text", [("RescaleSlope", "zwei"), ("RescaleSlope", "nan"), ("RescaleSlope", "1e999")]
)
def test_a_rescale_that_is_no_number(show, ramp, keyword, text):
    grey, notes = show(ramp, RescaleIntercept=0, edit=raw(keyword, text))
    close(grey, ramp / 4095 * 255)
    assert len(notes) == 1 and "RescaleSlope at (0028,1053)" in notes[0]


def test_a_decimal_comma(show, ramp):
    grey, notes = show(ramp, RescaleIntercept=0, WindowCenter=100, WindowWidth=201, edit=raw("RescaleSlope", "0,05 "))
    close(grey, ((ramp * 0.05 - 99.5) / 200 + 0.5).clip(0, 1) * 255)
    assert notes == ["decimal comma in RescaleSlope at (0028,1053): read as a point"]
    grey, notes = show(ramp, WindowCenter=[1024, 9], edit=raw("WindowWidth", "2048,5\\1,5"))
    close(grey, ((ramp - 1023.5) / 2047.5 + 0.5).clip(0, 1) * 255)


@pytest.mark.parametrize("photometric", CONTENTS)
@pytest.mark.parametrize(
    "elements, note",
    [
        ({"WindowCenter": 100, "WindowWidth": 0}, "window width 0 at (0028,1051): shown without a window"),
        ({"WindowCenter": 100, "WindowWidth": -5}, "window width -5 at (0028,1051): shown without a window"),
        ({"WindowCenter": [1, 2], "WindowWidth": [0, 0]}, "window width 0 at (0028,1051): shown without a window"),
        ({"WindowCenter": "", "WindowWidth": 100}, "0 centers at (0028,1050), 1 widths at (0028,1051)"),
        ({"WindowCenter": 100}, "0 widths at (0028,1051): shown without a window"),
        ({"WindowWidth": 100}, "0 centers at (0028,1050)"),
        ({"WindowCenter": "", "WindowWidth": ""}, "shown without a window"),
        ({"WindowCenter": 60_000, "WindowWidth": 10}, "shows one shade only: not used"),
        ({"WindowCenter": -5, "WindowWidth": 1}, "shows one shade only: not used"),
    ],
)
def test_a_window_that_cannot_be_used(show, ramp, elements, note, photometric):
    grey, notes = show(ramp[16:48], PhotometricInterpretation=photometric, **elements)
    expected, nothing = show(ramp[16:48], PhotometricInterpretation=photometric)
    np.testing.assert_array_equal(grey, expected)
    assert note in notes[-1] and nothing == []


def test_the_first_window_that_can_be_used(show, ramp):
    good, _ = show(ramp, WindowCenter=2000, WindowWidth=1000)
    for centers, widths in (
        ([0, 2000], [0, 1000]),
        ([5, 6, 2000], [0, -1, 1000]),
        ([90_000, 2000], [10, 1000]),
        ([2000], [1000, 5]),
        ([2000, 5], [1000]),
    ):
        grey, notes = show(ramp, WindowCenter=centers, WindowWidth=widths)
        np.testing.assert_array_equal(grey, good)
        assert notes


@pytest.mark.parametrize("function", ["", "CUBIC", "LINEAR\\SIGMOID"])
def test_an_unknown_or_empty_function_is_linear(show, ramp, function):
    elements = {"WindowCenter": 2000, "WindowWidth": 1000}
    grey, notes = show(ramp, VOILUTFunction=function, **elements)
    np.testing.assert_array_equal(grey, show(ramp, **elements)[0])
    assert all("VOILUTFunction at (0028,1056)" in note for note in notes) and bool(notes) == ("\\" not in function)
    assert (show(ramp, VOILUTFunction="SIGMOID", **elements)[0] != grey).any()


def test_a_window_narrower_than_1_is_exact(show, ramp):
    rescale = {"RescaleSlope": 1 / 4096, "RescaleIntercept": 0}
    for function in ({}, {"VOILUTFunction": "LINEAR_EXACT"}):
        grey, notes = show(ramp, WindowCenter=0.5, WindowWidth=0.5, **rescale, **function)
        close(grey, ((ramp / 4096 - 0.5) / 0.5 + 0.5).clip(0, 1) * 255)
        assert bool(notes) == (not function)
    grey, _ = show(ramp, WindowCenter=0.5, WindowWidth=0.5, VOILUTFunction="SIGMOID", **rescale)
    close(grey, 255 / (1 + np.exp(-4 * (ramp / 4096 - 0.5) / 0.5)))


# Functional groups.


def group(**macros: Dataset) -> list[Dataset]:
    item = Dataset()
    for keyword, macro in macros.items():
        setattr(item, keyword, [macro])
    return [item]


def elements_of(**elements) -> Dataset:
    item = Dataset()
    for keyword, value in elements.items():
        setattr(item, keyword, value)
    return item


@pytest.mark.parametrize("photometric", CONTENTS)
@pytest.mark.parametrize("groups", ["SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"])
def test_functional_groups(show, ramp, groups, photometric):
    turned = group(
        PixelValueTransformationSequence=elements_of(RescaleSlope=-1, RescaleIntercept=4095),
        FrameVOILUTSequence=elements_of(WindowCenter=2048, WindowWidth=1024, VOILUTFunction="LINEAR_EXACT"),
    )
    expected = ((4095.0 - ramp - 2048) / 1024 + 0.5).clip(0, 1) * 255
    expected = expected if photometric == "MONOCHROME2" else 255 - expected
    grey, notes = show(ramp, PhotometricInterpretation=photometric, **{groups: turned})
    close(grey, expected)
    assert notes == []
    wrong = group(FrameVOILUTSequence=elements_of(WindowCenter=5, WindowWidth=2))
    elements = {"SharedFunctionalGroupsSequence": wrong, groups: turned}
    grey, _ = show(
        np.stack([ramp, ramp[::-1]]), PhotometricInterpretation=photometric, NumberOfFrames=2, WindowCenter=9,
        WindowWidth=3, **elements,
    )  # fmt: skip
    close(grey, expected)


def test_a_frames_own_group_comes_first_and_is_passed_over_if_it_cannot_be_used(show, ramp):
    shared = group(FrameVOILUTSequence=elements_of(WindowCenter=2000, WindowWidth=1000))
    own = group(FrameVOILUTSequence=elements_of(WindowCenter=0, WindowWidth=0))
    grey, notes = show(ramp, SharedFunctionalGroupsSequence=shared, PerFrameFunctionalGroupsSequence=own)
    np.testing.assert_array_equal(grey, show(ramp, WindowCenter=2000, WindowWidth=1000)[0])
    assert len(notes) == 1
    own = group(FrameVOILUTSequence=elements_of(VOILUTSequence=lut(0, list(range(4095, -1, -1)), 12)))
    grey, notes = show(ramp, SharedFunctionalGroupsSequence=shared, PerFrameFunctionalGroupsSequence=own)
    close(grey, (4095.0 - ramp) / 4095 * 255)
    for empty in ([], [Dataset()]):
        grey, notes = show(ramp, SharedFunctionalGroupsSequence=empty, PerFrameFunctionalGroupsSequence=empty)
        close(grey, ramp / 4095 * 255)
        assert notes == []


# Padding, bits and samples.


@pytest.mark.parametrize("photometric", CONTENTS)
@pytest.mark.parametrize("bits", [12, 16])
@pytest.mark.parametrize("written", [-2000, 63536])
@pytest.mark.parametrize("limit", [None, -1990, 63546])
def test_padding_has_the_sign_of_the_pixels(show, signed, photometric, bits, written, limit):
    pixels = signed.clip(-1000, 1000)
    pixels[:, :10], pixels[:, 10:15] = -2000, -1995

    def edit(dataset: Dataset) -> None:
        dataset.add_new("PixelPaddingValue", "SS" if written < 0 else "US", written)
        if limit is not None:
            dataset.add_new("PixelPaddingRangeLimit", "SS" if limit < 0 else "US", limit)

    grey, _ = show(pixels, bits, edit=edit, PhotometricInterpretation=photometric)
    first = 10 if limit is None else 15
    assert not grey[:, :first].any()
    low = -1995 if limit is None else -1000
    expected = (pixels[:, first:] - low) / (1000 - low) * 255
    close(grey[:, first:], expected if photometric == "MONOCHROME2" else 255 - expected)


@pytest.mark.parametrize("photometric", CONTENTS)
@pytest.mark.parametrize("bits", [12, 16])
def test_padding_below_zero_of_pixels_that_are_not(show, ramp, bits, photometric):
    """63536 is what 16 bits hold of -2000; of 12 stored bits it would leave 2096, which is a value as any other."""
    pixels = ramp.copy()
    pixels[:, :10] = 63536

    def edit(dataset: Dataset) -> None:
        dataset.add_new("PixelPaddingValue", "SS", -2000)

    elements = {"WindowCenter": 2048, "WindowWidth": 4096, "PhotometricInterpretation": photometric}
    grey, _ = show(pixels, bits, edit=edit, **elements)
    assert not grey[:, :10].any()
    np.testing.assert_array_equal(grey[:, 10:], show(ramp, bits, **elements)[0][:, 10:])
    assert (ramp[:, 10:] == 2096).any()


@pytest.mark.parametrize("first", ["stored", "sign-extended"])
def test_padding_written_as_the_stored_bits(show, signed, first):
    """2096 is what 12 bits hold of -2000."""
    pixels = signed.clip(-1000, 1000)
    pixels[:, :10] = -2000 if first == "sign-extended" else 2096

    def edit(dataset: Dataset) -> None:
        dataset.add_new("PixelPaddingValue", "US", 2096)

    grey, _ = show(pixels, edit=edit)
    assert not grey[:, :10].any()
    close(grey[:, 10:], (pixels[:, 10:] + 1000.0) / 2000 * 255)


def test_empty_padding_is_none(show, ramp):
    def edit(dataset: Dataset) -> None:
        dataset.PixelPaddingValue = dataset.PixelPaddingRangeLimit = None

    close(show(ramp, edit=edit)[0], ramp / 4095 * 255)


@pytest.mark.parametrize("photometric", CONTENTS)
@pytest.mark.parametrize("high", [12, 13, 15])
def test_bits_are_taken_from_where_high_bit_says(show, ramp, signed, high, photometric):
    elements = {"HighBit": high, "PhotometricInterpretation": photometric}
    window = {"WindowCenter": 2048, "WindowWidth": 4096}
    noise = ramp[::-1] & ((1 << (high - 11)) - 1)  # the other bits are somebody else's
    for below in (0, noise):
        grey, notes = show((ramp << (high - 11)) | below | (0x8000 if high < 15 else 0), **elements, **window)
        expected = ramp / 4095 * 255
        close(grey, expected if photometric == "MONOCHROME2" else 255 - expected)
        assert len(notes) == 1 and f"bits {high - 11} to {high} are taken" in notes[0]
    grey, _ = show(signed << (high - 11), **elements)
    close(grey, expected if photometric == "MONOCHROME2" else 255 - expected)


def test_a_high_bit_that_the_values_or_the_word_contradict(show, ramp):
    for high in (15, 16, 3, 99):
        grey, notes = show(ramp, HighBit=high)
        close(grey, ramp / 4095 * 255)
        assert len(notes) == 1 and f"HighBit at (0028,0102) is {high}" in notes[0]
    assert "is missing" in show(ramp, HighBit=None)[1][0]


def test_bits_above_those_stored_are_left_out_and_told(show, ramp, signed):
    grey, notes = show(ramp, 8)
    close(grey, ramp % 256)
    assert len(notes) == 1 and "above the 8 of BitsStored at (0028,0101)" in notes[0]
    for pixels in (ramp, signed):
        assert show(pixels)[1] == []

    def edit(dataset: Dataset) -> None:
        dataset.add_new("PixelPaddingValue", "US", 63536)

    pixels = ramp.copy()
    pixels[:3] = 63536
    assert show(pixels, edit=edit)[1] == []


def refused(path: Path, *expected: str) -> None:
    with pytest.raises(ImageError) as caught:
        load_grey(path)
    for part in (str(path), "expected", *expected):
        assert part in str(caught.value), str(caught.value)


def test_samples_that_do_not_fit_the_photometric_interpretation(tmp_path, show):
    grey = np.arange(200, dtype=np.uint8).reshape(10, 20) + 20
    three = np.repeat(grey[..., None], 3, axis=-1)
    shown, notes = show(three, 8, PlanarConfiguration=0)
    np.testing.assert_array_equal(shown, grey)  # as colours: not stretched
    assert len(notes) == 1
    planes, _ = show(np.moveaxis(three, -1, 0).copy().reshape(10, 20, 3), 8, PlanarConfiguration=1)
    np.testing.assert_array_equal(planes, grey)
    colours = three.copy()
    colours[..., 2] = 0
    for dataset in (
        dicom(colours, 8, PlanarConfiguration=0),
        dicom(three, 8, PlanarConfiguration=0, PhotometricInterpretation="MONOCHROME1"),
        dicom(grey, 8, PhotometricInterpretation="RGB"),
        dicom(grey, 8, PhotometricInterpretation="YBR_FULL"),
        dicom(three, 8, PlanarConfiguration=0, PhotometricInterpretation="PALETTE COLOR"),
        dicom(grey, 8, SamplesPerPixel=2),
    ):
        refused(saved(tmp_path, dataset), "SamplesPerPixel at (0028,0002)")


def test_planes_and_colour_spaces(show):
    rgb = np.random.default_rng(0).integers(0, 256, (16, 12, 3), dtype=np.uint8)
    expected = np.array(Image.fromarray(rgb).convert("L")).astype(int)
    grey, _ = show(rgb, 8, PhotometricInterpretation="RGB", PlanarConfiguration=0)
    np.testing.assert_array_equal(grey, expected)
    planes = np.moveaxis(rgb, -1, 0).copy().reshape(16, 12, 3)
    grey, _ = show(planes, 8, PhotometricInterpretation="RGB", PlanarConfiguration=1)
    np.testing.assert_array_equal(grey, expected)
    ybr = np.array(Image.fromarray(rgb).convert("YCbCr"))
    grey, _ = show(ybr, 8, PhotometricInterpretation="YBR_FULL", PlanarConfiguration=0)
    assert np.abs(grey - expected).mean() < 2


@pytest.mark.parametrize("bits, packed", [(8, True), (8, False), (16, False), (16, True)])
def test_a_palettes_entries_say_how_many_bits_they_have(show, bits, packed):
    values = np.arange(255, -1, -1, dtype=np.uint8)

    def edit(dataset: Dataset) -> None:
        for colour in ("Red", "Green", "Blue"):
            dataset.add_new(f"{colour}PaletteColorLookupTableDescriptor", "US", [256, 0, bits])
            data = values if packed else values.astype("<u2")
            dataset.add_new(f"{colour}PaletteColorLookupTableData", "OW", data.tobytes())

    pixels = np.arange(256, dtype=np.uint8).reshape(16, 16)
    grey, _ = show(pixels, 8, edit=edit, PhotometricInterpretation="PALETTE COLOR")
    np.testing.assert_array_equal(grey, values[pixels])


# Pixels that are not square.


@pytest.mark.parametrize(
    "keyword, value",
    [
        ("PixelSpacing", [0.2, 0.1]),
        ("ImagerPixelSpacing", [0.2, 0.1]),
        ("NominalScannedPixelSpacing", [0.2, 0.1]),
        ("PixelAspectRatio", [2, 1]),
    ],
)
def test_pixels_are_made_square(show, keyword, value):
    rows, columns = np.mgrid[-20:20, -40:40]  # (40, 80), each pixel twice as tall as it is wide
    disc = np.where((2 * rows) ** 2 + columns**2 < 30**2, 4000, 100).astype(np.uint16)
    grey, notes = show(disc, **{keyword: value})
    assert grey.shape == (80, 80) and len(notes) == 1 and "80 x 80" in notes[0]
    bright = grey > 127
    assert bright.any(axis=0).sum() == pytest.approx(bright.any(axis=1).sum(), abs=3)
    grey, _ = show(disc.T.copy(), **{keyword: value[::-1]})
    assert grey.shape == (80, 80)


@pytest.mark.parametrize(
    "spacing", [[0.143, 0.143], [0.1430, 0.1431], [0, 0], [0.1, 0], [-1, 1], [100, 1], "", [0.1], [0.1, 0.2, 0.3]]
)
def test_spacings_that_are_square_or_make_no_sense(show, ramp, spacing):
    grey, notes = show(ramp, PixelSpacing=spacing)
    close(grey, ramp / 4095 * 255)
    odd = spacing != "" and not (len(spacing) == 2 and 0.9 < spacing[0] / (spacing[1] or 9) < 1.1)
    assert bool(notes) == odd
    grey, _ = show(ramp, PixelSpacing=spacing, PixelAspectRatio=[1, 2])
    assert grey.shape == ((64, 64) if not odd and spacing else (64, 128))


def test_spacing_in_functional_groups(show, ramp):
    shared = group(PixelMeasuresSequence=elements_of(PixelSpacing=[0.1, 0.2]))
    assert show(ramp, SharedFunctionalGroupsSequence=shared)[0].shape == (64, 128)


def test_pixels_are_not_made_too_many(tmp_path, monkeypatch):
    monkeypatch.setattr("r2gen_lib.data.images.limits.MAX_PIXELS", 5000)
    refused(saved(tmp_path, dicom(np.arange(4096, dtype=np.uint16).reshape(64, 64), PixelSpacing=[1, 2])), "128 x 64")


# The file around the picture.


def without_syntax(path: Path, dataset: Dataset) -> Path:
    """A file as ``saved`` writes it, without TransferSyntaxUID."""
    saved(path.parent, dataset, path.name)
    content, uid = path.read_bytes(), dataset.file_meta.TransferSyntaxUID.encode()
    element = b"\x02\x00\x10\x00UI" + (len(uid) + len(uid) % 2).to_bytes(2, "little") + uid + b"\0" * (len(uid) % 2)
    length = int.from_bytes(content[140:144], "little") - len(element)
    assert element in content
    path.write_bytes(content[:140] + length.to_bytes(4, "little") + content[144:].replace(element, b""))
    return path


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian])
@pytest.mark.parametrize("photometric", CONTENTS)
def test_a_file_that_names_no_transfer_syntax(tmp_path, ramp, syntax, photometric):
    pixels = ramp.astype(">u2") if syntax == ExplicitVRBigEndian else ramp
    dataset = dicom(pixels, 12, syntax, PhotometricInterpretation=photometric)
    notes: list[str] = []
    grey = load_grey(without_syntax(tmp_path / "picture.dcm", dataset), notes)
    close(grey, ramp / 4095 * 255 if photometric == "MONOCHROME2" else 255 - ramp / 4095 * 255)
    assert len(notes) == 1 and "no TransferSyntaxUID at (0002,0010): read as" in notes[0]


def test_a_compressed_file_that_names_no_transfer_syntax(tmp_path, ramp):
    dataset = dicom(ramp)
    dataset.compress(pydicom.uid.RLELossless)
    refused(without_syntax(tmp_path / "picture.dcm", dataset), "no TransferSyntaxUID", "compressed")


@pytest.mark.parametrize("keyword", ["Rows", "Columns", "BitsStored", "SamplesPerPixel"])
def test_an_empty_element_that_is_needed_is_named(tmp_path, ramp, keyword):
    dataset = dicom(ramp)
    setattr(dataset, keyword, None)
    refused(saved(tmp_path, dataset), f"{keyword} at (0028,", "missing or empty")


@pytest.mark.filterwarnings("ignore")  # while the file is written
def test_nothing_is_printed_or_logged(tmp_path, ramp, capfd, caplog):
    dataset = dicom(ramp, WindowCenter=5, WindowWidth=0)
    raw("RescaleSlope", "1,5")(dataset)
    raw("PixelAspectRatio", "x" * 90)(dataset)
    path = saved(tmp_path, dataset)
    caplog.clear()
    path.write_bytes(path.read_bytes() + b"\0" * 1000)
    with caplog.at_level(logging.DEBUG), warnings.catch_warnings():
        warnings.simplefilter("error")
        load_grey(path)
        path.write_bytes(path.read_bytes()[:4000])
        with pytest.raises(ImageError):
            load_grey(path)
    assert capfd.readouterr() == ("", "") and not caplog.records


def test_a_table_is_not_quoted_in_errors(tmp_path):
    path = CASES / "dicom_lut_65536_entries" / "a.dcm"
    content = path.read_bytes()
    (tmp_path / "cut.dcm").write_bytes(content[:-100])
    with pytest.raises(ImageError) as caught:
        load_grey(tmp_path / "cut.dcm")
    assert len(str(caught.value)) < 500 + len(str(tmp_path))
