"""What schemathesis can't know of the API."""

import itertools

import schemathesis

keys = itertools.count()


@schemathesis.hook
def before_call(context, case, kwargs):
    if not case.meta.generation.mode.is_positive:
        return
    # A good key is a new one: under one that was used, the API refuses every other request.
    if "Idempotency-Key" in case.headers:
        case.headers["Idempotency-Key"] = f"key {next(keys)}"
    # For headers schemathesis writes letters and digits alone; where a pattern has quotes, it is left with nothing.
    if case.headers.get("If-Match") == "":
        del case.headers["If-Match"]
