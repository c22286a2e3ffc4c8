"""One definition of a strategy: for the search, the backtest, validation, live signals and charts."""
