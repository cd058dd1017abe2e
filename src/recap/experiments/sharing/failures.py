"""Why a transfer failed, in one line: DVC's libraries say it in log records, tracebacks and riddles.

DVC counts the files that failed and logs each error; its own message is the count. Here the first error that tells
anything becomes a `UserError`. What a user keeps secret in .dvc/config.local appears in none. A disk of this machine
that refuses is no fault of the remote's, and stays the `OSError` that it is.
"""

import logging
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from recap.experiments.sharing.urls import SERVICES, public_url
from recap.runtime.errors import UserError, one_line
from recap.runtime.stage import REFUSALS

LOGGERS = ("dvc", "dvc_data", "dvc_objects", "asyncssh", "botocore", "aiobotocore", "s3fs")
SECRET = re.compile(r"(password|passphrase|secret|token|key_id|account_key|connection_string|sas)", re.IGNORECASE)
LIMIT = 200
# What DVC says of its own draft of a file whose line broke: that it is not there, which is no cause.
DRAFT = re.compile(r"no such file.*\.tmp\b", re.IGNORECASE)
# What the libraries of all services call it, in lower case; the first that fits is the cause.
CAUSES = (
    (
        r"permissiondenied|permission denied|access ?denied|forbidden|unauthorized|\b40[13]\b|credential|"
        r"invalidaccesskeyid|invalidclienttokenid|signaturedoesnotmatch|passphrase|keyimporterror",
        "it does not let you in",
        "look at the login: `dvc remote modify --local {name} OPTION VALUE` sets it ({login})",
    ),
    (
        r"no space left|disk quota|insufficient ?storage|\b507\b|quotaexceeded|enospc",
        "it is full",
        "make room there, then start again: what arrived stays",
    ),
    (
        r"objectformaterror|is corrupted|failed to verify|hash mismatch",
        "what lies there is not what was pushed",
        "delete that file there, and let the author push again",
    ),
    (
        r"nosuchbucket|bucket does not exist|container ?(does )?not ?(exist|found)",
        "there is no such bucket",
        "look at its name: make remote R=URL sets another",
    ),
    (
        r"missing cache files|no such file|filenotfound|not found|\b404\b",
        "a file is not there",
        "the author pushes again: make share; the author's own cache gets it back by make",
    ),
    (
        r"refused|unreachable|timed? ?out|timeout|name or service|resolution|getaddrinfo|connect|reset by peer|"
        r"broken ?pipe|eof|disconnect|endpoint",
        "it cannot be reached, or the line broke",
        "look at the address and the network, then start again: what arrived stays",
    ),
)


@contextmanager
def explained(repo: Any) -> Iterator[None]:
    """Turn what goes wrong with the repository's default remote into one line.

    Args:
        repo: The `dvc.repo.Repo` whose methods the block calls.

    Raises:
        UserError: The block failed, or some files could not be transferred.
    """
    records = _Records()
    here = (Path(repo.root_dir), Path(repo.cache.local.path))
    loggers = [logging.getLogger(name) for name in LOGGERS]
    before = [(logger.propagate, list(logger.handlers)) for logger in loggers]
    for logger in loggers:
        logger.propagate, logger.handlers = False, [records]
    try:
        yield
    except UserError:
        raise
    except Exception as error:  # each service's library has kinds of its own, which share no base
        for each in (*_chain(error), *records.errors):
            if isinstance(each, OSError) and each.errno in REFUSALS and _is_below(_written(each), here):
                raise each from None
        # DVC takes files for missing also where it could not ask: what failed says more.
        told = [text for text in records.told if text not in records.missing]
        raise UserError(explain(repo, [*told, *_words(_chain(error))])) from None
    finally:
        for logger, (propagate, handlers) in zip(loggers, before, strict=True):
            logger.propagate, logger.handlers = propagate, handlers
    if records.missing:
        raise UserError(explain(repo, records.missing))


def explain(repo: Any, told: list[str]) -> str:
    """The line for a user, of everything that was said about a failure, in any order.

    Args:
        repo: The `dvc.repo.Repo` that was transferred.
        told: Messages, with the kinds of their errors.
    """
    name = repo.config["core"].get("remote", "")
    settings = dict(repo.config["remote"].get(name, {}))
    url = public_url(str(settings.get("url", "no remote")))
    service = SERVICES.get(url.partition("://")[0] if "://" in url else "")
    login = service.login if service else ""
    causes = [text for text in told if not DRAFT.search(text)]
    for pattern, what, remedy in CAUSES:
        for text in causes or told:
            if re.search(pattern, text.lower()):
                words = _cleaned(text, settings)
                return f"{name} ({url}): {what}: {words}; {remedy.format(name=name, login=login or 'of the folder')}"
    return f"{name} ({url}): {_cleaned(told[0] if told else 'the transfer failed', settings)}"


def _written(error: OSError) -> object:
    """The file that an operation was to write: of a copy the second one."""
    return error.filename2 or error.filename


def _is_below(file: object, folders: Iterable[Path]) -> bool:
    return isinstance(file, str) and any(Path(file).is_relative_to(folder) for folder in folders)


def _cleaned(text: str, settings: dict[str, Any]) -> str:
    """One line, in which nothing of the secret settings stands."""
    for option, value in settings.items():
        if SECRET.search(option) and str(value):
            text = text.replace(str(value), "***")
    return one_line(text, LIMIT)


def _chain(error: BaseException | None) -> list[BaseException]:
    """An error and those that caused it, innermost first."""
    chain: list[BaseException] = []
    while error is not None and len(chain) < 10:
        chain.insert(0, error)
        error = error.__cause__ or error.__context__
    return chain


def _words(chain: list[BaseException]) -> list[str]:
    """What they say; the kind stands before words that may lack it."""
    return [f"{type(error).__name__}: {error}" for error in chain]


class _Records(logging.Handler):
    """Keeps what is logged as warnings and errors.

    Attributes:
        told: Messages and what caused them.
        errors: Those that were logged, and what caused them.
        missing: Those that say that files are nowhere, which DVC takes for no failure.
    """

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.told: list[str] = []
        self.errors: list[BaseException] = []
        self.missing: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        message = record.getMessage()
        if "Missing cache files" in message:
            self.missing.append(message)
        chain = _chain(record.exc_info[1] if record.exc_info else None)
        self.errors += chain
        self.told += [*_words(chain), message]
