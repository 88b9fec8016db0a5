"""Holds the API's description against itself and against recorded exchanges.

Each line of the recording is one exchange as a JSON object with method, target, request_content_type, request_body,
status, response_headers and response_body. Exit 1, with a line for each mismatch, unless everything agrees.
"""

import argparse
import collections
import functools
import json
import sys
from urllib.parse import parse_qsl, quote, unquote, urlsplit

import jsonschema
import referencing
import referencing.jsonschema
import yaml
from openapi_spec_validator import OpenAPIV31SpecValidator

METHODS = {"get", "put", "post", "patch", "delete"}
# HTTP's own, on any answer. X-Request-Id comes back with a success when it was sent.
TRANSPORT_HEADERS = {"connection", "content-length", "content-type", "date", "x-content-type-options", "x-request-id"}
# What the HTTP library answers by itself, with a page of its own.
LIBRARY_STATUSES = {408, 414, 431}
# What `default` stands for; every other status has to be documented by name.
DEFAULT_STATUSES = {400, 413, 500, 504}
# What an answer looks like when no operation matches the request.
UNMATCHED = {400: "Default", 401: "Unauthorized", 404: "NotFound", 405: "MethodNotAllowed", 503: "Unavailable"}
FORMATS = jsonschema.FormatChecker(formats=["uuid", "date-time"])


class Description:
    """The document; a place in it is a JSON pointer."""

    def __init__(self, path):
        with open(path, encoding="utf-8") as file:
            self.document = yaml.load(file, getattr(yaml, "CSafeLoader", yaml.SafeLoader))
        resource = referencing.Resource(self.document, referencing.jsonschema.DRAFT202012)
        self.registry = referencing.Registry().with_resource("urn:api", resource)
        # Compiled and looked up once each: thousands of exchanges ask for the same few.
        self.validator = functools.cache(self.validator)
        self.node = functools.cache(self.node)
        # Literals go before parameters, as the router has it.
        self.templates = sorted(
            self.document["paths"], key=lambda template: [part.startswith("{") for part in template.split("/")])

    def validator(self, pointer):
        return jsonschema.Draft202012Validator(
            {"$ref": "urn:api#" + quote(pointer)}, registry=self.registry, format_checker=FORMATS)

    def faults(self, pointer, value):
        """What the schema at `pointer` has against the value."""
        # Of several alternatives that failed, the one that came closest explains best.
        errors = (jsonschema.exceptions.best_match([error]) for error in self.validator(pointer).iter_errors(value))
        return [f"{error.json_path}: {error.message[:300]}" for error in errors]

    def node(self, pointer):
        """The node at `pointer`, or what it refers to, with the pointer of that."""
        node = self.registry.resolver("urn:api").lookup("#" + quote(pointer)).contents
        return self.node(node["$ref"][1:]) if "$ref" in node else (pointer, node)

    def template(self, path):
        """The template that the path matches, if there is one."""
        parts = path.split("/")
        for template in self.templates:
            names = template.split("/")
            if len(names) == len(parts) and all(
                    part if name.startswith("{") else unquote(part) == name for name, part in zip(names, parts)):
                return template
        return None


def escape(name):
    return str(name).replace("~", "~0").replace("/", "~1")


def check_examples(description, node, pointer=""):
    """Yields what is wrong with the examples of schemas, contents, parameters and headers anywhere below `node`."""
    if isinstance(node, list):
        node = dict(enumerate(node))
    if not isinstance(node, dict):
        return
    examples, schema = node.get("examples", []), pointer
    if "schema" in node:
        examples, schema = [example["value"] for example in dict(examples).values()], pointer + "/schema"
        examples += [node["example"]] if "example" in node else []
    for value in examples if isinstance(examples, list) else []:
        yield from (f"{pointer}: example: {fault}" for fault in description.faults(schema, value))
    for name, child in node.items():
        if name not in ("example", "examples"):
            yield from check_examples(description, child, f"{pointer}/{escape(name)}")


def check_body(description, pointer, contents, content_type, body):
    """What is wrong with a body, and the JSON in it."""
    if not contents:
        return ["has a body and should have none"] if body else [], None
    kind = (content_type or "").partition(";")[0].strip().lower()
    if kind not in contents:
        return [f"has the content type {content_type}, documented: {', '.join(contents)}"], None
    try:
        value = json.loads(body or "") if kind.endswith("json") else body
    except ValueError as error:
        return [f"is not JSON: {error}"], None
    return description.faults(f"{pointer}/content/{escape(kind)}/schema", value), value


