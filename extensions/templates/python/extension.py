"""Answers the action `{{name}}.hello` with a greeting."""

import json

from componentize_py_types import Err
from wit_world import exports
from wit_world.exports.describe import About
from wit_world.imports.types import Failure, Retry


def refused(code: str, message: str) -> Err:
    # The same message would fail again, so there is no use in another attempt.
    return Err(Failure(code=code, message=message, details=None, retry=Retry.FINAL))


class Handler(exports.Handler):
    def handle(self, message, delivery) -> str:
        if message.action != "{{name}}.hello":
            raise refused("unknown-action", f"`{message.action}` is not an action of {{name}}")
        payload = json.loads(message.payload)
        if not isinstance(payload, dict) or not isinstance(payload.get("name"), str):
            raise refused("wrong-payload", "the payload must have a `name`")
        return json.dumps({"greeting": f"Hello, {payload['name']}!"})


class Describe(exports.Describe):
    def describe(self) -> About:
        return About(
            version="0.1.0",
            description="Greets whoever the payload names",
            actions=["{{name}}.hello"],
            capabilities=[],
        )
