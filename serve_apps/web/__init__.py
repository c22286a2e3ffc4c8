"""What every application's HTTP side shares."""
