"""What stands between a client and every application: who calls, how often, how much, how long."""
