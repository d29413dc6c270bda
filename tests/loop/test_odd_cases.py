"""One odd case or file is found before the first step, is named, and keeps no study from being fine-tuned."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from balls import SHAPE, add_case, modelled_study, revise, trained

from learn.small import make_example, make_plan
from napari_apprentice.core.config import TrainSettings
from napari_apprentice.core.geometry import Geometry
from napari_apprentice.core.volume import Volume
from napari_apprentice.errors import ModelError, StudyError
from napari_apprentice.loop.sides import subject_sides
from napari_apprentice.loop.unfit import oversized
from napari_apprentice.store.runs import CHECKPOINT
from napari_apprentice.store.study import Study
from networks import add_version

TUNE = TrainSettings(steps=1, device="cpu", validate_every=1000, interpolation=1)


@pytest.fixture
def study(tmp_path: Path) -> Study:
    return modelled_study(tmp_path)


def add_two_channels(study: Study, n: int, side: str) -> None:
    example = make_example(n, SHAPE)
    geometry = Geometry.from_source(SHAPE[::-1], np.diag([-1.0, -1.0, 1.0, 1.0]))
    study.split.assign(f"s{n}", side=side)
    both = np.concatenate([example.voxels] * 2)
    study.cases.add(f"c{n}", f"s{n}", Volume(both, geometry, ("T1", "T2"), f"c{n}.nii.gz", "0" * 64))
    revise(study, n)


def test_cases_of_other_channels_are_left_out_on_both_sides_and_named(study: Study) -> None:
    add_two_channels(study, 8, "train")
    add_two_channels(study, 9, "validation")
    made = trained(study, "fine-tune", TUNE)
    (told,) = made["notes"]
    assert told == "Not in this run: c8/r0001, c9/r0001 (channels T1, T2; the network reads MR)."
    version = study.models.info(made["model"])
    assert (version.revisions, version.held_out) == (("c1/r0001", "c2/r0001"), ("c3/r0001",))
    first = study.models.info(trained(study, "train", TUNE)["model"])
    assert (first.revisions, len(first.plan.normalisation)) == (("c1/r0001", "c2/r0001"), 1)


def test_a_run_in_which_nothing_is_left_says_why(study: Study) -> None:
    add_version(study, "two", make_plan(channels=2), seed=1)
    study.models.activate("two", "made by hand")
    with pytest.raises(ModelError, match=r"no correction .* could use. Not in this run: c1/r0001.*reads 2 channels"):
        trained(study, "fine-tune", TUNE)


def test_a_damaged_held_out_scan_and_a_damaged_revision_are_left_out(study: Study) -> None:
    scan = next(p for p in (study.cases.folder("c3") / "image" / "0" / "c").rglob("*") if p.is_file())
    scan.write_bytes(scan.read_bytes()[:-40] + bytes(40))
    for path in (study.cases.folder("c2") / "image" / "labels" / "r0001" / "status" / "c").rglob("*"):
        if path.is_file():
            path.write_bytes(b"junk")
    made = trained(study, "fine-tune", TUNE)
    assert [note.split(" (")[0] for note in made["notes"]] == ["Not in this run: c2/r0001", "Not in this run: c3/r0001"]
    assert study.models.info(made["model"]).held_out == ()


def test_a_scan_whose_voxel_size_cannot_be_right_is_left_out_on_both_sides_and_named(study: Study) -> None:
    """Metres taken for millimetres: to read one, or to predict it, would take more than there is of memory and time."""
    geometry = Geometry.from_source(SHAPE[::-1], np.diag([-1000.0, -1000.0, 1000.0, 1.0]))
    for n, side in ((8, "train"), (9, "validation")):
        study.split.assign(f"s{n}", side=side)
        study.cases.add(f"c{n}", f"s{n}", Volume(make_example(n, SHAPE).voxels, geometry, ("MR",), "m", f"{n:064d}"))
        revise(study, n)
    made = trained(study, "fine-tune", TUNE)
    assert made["notes"] == [
        "Not in this run: c8/r0001, c9/r0001 (its voxels of 1000 x 1000 x 1000 mm would be 5760 billion of those that "
        "the network sees; is that right?)."
    ]
    version = study.models.info(made["model"])
    assert (version.revisions, version.held_out) == (("c1/r0001", "c2/r0001"), ("c3/r0001",))


def test_an_imported_network_that_keeps_a_scans_own_spacing_takes_any() -> None:
    """As 2D ones of nnU-Net do across their slices, and bundles of MONAI without Spacing along all axes."""
    plan = replace(make_plan(), spacing=(0.0, 1.0, 1.0))
    assert oversized(replace(make_example(0), spacing=(5.0, 1.0, 1.0)), plan) == ""
    assert "billion" in oversized(replace(make_example(0), spacing=(5.0, 9000.0, 9000.0)), plan)


def test_a_case_that_was_copied_in_part_is_left_out_and_named(study: Study) -> None:
    shutil.rmtree(study.cases.folder("c2") / "image" / "labels")
    made = trained(study, "fine-tune", TUNE)
    (told,) = made["notes"]
    assert told.startswith("Not in this run: c2 (")
    assert study.models.info(made["model"]).revisions == ("c1/r0001",)


def test_damaged_steps_of_post_processing_are_told_before_the_first_step(study: Study) -> None:
    (study.path / "postprocess.json").write_text("{")
    with pytest.raises(StudyError, match=r"postprocess\.json is damaged"):
        trained(study, "fine-tune", TUNE)
    assert not (study.runs.open(study.runs.ids()[-1]).path / CHECKPOINT).exists()


@pytest.mark.parametrize("kind", ["train", "fine-tune"])
def test_a_damaged_scan_to_learn_from_keeps_nobody_from_learning_from_the_others(study: Study, kind: str) -> None:
    scan = next(p for p in (study.cases.folder("c2") / "image" / "0" / "c").rglob("*") if p.is_file())
    scan.write_bytes(scan.read_bytes()[:-40] + bytes(40))
    made = trained(study, kind, TUNE)
    assert [note.split(" (")[0] for note in made["notes"]][:1] == ["Not in this run: c2/r0001"]
    assert study.models.info(made["model"]).revisions == ("c1/r0001",)


def test_a_damaged_case_that_was_learned_from_is_told_before_the_first_step_and_nobody_it_may_be_of_judges(
    study: Study,
) -> None:
    add_case(study, 4)  # the side that comes next: to learn from
    first = trained(study, "train", TUNE)
    study.models.activate(first["model"], "trial")
    assert "c1/r0001" in study.models.info(first["model"]).revisions
    study.split.move("s4", "validation", "trial")
    add_case(study, 5, "s4")  # another scan of somebody who may be in the weights
    (study.cases.root / "c1" / "image" / "zarr.json").write_text("{")
    revise(study, 2)
    assert {s.subject: s.learned for s in subject_sides(study)}["s4"] == (first["model"],)
    made = trained(study, "fine-tune", TUNE)
    assert made["notes"][-1] == (
        "Not compared on: c4/r0001, c5/r0001. They may be of a person whose scan was learned from: c1 was, and is "
        "damaged, so that nobody knows whose scan it is."
    )
    version = study.models.info(made["model"])
    assert version.gate is not None
    assert {pair.subject for pair in version.gate.pairs} == {"s3"}  # was never on the train side
    assert version.gate.left_out == 2


def test_a_model_trained_anew_for_other_channels_than_the_active_one_reads_is_a_candidate(study: Study) -> None:
    for n in (6, 7, 8):
        add_two_channels(study, n, "train")
    add_two_channels(study, 9, "validation")
    made = trained(study, "train", TUNE)
    why = "it reads 2 channels and v0001 reads 1, so the two cannot be compared"
    assert f"The new model version will be kept as a candidate: {why}." in made["notes"]
    assert (made["active"], made["instead"], study.models.active()) == (False, "v0001", "v0001")
    version = study.models.info(made["model"])
    assert (version.channels, version.held_out) == (("T1", "T2"), ("c9/r0001",))
    assert version.gate is not None
    assert version.gate.told == why
