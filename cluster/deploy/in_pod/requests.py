"""Ask addresses one after the other: reads [[method, url, body, headers], ...], prints [[status, answer], ...]."""

from __future__ import annotations

import json
import sys
import urllib.error
import urllib.request
from typing import Any


def ask(method: str, url: str, body: Any, headers: dict[str, str]) -> tuple[int, Any]:
    """Return status and answer; 0 and why where there is none."""
    data = None if body is None else json.dumps(body).encode()
    headers = {"Content-Type": "application/json", **headers}
    request = urllib.request.Request(url, data=data, headers=headers, method=method)  # noqa: S310 - the cluster's own
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:  # noqa: S310
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode(errors="replace")[:300]
    except (OSError, ValueError) as error:
        return 0, str(error)


if __name__ == "__main__":
    print(json.dumps([ask(*one) for one in json.load(sys.stdin)]))
