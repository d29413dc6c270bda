"""Which process is still there: by its number and its time of birth."""

import os
import subprocess
import sys

import psutil
import pytest

from napari_apprentice.store.process import lives, place


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


@pytest.mark.skipif(sys.platform != "linux", reason="numbers of their own are for Linux")
def test_a_container_is_another_place_and_another_process_of_this_computer_is_not() -> None:
    told = [sys.executable, "-c", "from napari_apprentice.store.process import place; print(place())"]
    assert subprocess.run(told, capture_output=True, text=True, check=True).stdout.strip() == place()
    person = ["--user", "--map-root-user"] if os.getuid() else []
    own_numbers = ["unshare", *person, "--pid", "--fork", "--mount-proc"]
    try:
        inside = subprocess.run([*own_numbers, *told], capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("this computer does not let a test have numbers of processes of its own")
    assert inside
    assert inside != place()
