"""One module per command: `add` its arguments to a parser, `run` them.

Modules import nothing heavy at the top: `latentreason --help` reads them all.
"""

from latentreason_launch.commands import (
    compare,
    convert,
    data,
    evaluate,
    export,
    generate,
    ls,
    mask,
    report,
    rescore,
    train,
    validate,
)

COMMANDS = {
    "train": train,
    "eval": evaluate,
    "rescore": rescore,
    "report": report,
    "compare": compare,
    "generate": generate,
    "export": export,
    "convert": convert,
    "data": data,
    "ls": ls,
    "validate": validate,
    "mask": mask,
}
