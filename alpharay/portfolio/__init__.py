"""What is held and how much of it: sizes, exposure, the ledger."""
