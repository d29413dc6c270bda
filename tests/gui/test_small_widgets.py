from pathlib import Path

import numpy as np
import pytest
from napari.layers import Image
from pytestqt.qtbot import QtBot
from qtpy.QtCore import QSize

from napari_apprentice.core.config import PredictSettings, TrainSettings
from napari_apprentice.core.gate import GateReport, GateRow
from napari_apprentice.core.labels import LabelSchema
from napari_apprentice.core.progress import Progress
from napari_apprentice.errors import InputError
from napari_apprentice.gui.case_table import CaseTable
from napari_apprentice.gui.curves import NONE, Curves
from napari_apprentice.gui.facts import Facts
from napari_apprentice.gui.gate_table import GateTable
from napari_apprentice.gui.label_chooser import LabelChooser
from napari_apprentice.gui.labels_dialog import LabelsDialog
from napari_apprentice.gui.layer_volume import case_id_for, volume_from_layer
from napari_apprentice.gui.model_dialog import SIZE, on_screen
from napari_apprentice.gui.model_list import ModelList
from napari_apprentice.gui.new_study_dialog import NewStudyDialog
from napari_apprentice.gui.pictures import contrast_limits
from napari_apprentice.gui.schema_table import COLOUR, ID, NAME, SchemaTable
from napari_apprentice.gui.settings_form import SettingsForm
from napari_apprentice.session import CaseRow, ModelRow

SCHEMA = LabelSchema.from_names(["liver", "kidney"])


@pytest.mark.parametrize("settings", [PredictSettings(), TrainSettings(), TrainSettings(steps=7, rate=1e-2)])
def test_a_form_gives_back_the_settings_it_shows(qtbot: QtBot, settings) -> None:
    form = SettingsForm(type(settings)())
    qtbot.addWidget(form.native)
    form.show(settings)
    assert form.value() == settings


def test_every_field_of_a_form_has_a_tooltip(qtbot: QtBot) -> None:
    form = SettingsForm(TrainSettings())
    qtbot.addWidget(form.native)
    assert all(widget.tooltip for widget in form._fields.values())


def test_schema_table_makes_a_schema_and_next_free_ids(qtbot: QtBot) -> None:
    table = SchemaTable()
    qtbot.addWidget(table)
    table.add_row("liver")
    table.add_row("tumour", 7, "#ff0000")
    table.add.click()
    assert table.table.item(2, ID).text() == "8"
    table.table.item(2, NAME).setText("vessel")
    assert [(x.id, x.name) for x in table.schema().labels] == [(1, "liver"), (7, "tumour"), (8, "vessel")]
    assert table.table.cellWidget(1, COLOUR).property("colour") == "#ff0000"
    table.table.setCurrentCell(0, NAME)
    table.remove.click()
    assert table.schema().ids == (7, 8)


def test_schema_table_refuses_an_id_that_is_no_number(qtbot: QtBot) -> None:
    table = SchemaTable()
    qtbot.addWidget(table)
    table.add_row("liver")
    table.table.item(0, ID).setText("one")
    with pytest.raises(InputError, match="row 1"):
        table.schema()


def test_new_study_dialog_says_what_is_missing_and_stays(qtbot: QtBot, tmp_path: Path) -> None:
    dialog = NewStudyDialog()
    qtbot.addWidget(dialog)
    dialog.folder.setText(str(tmp_path))
    dialog.name.setText("hearts")
    dialog.make.click()
    assert dialog.problem.text() == "Label 1 has no name."
    dialog.labels.table.item(0, NAME).setText("heart")
    assert dialog.problem.text() == ""
    dialog.make.click()
    assert dialog.result() == 1
    assert dialog.path() == tmp_path / "hearts.study"


def test_new_study_dialog_refuses_a_taken_name_before_anything_is_lost(qtbot: QtBot, tmp_path: Path) -> None:
    (tmp_path / "hearts.study").mkdir()
    (tmp_path / "hearts.study" / "study.json").write_text("{}")
    dialog = NewStudyDialog()
    qtbot.addWidget(dialog)
    dialog.folder.setText(str(tmp_path))
    dialog.name.setText("hearts")
    dialog.labels.table.item(0, NAME).setText("heart")
    dialog.make.click()
    assert dialog.result() == 0
    assert dialog.problem.text() == "hearts.study exists already and is not empty; choose another name."


