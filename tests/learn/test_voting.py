from dataclasses import replace

import numpy as np
import pytest
import torch
from small import finish, make_example, make_plan, never
from test_prediction_slabs import HOW, SPACING, gathered, noise, predictor, whole_pass

from napari_apprentice.core.config import PredictSettings
from napari_apprentice.core.slabs import ArraySource
from napari_apprentice.errors import ModelError, NoNumbersError, RunError
from napari_apprentice.learn import weights
from napari_apprentice.learn.backend_torch import TorchBackend
from napari_apprentice.learn.cells import Cells
from napari_apprentice.learn.evaluate import scores
from napari_apprentice.learn.predictor import Predictor
from napari_apprentice.learn.sweep import Sweep
from napari_apprentice.learn.voting import Voters

CPU = torch.device("cpu")
TORCH = PredictSettings(device="cpu", half=False, backend="torch")


class Counting:
    """A backend that counts its windows, and runs out of memory above `most` at once."""

    name, batch = "counting", 8

    def __init__(self, most=8, error=None):
        self.windows, self.most, self.error = 0, most, error
        torch.manual_seed(0)
        self.layer = torch.nn.Conv3d(1, 3, 3, padding=1)

    def run(self, patches):
        if len(patches) > self.most:
            raise self.error
        self.windows += len(patches)
        with torch.inference_mode():
            return self.layer(patches)

    def ahead(self, patches):
        """Nothing is begun."""

    def stop(self):
        """Nothing was."""


def no_more():
    """There is no room to make elsewhere."""
    return False


ERRORS = [
    torch.cuda.OutOfMemoryError("CUDA out of memory"), MemoryError(),
    RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"),
]  # fmt: skip


@pytest.mark.parametrize("error", ERRORS)
@pytest.mark.parametrize("most", [1, 3, 8])
def test_fewer_windows_at_once_where_memory_runs_out(error, most):
    patches = torch.randn(8, 1, 4, 4, 4)
    voters = Voters((Counting(most, error),), ())
    found = voters.retrying(lambda count: patches[:count], no_more)
    assert len(found) == voters.batch == 2 ** int(np.log2(most))
    torch.testing.assert_close(found, Counting().run(patches[: len(found)]))


@pytest.mark.parametrize("error", ERRORS)
def test_not_even_one_window_is_said_plainly(error):
    with pytest.raises(RunError, match="too little free memory"):
        Voters((Counting(0, error),), ()).retrying(lambda count: torch.zeros(count, 1, 4, 4, 4), no_more)


def test_sums_make_room_before_a_prediction_gives_up(monkeypatch):
    source, plan, rooms = ArraySource(noise((20, 20, 20)), SPACING), make_plan(patch=(8, 16, 16)), []
    expected = gathered(predictor(plan), source)
    run, halve = TorchBackend.run, Cells.halve

    def short(self, patches):
        if len(rooms) < 3 or len(patches) > 1:
            raise MemoryError
        return run(self, patches)

    monkeypatch.setattr(TorchBackend, "run", short)
    monkeypatch.setattr(Cells, "halve", lambda self: rooms.append(self) or halve(self))
    model = predictor(plan)
    found = gathered(model, source)
    assert len(rooms) == 3
    assert (found[0] != expected[0]).mean() < 1e-3


def test_other_faults_are_not_taken_for_a_lack_of_memory():
    with pytest.raises(RuntimeError, match="shape mismatch"):
        Voters((Counting(0, RuntimeError("shape mismatch")),), ()).retrying(
            lambda n: torch.zeros(n, 1, 4, 4, 4), no_more
        )


def test_a_prediction_goes_on_with_fewer_windows_and_is_the_same(monkeypatch):
    source, plan = ArraySource(noise((20, 20, 20)), SPACING), make_plan(patch=(8, 16, 16))
    expected = gathered(predictor(plan), source)
    run = TorchBackend.run

    def small(self, patches):
        if len(patches) > 2:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory")
        return run(self, patches)

    monkeypatch.setattr(TorchBackend, "run", small)
    found = gathered(predictor(plan), source)
    assert (np.abs(found[1].astype(int) - expected[1]) <= 1).all()  # another batch, other last bits
    assert (found[0] != expected[0]).mean() < 1e-3


def test_patches_that_do_not_fit_are_cut_out_in_smaller_numbers(monkeypatch):
    source, plan = ArraySource(noise((20, 20, 20)), SPACING), make_plan(patch=(8, 16, 16))
    expected = gathered(predictor(plan), source)
    cut = Sweep.cut

    def small(self, voxels, windows):
        if len(windows) > 2:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory")
        return cut(self, voxels, windows)

    monkeypatch.setattr(Sweep, "cut", small)
    found = gathered(predictor(plan), source)
    assert (np.abs(found[1].astype(int) - expected[1]) <= 1).all()
    assert (found[0] != expected[0]).mean() < 1e-3


def test_a_window_that_gives_no_numbers_is_told_and_never_passes_for_background(monkeypatch):
    source, plan, asked = ArraySource(noise((20, 20, 20)), SPACING), make_plan(patch=(8, 16, 16)), []
    run = TorchBackend.run

    def too_large(self, patches):
        asked.append(patches)
        found = run(self, patches)
        return found * float("inf") if len(asked) == 2 else found

    monkeypatch.setattr(TorchBackend, "run", too_large)
    with pytest.raises(NoNumbersError, match="no numbers"):
        gathered(predictor(plan), source)
    asked.clear()
    example = replace(make_example(shape=(20, 20, 20)), voxels=source.voxels)
    found = scores(predictor(plan), [example], HOW, never)  # where a training run measures, it goes on
    assert {score.label for score in found} == {1, 2}


