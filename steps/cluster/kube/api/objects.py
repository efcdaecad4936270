"""The type of the API's objects."""

from typing import Any

Object = dict[str, Any]
"""An object as the API's JSON has it."""
