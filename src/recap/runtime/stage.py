"""How every stage script starts and ends: one log format, one-line errors, quiet libraries."""

import errno
import io
import logging
import os
import re
import sqlite3
import sys
import time
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import NoReturn

from recap.runtime.display import for_terminal, without_secrets
from recap.runtime.errors import UserError, one_line
from recap.runtime.parentage import end_with_caller

# Until another process than the first says what it found, if nothing has ended it by then.
SAY_AFTER_S = 10.0
# Exit code after Ctrl-C, as a shell gives it: 128 + SIGINT.
INTERRUPTED = 130
# What DVC sets in the environment of a stage's command.
DVC_STAGE = "DVC_STAGE"
# What a machine refuses, wherever a stage meets it: no right to read or write, no room, or none for so large a file.
REFUSALS = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
# How a library in Rust ends its message about the same, and how a database names it.
RUST_REFUSAL = re.compile(r"\(os error (\d+)\)$")
DATABASE_REFUSALS = ("SQLITE_FULL", "SQLITE_IOERR", "SQLITE_READONLY", "SQLITE_CANTOPEN")
# What DVC raises for its user to read, here by name: most commands never import it.
OF_DVC = ("dvc.exceptions.DvcException", "scmrepo.exceptions.SCMError")
# How libraries say that memory ran out, and that a process of theirs was killed, mostly by the kernel for its memory.
OUT_OF_MEMORY = ("out of memory", "allocate memory", "failed to map segment", "bad_alloc")
LOST_WORKER = "DataLoader worker (pid"
LESS = "let it take less (params.yaml, section machine) or give it more, and start again: it goes on from what it kept"


def run(main: Callable[[], None]) -> None:
    """Run a stage's `main`; a `UserError` or a machine's refusal is a line and exit code 1, Ctrl-C one and 130.

    Sets the environment switches that keep the run offline and its libraries quiet *before* `main`
    imports them: the hub is never asked for anything, and tokenizers do not fork threads.
    """
    if DVC_STAGE in os.environ:
        # A stage that outlived its dvc would write into the outputs of the one that the next `dvc repro` starts.
        end_with_caller()
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    is_first = os.environ.get("RANK", "0") == "0"
    logging.basicConfig(level=logging.INFO if is_first else logging.WARNING, handlers=[_log_handler()])
    for noisy in ("httpx", "fsspec", "matplotlib", "PIL", "filelock", "dvc", "dvclive", "asyncssh"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    # It reports its choice of device as a warning, whenever PEFT or accelerate import it.
    logging.getLogger("DeepSpeed").addFilter(lambda record: record.levelno > logging.WARNING)
    warnings.filterwarnings("ignore", category=FutureWarning)
    sys.excepthook = _print_traceback
    if sys.stdout.isatty():
        sys.stdout = _TerminalOutput(
            sys.stdout.buffer, encoding=sys.stdout.encoding, errors="backslashreplace", line_buffering=True
        )
    try:
        main()
        leave_launch()
    except SystemExit as ended:
        if isinstance(ended.code, int):
            _end_bars()
            leave_launch(ended.code)
        raise
    except KeyboardInterrupt:
        if is_first:
            _end_bars()
            print("interrupted", file=sys.stderr)
        _exit(INTERRUPTED)
    except Exception as error:
        if not is_first:
            # What every process of a launch finds is said once: the first one's end ends the others meanwhile.
            # What only this one finds is most likely its lost connection to the first one.
            time.sleep(SAY_AFTER_S)
        if (told := _told(error)) is None:
            raise
        _end_bars()
        print(f"error: {_for_people(told)}", file=sys.stderr)
        _exit(1)


class _TerminalOutput(io.TextIOWrapper):
    """Standard output where it is a terminal: what is printed cannot move its cursor or set its title.

    Into a file or a pipe everything goes as it is.
    """

    def write(self, text: str, /) -> int:
        super().write(for_terminal(text))
        return len(text)


class _LogFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return _for_people(super().format(record))


def _log_handler() -> logging.Handler:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_LogFormatter("%(message)s"))
    return handler


def _print_traceback(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    print(_for_people("".join(traceback.format_exception(kind, error, trace))), end="", file=sys.stderr)


def _for_people(text: str) -> str:
    """What goes to stderr, which ends on a terminal or in a log: it may quote anybody's file, URL or caption."""
    return for_terminal(without_secrets(text))


def _end_bars() -> None:
    """Have what is printed next begin a line, where a bar of progress is open."""
    if tqdm := sys.modules.get("tqdm"):
        for bar in list(tqdm.tqdm._instances):
            bar.close()


def leave_launch(code: int = 0) -> None:
    """`end_here`, if this is a process of a launch of several."""
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        end_here(code)


def _exit(code: int) -> NoReturn:
    leave_launch(code)
    sys.exit(code)


def end_here(code: int) -> NoReturn:
    """End this process without taking its interpreter apart.

    Threads of torch.distributed, of its groups and of its launcher, may still be in C++ when that happens. That ends a
    process with an abort, seldom and under load: a launch that has published or saved everything looks like a failure.
    """
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _told(error: Exception) -> str | None:
    """The line for a user; None where a traceback serves better."""
    if isinstance(error, UserError):
        return str(error)
    if isinstance(error, OSError) and error.errno in REFUSALS:
        where = error.filename or Path.cwd()
        return _refused(where, error.errno)
    if (number := RUST_REFUSAL.search(str(error))) and int(number[1]) in REFUSALS:
        return _refused(Path.cwd(), int(number[1]))
    if any(f"{kind.__module__}.{kind.__name__}" in OF_DVC for kind in type(error).__mro__):
        return f"DVC: {one_line(error)}"
    if isinstance(error, sqlite3.Error) and getattr(error, "sqlite_errorname", "").startswith(DATABASE_REFUSALS):
        return f"{Path.cwd()}: expected a database to read and write as this run needs it, found: {error}"
    if isinstance(error, RuntimeError | ImportError | OSError | MemoryError):
        said = one_line(error)
        if isinstance(error, MemoryError) or any(sign in said for sign in OUT_OF_MEMORY):
            return f"expected memory enough for this stage, found: {said}; {LESS}"
        if LOST_WORKER in said:
            return f"expected processes that load data as long as the stage runs, found: {said}; {LESS}"
    return None


def _refused(where: str | Path, number: int) -> str:
    return f"{where}: expected to read and write as this run needs it, found: {os.strerror(number)}"
