"""A label selector as the controller prints it in a metric's name."""

from __future__ import annotations

from alpharay.autoscaling.document import Section


def printed_selector(selector: Section) -> str:
    """Return Go's text of the selector; labels are sorted by name."""
    labels = "".join(f"{name}: {value}," for name, value in sorted(selector.mapping("matchLabels").items()))
    requirements = "".join(
        f"LabelSelectorRequirement{{Key:{one.text('key')},Operator:{one.text('operator')},Values:{_values(one)},}},"
        for one in selector.sections("matchExpressions", ("key", "operator", "values"))
    )
    return (
        f"&LabelSelector{{MatchLabels:map[string]string{{{labels}}},"
        f"MatchExpressions:[]LabelSelectorRequirement{{{requirements}}},}}"
    )


def _values(requirement: Section) -> str:
    return f"[{' '.join(requirement.texts('values'))}]"
