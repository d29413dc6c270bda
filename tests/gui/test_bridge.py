import gc
import threading

from napari_apprentice.core.labels import LabelSchema
from napari_apprentice.gui.bridge import Bridge
from napari_apprentice.session import Session
from napari_apprentice.store.recent import RecentStudies


def _said_by_a_thread(session, text):
    thread = threading.Thread(target=session.events.noticed.emit, args=(text,))
    thread.start()
    thread.join()


def test_what_was_said_to_a_window_that_is_gone_does_not_keep_another_from_hearing(qtbot, tmp_path):
    one, two = (Session("a", RecentStudies(tmp_path / name)) for name in "ab")
    two.create_study(tmp_path / "two.study", LabelSchema.from_names(["x"]))
    gone, heard = Bridge(one), []
    gone._timer.stop()
    _said_by_a_thread(one, "to nobody")
    gone.close()
    gone.deleteLater()
    del gone
    qtbot.wait(10)
    gc.collect()
    stays = Bridge(two)
    stays.noticed.connect(heard.append)
    _said_by_a_thread(two, "to somebody")
    qtbot.waitUntil(lambda: heard == ["to somebody"], timeout=2000)
    stays.close()
    two.close()
