"""AlphaRay: what the system knows about markets, strategies and how to find them. No Ray and no web server in here."""

__version__ = "0.1.0"
