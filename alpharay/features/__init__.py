"""What the signal model sees of a market: one definition of features, for training and for serving."""
