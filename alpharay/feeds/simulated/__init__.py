"""A simulated exchange: an HTTP server that speaks Binance's public spot API and replays candle files."""
