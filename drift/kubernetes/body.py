"""A body as the bytes that are sent to the API server."""

from __future__ import annotations

import json
import re
from typing import Any

_ESCAPED = re.compile("[\x7f-\x9f\u2028\u2029\ud800-\udfff\ufeff\ufffe\uffff]")
"""Characters that YAML forbids in the clear, or takes for the end of a line (and changes)."""


def encoded(body: Any) -> bytes:
    r"""The body as UTF-8 that reads the same as JSON and as YAML, which is how an apply patch is read.

    JSON's way of writing characters above U+FFFF (two escapes, a surrogate pair) is an error in YAML, so they stand as
    they are; control characters and the line ends of Unicode, which YAML would not keep, are escaped (``\u0085``).

    :raises TypeError: where the body holds what JSON has no form for.
    """
    text = json.dumps(body, ensure_ascii=False, separators=(",", ":"))
    return _ESCAPED.sub(lambda found: f"\\u{ord(found.group()):04x}", text).encode()
