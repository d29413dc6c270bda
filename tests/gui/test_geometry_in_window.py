"""What a person sees of a scan's geometry: units, letters, the place under the mouse, windows."""

import time
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from driving import Person
from napari.utils.notifications import notification_manager
from qtpy.QtCore import QPoint, Qt, QThread
from qtpy.QtTest import QTest

from builders import OBLIQUE, write_nifti
from napari_apprentice.core.geometry import Geometry
from napari_apprentice.core.labels import LabelSchema
from napari_apprentice.core.volume import Volume
from napari_apprentice.gui.cursor_reader import NOWHERE
from napari_apprentice.gui.placing import lies_at
from napari_apprentice.store.study import Study
from real_data import real_data

pytestmark = pytest.mark.window

LAS = np.array([[-2.0, 0, 0, 31], [0, 1.5, 0, -50], [0, 0, 3, 20], [0, 0, 0, 1]])
SHAPE = (20, 16, 12)  # i, j, k


@pytest.fixture
def ct(tmp_path: Path) -> Study:
    """Two upright CT cases at different places in the patient, one of them stored as sagittal slices."""
    made = Study.create(tmp_path / "ct.study", LabelSchema.from_names(["liver"]))
    for number, affine in enumerate((LAS, LAS[:, [1, 2, 0, 3]]), 1):
        moved = affine.copy()
        moved[2, 3] += 100 * number
        geometry = Geometry.from_source(SHAPE, moved)
        voxels = np.random.default_rng(number).integers(-900, 900, SHAPE).astype(np.int16)
        volume = Volume(geometry.to_canonical(voxels)[None], geometry, ("CT",), f"c{number}.nii.gz", "0" * 64)
        made.cases.add(f"c{number}", f"s{number}", volume)
    return made


@pytest.fixture
def opened(person: Person, ct: Study) -> Person:
    person.open_study(ct.path)
    person.open_case("c1")
    return person


def test_all_layers_of_a_case_share_place_unit_and_axes(opened: Person) -> None:
    opened.dock.correct_panel.status.setChecked(True)
    for case_id in ("c1", "c2"):
        opened.open_case(case_id)
        ours = list(opened.viewer.layers)
        assert len(ours) == 3
        case = opened.session.case
        for layer in ours:
            assert [str(u) for u in layer.units] == ["millimeter"] * 3
            assert layer.axis_labels == ("z", "y", "x")
            np.testing.assert_array_equal(layer.scale, case.info.spacing)
            np.testing.assert_array_equal(layer.translate, ours[0].translate)
            assert layer.metadata["apprentice"]["case"] == case_id
        assert opened.viewer.dims.axis_labels == ("z", "y", "x")
        corner = ours[0].data_to_world((0, 0, 0))
        right, anterior, superior = (case.info.geometry.affine @ [0, 0, 0, 1])[:3]
        np.testing.assert_allclose(corner, (superior, -anterior, -right))


def test_a_layer_that_is_moved_by_hand_is_put_back_and_saved_on_its_sources_grid(
    opened: Person, tmp_path: Path
) -> None:
    scan, labels = opened.desk.layers.images[0], opened.desk.layers.labels
    opened.viewer.layers.selection.active = scan
    opened.press(Qt.Key.Key_2)  # on this layer no label, but napari's tool that moves a layer
    assert scan.mode == "transform"
    opened.drag()
    labels.scale = (1, 1, 1)
    labels.rotate = 20
    for layer in (scan, labels):
        assert lies_at(layer, opened.session.case.info.geometry)
    (told,) = opened.notices
    assert "c1 was put back" in told
    opened.session.case.canvas.labels[1, 2, 3] = 1
    out = tmp_path / "out.nii.gz"
    assert labels.save(str(out), plugin="napari-apprentice") == [str(out)]
    written = nib.load(out)
    expected = LAS + np.eye(4)[2][:, None] * [0, 0, 0, 100.0]
    np.testing.assert_array_equal(written.affine, expected)
    assert written.shape == SHAPE
    assert np.asarray(written.dataobj).sum() == 1


