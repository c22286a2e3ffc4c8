"""Make an API key: the key for the client, and the line for the keys file, which holds its digest only.

python -m serve_apps.edges.new_key desk-1 --scopes read,trade
"""

from __future__ import annotations

import argparse

from serve_apps.edges.api_keys import new_key
from serve_apps.edges.client import READ, SCOPES


def main(arguments: list[str] | None = None) -> None:
    """Print a new key once; it is kept nowhere."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", help="who will call with it: letters, digits, - and _")
    parser.add_argument("--scopes", default=READ, help=f"of {','.join(SCOPES)} (default: %(default)s)")
    options = parser.parse_args(arguments)
    try:
        key, line = new_key(options.name, options.scopes.split(","))
    except ValueError as error:
        parser.error(str(error))
    print(f"key, for the client (X-API-Key), shown only now:\n{key}\n\nline, for ALPHARAY_API_KEYS_FILE:\n{line}")


if __name__ == "__main__":
    main()
