"""A process that predicts slice by slice with the real store, requests and runs; only the network is missing."""

from pathlib import Path

PROGRAM = """
import sys, time, types
import numpy as np
class Task:
    def __init__(self, focus):
        self.focus = focus
def alone(*_):
    return False
importing_torch = ("loop.worker_predict", "loop.worker_train", "loop.worker_import", "learn.ranks", "learn.device")
for name in importing_torch:
    names = {"PredictionTask": Task, "train": None, "import_weights": None, "several": alone, "first_here": alone}
    names["release_memory"] = alone
    sys.modules["napari_apprentice." + name] = types.SimpleNamespace(**names)
from napari_apprentice.core.progress import Progress
from napari_apprentice.core.slabs import PredictedSlab
from napari_apprentice.errors import Cancelled
from napari_apprentice.loop import worker
from napari_apprentice.store.study import Study

def slices(run, prediction):
    study, model = Study.open(run.study_path), run.request["model"]
    for case_id in run.request["cases"]:
        focus, shape = prediction.focus(run, case_id), study.cases.info(case_id).shape
        left = list(range(shape[0]))
        with study.predictions.begin(case_id, model, np.dtype(np.uint8), run.run_id) as writer:
            yield Progress(0, shape[0], "begun", case_id=case_id)
            while left:
                gate = study.path / "wait"
                while gate.exists() and len(left) <= int(gate.read_text() or 0) and not run.cancelled():
                    time.sleep(0.01)
                if run.cancelled():
                    raise Cancelled("asked to stop")
                z = min(left, key=lambda z: abs(z - (focus() or 0)))
                left.remove(z)
                part = np.full((1, *shape[1:]), 2, np.uint8)
                writer.write_slab(PredictedSlab(z, z + 1, part, part))
                yield Progress(shape[0] - len(left), shape[0], "predicting", case_id=case_id, slab=(z, z + 1))
                if (study.path / ("refuse " + case_id)).exists():
                    run.emit({"event": "refused", "case_id": case_id, "error": "StudyError", "text": "it is damaged"})
                    break
            else:
                quality = {} if (study.path / "empty").exists() else {2: 0.5}
                writer.commit(quality, 0.1, "by hand", {"settings": run.request["settings"]})
                run.emit({"event": "predicted", "case_id": case_id})
    return {"cases": run.request["cases"], "model": model}

worker.task_for = lambda run, prediction: lambda run: slices(run, prediction)
sys.exit(worker.main(["--serve"]))
"""


class Gate:
    """Lets the process wait when so many slices are left."""

    def __init__(self, study: Path) -> None:
        self._path = study / "wait"

    def stop_at(self, left: int) -> None:
        """Wait before the slice with which fewer than so many would be left."""
        self._path.write_text(str(left))

    def open(self) -> None:
        """Go on to the end."""
        self._path.unlink(missing_ok=True)
