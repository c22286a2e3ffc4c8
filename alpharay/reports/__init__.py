"""What people look at: one HTML file a run, that needs nothing else."""
