"""A model goes out of one study and into another, in a real window."""

from pathlib import Path

import pytest
from driving import Person
from models import add_model

from builders import study as make_study
from napari_apprentice.core.import_settings import ImportSettings
from napari_apprentice.gui.import_dialog import ImportDialog
from napari_apprentice.store.study import Study

pytestmark = pytest.mark.window


def test_a_model_goes_out_and_comes_in(person: Person, study: Study, tmp_path: Path) -> None:
    add_model(study, tmp_path)
    person.open_study(study.path)
    exchange = person.dock.tune_panel.exchange
    person.wait(lambda: exchange.hand_on.isEnabled())
    exchange.export_requested.emit("v0001", tmp_path / "out")
    person.wait(lambda: (tmp_path / "out" / "README.md").is_file())
    other = make_study(_new(tmp_path))
    person.open_study(other.path)
    person.wait(lambda: exchange.take.isEnabled() and not exchange.hand_on.isEnabled())
    exchange.import_requested.emit(tmp_path / "out", ImportSettings(name="guest"))
    person.wait(lambda: other.models.names() == ("guest",))
    person.wait(lambda: person.dock.tune_panel.models.list.count() == 1)
    assert other.models.active() == "guest"
    assert exchange.hand_on.isEnabled()


def test_the_dialog_gives_path_and_settings(qtbot) -> None:
    dialog = ImportDialog()
    qtbot.addWidget(dialog)
    assert not dialog.take.isEnabled()
    dialog.path.setText(" some/where ")
    dialog.form.set("orientation", "ras")
    assert dialog.take.isEnabled()
    assert (dialog.source, dialog.form.value().orientation) == (Path("some/where"), "RAS")


def _new(folder: Path) -> Path:
    (folder / "elsewhere").mkdir()
    return folder / "elsewhere"
