"""`apprentice predict`: a cohort, with a line for every case that ends."""

import argparse
import sys
from typing import Any

from napari_apprentice.cli_options import settings_from
from napari_apprentice.cli_progress import say
from napari_apprentice.core.cohort import CaseDone, CohortReport, CohortSettings, Outcome
from napari_apprentice.core.config import PredictSettings
from napari_apprentice.errors import Cancelled, InputError
from napari_apprentice.session import Session

Options = argparse.Namespace
Answer = tuple[dict[str, Any], list[str]]  # what --json prints, and the lines for a person


def predict(options: Options, session: Session) -> Answer:
    """Predict cases, all by default; those that were predicted alike are skipped."""
    session.open_study(options.study)
    cases = options.cases or list(session.study.cases.ids())
    if not cases:
        raise InputError("This study has no case yet: add scans first.")
    report = _follow(options, session, cases)
    study, model = session.study, report.model
    predicted = (*report.skipped, *(o.case_id for o in report.done))
    facts = {
        "model": model,
        "cases": {c: study.predictions.quality(c, model) for c in predicted},
        "skipped": list(report.skipped),
        "failed": {o.case_id: o.error for o in report.failed},
        "notes": list(report.notes),
    }
    return facts, _summary(report)


def _follow(options: Options, session: Session, cases: list[str]) -> CohortReport:
    settings, cohort = settings_from(options, PredictSettings()), settings_from(options, CohortSettings())
    work = session.predict_cohort(cases, settings, cohort, options.model)
    ended: list[Outcome] = []
    total = len(cases)
    try:
        while True:
            progress = next(work)
            total = progress.total
            if isinstance(progress, CaseDone) and progress.outcome is not None:
                ended.append(progress.outcome)
                _tell(progress.outcome, options)
            elif not options.json and progress.case_id is None:
                say(progress.text)
    except StopIteration as end:
        report: CohortReport = end.value
        return report
    except KeyboardInterrupt as interrupt:
        raise Cancelled(_stopped(ended, total)) from interrupt
    finally:
        work.close()


def _tell(outcome: Outcome, options: Options) -> None:
    if options.json:
        return
    encoding = sys.stdout.encoding or "utf-8"
    sys.stdout.write(outcome.line.encode(encoding, "backslashreplace").decode(encoding) + "\n")
    sys.stdout.flush()


def _stopped(ended: list[Outcome], total: int) -> str:
    done = sum(not o.error for o in ended)
    return (
        f"Stopped; {done} of {total} cases were predicted and are kept. Give the same command again, and it goes on "
        f"with the {total - done} that are left."
    )


def _summary(report: CohortReport) -> list[str]:
    parts = [f"{len(report.done)} predicted by {report.model}"]
    if report.skipped:
        parts.append(f"{len(report.skipped)} were so already (--again predicts them anew)")
    if report.failed:
        parts.append(f"{len(report.failed)} failed")
    lines = [f"{', '.join(parts)}."]
    return lines + [f"  {o.case_id}: {o.error}" for o in report.failed] + list(report.notes)
