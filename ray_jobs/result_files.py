"""The files that a search writes besides what it stores: a report to read, a table to work with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from alpharay.discovery.report import DiscoveryReport


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultFiles:
    """What to write: an HTML report, a table of the champions (.parquet, .arrow or .csv); None is not written."""

    report: Path | None = None
    output: Path | None = None

    def __post_init__(self) -> None:
        # Known before the search begins, not when it has ended.
        if self.output is not None:
            from alpharay.reports.tables import check_table_file

            check_table_file(self.output)

    def __bool__(self) -> bool:
        return self.report is not None or self.output is not None


NO_FILES = ResultFiles()


def write_results(files: ResultFiles, reports: Sequence[DiscoveryReport], *, run_id: str = "") -> dict[str, str]:
    """Write the files asked for and return their paths by name; without a search there is no report."""
    from alpharay.reports.content import content_of
    from alpharay.reports.run_report import write_report
    from alpharay.reports.tables import champions_frame, write_frame

    written: dict[str, Path] = {}
    if files.output is not None:
        written["table"] = write_frame(champions_frame(reports), files.output)
    if files.report is not None and reports:
        written["report"] = write_report(content_of(reports, run_id=run_id), files.report)
    return {name: str(file.resolve()) for name, file in written.items()}
