"""The services' own lines of log: they leave through Serve's handlers, whatever Serve's own logger may tell."""

from __future__ import annotations

import logging

SERVE_LOGGER = "ray.serve"
SERVICE_LOGGER = f"{SERVE_LOGGER}.alpharay"

log = logging.getLogger(SERVICE_LOGGER)
