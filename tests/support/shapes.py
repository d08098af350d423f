"""Holds every answer against the models that botocore ships: what an AWS SDK in any language will expect.

botocore itself forgives: it drops members it does not know and does not look at types, lengths or patterns. Compiled
SDKs do not.
"""

import datetime
import json
import re

# Errors that any operation may answer, whatever its own list says: common to AWS's front end.
COMMON_ERRORS = {
    "AccessDeniedException", "IncompleteSignatureException", "InvalidSignatureException", "MissingAuthenticationTokenException",
    "UnrecognizedClientException", "UnknownOperationException", "SerializationException", "ValidationException",
    "InternalFailureException", "ThrottlingException", "UnauthorizedException", "InvalidRequestException",
    "NotImplemented",  # ours: AWS has the operation, eyot not yet
    "ForbiddenException",  # iot-data: the gateway's answer to who may not [verified.md 134], in no model but of one operation
    "RequestEntityTooLargeException",  # iot-data: a body over the limit, whatever the operation
}


def watch(client):
    """Checks every answer that `client` gets from now on; a breach raises in the calling test."""
    client.meta.events.register("after-call", check_answer)


def check_answer(http_response, parsed, model, **_):
    name = f"{model.service_model.service_name}.{model.name}"
    headers = {key.lower(): value for key, value in http_response.headers.items()}
    assert "x-amzn-requestid" in headers, f"{name}: no x-amzn-RequestId"
    if http_response.status_code >= 300:
        return check_error(name, http_response, headers, parsed, model)
    if name == "iot-data.Publish":
        # The model has no output; AWS answers this all the same.
        request_id = headers["x-amzn-requestid"]
        assert json.loads(http_response.content) == {"message": "OK", "traceId": request_id}, http_response.content
        return None
    if model.output_shape is None:
        assert http_response.content in (b"", b"{}"), f"{name} has no output, but {http_response.content!r} came"
        return None
    if not model.has_streaming_output:  # else the caller reads the body, and reading it here would take it away
        check_raw_body(name, http_response.content, model)
    problems = []
    check_value(name, parsed, model.output_shape, problems)
    assert not problems, "; ".join(problems)
    return None


def check_error(name, response, headers, parsed, model):
    protocol = model.service_model.metadata["protocol"]
    code = parsed.get("Error", {}).get("Code")
    if protocol == "query":
        return
    body = json.loads(response.content)
    if protocol == "rest-json":
        assert headers.get("x-amzn-errortype"), f"{name}: error without x-amzn-ErrorType: {response.content!r}"
        assert "message" in body or "Message" in body, f"{name}: error without message: {body}"
    else:
        assert "__type" in body, f"{name}: error without __type: {body}"
    known = {shape.name: shape for shape in model.error_shapes}
    assert code in known or code in COMMON_ERRORS, f"{name}: {code} is none of {sorted(known)}"
    if code in known:
        status = known[code].metadata.get("error", {}).get("httpStatusCode")
        assert status in (None, response.status_code), f"{name}: {code} with {response.status_code}, not {status}"


def check_raw_body(name, content, model):
    """No member that the model does not know; no token that is null."""
    shape = model.output_shape
    if model.service_model.metadata["protocol"] not in ("rest-json", "json") or model.has_event_stream_output:
        return
    if shape.serialization.get("payload"):
        return
    if not content:
        return
    body = json.loads(content)
    in_body = {
        member.serialization.get("name", key)
        for key, member in shape.members.items()
        if member.serialization.get("location") is None
    }
    unknown = set(body) - in_body
    assert not unknown, f"{name}: members that the model does not know: {sorted(unknown)}"
    for token in ("nextToken", "nextMarker"):
        assert not (token in body and body[token] in (None, "")), f"{name}: {token} must be absent at the end"


def check_value(path, value, shape, problems):
    check = CHECKS.get(shape.type_name)
    if check:
        check(path, value, shape, problems)


def check_structure(path, value, shape, problems):
    if not isinstance(value, dict):
        problems.append(f"{path}: {value!r} is no structure")
        return
    for required in shape.required_members:
        if required not in value:
            problems.append(f"{path}.{required}: missing")
    for key, member in shape.members.items():
        if key in value:
            check_value(f"{path}.{key}", value[key], member, problems)


def check_list(path, value, shape, problems):
    if not isinstance(value, list):
        problems.append(f"{path}: {value!r} is no list")
        return
    for index, item in enumerate(value):
        check_value(f"{path}[{index}]", item, shape.member, problems)


def check_map(path, value, shape, problems):
    if not isinstance(value, dict):
        problems.append(f"{path}: {value!r} is no map")
        return
    for key, item in value.items():
        check_value(f"{path}.{key}", key, shape.key, problems)
        check_value(f"{path}.{key}", item, shape.value, problems)


def check_string(path, value, shape, problems):
    if not isinstance(value, str):
        problems.append(f"{path}: {value!r} is no string")
        return
    if shape.enum and value not in shape.enum:
        problems.append(f"{path}: {value!r} is none of {shape.enum}")
    low, high = shape.metadata.get("min"), shape.metadata.get("max")
    if low is not None and len(value) < low or high is not None and len(value) > high:
        problems.append(f"{path}: {value[:80]!r} has {len(value)} characters, not {low}..{high}")
    pattern = shape.metadata.get("pattern")
    if pattern and not matches(pattern, value):
        problems.append(f"{path}: {value[:80]!r} does not match {pattern}")


def matches(pattern, value):
    try:
        return re.fullmatch(pattern, value) is not None
    except re.error:
        return True  # a Java pattern that Python does not know


def check_number(path, value, shape, problems):
    if isinstance(value, bool) or not isinstance(value, int):
        problems.append(f"{path}: {value!r} is no whole number")


def check_real(path, value, shape, problems):
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        problems.append(f"{path}: {value!r} is no number")


def check_boolean(path, value, shape, problems):
    if not isinstance(value, bool):
        problems.append(f"{path}: {value!r} is no boolean")


def check_timestamp(path, value, shape, problems):
    if not isinstance(value, datetime.datetime):
        problems.append(f"{path}: {value!r} is no time")
    elif not 2020 <= value.year <= 2060:
        problems.append(f"{path}: {value} is a time in the wrong unit")


CHECKS = {
    "structure": check_structure, "list": check_list, "map": check_map, "string": check_string,
    "integer": check_number, "long": check_number, "float": check_real, "double": check_real,
    "boolean": check_boolean, "timestamp": check_timestamp,
}
