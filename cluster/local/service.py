"""What is known of one running part of the local stack."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

Report = Callable[[str], None]
"""Told in a few words what is being done, so that a person sees that something moves."""


@dataclass(frozen=True)
class Service:
    """A part that answers.

    Attributes
    ----------
    name : str
        The part's name, such as `postgres`.
    version : str
        The server's version.
    address : str
        Where it listens, for people: no password.
    url : str
        How a client connects, password included; never shown.
    pid : int
        The server's process id.
    log : Path
        The server's log file.
    note : str
        What a person should know about this part; often empty.

    """

    name: str
    version: str
    address: str
    url: str = field(repr=False)
    pid: int
    log: Path
    note: str = ""


def quiet(_: str) -> None:
    """Report nothing."""
