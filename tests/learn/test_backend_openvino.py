import json
import subprocess
import sys
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from small import finish, make_plan, never
from test_prediction_slabs import noise, predictor

from napari_apprentice.core.architecture import MonaiNetwork
from napari_apprentice.core.config import PredictSettings
from napari_apprentice.core.phantom import phantom
from napari_apprentice.core.plan import Plan
from napari_apprentice.errors import Cancelled, InputError
from napari_apprentice.learn.backend import library
from napari_apprentice.learn.backend_openvino import OpenVinoBackend, openvino
from napari_apprentice.learn.member import Member
from napari_apprentice.learn.network import build
from napari_apprentice.learn.predictor import Predictor
from napari_apprentice.learn.readout import Readout
from napari_apprentice.loop.sample import sample_folder

CPU = torch.device("cpu")
needed = pytest.mark.skipif(find_spec("openvino") is None, reason="OpenVINO is not installed")


@needed
@pytest.mark.parametrize(
    "plan",
    [make_plan(), make_plan(patch=(1, 16, 16)), make_plan(channels=2, labels=(1, 2, 3)), make_plan(labels=range(1, 9))],
)
def test_windows_are_those_of_torch(plan):
    torch.manual_seed(0)
    network = build(plan).eval()
    patches = torch.randn(1, len(plan.normalisation), *plan.patch)
    with torch.inference_mode():
        expected = Readout(plan, network).module(network)(patches)
    backend = OpenVinoBackend(network, plan, half=False)
    torch.testing.assert_close(backend.run(patches), expected, atol=1e-3, rtol=1e-3)
    assert backend.name == "openvino fp32"


@needed
def test_windows_begun_ahead_are_those_asked_for_and_no_others():
    torch.manual_seed(0)
    plan = make_plan()
    backend = OpenVinoBackend(build(plan).eval(), plan, half=False)
    some, others = (torch.randn(backend.batch, 1, *plan.patch) for _ in range(2))
    alone = [backend.run(p).clone() for p in (some, others)]
    assert not torch.equal(*alone)

    for asked in ((some, others), (others, some), (some, some)):
        backend.ahead(asked[0])
        backend.ahead(asked[1])
        for patches in asked:
            assert torch.equal(backend.run(patches), alone[patches is others])
    backend.ahead(others)
    assert torch.equal(backend.run(some), alone[0])  # somebody else asked meanwhile
    assert torch.equal(backend.run(some[:1]), alone[0][:1])  # fewer, because memory ran out
    for _ in range(3):  # nobody came for them
        backend.ahead(some.clone())
    backend.ahead(others)
    backend.stop()
    assert torch.equal(backend.run(some), alone[0])


class Failing:
    """A request of OpenVINO's that runs out of memory once, while it is begun or waited for."""

    def __init__(self, request, what):
        self.request, self.what = request, what

    def __getattr__(self, name):
        if name == self.what:
            self.what = ""
            raise MemoryError
        return getattr(self.request, name)


@needed
@pytest.mark.parametrize("what", ["start_async", "wait"])
def test_windows_that_ran_out_of_memory_are_computed_when_they_are_asked_for_again(what):
    torch.manual_seed(0)
    plan = make_plan(patch=(8, 16, 16))
    backend = OpenVinoBackend(build(plan).eval(), plan, half=False)
    some, others = (torch.randn(1, 1, *plan.patch) for _ in range(2))
    expected = backend.run(some).clone()
    backend.run(others)
    requests = backend._lanes[0]._requests
    requests[0] = Failing(requests[0], what)
    with pytest.raises(MemoryError):
        backend.run(some)
    assert not any(lane.busy for lane in backend._lanes)
    assert torch.equal(backend.run(some), expected)


@pytest.mark.slow
@needed
def test_the_prediction_after_one_that_was_cancelled_is_the_same_as_ever(starter, scan, reference):
    volume, _ = scan
    asked = iter([False] * 4)
    with pytest.raises(Cancelled):
        finish(
            starter.predict_array(
                volume.voxels, volume.geometry.spacing, PredictSettings("cpu"), lambda: next(asked, True)
            )
        )
    assert (proposed(starter, volume, backend="openvino", half=False) == reference).mean() >= 0.999


@needed
def test_mirrored_views_begun_ahead_are_those_of_torch():
    plan, voxels = make_plan(patch=(8, 16, 16), mirror=(1, 2)), noise((10, 40, 40))
    model = predictor(plan)
    found = {
        library: finish(
            model.predict_array(
                voxels, plan.spacing, PredictSettings("cpu", "best", backend=library, half=False), never
            )
        )[1]
        for library in ("torch", "openvino")
    }
    assert (found["torch"].labels == found["openvino"].labels).mean() >= 0.999


