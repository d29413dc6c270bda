"""Segmentations of 3D Slicer and MITK whose segments lie in several layers."""

import json

import numpy as np
import pytest

from napari_apprentice.core.reading import ReadSettings
from napari_apprentice.errors import ChoiceError, ScanError
from napari_apprentice.scans.itk import GROUPS
from napari_apprentice.scans.label_sign import says_labels
from napari_apprentice.scans.reader import read_label_map

GRID = np.diag([-1.0, -1.0, 2.0, 1.0])  # RAS
SEGMENTS = [(0, 1, "liver"), (1, 1, "tumour"), (2, 1, "cyst"), (2, 2, "vessel")]


def _layers():
    """Three layers (l, i, j, k) in which no voxel belongs to two segments."""
    layers = np.zeros((3, 5, 6, 4), np.uint8)
    layers[0, :3], layers[1, 3], layers[2, 4, :2], layers[2, 4, 2:] = 1, 1, 1, 2
    return layers


def _write(path, layers, segments=SEGMENTS):
    """As 3D Slicer writes it: the layers are the fastest axis, and every layer counts its segments from 1."""
    lines = []
    for n, (layer, value, name) in enumerate(segments):
        facts = {"ID": f"S{n}", "Layer": layer, "LabelValue": value, "Name": name, "Color": "1 0 0"}
        lines += [f"Segment{n}_{key}:={text}" for key, text in facts.items()]
    return _with_head(path, layers, lines)


def _write_mitk(path, layers, segments):
    """As MITK writes it: a group of labels for each layer."""
    groups = [
        {"labels": [{"color": {"type": "ColorProperty", "value": [0, 1, 0]}, "name": name, "value": value}
                    for layer, value, name in segments if layer == n]}
        for n in range(len(layers))
    ]  # fmt: skip
    facts = ("modality:=org.mitk.multilabel.segmentation", f"{GROUPS}:={json.dumps(groups)}")
    return _with_head(path, layers, facts)


def _with_head(path, layers, lines):
    head = [
        "NRRD0004", "type: unsigned char", "dimension: 4", "space: left-posterior-superior",
        f"sizes: {' '.join(map(str, layers.shape))}", "space directions: none (1,0,0) (0,1,0) (0,0,2)",
        "kinds: list domain domain domain", "encoding: raw", "space origin: (0,0,0)",
    ]  # fmt: skip
    head += lines
    path.write_bytes("\n".join(head).encode() + b"\n\n" + layers.tobytes(order="F"))
    return path


def test_layers_that_share_no_voxel_are_one_label_map(tmp_path):
    labels = read_label_map(_write(tmp_path / "a.seg.nrrd", _layers()))
    assert labels.names == {1: "liver", 2: "tumour", 3: "cyst", 4: "vessel"}
    assert labels.colours[4] == "#ff0000"
    expected = np.zeros((5, 6, 4), np.uint8)
    expected[:3], expected[3], expected[4, :2], expected[4, 2:] = 1, 2, 3, 4
    np.testing.assert_array_equal(labels.geometry.to_source(labels.voxels), expected)
    np.testing.assert_allclose(labels.geometry.source_affine, GRID)


def test_label_values_of_their_own_are_kept(tmp_path):
    layers = np.where(_layers() > 0, np.array([3, 7, 9], np.uint8).reshape(3, 1, 1, 1), 0).astype(np.uint8)
    labels = read_label_map(_write(tmp_path / "a.seg.nrrd", layers, [(0, 3, "a"), (1, 7, "b"), (2, 9, "c")]))
    assert labels.names == {3: "a", 7: "b", 9: "c"}
    assert sorted(np.unique(labels.voxels)) == [3, 7, 9]


def test_which_segments_overlap_is_said_and_who_wins_is_asked(tmp_path):
    layers = _layers()
    layers[1, 2] = 1
    path = _write(tmp_path / "a.seg.nrrd", layers)
    with pytest.raises(ChoiceError, match=r"a\.seg\.nrrd: liver and tumour share 24 voxels") as caught:
        read_label_map(path)
    assert caught.value.setting == "overlap"
    for overlap, count in (("first", 24), ("last", 48), ("smallest", 48)):
        assert int((read_label_map(path, ReadSettings(overlap=overlap)).voxels == 2).sum()) == count
    alone = read_label_map(path, ReadSettings(segments="tumour"))
    assert sorted(np.unique(alone.voxels)) == [0, 2]


def test_a_value_that_no_segment_describes_is_refused(tmp_path):
    layers = _layers()
    layers[1, 0, 0, 0] = 5
    with pytest.raises(ScanError, match="its layer 1 holds 5, which no segment of it describes"):
        read_label_map(_write(tmp_path / "a.seg.nrrd", layers))


def test_labels_of_mitk_have_their_names_in_one_group_and_in_several(tmp_path):
    several = _write_mitk(tmp_path / "a.nrrd", _layers(), SEGMENTS)
    labels = read_label_map(several)
    assert labels.names == {1: "liver", 2: "tumour", 3: "cyst", 4: "vessel"}
    assert sorted(np.unique(labels.voxels)) == [1, 2, 3, 4]
    one = read_label_map(_write_mitk(tmp_path / "b.nrrd", _layers()[2:], [(0, 1, "spleen"), (0, 2, "liver")]))
    assert (one.names, one.colours) == ({1: "spleen", 2: "liver"}, {1: "#00ff00", 2: "#00ff00"})
    assert says_labels(several)
