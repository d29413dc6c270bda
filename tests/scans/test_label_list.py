"""Names of labels from the text files other tools write beside a label map."""

import numpy as np
import pytest

from builders import write_nifti
from napari_apprentice.scans.label_list import read_label_list
from napari_apprentice.scans.reader import read_label_map

ITKSNAP = """################################################
# ITK-SnAP Label Description File
# IDX   -R-  -G-  -B-  -A--  VIS MSH  LABEL
################################################
    0     0    0    0        0  0  0    "Clear Label"
    1   255    0   16        1  1  1    "Left lung"
    2     0  255    0     0.5  1  1    "Läsion"
"""
FREESURFER = """#No. Label Name:                            R   G   B   A
0   Unknown                                 0   0   0   0
17  Left-Hippocampus                        220 216 20  0
53  Right-Hippocampus                       220 216 20  0
"""


@pytest.mark.parametrize("suffix", [".label", ".txt"])
def test_names_of_itksnap_come_with_the_label_map(tmp_path, suffix):
    path = write_nifti(tmp_path / "a.nii.gz", np.ones((3, 3, 3), np.uint8) * np.arange(3, dtype=np.uint8))
    (tmp_path / f"a{suffix}").write_text(ITKSNAP, "utf-8")
    labels = read_label_map(path)
    assert labels.names == {1: "Left lung", 2: "Läsion"}
    assert labels.colours == {1: "#ff0010", 2: "#00ff00"}


def test_names_of_freesurfer(tmp_path):
    (tmp_path / "aseg.ctbl").write_text(FREESURFER)
    names, colours = read_label_list(tmp_path / "aseg.mgz")
    assert names == {17: "Left-Hippocampus", 53: "Right-Hippocampus"}
    assert colours == {17: "#dcd814", 53: "#dcd814"}


@pytest.mark.parametrize(
    "text",
    ["", "1 255 0 0 see the protocol", "Notes on this scan\n" + ITKSNAP, "1 Liver 300 0 0 0", "\0\1\2", "1 2 3 4"],
)
def test_any_other_text_is_passed_over(tmp_path, text):
    (tmp_path / "a.txt").write_text(text)
    assert read_label_list(tmp_path / "a.nii.gz") == ({}, {})
