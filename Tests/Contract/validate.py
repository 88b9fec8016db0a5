"""Holds the API's description against itself and against recorded exchanges.

Each line of the recording is one exchange as a JSON object with method, target, request_content_type, request_body,
status, response_headers and response_body. Exit 1, with a line for each mismatch, unless everything agrees.
"""

import argparse
import collections
import json
import sys
from urllib.parse import parse_qsl, unquote, urlsplit

import jsonschema
import yaml
from openapi_spec_validator import OpenAPIV31SpecValidator

METHODS = {"get", "put", "post", "patch", "delete"}
# HTTP's own, on any answer. X-Request-Id comes back with a success when it was sent; RateLimit and RateLimit-Policy are
# on every answer to a key that has a quota.
TRANSPORT_HEADERS = {"access-control-allow-origin", "access-control-expose-headers", "connection", "content-encoding",
                     "content-length", "content-security-policy", "content-type", "date", "ratelimit",
                     "ratelimit-policy", "referrer-policy", "strict-transport-security", "transfer-encoding", "vary",
                     "x-content-type-options", "x-request-id"}
# What the HTTP library answers by itself, with a page of its own.
LIBRARY_STATUSES = {408, 414, 431}
# What `default` stands for; every other status has to be documented by name.
DEFAULT_STATUSES = {400, 413, 500, 504}
# What an answer looks like when no operation matches the request.
UNMATCHED = {400: "Default", 401: "Unauthorized", 404: "NotFound", 405: "MethodNotAllowed", 503: "Unavailable"}

FORMATS = jsonschema.FormatChecker(formats=["uuid", "date-time"])
VALIDATORS = {}


def resolved(node, document, targets):
    """The node with every `$ref` replaced by what it refers to, because looking it up at each use takes long."""
    if isinstance(node, list):
        return [resolved(child, document, targets) for child in node]
    if not isinstance(node, dict):
        return node
    own = {name: resolved(child, document, targets) for name, child in node.items() if name != "$ref"}
    if "$ref" not in node:
        return own
    reference = node["$ref"]
    if reference not in targets:
        target = document
        for name in reference.split("/")[1:]:
            if name not in target:
                sys.exit(f"{reference} is referred to and does not exist")
            target = target[name]
        targets[reference] = resolved(target, document, targets)
    return {"allOf": [targets[reference]], **own} if own.keys() - {"description"} else targets[reference]


def violations(schema, value):
    """What the schema, a part of the resolved document, has against the value."""
    # Made once each: thousands of exchanges ask for the same few. The ids hold, as the document lives on.
    if id(schema) not in VALIDATORS:
        VALIDATORS[id(schema)] = jsonschema.Draft202012Validator(schema, format_checker=FORMATS)
    # Of several alternatives that failed, the one that came closest explains best.
    errors = map(lambda error: jsonschema.exceptions.best_match([error]), VALIDATORS[id(schema)].iter_errors(value))
    return [f"{error.json_path}: {error.message[:300]}" for error in errors]


def check_examples(node, place, seen):
    """Yields what is wrong with the examples of schemas, contents, parameters and headers anywhere below `node`."""
    node = dict(enumerate(node)) if isinstance(node, list) else node
    if not isinstance(node, dict) or id(node) in seen:
        return
    seen[id(node)] = node
    examples, schema = node.get("examples", []), node
    if "schema" in node:
        examples, schema = [example["value"] for example in dict(examples).values()], node["schema"]
        examples += [node["example"]] if "example" in node else []
    for value in examples if isinstance(examples, list) else []:
        yield from (f"{place}: example: {fault}" for fault in violations(schema, value))
    for name in (name for name in node if name not in ("example", "examples")):
        yield from check_examples(node[name], f"{place} > {name}", seen)


def check_body(contents, content_type, body):
    """What is wrong with a body, and the JSON in it."""
    if not contents:
        return ["has a body and should have none"] if body else [], None
    kind = (content_type or "").partition(";")[0].strip().lower()
    if kind not in contents:
        return [f"has the content type {content_type}, documented: {', '.join(contents)}"], None
    try:
        value = json.loads(body or "") if kind == "application/json" or kind.endswith("+json") else body
    except ValueError as error:
        return [f"is not JSON: {error}"], None
    return violations(contents[kind]["schema"], value), value


def check_response(response, exchange):
    """What is wrong with a response, and the JSON in it."""
    sent = {name.lower(): value for name, value in exchange["response_headers"].items()}
    documented = response.get("headers", {})
    unknown = sent.keys() - TRANSPORT_HEADERS - {name.lower() for name in documented}
    faults = [f"header {name} is not documented" for name in sorted(unknown)]
    for name, header in documented.items():
        if name.lower() in sent:
            faults += [f"header {name}: {fault}" for fault in violations(header["schema"], sent[name.lower()])]
        elif header.get("required"):
            faults.append(f"header {name} is missing")
    contents = response.get("content", {}) if exchange["method"] != "HEAD" else {}
    found, value = check_body(contents, sent.get("content-type"), exchange["response_body"])
    return faults + [f"response {fault}" for fault in found], value


