"""What may be lost: value at risk, limits, the circuit breaker."""