def test_labels_dialog_shows_what_there_is_and_says_what_is_wrong(qtbot: QtBot) -> None:
    dialog = LabelsDialog(SCHEMA)
    qtbot.addWidget(dialog)
    assert dialog.schema() == SCHEMA
    dialog.labels.table.item(1, NAME).setText("liver")
    dialog.keep.click()
    assert dialog.result() == 0
    assert dialog.problem.text() == "Label name used twice: liver."
    dialog.labels.table.item(1, NAME).setText("spleen")
    dialog.keep.click()
    assert dialog.result() == 1
    assert dialog.schema().name(2) == "spleen"


def rows() -> tuple[CaseRow, ...]:
    return (CaseRow("b", "s2", "predicted", 0.4, 0), CaseRow("a", "s1", "unseen", None, 0))


def test_case_table_sorts_and_opens(qtbot: QtBot) -> None:
    table = CaseTable()
    qtbot.addWidget(table)
    table.cases.show(rows(), "b")
    assert table.model().index(0, 0).data() == "a"
    table.sortByColumn(3, table.horizontalHeader().sortIndicatorOrder().DescendingOrder)
    assert table.model().index(0, 0).data() == "b"
    opened: list[str] = []
    table.opened.connect(opened.append)
    table.select("a")
    table.open_selected()
    assert opened == ["a"]


def test_case_table_keeps_its_rows_when_only_a_state_changes(qtbot: QtBot) -> None:
    table = CaseTable()
    qtbot.addWidget(table)
    table.cases.show(rows(), None)
    table.select("a")
    changed = (rows()[0], CaseRow("a", "s1", "in correction", None, 0))
    table.cases.show(changed, "a")
    assert table.selected() == "a"


def test_gate_table_shows_before_and_after(qtbot: QtBot) -> None:
    table = GateTable()
    qtbot.addWidget(table)
    report = GateReport((GateRow(1, False, 0.5, 0.75, 2), GateRow(2, True, 0.9, 0.8999, 1)), True, "better")
    table.show_report(report, SCHEMA)
    texts = [[table.item(r, c).text() for c in range(5)] for r in range(2)]
    assert texts[0] == ["liver", "2 corrections", "0.500", "0.750", "+0.250"]
    assert texts[1] == ["kidney", "1 earlier scan", "0.900", "0.900", "+0.000"]


def numbers_at_axes(curves: Curves) -> int:
    """How many axes have numbers."""
    axes = [plot.getAxis(side) for plot, _ in curves._plots.values() for side in ("left", "bottom")]
    return sum(axis.style["showValues"] for axis in axes)


def test_curves_take_loss_and_dice(qtbot: QtBot) -> None:
    curves = Curves()
    qtbot.addWidget(curves)
    curves.add((Progress(1, 9, "", loss=1.0), Progress(2, 9, "", loss=0.9, dice=0.3), Progress(3, 9, "")))
    assert curves.points == (2, 1)
    curves.add((Progress(4, 9, "", loss=0.8),))
    lines = (curves._loss_line, curves._dice_line)
    assert numbers_at_axes(curves) == 0  # there is nothing they could be of
    drawn = ([1.0, 2.0, 4.0], [2.0])  # nothing that came while others were drawn is left out
    qtbot.waitUntil(
        lambda: tuple(list(line.getData()[0] if line.getData()[0] is not None else []) for line in lines) == drawn
    )
    assert numbers_at_axes(curves) == 4
    curves.clear()
    assert curves.points == (0, 0)
    qtbot.waitUntil(lambda: all(line.getData()[0] is None for line in lines))
    assert numbers_at_axes(curves) == 0
    assert [word.text for _, word in curves._plots.values() if word.isVisible()] == [NONE, NONE]