def check_response(description, pointer, exchange):
    """What is wrong with a response, and the JSON in it."""
    pointer, response = description.node(pointer)
    sent = {name.lower(): value for name, value in exchange["response_headers"].items()}
    documented = response.get("headers", {})
    unknown = sent.keys() - TRANSPORT_HEADERS - {name.lower() for name in documented}
    faults = [f"header {name} is not documented" for name in sorted(unknown)]
    for name in documented:
        place, header = description.node(f"{pointer}/headers/{name}")
        if name.lower() in sent:
            found = description.faults(f"{place}/schema", sent[name.lower()])
            faults += [f"header {name}: {fault}" for fault in found]
        elif header.get("required"):
            faults.append(f"header {name} is missing")
    contents = response.get("content", {}) if exchange["method"] != "HEAD" else {}
    found, value = check_body(description, pointer, contents, sent.get("content-type"), exchange["response_body"])
    return faults + [f"response {fault}" for fault in found], value


def parameter_value(text, schema):
    try:
        return json.loads(text) if schema.get("type") in ("integer", "boolean") else text
    except ValueError:
        return text


def check_request(description, pointer, exchange, query, answer):
    """What is wrong with a request that was accepted: what the description forbids must not pass."""
    operation = description.node(pointer)[1]
    parameters = [description.node(f"{pointer}/parameters/{index}")
                  for index in range(len(operation.get("parameters", [])))]
    known = {node["name"]: (place, node) for place, node in parameters if node["in"] == "query"}
    faults = [f"parameter {name} is not documented" for name in query if name not in known]
    for name, (place, node) in known.items():
        if name in query:
            value = parameter_value(query[name], node["schema"])
            faults += [f"parameter {name}: {fault}" for fault in description.faults(f"{place}/schema", value)]
        elif node.get("required"):
            faults.append(f"parameter {name} is required and was not sent")
    contents = operation.get("requestBody", {}).get("content")
    body = exchange["request_body"]
    if contents and isinstance(answer, dict) and answer.get("rejected"):
        # Lines of a batch are judged one by one: those that were rejected need not be right.
        sent = json.loads(body)
        if isinstance(sent, dict) and "results" in sent:
            sent["results"] = [line for line, entry in zip(sent["results"], answer["results"])
                               if entry["status"] != "rejected"]
            body = json.dumps(sent)
    found, _ = check_body(description, pointer + "/requestBody", contents, exchange["request_content_type"], body)
    return faults + [f"request {fault}" for fault in found]


def check_exchange(description, exchange):
    """The operation that was meant, if there is one, and what is wrong with the exchange."""
    target, status = urlsplit(exchange["target"]), exchange["status"]
    method = "get" if exchange["method"] == "HEAD" else exchange["method"].lower()
    template = description.template(target.path)
    operation = template and method in METHODS and description.document["paths"][template].get(method)
    name = f"{exchange['method']} {template}" if operation else None
    if status in LIBRARY_STATUSES or method == "options" and status == 204:
        return name, []
    if not operation:
        if status not in UNMATCHED:
            return None, ["no operation is documented for this method and path"]
        return None, check_response(description, f"/components/responses/{UNMATCHED[status]}", exchange)[0]
    key = str(status) if str(status) in operation["responses"] else "default"
    if key == "default" and status not in DEFAULT_STATUSES:
        return name, ["the status is not documented"]
    pointer = f"/paths/{escape(template)}/{method}"
    faults, answer = check_response(description, f"{pointer}/responses/{key}", exchange)
    if 200 <= status < 300:
        query = dict(parse_qsl(target.query, keep_blank_values=True))
        faults += check_request(description, pointer, exchange, query, answer)
    return name, faults


def check_exchanges(description, lines, allow_unexercised):
    """Prints how often each operation was recorded; yields what is wrong."""
    paths = description.document["paths"]
    operations = {f"{method.upper()} {path}" for path in paths for method in paths[path] if method in METHODS}
    counts, succeeded = collections.Counter(), set()
    for number, line in enumerate(lines, 1):
        exchange = json.loads(line)
        name, faults = check_exchange(description, exchange)
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
    description = Description(arguments.description)
    faults = [f"{error.json_path}: {error.message[:300]}"
              for error in OpenAPIV31SpecValidator(description.document).iter_errors()]
    faults += check_examples(description, description.document)
    try:
        with open(arguments.exchanges, encoding="utf-8") as lines:
            faults += check_exchanges(description, lines, arguments.allow_unexercised)
    except FileNotFoundError:
        faults.append(f"{arguments.exchanges} is missing: run the end-to-end tests first")
    print("\n".join(faults) or "the description and the exchanges agree")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
