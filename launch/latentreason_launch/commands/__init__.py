"""One module per command: `add` its arguments to a parser, `run` them.

Modules import nothing heavy at the top: `latentreason --help` reads them all.
"""

from latentreason_launch.commands import (
    convert,
    data,
    evaluate,
    export,
    generate,
    ls,
    mask,
    train,
    validate,
)

COMMANDS = {
    "train": train,
    "eval": evaluate,
    "generate": generate,
    "export": export,
    "convert": convert,
    "data": data,
    "ls": ls,
    "validate": validate,
    "mask": mask,
}