def test_label_chooser_says_which_key(qtbot: QtBot) -> None:
    chooser = LabelChooser()
    qtbot.addWidget(chooser)
    chooser.show_schema(SCHEMA)
    chosen: list[int] = []
    chooser.chosen.connect(chosen.append)
    assert [chooser.item(i).text().split()[0] for i in range(3)] == ["1", "2", "0"]
    chooser.show_chosen(2)
    assert chosen == []  # being told is not asking
    chooser._on_clicked(chooser.item(0))
    assert chosen == [1]


def test_a_layer_becomes_a_volume_that_looks_the_same() -> None:
    voxels = np.arange(60, dtype=np.int16).reshape(3, 4, 5)
    volume = volume_from_layer(Image(voxels, name="a scan", scale=(2, 1, 0.5), translate=(7, 0, 0)))
    assert volume.geometry.spacing == (2.0, 1.0, 0.5)
    np.testing.assert_array_equal(volume.voxels[0], voxels)
    np.testing.assert_allclose(volume.geometry.affine[:3, 3], (0, 0, 7))


def test_micrometres_become_millimetres() -> None:
    layer = Image(np.zeros((3, 4, 5)), scale=(500, 500, 500), units=("um", "um", "um"))
    assert volume_from_layer(layer).geometry.spacing == (0.5, 0.5, 0.5)


def test_pictures_that_are_no_scans_are_refused() -> None:
    with pytest.raises(InputError, match="RGB"):
        volume_from_layer(Image(np.zeros((4, 5, 3), np.uint8), rgb=True))
    with pytest.raises(InputError, match="4 axes"):
        volume_from_layer(Image(np.zeros((2, 2, 4, 5))))


def test_a_layer_name_becomes_a_case_id() -> None:
    assert case_id_for("my scan (1).nii") == "my-scan-1-.nii"
    assert case_id_for("///") == "layer"


@pytest.mark.parametrize("voxels", [np.zeros(10), np.full(10, np.nan), np.arange(10)])
def test_contrast_limits_are_never_empty(voxels: np.ndarray) -> None:
    with np.errstate(all="ignore"):
        low, high = contrast_limits(voxels)
    assert low < high


def test_one_value_of_dice_stands_at_its_step_counted_from_the_beginning(qtbot: QtBot) -> None:
    curves = Curves()
    qtbot.addWidget(curves)
    curves.add((Progress(250, 500, "", dice=0.87),))
    qtbot.waitUntil(lambda: curves._dice_line.getData()[0] is not None)
    (low, high), _ = curves._dice_line.getViewBox().viewRange()
    assert low <= 0
    assert 250 <= high < 300


def test_a_model_version_stays_selected_when_the_list_is_read_anew(qtbot: QtBot) -> None:
    models = ModelList()
    qtbot.addWidget(models)
    chosen: list[str] = []
    models.activated.connect(chosen.append)
    rows = [ModelRow(name, name == "v0002", "", None, "") for name in ("v0001", "v0002", "v0003")]
    models.show_models(Facts(models=tuple(rows[:2])))
    models.list.setCurrentRow(1)
    models.show_models(Facts(models=tuple(rows)))
    models.activate.click()
    assert chosen == ["v0001"]


def test_no_model_version_of_another_study_is_selected(qtbot: QtBot) -> None:
    """A click on Activate would make one active that nobody chose there."""
    models = ModelList()
    qtbot.addWidget(models)
    rows = tuple(ModelRow(name, name == "v0001", "", None, "") for name in ("v0001", "v0002"))
    models.show_models(Facts(Path("a.study"), models=rows))
    models.list.setCurrentRow(0)
    models.show_models(Facts(Path("b.study"), models=rows))
    assert models.list.currentItem() is None
    assert not models.activate.isEnabled()


def test_the_buttons_of_a_model_version_are_on_a_small_screen_too() -> None:
    assert on_screen(SIZE, QSize(1280, 800)) == QSize(980, 740)
    assert on_screen(SIZE, QSize(1920, 1080)) == SIZE
