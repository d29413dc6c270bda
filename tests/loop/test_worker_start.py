"""What a child process is started with, and that it misses nothing."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from builders import study as make_study
from faults import drain
from napari_apprentice.errors import RunError
from napari_apprentice.learn.lean_monai import NOT_NEEDED
from napari_apprentice.loop.launch import follow

CODE = """
import importlib, runpy, sys
sys.argv = ["worker_start"]  # no run: it starts, and ends
try:
    runpy.run_module("napari_apprentice.loop.worker_start", run_name="__main__")
except SystemExit as end:
    assert end.code == 0, end.code
seen = [name for name in {names!r} if sys.modules.get(name, ...) is None]
import torch
from napari_apprentice.core.architecture import MonaiNetwork
from napari_apprentice.learn.monai_nets import _NEED_EINOPS, NAMES, build_monai
many = dict(channels=(4, 6), strides=(2,))
more = {{"AttentionUnet": many, "UNet": many | dict(num_res_units=1), "BasicUNet": dict(features=(4, 4, 4, 4, 4, 4)),
        "DynUNet": dict(kernel_size=(3,) * 3, strides=(1, 2, 2), upsample_kernel_size=(2, 2), filters=(4, 6, 8)),
        "SegResNetDS": dict(init_filters=4), "SegResNet": dict(init_filters=8)}}
for name in set(NAMES) - set(_NEED_EINOPS):
    arguments = dict(spatial_dims=3, in_channels=1, out_channels=2, **more.get(name, {{}}))
    net = build_monai(MonaiNetwork(name, arguments)).eval()
    with torch.inference_mode():
        found = net(torch.zeros(1, 1, 32, 32, 32))
    assert (found[0] if isinstance(found, list) else found).shape == (1, 2, 32, 32, 32), name
for name in ("scipy.ndimage", "nibabel", "skimage.morphology"):
    importlib.import_module(name)
print(seen, "pandas" in sys.modules, hasattr(sys.modules["napari_apprentice.loop.worker"], "main"))
"""


@pytest.mark.slow
def test_a_child_has_monais_networks_without_what_monai_would_import_and_can_import_it_itself() -> None:
    code = CODE.format(names=NOT_NEEDED)
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["[]", "False", "True"]


@pytest.mark.parametrize("fault", ["ImportError('DLL load failed')", "OSError('[WinError 126]')"])
def test_libraries_that_cannot_be_loaded_are_named(tmp_path: Path, fault: str) -> None:
    """They are an extra, and on Windows PyTorch fails without a library that is not part of it."""
    (tmp_path / "torch.py").write_text(f"raise {fault}\n")
    run = make_study(tmp_path).runs.create("predict", {})
    paths = os.pathsep.join([str(tmp_path), *sys.path])
    command = [sys.executable, "-m", "napari_apprentice.loop.worker_start", "--serve"]
    quiet = {"stdin": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(command, env={**os.environ, "PYTHONPATH": paths}, **quiet) as child:
        child.wait(timeout=60)
        with pytest.raises(RunError, match=r"PyTorch or MONAI.*napari-apprentice\[learn\]"):
            drain(follow(run, child))