def test_empty_windows_are_computed_once_and_exactly():
    backend = Counting()
    backend.batch = 1
    voters, air = Voters((backend,), ()), torch.full((1, 1, 4, 4, 4), -2.5)
    first = voters.retrying(lambda _: air, no_more).clone()
    again = voters.retrying(lambda _: air.clone(), no_more)
    assert torch.equal(first, again)
    assert backend.windows == 1
    other = voters.retrying(lambda _: air + 1, no_more)
    assert not torch.equal(other, first)
    body = torch.randn(1, 1, 4, 4, 4)
    assert torch.equal(voters.retrying(lambda _: body, no_more), backend.run(body))


def test_air_around_a_scan_changes_nothing(monkeypatch):
    plan, voxels = make_plan(patch=(8, 16, 16)), noise((40, 40, 40))
    voxels[:, :16], voxels[:, :, 20:] = 0, 0
    model = predictor(plan)
    monkeypatch.setattr(TorchBackend, "batch", 1)  # of several, other ones beside it change a window's last bits
    with_memory = gathered(model, ArraySource(voxels, SPACING), TORCH)
    monkeypatch.setattr(Voters, "_remembering", Voters.run)
    without = gathered(model, ArraySource(voxels, SPACING), TORCH)
    assert (with_memory[0] == without[0]).all()
    assert (with_memory[1] == without[1]).all()


def test_best_averages_what_is_seen_from_all_sides():
    patches = torch.randn(2, 1, 4, 6, 5)
    backend = Counting()
    expected = sum(backend.run(patches.flip(f)).flip(f) for f in ([], [2], [4], [2, 4])) / 4
    torch.testing.assert_close(Voters((backend,), (0, 2)).run(patches), expected)


def test_only_best_mirrors_and_only_where_it_is_legal():
    source = ArraySource(noise((16, 16, 16)), SPACING)
    best = PredictSettings(device="cpu", half=False, quality="best")
    without = predictor(make_plan(mirror=()))
    assert (gathered(without, source, best)[0] == gathered(without, source)[0]).all()
    mirrored = predictor(make_plan(mirror=(0, 1)))
    assert (gathered(mirrored, source, best)[0] != gathered(mirrored, source)[0]).any()


def test_draft_takes_fewer_windows():
    def windows(quality):
        how = PredictSettings(device="cpu", quality=quality)
        reports, _ = finish(predictor(make_plan()).predict(ArraySource(noise((48, 48, 48)), SPACING), how, never))
        return sum(hasattr(r, "done") for r in reports)

    assert windows("draft") < windows("standard")


@pytest.mark.parametrize("temperatures", [(1.0, 1.0, 1.0), (0.5, 1.0, 2.5)])
def test_an_ensemble_is_the_mean_of_its_members(tmp_path, temperatures):
    plan, voxels = make_plan(patch=(8, 16, 16)), noise((12, 20, 20))
    members = [stored(tmp_path, plan, seed, temperature) for seed, temperature in enumerate(temperatures)]
    merged = Predictor.together(members)
    labels, uncertainty, _, summary = gathered(merged, ArraySource(voxels, SPACING), TORCH)
    pairs = zip(members, temperatures, strict=True)
    every = [whole_pass(m, voxels, SPACING, temperature=t) for m, t in pairs]
    mean = np.mean(every, axis=0)
    ranked = np.sort(mean, axis=0)
    clear = ranked[-1] - ranked[-2] > 1e-3
    assert (labels == mean.argmax(0))[clear].all()
    entropy = -(mean * np.log(mean)).sum(0) / np.log(3)
    assert np.abs(uncertainty - 255 * entropy).max() < 1
    votes = [p.argmax(0) for p in every]
    for label, quality in summary.quality.items():
        pairs = [(votes[a] == label, votes[b] == label) for a, b in ((0, 1), (0, 2), (1, 2))]
        expected = np.mean([2 * (a & b).sum() / (a.sum() + b.sum()) for a, b in pairs])
        assert quality == pytest.approx(expected, abs=2e-3)


def stored(folder, plan, seed, temperature):
    """A predictor of weights in a file, as a study has them."""
    path = folder / f"{seed}.safetensors"
    weights.save(predictor(plan, seed)._members[0].module, path)
    return Predictor(plan, path, CPU, temperature)


def test_what_was_compiled_for_a_member_is_used_together_and_alone(tmp_path):
    members = [stored(tmp_path, make_plan(), seed, 1.0) for seed in (0, 1)]
    compiled = [member._members[0].backend(TORCH) for member in members]
    both = Predictor.together(members)
    assert [member.backend(TORCH) for member in both._members] == compiled
    assert Predictor.together(members[:1]) is members[0]


def test_models_that_see_scans_differently_do_not_vote_together():
    with pytest.raises(ModelError, match="voxel size"):
        Predictor.together([predictor(make_plan()), predictor(make_plan(spacing=(2.0, 1.0, 1.0)))])


def test_models_mirror_together_what_all_of_them_may():
    merged = Predictor.together([predictor(make_plan(mirror=(0, 1))), predictor(make_plan(mirror=(1, 2)))])
    assert merged._plan.mirror_axes == (1,)


def test_a_temperature_changes_how_sure_but_not_what():
    source, model = ArraySource(noise((16, 16, 16)), SPACING), predictor(make_plan())
    sure = gathered(model, source)
    model._models = replace(model._models, temperatures=(3.0,))
    unsure = gathered(model, source)
    assert (sure[0] == unsure[0]).all()
    assert unsure[1].mean() > sure[1].mean() + 10
    assert unsure[3].temperature == 3.0
    assert all(unsure[3].quality[k] < sure[3].quality[k] for k in sure[3].quality)
