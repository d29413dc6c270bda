"""The wheel: what a person gets from pip, in an environment that holds nothing else."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def run(*command: object) -> str:
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_wheel_installs_in_an_empty_environment(tmp_path: Path) -> None:
    run(sys.executable, "-m", "pip", "wheel", "--no-deps", "-w", tmp_path, ROOT)
    wheel = next(tmp_path.glob("*.whl"))
    names = zipfile.ZipFile(wheel).namelist()
    assert "napari_apprentice/napari.yaml" in names
    assert "napari_apprentice/sample_data/starter/weights.safetensors" in names
    run(sys.executable, "-m", "venv", tmp_path / "env")
    folder = tmp_path / "env" / ("Scripts" if sys.platform == "win32" else "bin")
    constraints = ROOT / "constraints.txt"
    run(folder / "python", "-m", "pip", "install", "-c", constraints, "torch", f"{wheel}[all]", "npe2")
    assert "valid" in run(folder / "npe2", "validate", "napari-apprentice")
    study = tmp_path / "a.study"
    run(folder / "apprentice", "create", study, "--labels", "liver")
    assert "sound" in run(folder / "apprentice", "check", study)
    sample = "from napari_apprentice.loop.sample import sample_folder; print(sample_folder())"
    assert str(tmp_path) in run(folder / "python", "-c", sample)
