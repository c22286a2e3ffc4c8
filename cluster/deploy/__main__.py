"""Run the command."""

from __future__ import annotations

from cluster.deploy.command import app

if __name__ == "__main__":
    app()
