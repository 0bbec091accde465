"""The `penjing` command. Each verb is a file beside this one and is imported only when it is called; no verb holds logic."""

from __future__ import annotations

import importlib
import os
import signal
import sys
import threading
from typing import Any

import click

import penjing

VERBS = {
    "init": "Make a signing key, and a penjing.yaml for your data.",
    "run": "From your data to a signed package, in one command.",
    "prepare": "Read, clean and divide the data.",
    "plan": "Say what each tier will cost here, before it is learnt.",
    "train": "Learn the tiers, each usable the moment it is learnt.",
    "evaluate": "Measure the tiers on test rows, or a package on other rows.",
    "pack": "Seal and sign the tiers into a package.",
    "verify": "Check a package's signature, and a server against it.",
    "serve": "Answer over HTTP from a package.",
    "predict": "Answer a file or one row from a package.",
    "doctor": "Say what this machine can do, and what to install.",
}
STOP = threading.Event()
"""Set once the user wants the command to end: Python drops an exception that a signal raises in a destructor or a callback."""
INTERRUPTED = "Interrupted. Finished stages are kept: run the same command again to go on."


class Verbs(click.Group):
    """A group that knows its verbs by name and imports one when it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in VERBS:
            return None
        command: click.Command = importlib.import_module(f"penjing.cli.{cmd_name}").command
        command.short_help = VERBS[cmd_name]
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(VERBS.items()))


@click.command(cls=Verbs, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(penjing.__version__, "-V", "--version", prog_name="penjing")
def penjing_command() -> None:
    """Penjing 盆景: from your data to a small, proven, signed service on the machine you have.

    Begin with: penjing run reviews.csv --target rating
    """


def main() -> None:
    """Run the command; exit codes are verdicts (see core/errors.py)."""
    for number in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(number) != signal.SIG_IGN:  # as nohup and a shell's background jobs ask
            signal.signal(number, _interrupt)
    sys.exit(_verdict(sys.argv[1:]))


def _verdict(arguments: list[str]) -> int:
    from penjing.core.errors import PenjingError

    try:
        result = penjing_command.main(arguments, prog_name="penjing", standalone_mode=False)
        return result if isinstance(result, int) else 0
    except (click.exceptions.Abort, KeyboardInterrupt):
        return _say(INTERRUPTED, 1)
    except click.ClickException as error:
        error.show()
        return 2
    except PenjingError as error:
        return _say(str(error), error.exit_code)
    except BrokenPipeError:  # the reader of our output has gone, as `head` does
        sys.stderr.close()
        return 0
    except MemoryError:
        return _say("Out of memory. Free some, choose a smaller batch_size or model, then run again: finished stages are kept.", 1)
    except Exception as error:  # a fault of ours: said in a line, with the way to the rest
        if STOP.is_set():  # what an import makes of an interruption in its midst
            return _say(INTERRUPTED, 1)
        if os.environ.get("PENJING_TRACEBACK"):
            raise
        told = f"{type(error).__name__}: {error}"
        return _say(f"A fault in Penjing: {told}. Please report it with what PENJING_TRACEBACK=1 prints before the same command.", 1)


def _say(sentence: str, code: int) -> int:
    click.secho("error: ", fg="red", bold=True, nl=False, err=True)
    click.echo(sentence, err=True)
    return code


def _interrupt(*_: Any) -> None:
    STOP.set()
    raise KeyboardInterrupt
