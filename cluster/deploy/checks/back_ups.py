"""Back-up jobs scheduled."""

from __future__ import annotations

from datetime import UTC, datetime

from cluster.deploy.checks.verdict import Live, Verdict, cannot_tell, fails, listed, passes

PREFIX = "back-up"
DAY_S = 86400.0
# A daily one that runs for an hour.
MOST_AGE_DAYS = 1.1
WEEKLY_DAYS = 7.5


def back_ups_are_made(live: Live) -> Verdict:
    """Pass when back-ups are scheduled and not suspended, and the last one of each is not old."""
    schedules = [
        one
        for one in live.api.items("batch/v1", "CronJob")
        if one["metadata"]["name"].startswith(PREFIX) and not one["spec"].get("suspend")
    ]
    if not schedules:
        return fails("no back-up is scheduled", "use the component back-up")
    now = datetime.now(UTC)
    never, old, seen = [], [], []
    for one in schedules:
        name, last = one["metadata"]["name"], one.get("status", {}).get("lastSuccessfulTime")
        if last is None:
            never.append(name)
            continue
        days = (now - datetime.fromisoformat(last)).total_seconds() / DAY_S
        seen.append(f"{name} {days * 24:.0f} h ago")
        if days > (WEEKLY_DAYS if one["spec"]["schedule"].split()[4] != "*" else MOST_AGE_DAYS):
            old.append(name)
    if old:
        return fails(f"the last one is old: {listed(old)}", "kubectl get jobs; look at the failed ones' logs")
    if never:
        return cannot_tell(f"scheduled, and not one has been made: {listed(never)}", "python -m cluster.deploy backup")
    return passes(listed(seen))
