"""From stored strategies and candles to one answer: votes, their weights, the decision. No server in here."""
