"""Reads CSV: action `csv.rows`, payload the text of a table, reply its rows as objects. The example of an extension in Python.

Written against the package `wit_world` that componentize-py makes of the world when it builds the component.
"""

import csv
import io
import json

from componentize_py_types import Err
from wit_world import exports
from wit_world.exports.describe import About
from wit_world.imports.types import Delivery, Failure, Message, Retry

ACTION = "csv.rows"


def rows_of(text: str) -> str:
    return json.dumps(list(csv.DictReader(io.StringIO(text))), ensure_ascii=False)


def refused(code: str, message: str) -> Err[Failure]:
    """The same message would fail again, so there is no use in another attempt."""
    return Err(Failure(code=code, message=message, details=None, retry=Retry.FINAL))


class Handler(exports.Handler):
    def handle(self, message: Message, delivery: Delivery) -> str:
        if message.action != ACTION:
            raise refused("unknown-action", f"`{message.action}` is not an action of ext-py; it knows `{ACTION}`")
        text = json.loads(message.payload)
        if not isinstance(text, str):
            raise refused("wrong-payload", "the payload must be a string: a table as CSV, its first row the names")
        return rows_of(text)


class Lib(exports.Lib):
    def rows(self, csv: str) -> str:
        return rows_of(csv)


class Describe(exports.Describe):
    def describe(self) -> About:
        return About(version="1.0.0", description="Reads CSV", actions=[ACTION], capabilities=["csv"])
