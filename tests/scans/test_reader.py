import os
from pathlib import Path

import numpy as np
import pytest

from builders import write_nifti
from napari_apprentice.errors import ScanError
from napari_apprentice.scans.reader import case_id_from, expand, read_label_map, read_volume

VOXELS = np.arange(24).reshape(2, 3, 4)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.nii.gz", b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "git lfs pull"),
        ("a.nii", b"\n<!DOCTYPE html><html>", "web page"),
        ("a.nii.gz", b"", "empty"),
        ("a.nii.bz2", b"BZh91AY", "bunzip2"),
        ("a.zip", b"PK\x03\x04", "unpack"),
        ("a.png", b"\x89PNG", "damaged"),
        ("a.xyz", b"abc", "no format"),
        ("a.mnc", b"CDF", "mnc2nii"),
        ("a.PAR", b"# === DATA", "dcm2niix"),
        ("a.mif.gz", b"x", "mrconvert"),
        ("a.nii.gz.part", b"x", "half download"),
        ("a.nrrd.crdownload", b"NRRD0004", "half download"),
        ("a.pdf", b"%PDF-1.4", "PDF"),
        ("a.raw", b"x", "mhd"),
        ("IM0001", bytes(128) + b"DICM" + bytes(100), "IM0001"),
        ("a.dcm", b"x", "a.dcm"),
        ("a.nii", b"x", "cut off|no NIfTI"),
        ("a.nii", b"hello world, this is text" * 20, "no NIfTI"),
        ("a.nrrd", b"hello world, this is text" * 20, "damaged"),
        ("a.mha", b"\x00" * 500, "damaged"),
    ],
)
def test_what_is_no_scan_is_told_in_a_sentence(tmp_path, name, content, words):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ScanError, match=words) as caught:
        read_volume(tmp_path / name)
    assert str(caught.value).startswith(name)


def test_what_is_not_there_or_a_folder_is_told(tmp_path):
    with pytest.raises(ScanError, match="does not exist"):
        read_volume(tmp_path / "a.nii")
    with pytest.raises(ScanError, match="no scan"):
        read_volume(tmp_path)
    (tmp_path / "1.dcm").touch()
    with pytest.raises(ScanError, match=r"1\.dcm"):
        read_volume(tmp_path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
@pytest.mark.parametrize("read", [read_volume, read_label_map])
def test_a_pipe_is_not_waited_for(tmp_path, read):
    os.mkfifo(tmp_path / "pipe.nii")
    with pytest.raises(ScanError, match="neither a file nor a folder"):
        read(tmp_path / "pipe.nii")


def test_a_label_map_is_narrowed(tmp_path):
    labels = read_label_map(write_nifti(tmp_path / "a.nii.gz", VOXELS.astype(np.float32)))
    assert labels.voxels.dtype == np.uint8
    assert read_label_map(write_nifti(tmp_path / "b.nii", VOXELS.astype("i4") * 100)).voxels.dtype == np.uint16


@pytest.mark.parametrize("voxels", [VOXELS + 0.5, VOXELS - 1, VOXELS * 10000, np.where(VOXELS == 3, np.nan, 1)])
def test_values_that_are_no_labels_are_refused(tmp_path, voxels):
    path = write_nifti(tmp_path / "a.nii", voxels.astype(np.float32))
    with pytest.raises(ScanError, match=r"a\.nii is no label map"):
        read_label_map(path)


@pytest.mark.parametrize(
    ("name", "case_id"),
    [
        ("hippocampus_001.nii.gz", "hippocampus_001"),
        ("BRATS_0000.NII.GZ", "BRATS_0000"),
        ("my scan (2).nrrd", "my_scan_2"),
        ("Müller.nii", "Muller"),
        ("a.b.mha", "a.b"),
        ("-x-.nii", "x"),
        ("CON.nii", "case-"),
        ("肝臓.nii", "case-"),
        ("x" * 200 + ".nii", "x" * 100),
    ],
)
def test_case_ids_come_from_file_names(name, case_id):
    found = case_id_from(Path("folder") / name)
    assert found == case_id or (case_id.endswith("-") and found.startswith(case_id))


def test_folders_become_the_scans_in_them(tmp_path):
    for name in ("b.nii.gz", "a.NRRD", ".DS_Store", "._a.nii", "readme.txt"):
        (tmp_path / name).touch()
    (tmp_path / "deeper.nii").mkdir()
    (tmp_path / "empty").mkdir()
    names = [p.name for p in expand([tmp_path, tmp_path / "b.nii.gz", tmp_path / ".DS_Store", tmp_path / "empty"])]
    assert names == ["a.NRRD", "b.nii.gz", "empty"]


def test_content_counts_more_than_the_name(tmp_path):
    source = write_nifti(tmp_path / "a.nii", VOXELS.astype(np.int16))
    for name in ("scan", "scan.dat", "scan.mgz", "scan.png"):
        (tmp_path / name).write_bytes(source.read_bytes())
        np.testing.assert_array_equal(read_volume(tmp_path / name).voxels, read_volume(source).voxels)


def test_a_folder_of_dicom_files_is_one_scan(tmp_path):
    (tmp_path / "1").write_bytes(bytes(128) + b"DICM")
    (tmp_path / "2").write_bytes(bytes(128) + b"DICM")
    assert expand([tmp_path]) == (tmp_path,)
