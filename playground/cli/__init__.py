"""The command line: `playground train|sweep|crossval|predict|runs|data|serve`.

The same knobs, the same `fit`, the same run folders as in the app.

Exit codes: 0 all went well, 1 a run failed or diverged, 2 what was asked cannot be done, 130 ended by Ctrl-C.
"""

from collections.abc import Sequence

from playground import interrupts


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the command line says and return the exit code.

    Args:
        arguments: None for those of this process, which then is nothing but this command.
    """
    if arguments is None:
        interrupts.quit_at_once()  # before the imports, which take most of a second
    try:
        from playground.cli.commands import do

        return do(arguments)
    except KeyboardInterrupt:
        return interrupts.CTRL_C
