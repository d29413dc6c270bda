"""Which process is still there: by its number and its time of birth."""

import subprocess
import sys

import psutil

from napari_apprentice.store.process import lives


def test_a_number_that_is_used_again_is_another_process() -> None:
    me = psutil.Process()
    assert lives(me.pid, me.create_time())
    assert not lives(me.pid, me.create_time() - 60)
    assert not lives(-1, 0.0)
    assert not lives(2**80, 0.0)


def test_one_that_ended_is_gone_also_before_its_parent_looks() -> None:
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    born = psutil.Process(child.pid).create_time()
    assert lives(child.pid, born)
    child.kill()
    while psutil.Process(child.pid).status() != psutil.STATUS_ZOMBIE:
        pass
    assert not lives(child.pid, born)
    child.wait()
    assert not lives(child.pid, born)
