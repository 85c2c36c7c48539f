#!/usr/bin/env bash
# pydicom: a lookup table's index is kept in too small an integer, so grey values wrap round without a word.
#
# A Modality or VOI LUT says which grey a stored value becomes; the index is the value less the first value mapped
# (PS3.3 C.11.1.1 and C.11.2.1.1). Three computed radiography files, written here and read back:
#   A  signed 16-bit pixels, Modality LUT of 65,536 16-bit entries from -32768 on
#   B  unsigned 12-bit pixels, VOI LUT of 4,096 8-bit entries (an image's VOI LUT has 8 or 16 bits an entry), each in a
#      word of its own (VR US)
#   C  as B, two entries packed into each word (VR OW), half as long
# Each table rises steadily, so dark stays dark and bright stays bright.
#
# guess, written before it was run: both functions give the table's entry for each pixel, exactly, or raise an error if
# they cannot. (I had read the source first and suspected otherwise; the guess is what their documentation says.)
# For C, added after A and B had been run: the same as B should give.
set -euo pipefail

work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet pydicom==3.0.2 numpy==2.4.6

"$work/venv/bin/python" - "$work" <<'PY'
import struct
import sys
import warnings
from importlib.metadata import version
from pathlib import Path

import numpy as np
from pydicom import dcmread
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.pixels import apply_modality_lut, apply_voi_lut
from pydicom.uid import ComputedRadiographyImageStorage, ExplicitVRLittleEndian, generate_uid

warnings.simplefilter("error")  # a warning would be word enough


def radiograph(path, pixels, bits, sequence, descriptor_vr, descriptor, table_vr, table):
    """Writes a one-row computed radiography file with one lookup table, and gives it as it is read back."""
    ds = Dataset()
    ds.SOPClassUID, ds.SOPInstanceUID = ComputedRadiographyImageStorage, generate_uid()
    ds.StudyInstanceUID, ds.SeriesInstanceUID = generate_uid(), generate_uid()
    ds.Modality, ds.SeriesNumber, ds.InstanceNumber = "CR", 1, 1
    for empty in ("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime", "StudyID",
                  "AccessionNumber", "ReferringPhysicianName", "Manufacturer", "BodyPartExamined", "ViewPosition",
                  "PatientOrientation"):
        setattr(ds, empty, "")
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.Rows, ds.Columns = 1, len(pixels)
    ds.BitsAllocated, ds.BitsStored, ds.HighBit = 16, bits, bits - 1
    ds.PixelRepresentation = int(pixels.dtype.kind == "i")
    ds.PixelData = pixels.astype(pixels.dtype.newbyteorder("<")).tobytes()
    item = Dataset()
    item.add_new("LUTDescriptor", descriptor_vr, descriptor)
    item.add_new("LUTData", table_vr, table)
    if sequence == "ModalityLUTSequence":
        item.ModalityLUTType = "US"  # defined term: unspecified
    setattr(ds, sequence, [item])
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.save_as(path, enforce_file_format=True)
    return dcmread(path)


folder = Path(sys.argv[1])
print(f"pydicom {version('pydicom')}, NumPy {version('numpy')}")
print("guess: each pixel becomes its own entry of the table, or an error is raised")
changed = False

pixels = np.array([-32768, -16384, -1, 0, 1, 16384, 32767], np.int16)
table = np.arange(65536, dtype="<u2")
ds = radiograph(folder / "a.dcm", pixels, 16, "ModalityLUTSequence", "SS", [0, -32768, 16], "OW", table.tobytes())
seen = apply_modality_lut(ds.pixel_array, ds).ravel().tolist()
expected = [int(table[int(value) + 32768]) for value in pixels]
print(f"A apply_modality_lut, pixels {pixels.tolist()}")
print(f"  expected {expected}\n  seen     {seen}")
changed = changed or seen != [0, 16384, 32767, 0, 0, 0, 0]

pixels = np.array([0, 128, 255, 256, 1024, 2047, 2048, 4095], np.uint16)
table = [index // 16 for index in range(4096)]
ds = radiograph(folder / "b.dcm", pixels, 12, "VOILUTSequence", "US", [4096, 0, 8], "US", table)
seen = apply_voi_lut(ds.pixel_array, ds).ravel().tolist()
expected = [table[int(value)] for value in pixels]
print(f"B apply_voi_lut, pixels {pixels.tolist()}")
print(f"  expected {expected}\n  seen     {seen}")
changed = changed or seen != [0, 8, 15, 0, 0, 15, 0, 15]

packed = bytes(table)  # 4,096 bytes, the length that tells packed entries from those in words of their own
ds = radiograph(folder / "c.dcm", pixels, 12, "VOILUTSequence", "US", [4096, 0, 8], "OW", packed)
try:
    seen = apply_voi_lut(ds.pixel_array, ds).ravel().tolist()
except struct.error as error:
    seen = f"struct.error: {error}"
print(f"C apply_voi_lut, the table packed\n  expected {expected}\n  seen     {seen}")
changed = changed or not str(seen).startswith("struct.error")

if changed:
    sys.exit("What is seen is not what was recorded here: read the release notes, then update this finding.")
print("As recorded: in A every pixel from 0 up becomes the table's first entry, since the difference is taken in")
print("the pixels' own 16 bits. In B the index is cut to 8 bits, the width of the table's entries, so 4,096 greys")
print("become 16 that repeat. Neither says a word. The same table packed (C) is refused with an error about a")
print("buffer, so there is no way of writing 8-bit entries that a longer table survives.")
PY