@needed
def test_a_dynunet_from_elsewhere_is_seen_as_a_whole():
    how = {
        "spatial_dims": 3, "in_channels": 1, "out_channels": 3, "kernel_size": (3,) * 3, "strides": (1, 2, 2),
        "upsample_kernel_size": (2, 2), "filters": (4, 6, 8), "norm_name": ("INSTANCE", {"affine": True}),
    }  # fmt: skip
    plan = replace(make_plan(patch=(8, 16, 16)), architecture=MonaiNetwork("DynUNet", how), strides=((1, 1, 1),))
    network = build(plan).eval()
    patch = torch.randn(1, 1, *plan.patch)
    with torch.inference_mode():
        expected = network.full(patch)
    found = OpenVinoBackend(network, plan, half=False).run(patch)
    torch.testing.assert_close(found, expected, atol=1e-3, rtol=1e-3)


@pytest.fixture(scope="module")
def starter():
    folder = sample_folder() / "starter"
    plan = Plan.from_json(json.loads((folder / "model.json").read_text())["plan"])
    return Predictor(plan, folder / "weights.safetensors", CPU)


@pytest.fixture(scope="module")
def scan():
    return phantom(4711, "A")


def proposed(starter, volume, **how):
    work = starter.predict_array(volume.voxels, volume.geometry.spacing, PredictSettings("cpu", **how), never)
    return finish(work)[1].labels


@pytest.fixture(scope="module")
def reference(starter, scan):
    return proposed(starter, scan[0], backend="torch", half=False)


@needed
@pytest.mark.parametrize("half", [False, True])
def test_a_trained_model_proposes_the_same(starter, scan, reference, half):
    volume, truth = scan
    found = proposed(starter, volume, backend="openvino", half=half)
    assert (found == reference).mean() >= 0.999

    def dice(labels, k):
        return 2 * ((labels == k) & (truth.voxels == k)).sum() / ((labels == k).sum() + (truth.voxels == k).sum())

    assert max(abs(dice(found, k) - dice(reference, k)) for k in (1, 2, 3)) <= 0.001


@pytest.mark.slow
@needed
def test_temperatures_make_the_same_difference_on_both():
    plan, voxels = make_plan(patch=(8, 16, 16)), noise((10, 20, 20))

    def predicted(library, *temperatures):
        members = [Predictor.of(plan, network, CPU) for network in (model._members[0].module,) * len(temperatures)]
        for member, temperature in zip(members, temperatures, strict=True):
            member._adopt(plan, (Member(plan, model._members[0].module, CPU, temperature),))
        how = PredictSettings("cpu", backend=library, half=False)
        return finish(Predictor.together(members).predict_array(voxels, plan.spacing, how, never))[1]

    model = predictor(plan)
    reference, found, sure = predicted("torch", 2.0, 0.7), predicted("openvino", 2.0, 0.7), predicted("openvino", 0.7)
    assert abs(reference.uncertainty.astype(int) - found.uncertainty).max() <= 1
    assert (reference.labels == found.labels).mean() >= 0.999
    assert found.quality == pytest.approx(reference.quality, abs=1e-3)
    assert found.uncertainty.mean() > sure.uncertainty.mean() + 5


@needed
def test_it_is_taken_for_weights_that_stay_and_not_for_those_in_training(starter):
    how = PredictSettings(device="cpu")
    assert starter.backend_name(how).startswith("openvino")
    assert Predictor.of(make_plan(), build(make_plan()), CPU).backend_name(how).startswith("torch")
    assert library(how, torch.device("cuda"), changing=False) == "torch"


def test_asking_for_it_in_vain_is_said_plainly(monkeypatch):
    how = PredictSettings(backend="openvino")
    if find_spec("openvino") is not None:
        with pytest.raises(InputError, match="CPU only"):
            library(how, torch.device("cuda"), changing=False)
    monkeypatch.setattr("napari_apprentice.learn.backend.find_spec", lambda _: None)
    with pytest.raises(InputError, match="not installed"):
        library(how, CPU, changing=False)
    assert library(PredictSettings(), CPU, changing=False) == "torch"


@pytest.mark.slow
@needed
def test_nothing_is_reported_over_the_internet():
    code = (
        "import sys, torch; sys.path.insert(0, sys.argv[1]); from small import make_plan\n"
        "from napari_apprentice.learn.backend_openvino import OpenVinoBackend\n"
        "from napari_apprentice.learn.network import build\n"
        "plan = make_plan(); OpenVinoBackend(build(plan), plan, half=False)\n"
        "assert not [m for m in sys.modules if m.startswith('openvino_telemetry')], 'telemetry was loaded'\n"
        "import openvino.tools.ovc.telemetry_utils as t; assert t.tm.__name__.endswith('telemetry_stub')\n"
    )
    here = str(Path(__file__).parent)
    done = subprocess.run([sys.executable, "-c", code, here], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


@needed
def test_a_package_that_was_there_is_there_again():
    openvino()
    assert "openvino_telemetry" not in sys.modules or sys.modules["openvino_telemetry"] is not None