@pytest.mark.slow
def test_letters_follow_the_view_and_never_take_the_mouse(opened: Person) -> None:
    letters, viewer = opened.desk.letters, opened.viewer
    assert letters.texts == ("A", "P", "R", "L")
    viewer.dims.order = (1, 0, 2)
    assert letters.texts == ("S", "I", "R", "L")  # the head is up
    viewer.scene.camera.orientation = ("away", "down", "left")
    assert letters.texts == ("I", "S", "L", "R")  # unless somebody turns it over
    viewer.scene.camera.orientation, viewer.dims.order = ("away", "up", "right"), (2, 0, 1)
    assert letters.texts == ("S", "I", "A", "P")
    viewer.dims.order = (0, 1, 2)
    assert letters.texts == ("A", "P", "R", "L")
    viewer.dims.ndisplay = 3
    assert letters.texts == ("",) * 4
    viewer.dims.ndisplay = 2
    opened.rest(0.1)
    viewer.window._qt_window.resize(1200, 800)
    opened.rest(0.2)
    right = letters.labels[3]
    assert right.geometry().right() < opened.canvas.width()
    assert right.geometry().right() > opened.canvas.width() - 20
    opened.press(Qt.Key.Key_1)
    opened.viewer.scene.camera.zoom *= 4
    middle = letters.labels[0].geometry().center()
    opened.drag((middle.x() / opened.canvas.width(), middle.y() / opened.canvas.height()), (30, 10))
    assert opened.session.case.unsaved == 1  # painted right through the letter
    opened.click(opened.dock.correct_panel.letters)
    assert letters.texts == ("",) * 4
    opened.click(opened.dock.correct_panel.letters)
    assert letters.texts == ("A", "P", "R", "L")
    opened.session.show_case(None)
    opened.settle()
    assert letters.texts == ("",) * 4


