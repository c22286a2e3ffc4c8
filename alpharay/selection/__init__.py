"""Which trusted strategies speak now: confidence, ensemble, rotation, retirement."""
