"""The Kafka topics; the key of every message is its symbol."""

CANDLES = "candles"
DISCOVERY_REQUESTS = "strategy-discovery-requests"
DISCOVERED_STRATEGIES = "discovered-strategies"
BACKTEST_REQUESTS = "backtest-requests"
BACKTEST_RESULTS = "backtest-results"
STRATEGY_SCORES = "strategy-confidence-scores"
ENSEMBLES = "strategy-ensembles"
ROTATIONS = "strategy-rotations"
SIGNALS = "signals"
ORDERS = "orders"
FILLS = "fills"
NEWS = "news"
DEAD_LETTERS = "dead-letters"

ALL = (
    CANDLES,
    DISCOVERY_REQUESTS,
    DISCOVERED_STRATEGIES,
    BACKTEST_REQUESTS,
    BACKTEST_RESULTS,
    STRATEGY_SCORES,
    ENSEMBLES,
    ROTATIONS,
    SIGNALS,
    ORDERS,
    FILLS,
    NEWS,
    DEAD_LETTERS,
)