def check_request(operation, exchange, answer):
    """What is wrong with a request that was accepted: what the description forbids must not pass."""
    query = dict(parse_qsl(urlsplit(exchange["target"]).query, keep_blank_values=True))
    known = {node["name"]: node for node in operation.get("parameters", []) if node["in"] == "query"}
    faults = [f"parameter {name} is not documented" for name in query if name not in known]
    for name, node in known.items():
        if name in query:
            is_typed = node["schema"].get("type") in ("integer", "number", "boolean")
            value = yaml.safe_load(query[name]) if is_typed else query[name]
            faults += [f"parameter {name}: {fault}" for fault in violations(node["schema"], value)]
        elif node.get("required"):
            faults.append(f"parameter {name} is required and was not sent")
    described, body = operation.get("requestBody", {}), exchange["request_body"]
    contents = described.get("content")
    if not body and not described.get("required"):
        return faults
    is_document = "ndjson" not in (exchange["request_content_type"] or "")
    sent = json.loads(body) if is_document and isinstance(answer, dict) and answer.get("rejected") else None
    if isinstance(sent, dict) and "results" in sent:
        # Lines of a batch are judged one by one: those that were rejected need not be right.
        pairs = zip(sent["results"], answer["results"])
        body = json.dumps({**sent, "results": [line for line, entry in pairs if entry["status"] != "rejected"]})
    # Recorded as nothing where it is no text; its lines are judged one by one.
    if body is None and not is_document:
        return faults
    return faults + [f"request {fault}" for fault in check_body(contents, exchange["request_content_type"], body)[0]]


def path_template(templates, path):
    """The template that the path matches, if there is one; literals go before parameters, as the router has it."""
    parts = path.split("/")
    for template in sorted(templates, key=lambda template: [name.startswith("{") for name in template.split("/")]):
        names = template.split("/")
        if len(names) == len(parts) and all(
                part if name.startswith("{") else unquote(part) == name for name, part in zip(names, parts)):
            return template
    return None


def check_exchange(document, exchange):
    """The operation that was meant, if there is one, and what is wrong with the exchange."""
    status = exchange["status"]
    method = "get" if exchange["method"] == "HEAD" else exchange["method"].lower()
    template = path_template(document["paths"], urlsplit(exchange["target"]).path)
    operation = document["paths"].get(template, {}).get(method) if method in METHODS else None
    name = operation and f"{exchange['method']} {template}"
    if status in LIBRARY_STATUSES or method == "options" and status == 204:
        return name, []
    if not operation and status not in UNMATCHED:
        return None, ["no operation is documented for this method and path"]
    if not operation:
        return None, check_response(document["components"]["responses"][UNMATCHED[status]], exchange)[0]
    key = str(status) if str(status) in operation["responses"] else "default"
    if key == "default" and status not in DEFAULT_STATUSES:
        return name, ["the status is not documented"]
    faults, answer = check_response(operation["responses"][key], exchange)
    return name, faults + (check_request(operation, exchange, answer) if 200 <= status < 300 else [])


def check_exchanges(document, lines, allow_unexercised):
    """Prints how often each operation was recorded; yields what is wrong."""
    paths = document["paths"]
    operations = {f"{method.upper()} {path}" for path in paths for method in paths[path] if method in METHODS}
    counts, succeeded = collections.Counter(), set()
    for number, line in enumerate(lines, 1):
        exchange = json.loads(line)
        name, faults = check_exchange(document, exchange)
        counts[name or "(no operation)"] += 1
        succeeded.update([name] if 200 <= exchange["status"] < 300 else [])
        request = name or f"{exchange['method']} {exchange['target'][:80]}"
        yield from (f"line {number}: {request}: {exchange['status']}: {fault}" for fault in faults)
    for name in sorted(operations | counts.keys()):
        print(f"{counts[name]:7}  {name}")
    if not counts:
        yield "no exchange was recorded: run the end-to-end tests first"
    if not allow_unexercised:
        yield from (f"{name}: no recorded exchange succeeds" for name in sorted(operations - succeeded))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("description", help="openapi.yaml")
    parser.add_argument("exchanges", help="the recording, NDJSON")
    parser.add_argument("--allow-unexercised", action="store_true", help="operations may lack a successful exchange")
    arguments = parser.parse_args()
    with open(arguments.description, encoding="utf-8") as file:
        raw = yaml.safe_load(file)
    document = resolved(raw, raw, {})
    faults = list(check_examples(document, "the document", {}))
    faults += (f"{error.json_path}: {error.message[:300]}" for error in OpenAPIV31SpecValidator(raw).iter_errors())
    try:
        with open(arguments.exchanges, encoding="utf-8") as lines:
            faults += check_exchanges(document, lines, arguments.allow_unexercised)
    except FileNotFoundError:
        faults.append(f"{arguments.exchanges} is missing: run the end-to-end tests first")
    print("\n".join(faults) or "the description and the exchanges agree")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