def test_the_line_tells_place_voxel_value_and_label_under_the_mouse(opened: Person) -> None:
    opened.open_case("c2")
    case, panel = opened.session.case, opened.dock.correct_panel
    geometry = case.info.geometry
    case.canvas.labels[:] = 1
    opened.viewer.dims.set_point(0, opened.desk.layers.labels.data_to_world((3, 0, 0))[0])
    QTest.mouseMove(opened.canvas, QPoint(opened.canvas.width() // 2 + 4, opened.canvas.height() // 2 - 3))
    opened.rest(0.2)
    position = np.array(opened.viewer.cursor.position)
    index = np.round(opened.desk.layers.labels.world_to_data(position)).astype(int)
    assert index[0] == 3
    source = np.zeros(geometry.shape)
    source[tuple(index)] = 1
    i, j, k = np.argwhere(geometry.to_source(source))[0]
    text = panel.under_mouse.text()
    assert f"voxel {i}, {j}, {k}" in text
    assert f"S {position[0]:.1f} mm" in text
    assert f"CT {opened.desk.layers.images[0].data[tuple(index)]}" in text
    assert "label 1 liver" in text
    start = time.thread_time()
    for _ in range(50):
        opened.desk.mouse.text()
    assert (time.thread_time() - start) / 50 < 1e-3
    opened.viewer.dims.order = (2, 0, 1)
    opened.rest(0.2)
    assert panel.under_mouse.text() == NOWHERE  # it would be where the mouse was in the other plane
    QTest.mouseMove(opened.canvas, QPoint(opened.canvas.width() // 2 + 12, opened.canvas.height() // 2 + 12))
    opened.rest(0.2)
    assert " mm   voxel " in panel.under_mouse.text()


def test_what_is_under_a_mouse_that_rests_changes_with_the_labels(opened: Person) -> None:
    napari_s_own = opened.viewer.window._qt_window.status_thread
    QThread.start(napari_s_own)
    try:
        opened.press(Qt.Key.Key_1)
        opened.desk.layers.labels.mode = "fill"
        opened.click_at(0.5, 0.5)

        def read(label: str) -> bool:
            return label in opened.dock.correct_panel.under_mouse.text() and label in str(opened.viewer.status)

        opened.wait(lambda: read("liver"), 5)
        opened.press(Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
        opened.wait(lambda: not read("liver"), 5)
        opened.press(Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier | Qt.KeyboardModifier.ShiftModifier)
        opened.wait(lambda: read("liver"), 5)
        notification_manager.records.clear()
        opened.viewer.dims.ndisplay = 3
        opened.open_case("c2")
        assert notification_manager.records == []  # napari cannot say what is under a mouse that has not moved in 3D
    finally:
        napari_s_own.terminate()
        napari_s_own.wait()


def test_where_a_channel_was_deleted_the_others_keep_their_names_and_it_can_be_had_back(
    person: Person, ct: Study
) -> None:
    geometry = Geometry.from_source(SHAPE, LAS)
    voxels = np.stack([np.full(geometry.shape, value, np.int16) for value in (-700, 3)])
    ct.cases.add("both", "s3", Volume(voxels, geometry, ("CT", "PET"), "both.nii.gz", "0" * 64))
    person.open_study(ct.path)
    person.open_case("both")
    first, second = person.desk.layers.images
    second.visible = True
    person.viewer.layers.remove(first)
    QTest.mouseMove(person.canvas, QPoint(person.canvas.width() // 2 + 9, person.canvas.height() // 2 + 9))
    person.rest(0.3)
    panel = person.dock.correct_panel
    assert "PET 3  no label" in panel.under_mouse.text()
    assert "CT" not in panel.under_mouse.text()
    assert panel.window_preset.channel.text() == "Window of PET"
    assert "Press Show layers again" in person.notices[-1]
    person.click(panel.show_layers)
    person.settle()
    assert [layer.name for layer in person.desk.layers.images] == ["both CT", "both PET"]
    assert not panel.show_layers.isVisible()


@pytest.mark.slow
def test_a_window_stays_with_its_channel_from_case_to_case(opened: Person) -> None:
    box, layers = opened.dock.correct_panel.window_preset, opened.desk.layers
    assert box.channel.text() == "Window of CT"
    box.box.setCurrentIndex(2)
    box.box.activated.emit(2)
    assert list(layers.images[0].contrast_limits) == [-160, 240]
    opened.open_case("c2")
    assert list(layers.images[0].contrast_limits) == [-160, 240]
    opened.press(Qt.Key.Key_W)
    assert list(layers.images[0].contrast_limits) == [-450, 1050]
    opened.press(Qt.Key.Key_W, Qt.KeyboardModifier.ShiftModifier)
    assert "Soft tissue" in box.box.currentText()
    layers.images[0].contrast_limits = (-10, 77)
    assert box.box.currentIndex() == -1  # by hand
    opened.open_case("c1")
    assert list(layers.images[0].contrast_limits) == [-10, 77]


@pytest.mark.slow
def test_between_cases_of_any_kind_the_brush_stays_in_hand_and_the_middle_is_shown(person: Person, ct: Study) -> None:
    for number, channels in enumerate((("T1", "T2"), ("T1", "T2", "FLAIR")), 3):
        affine = LAS * 0.7
        affine[:3, 3], affine[3, 3] = (-100 * number, 50, -300), 1
        geometry = Geometry.from_source((9, 30, 11), affine)
        voxels = np.zeros((len(channels), *geometry.shape), np.int16)
        ct.cases.add(f"c{number}", f"s{number}", Volume(voxels, geometry, channels, f"c{number}.nii.gz", "0" * 64))
    person.open_study(ct.path)
    for case_id in ("c1", "c3", "c2", "c4", "c3", "c1"):
        person.open_case(case_id)
        person.rest(0.5)  # the layers of the case before go
        labels = person.desk.layers.labels
        assert person.viewer.layers.selection.active is labels, "nobody can paint"
        slices = np.round(labels.world_to_data(person.viewer.dims.point)).astype(int)
        assert tuple(slices) == tuple(n // 2 for n in labels.data.shape)
    assert not person.complaints


def test_labels_drawn_over_an_oblique_file_in_napari_are_saved_on_its_grid(person: Person, tmp_path: Path) -> None:
    source = nib.load(write_nifti(tmp_path / "head.nii.gz", np.zeros(SHAPE, np.int16), OBLIQUE))
    (layer,) = person.viewer.open(tmp_path / "head.nii.gz", plugin="napari-apprentice")
    person.viewer.layers.selection.active = layer
    person.viewer._new_labels()
    painted = person.viewer.layers[-1]
    painted.data[2, 3, 4] = 5
    painted.save(str(tmp_path / "out.nii.gz"))  # no other plugin writes it
    written = nib.load(tmp_path / "out.nii.gz")
    assert written.affine.tobytes() == source.affine.tobytes()
    assert np.asarray(written.dataobj).sum() == 5
    assert "grid of head" in str(notification_manager.records[-1].message)


@pytest.mark.data
def test_contours_dropped_on_napari_are_drawn_on_the_open_scan(person: Person) -> None:
    folder = real_data("dicom", "rtstruct_rtutils", "mock_data")
    notification_manager.records.clear()
    assert person.viewer.open(folder / "rt.dcm", plugin="napari-apprentice") == []
    assert "contours" in str(notification_manager.records[-1].message)
    (scan,) = person.viewer.open(folder, plugin="napari-apprentice")
    (labels,) = person.viewer.open(folder / "rt.dcm", plugin="napari-apprentice")
    assert labels.data.shape == scan.data.shape
    assert labels.data.any()
    np.testing.assert_array_equal(labels.translate, scan.translate)


def test_a_case_at_another_place_fills_the_canvas_also_in_coronal_view(opened: Person, ct: Study) -> None:
    viewer = opened.viewer
    geometry = Geometry.from_source((40, 30, 9), LAS + 300 * np.eye(4, k=3))
    voxels = np.random.default_rng(0).integers(-900, 900, (2, *geometry.shape)).astype(np.int16)
    ct.cases.add("far", "far", Volume(voxels, geometry, ("CT", "b"), "far.nii.gz", "1" * 64))
    viewer.dims.order = (1, 0, 2)
    opened.open_case("far")
    low, high = opened.desk.layers.images[0].extent.world
    camera = viewer.scene.camera
    np.testing.assert_allclose(np.array(camera.center)[-2:], ((low + high) / 2)[[0, 2]], atol=1e-3)
    canvas = np.array(viewer.window._qt_viewer.canvas.size)
    assert 0.8 < float(((high - low)[[0, 2]] * camera.zoom / canvas).max()) <= 1
