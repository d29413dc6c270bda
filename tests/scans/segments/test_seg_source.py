"""Which series a segmentation refers to."""

import numpy as np
import pydicom
import pytest

from builders import study as make_study
from dicom_builder import random_voxels, write_series
from napari_apprentice.errors import ChoiceError
from napari_apprentice.loop.exporting import export
from napari_apprentice.loop.label_import import keep_accepted
from napari_apprentice.scans.reader import read_volume


def test_another_persons_scan_on_the_same_grid_is_not_taken_for_the_cases(tmp_path):
    for seed, name in enumerate(("Anna", "Bert")):  # as scanners put heads: at one place, in one field of view
        write_series(
            tmp_path / name, random_voxels((3, 5, 6), seed=seed), PatientName=name, StudyInstanceUID=f"1.{seed}"
        )
    study = make_study(tmp_path, cases=0)
    volume = read_volume(tmp_path / "Anna")
    study.cases.add("c1", "s1", volume)
    keep_accepted(study, "c1", np.ones(volume.geometry.shape, np.uint8), author="ann")
    out = tmp_path / "out.dcm"
    with pytest.raises(ChoiceError, match="it may be of another person") as caught:
        export(study, "c1", out, source=tmp_path / "Bert")
    assert not out.exists()
    assert (caught.value.setting, [key for key, _ in caught.value.choices]) == ("series", ["3"])
    export(study, "c1", out, source=tmp_path / "Anna")
    assert pydicom.dcmread(out).PatientName == "Anna"
    # Fetched again or packed otherwise, files are others than they were; somebody who knows says so.
    export(study, "c1", out, source=tmp_path / "Bert", series="3", overwrite=True)
    assert pydicom.dcmread(out).PatientName == "Bert"
