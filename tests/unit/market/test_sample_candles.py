from __future__ import annotations

import subprocess
import sys

import numpy as np

from alpharay.market.candles import VALUE_COLUMNS
from alpharay.market.quality import check_candles
from alpharay.market.sample import sample_candles


def test_sample_is_daily_s_and_p_500_and_nasdaq_and_keeps_every_rule():
    samples = sample_candles()
    assert [candles.symbol for candles in samples] == ["SPX/USD", "IXIC/USD"]
    for candles in samples:
        assert candles.timeframe == "1d"
        assert len(candles) == 5031
        matrix = np.column_stack([candles.open_time, *[getattr(candles, name) for name in VALUE_COLUMNS]])
        assert check_candles(matrix, exchange="x", symbol=candles.symbol, timeframe="1d").refused == ()


def test_sample_equals_what_the_arch_package_loads():
    import arch.data.nasdaq
    import arch.data.sp500

    for candles, module in zip(sample_candles(), (arch.data.sp500, arch.data.nasdaq), strict=True):
        frame = module.load()
        np.testing.assert_array_equal(
            candles.open_time, frame.index.to_numpy().astype("datetime64[ms]").astype(np.int64)
        )
        for name in VALUE_COLUMNS:
            np.testing.assert_array_equal(getattr(candles, name), frame[name.capitalize()].to_numpy(dtype=float))


def test_sample_does_not_import_arch():
    code = (
        "import sys; from alpharay.market.sample import sample_candles; "
        "sample_candles(); assert 'arch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
