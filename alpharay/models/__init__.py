"""Models of returns: how volatile they are, whether their regime has changed, how two of them hang together."""
