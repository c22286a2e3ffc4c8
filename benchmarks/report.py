"""How every benchmark reports: one JSON object with `--json`, otherwise a table; with versions and the machine."""

from __future__ import annotations

import json
import os
import platform
import resource
import statistics
from collections.abc import Sequence
from importlib.metadata import version

from rich.console import Console
from rich.table import Table

Figures = dict[str, object]


def machine() -> Figures:
    """Describe the machine: processor, cores, memory."""
    model = platform.processor() or platform.machine()
    if os.path.exists("/proc/cpuinfo"):  # noqa: PTH110 - a pseudo-file
        with open("/proc/cpuinfo") as lines:  # noqa: PTH123
            model = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), model)
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return {
        "processor": model,
        "cores": os.cpu_count(),
        "memory_gib": round(pages / 2**30, 1),
        "load_average": round(os.getloadavg()[0], 2),
        "system": platform.platform(),
        "python": platform.python_version(),
    }


def versions(*packages: str) -> dict[str, str]:
    """Return the installed version of each package."""
    return {package: version(package) for package in packages}


def peak_memory_mb() -> float:
    """Return this process's peak resident memory in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024.0


def median(values: Sequence[float]) -> float:
    """Return the median."""
    return float(statistics.median(values))


def report(title: str, figures: Figures, rows: Sequence[dict[str, object]], *, as_json: bool) -> None:
    """Print the figures: as one JSON object, or the rows as a table and the figures under it."""
    if as_json:
        print(json.dumps({"benchmark": title, **figures, "rows": list(rows)}, indent=2))
        return
    console = Console()
    if rows:
        table = Table(title=title)
        for column in rows[0]:
            table.add_column(column.replace("_", " "), justify="left" if isinstance(rows[0][column], str) else "right")
        for row in rows:
            table.add_row(*(_cell(value) for value in row.values()))
        console.print(table)
    for name, value in figures.items():
        if isinstance(value, dict):
            console.print(f"{name}: " + ", ".join(f"{key} {item}" for key, item in value.items()), highlight=False)
        else:
            console.print(f"[bold]{name}[/bold]: {_cell(value)}", highlight=False)


def _cell(value: object) -> str:
    return f"{value:,.4g}" if isinstance(value, float) else str(value)
