"""Which discoveries may be trusted: tests, gates and diagnostics over candles, strategies and searches."""
