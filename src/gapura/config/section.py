"""What every table of gapura.toml has in common, and the small types that its keys are made of."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Final

from pydantic import BaseModel, BeforeValidator, ConfigDict, GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

from . import variables
from .addresses import AddressError
from .words import did_you_mean, shown, wrong


class Section(BaseModel):
    """A table of the file: unknown keys are errors, values are not converted silently."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, use_attribute_docstrings=True)


class Also:
    """Says in the JSON Schema that a short form (`schema`) is accepted in place of the table."""

    def __init__(self, schema: dict[str, object]) -> None:
        self.schema: Final = schema

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """The union of the short form and the table."""
        return {"anyOf": [self.schema, handler(core)]}


class OneOfMany:
    """One element may stand for a list with it alone, whatever its form is."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """The list around a single element before the type's own check."""
        return core_schema.no_info_before_validator_function(
            lambda value: value if value is None or isinstance(value, list) else [value], handler(source)
        )

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """The element, or the list."""
        made = handler(core)
        (items,) = [form["items"] for form in made.get("anyOf", [made]) if "items" in form]
        return {"anyOf": [items, *made.get("anyOf", [made])]}


def short(key: str) -> BeforeValidator:
    """A text instead of a table means the table with only `key`."""
    return BeforeValidator(lambda value: {key: value} if isinstance(value, str) else value)


class Among:
    """A text that must be one of `words`; another one gets "did you mean"."""

    def __init__(self, label: str, words: tuple[str, ...]) -> None:
        self.label: Final = label
        self.words: Final = words

    def check(self, value: object) -> object:
        """The value itself. Raises PydanticCustomError for an unknown word."""
        if isinstance(value, str) and value not in self.words:
            raise wrong(f'there is no {self.label} "{shown(value)}"', did_you_mean(value, self.words, label="one of"))
        return value

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """The check before the type's own."""
        return core_schema.no_info_before_validator_function(self.check, handler(source))

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """All words, for completion in editors."""
        return {"type": "string", "enum": list(self.words)}


def by(parse: Callable[[Any], object]) -> BeforeValidator:
    """Let `parse` read the value; its AddressError becomes the message."""

    def check(value: object) -> object:
        try:
            return parse(value)
        except AddressError as error:
            raise wrong(str(error), error.hint) from None

    return BeforeValidator(check)


def check_syntax(text: str, hint: str = "write $name or ${name}; in a URL %24 is the character itself") -> None:
    """Refuse a `$` that begins no variable; which names there are is checked elsewhere. Raises PydanticCustomError."""
    if "$" in variables.PATTERN.sub("", text):
        raise wrong("a $ without the name of a variable", hint)


def check_variables(text: str, *, answered: bool = False) -> None:
    """Refuse variables that do not exist, or, unless `answered`, that are not known yet. Raises PydanticCustomError."""
    check_syntax(text)
    later = variables.ANSWER | variables.END
    for name in variables.names(text):
        if name in variables.REQUEST or (answered and name in later) or name.startswith(variables.FAMILIES):
            continue
        if name in later:
            raise wrong(f'the variable "${name}" is known only after the answer', "it may stand in the format of the access log")
        known = variables.REQUEST | (later if answered else {})
        raise wrong(f'there is no variable "${shown(name)}"', did_you_mean(f"${name}", [f"${item}" for item in known]))


def _text(value: object) -> object:
    if isinstance(value, str) and any(c < " " or c == "\x7f" for c in value):
        raise wrong("has control characters", "one line of plain text, please")
    return value


def _wrapped(value: object) -> object:
    return value if isinstance(value, list | dict) else [value]


Text = Annotated[str, BeforeValidator(_text)]
"""A text without control characters: it may end up in a header, a log line or a path (CWE-113, CWE-117)."""
Texts = Annotated[list[Text], BeforeValidator(_wrapped), Also({"type": "string"})]
"""One text or a list of them."""
wrapped: Final = BeforeValidator(_wrapped)
"""One value stands for a list with one element."""
