"""How schemathesis writes newline-delimited JSON, of which it knows nothing by itself."""
import json

import schemathesis


@schemathesis.serializer("application/x-ndjson")
def lines(context, value):
    """Text as it is; the examples of the description are texts."""
    if isinstance(value, bytes):
        return value
    if isinstance(value, str):
        return value.encode("utf-8", "surrogatepass")
    values = value if isinstance(value, list) else [value]
    return "\n".join(json.dumps(line) for line in values).encode()
