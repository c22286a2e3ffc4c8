"""Measure the signal model: how often the gate lets noise pass, how often it finds a planted edge, and what it costs.

    python -m benchmarks.signal_model --runs 40          a table
    python -m benchmarks.signal_model --runs 40 --json   one JSON object

Noise is GARCH candles, whose close is a martingale. The planted edge is a hidden drift, up or down, that turns about
once in a hundred bars; `strength` is its size in standard deviations of a bar.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import TypeVar

import numpy as np

from alpharay.features.feature_matrix import feature_matrix, latest_features
from alpharay.features.feature_set import FEATURES
from alpharay.market.candles import Candles
from alpharay.market.synthetic import garch_candles
from alpharay.models.signal_model import SignalModel, SignalModelSettings
from alpharay.models.signal_model_codec import checksum_of, model_of_bytes, model_to_bytes
from alpharay.models.signal_model_training import train_signal_model
from benchmarks.report import Figures, machine, report, versions

Result = TypeVar("Result")

BARS = 5_000
STRENGTHS = (0.05, 0.1, 0.2)
TURNS_EVERY = 100
BAR_DEVIATION = 0.01


def drifting_candles(
    bars: int, seed: int, *, strength: float, symbol: str = "DRIFT/USD", exchange: str = "generated", start_ms: int = 0
) -> Candles:
    """Return hourly candles whose hidden drift is `strength` standard deviations of a bar, up or down."""
    generator = np.random.default_rng(seed)
    drift = np.where(np.cumsum(generator.random(bars) < 1.0 / TURNS_EVERY) % 2 == 0, strength, -strength)
    close = 100.0 * np.exp(np.cumsum(BAR_DEVIATION * (drift + generator.normal(size=bars))))
    opened = np.concatenate([[100.0], close[:-1]])
    spread = np.abs(generator.normal(0.0, BAR_DEVIATION / 3.0, (2, bars)))
    return Candles(
        exchange=exchange,
        symbol=symbol,
        timeframe="1h",
        open_time=start_ms + np.arange(bars, dtype=np.int64) * 3_600_000,
        open=opened,
        high=np.maximum(opened, close) * (1.0 + spread[0]),
        low=np.minimum(opened, close) * (1.0 - spread[1]),
        close=close,
        volume=generator.uniform(1.0, 10.0, bars),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--runs", type=int, default=20, help="markets of each kind (default: %(default)s)")
    parser.add_argument("--bars", type=int, default=BARS, help="candles of each (default: %(default)s)")
    options = parser.parse_args()
    kinds: dict[str, Callable[[int], Candles]] = {"noise": lambda seed: garch_candles(options.bars, seed)}
    for strength in STRENGTHS:
        kinds[f"drift {strength:g}"] = lambda seed, strength=strength: drifting_candles(
            options.bars, seed, strength=strength
        )
    rows = [_promotions(name, make, options.runs) for name, make in kinds.items()]
    figures: Figures = {
        "bars": options.bars,
        "costs": _costs(options.bars),
        "machine": machine(),
        "versions": versions("numpy", "numba"),
    }
    report("signal model: what the gate lets pass", figures, rows, as_json=options.json)


def _promotions(name: str, make: Callable[[int], Candles], runs: int) -> Figures:
    evidence = [train_signal_model(make(seed)).card.evidence for seed in range(runs)]
    return {
        "name": name,
        "runs": runs,
        "promoted": sum(one.promoted for one in evidence),
        "gain_mnat": round(1000.0 * float(np.mean([one.gain for one in evidence])), 2),
        "brier_gain": round(float(np.mean([one.base_brier - one.brier for one in evidence])), 5),
    }


def _costs(bars: int) -> Figures:
    candles = drifting_candles(bars, 0, strength=0.2)
    trained, model = _timed(lambda: train_signal_model(candles, SignalModelSettings()), rounds=1)
    content = model_to_bytes(model)
    row = latest_features(candles)
    return {
        "train_s": round(trained, 2),
        "features_of_all_ms": round(1e3 * _timed(lambda: feature_matrix(candles))[0], 2),
        "features_of_latest_ms": round(1e3 * _timed(lambda: latest_features(candles))[0], 3),
        "predict_row_us": round(1e6 * _timed(lambda: model.predict(row), rounds=2_000)[0], 1),
        "load_ms": round(1e3 * _timed(lambda: _loaded(content))[0], 1),
        "model_kb": round(len(content) / 1024.0, 1),
        "features": len(FEATURES),
    }


def _loaded(content: bytes) -> SignalModel:
    return model_of_bytes(content, checksum_of(content))


def _timed(work: Callable[[], Result], rounds: int = 20) -> tuple[float, Result]:
    """Return the shortest time of a call, in seconds, and what it returned."""
    best = np.inf
    for _ in range(rounds):
        began = time.perf_counter()
        result = work()
        best = min(best, time.perf_counter() - began)
    return float(best), result


if __name__ == "__main__":
    main()
