"""What this process's models have foretold; how good they are is among the facts of the whole system."""

from __future__ import annotations

from prometheus_client import Counter, Histogram

from alpharay.telemetry.registry import REGISTRY

PREDICTIONS = Counter(
    "alpharay_model_predictions",
    "Predictions by what they said: rise, fall, unknown (too few candles), failed.",
    ["outcome"],
    registry=REGISTRY,
)
PREDICTION_SECONDS = Histogram(
    "alpharay_model_prediction_seconds",
    "Time that a model took to foretell one market.",
    buckets=(0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.05, 0.25, 1.0),
    registry=REGISTRY,
)
