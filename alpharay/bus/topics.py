"""The Kafka topics; the key of every message is its symbol."""

CANDLES = "candles"
DISCOVERY_REQUESTS = "strategy-discovery-requests"
DISCOVERED_STRATEGIES = "discovered-strategies"
SIGNALS = "signals"
ORDERS = "orders"
FILLS = "fills"
NEWS = "news"
DEAD_LETTERS = "dead-letters"

ALL = (CANDLES, DISCOVERY_REQUESTS, DISCOVERED_STRATEGIES, SIGNALS, ORDERS, FILLS, NEWS, DEAD_LETTERS)
