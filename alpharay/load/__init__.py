"""Loads on running services: requests at a rate, what became of them, and one page that shows it."""
