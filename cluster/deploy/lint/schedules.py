"""Schedules that would never run, run over each other, or fill the namespace with old Jobs."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from cluster.deploy.lint.finding import Finding, error, warning
from cluster.deploy.manifests import Manifest, of_kind

_RANGES = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 7))
_PART = re.compile(r"^(\*|\d+(-\d+)?)(/\d+)?$")
_MACROS = ("@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly")


def schedule_findings(manifests: Sequence[Manifest]) -> Iterator[Finding]:
    """Yield the faults of CronJobs."""
    for manifest in of_kind(manifests, "CronJob"):
        spec = manifest["spec"]
        if not is_schedule(str(spec.get("schedule", ""))):
            yield error(manifest, f"schedule must be five fields such as '*/5 * * * *', was {spec.get('schedule')!r}")
        policy = spec.get("concurrencyPolicy", "Allow")
        if policy not in {"Allow", "Forbid", "Replace"}:
            yield error(manifest, f"concurrencyPolicy must be Forbid, Replace or Allow, was {policy!r}")
        elif policy == "Allow":
            yield warning(manifest, "runs may overlap: set concurrencyPolicy: Forbid")
        if "startingDeadlineSeconds" not in spec:
            yield warning(manifest, "set startingDeadlineSeconds: after 100 missed runs none is started any more")


def is_schedule(text: str) -> bool:
    """Tell whether a cron schedule has five fields within their ranges (names of days and months are let pass)."""
    if text in _MACROS:
        return True
    fields = text.split()
    return len(fields) == 5 and all(
        _is_field(field, least, most) for field, (least, most) in zip(fields, _RANGES, strict=True)
    )


def _is_field(field: str, least: int, most: int) -> bool:
    for part in field.split(","):
        if re.fullmatch(r"[A-Za-z]{3}(-[A-Za-z]{3})?", part):
            continue
        if not _PART.match(part):
            return False
        if any(not least <= int(number) <= most for number in re.findall(r"\d+", part.partition("/")[0])):
            return False
    return True
