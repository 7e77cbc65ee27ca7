"""Strings with `$variables`, checked once it is known which groups of a regex may stand in them."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from . import regexes, variables
from .findings import Findings
from .positions import Path
from .words import did_you_mean, shown


class Groups(NamedTuple):
    """The groups of a regex: $1 to $number, and the names."""

    number: int = 0
    names: tuple[str, ...] = ()


NONE: Final = Groups()


def groups_of(findings: Findings, path: Path, text: str) -> Groups:
    """The groups of a regex, which must not be called like variables."""
    try:
        pattern = regexes.compiled(text)
    except (re.error, ValueError):
        return NONE  # told already
    for name in pattern.groupindex:
        if variables.exists(name):
            message = f"the group {shown(name)} of the regex is called like the variable ${shown(name)}"
            findings.error(path, message, "give it another name")
    return Groups(pattern.groups, tuple(pattern.groupindex))


def check_text(findings: Findings, path: Path, text: str, groups: Groups = NONE, *, answered: bool = False) -> None:
    """Report variables that do not exist, or are not known yet."""
    for name in variables.names(text):
        if name.isdigit():
            if not 0 < int(name) <= groups.number or name.startswith("0"):
                told = f"the regex has {groups.number or 'no'} group{'' if groups.number == 1 else 's'}"
                none = "$1 is a group of a regex: there is none here"
                hint = f"{told}; ${{dollar}} is the character $" if groups.number else none
                findings.error(path, f'there is no group "${name}"', hint)
        elif name in groups.names or name in variables.REQUEST or name.startswith(variables.FAMILIES):
            continue
        elif name in variables.ANSWER:
            if not answered:
                hint = "it may stand in response_headers and in the format of the access log"
                findings.error(path, f'the variable "${name}" is known only after the answer', hint)
        elif name in variables.END:
            hint = "it may stand in the format of the access log"
            findings.error(path, f'the variable "${name}" is known only after the answer', hint)
        else:
            known = [*variables.REQUEST, *groups.names, *(variables.ANSWER if answered else ())]
            findings.error(path, f'there is no variable "${shown(name)}"', did_you_mean(f"${name}", [f"${item}" for item in known]))
