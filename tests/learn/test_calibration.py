"""The temperature finds a confidence that was set wrong on purpose."""

from dataclasses import replace
from importlib.util import find_spec

import numpy as np
import pytest
import torch

from learn.small import make_example, make_plan, never
from napari_apprentice.core.config import PredictSettings
from napari_apprentice.errors import Cancelled
from napari_apprentice.learn.backend_torch import TorchBackend
from napari_apprentice.learn.calibration import calibrate, calibration_error, fit_temperature
from napari_apprentice.learn.member import Member
from napari_apprentice.learn.network import Network, build
from napari_apprentice.learn.normalise import normalise

CPU = torch.device("cpu")


def _believed(n: int = 20_000, rows: int = 4, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits, and truths drawn with just the probabilities that they stand for."""
    chance = torch.Generator().manual_seed(seed)
    logits = 2 * torch.randn(n, rows, generator=chance)
    return logits, torch.multinomial(torch.softmax(logits, 1), 1, generator=chance)[:, 0]


@pytest.mark.parametrize("wrong", [0.5, 1.0, 3.0])
def test_a_known_miscalibration_is_found(wrong: float) -> None:
    logits, target = _believed()
    found = fit_temperature(logits * wrong, target)
    assert found == pytest.approx(wrong, rel=0.05)
    if wrong != 1.0:
        assert calibration_error(logits * wrong / found, target) < 0.3 * calibration_error(logits * wrong, target)


def test_error_counts_by_hand() -> None:
    sure = torch.tensor([[0.0, 1000.0]] * 4)  # certain of row 1, and right in three of four
    assert calibration_error(sure, torch.tensor([1, 1, 1, 0])) == pytest.approx(0.25)


def test_it_stays_within_its_bounds_where_nothing_is_ever_wrong() -> None:
    logits, _ = _believed(200)
    assert fit_temperature(logits, logits.argmax(1)) == pytest.approx(0.25)
    assert fit_temperature(logits, logits.argmin(1)) == pytest.approx(10.0)


def test_logits_that_are_no_numbers_are_left_as_they_are() -> None:
    logits, target = _believed(200)
    logits[7] = torch.nan
    assert fit_temperature(logits, target) == 1.0


def _network() -> tuple[Network, list]:
    """A network, and scans whose truths are drawn with just the probabilities that it gives them."""
    torch.manual_seed(1)
    network = _louder(build(make_plan()).eval(), 4)
    examples = []
    for n in (1, 2, 3):
        example = make_example(n, (16, 16, 16))
        with torch.no_grad():
            logits = network.full(normalise(example.voxels, make_plan(), CPU)[None])[0].flatten(1).T
        drawn = torch.multinomial(torch.softmax(logits, 1), 1)[:, 0].reshape(16, 16, 16)
        examples.append(replace(example, labels=drawn.numpy().astype(np.uint8)))
    return network, examples


def asked(network: Network) -> Member:
    """As it is asked while its weights change: by torch."""
    return Member(make_plan(), network, CPU, changing=True)


def _louder(network: Network, times: float) -> Network:
    for name, weight in network.named_parameters():
        if any(name.startswith(head) for head in network.heads):
            weight.data *= times
    return network


def test_a_network_made_too_sure_of_itself_is_toned_down() -> None:
    network, examples = _network()
    right = calibrate(asked(network), examples, never)
    wrong = calibrate(asked(_louder(network, 3)), examples, never)
    assert right is not None
    assert wrong is not None
    assert right.temperature == pytest.approx(1, rel=0.05)
    assert wrong.temperature == pytest.approx(3 * right.temperature, rel=0.02)
    assert (wrong.subjects, wrong.voxels) == (3, 3 * 16**3)
    assert wrong.ece_after < 0.01 < 0.08 < wrong.ece_before
    assert wrong.nll_after < wrong.nll_before


def test_one_subject_is_too_few_and_unseen_voxels_do_not_count() -> None:
    network, examples = _network()
    assert calibrate(asked(network), examples[:1], never) is None
    assert calibrate(asked(network), [replace(e, subject="same") for e in examples], never) is None
    assert calibrate(asked(network), [replace(e, status=np.zeros_like(e.status)) for e in examples], never) is None
    strange = [replace(e, labels=np.where(e.status > 0, 9, 0).astype(np.uint8)) for e in examples]
    assert calibrate(asked(network), strange, never) is None
    with pytest.raises(Cancelled):
        calibrate(asked(network), examples, lambda: True)


def test_a_scan_smaller_than_the_patch() -> None:
    network, _ = _network()
    small = [make_example(n, (9, 12, 16)) for n in (1, 2)]
    found = calibrate(asked(network), small, never)
    assert found is not None
    assert found.voxels > 0


def test_single_slices_of_finer_scans_count_as_they_are_taught() -> None:
    network, _ = _network()
    finer = [make_example(n, (48, 16, 16), spacing=(1 / 3, 1.0, 1.0), known=0) for n in (1, 2)]
    for example in finer:
        example.status[[9, 20]] = 1  # neither is the middle one of three, which interpolation alone would look at
    found = calibrate(asked(network), finer, never)
    assert found is not None
    assert found.voxels == 2 * 2 * 16 * 16


@pytest.mark.skipif(find_spec("openvino") is None, reason="OpenVINO is not installed")
@pytest.mark.parametrize("labels", [2, 30])
def test_whatever_computes_finds_the_same(labels: int) -> None:
    torch.manual_seed(2)
    plan = replace(make_plan(), labels=tuple(range(1, labels + 1)))
    network = build(plan).eval()
    many = [make_example(n, (40, 16, 36)) for n in (1, 2)]
    usual, torchs = (Member(plan, network, CPU, changing=changing) for changing in (False, True))
    assert usual.backend(PredictSettings()).name.startswith("openvino")
    assert usual.readout.late == (labels == 30)
    found, expected = calibrate(usual, many, never), calibrate(torchs, many, never)
    assert found is not None
    assert expected is not None
    assert found.voxels == expected.voxels
    assert found.nll_before == pytest.approx(expected.nll_before, rel=1e-3)
    assert found.temperature == pytest.approx(expected.temperature, rel=1e-2)


@pytest.mark.usefixtures("float32")  # in bf16 windows are asked one by one from the start
def test_memory_that_runs_out_makes_it_smaller_and_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    network, _ = _network()
    long = [make_example(n, (40, 16, 36)) for n in (1, 2)]
    whole, run, asked_for = calibrate(asked(network), long, never), TorchBackend.run, []

    def narrow(self: TorchBackend, patches: torch.Tensor) -> torch.Tensor:
        asked_for.append(len(patches))
        if len(patches) > 1:
            raise MemoryError
        return run(self, patches)

    monkeypatch.setattr(TorchBackend, "run", narrow)
    found = calibrate(asked(network), long, never)
    assert max(asked_for) > 1
    assert found is not None
    assert whole is not None
    assert (found.voxels, found.subjects) == (whole.voxels, whole.subjects)
    assert found.temperature == pytest.approx(whole.temperature, rel=1e-3)
