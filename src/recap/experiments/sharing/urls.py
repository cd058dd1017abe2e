"""URLs that may stand in a file that everybody reads: which services there are, and no secret in any of them."""

import re
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from recap.runtime.errors import UserError

# What scp and others take for an address, and what lacks a slash.
LIKE_A_URL = re.compile(r"[^/]+@[\w.-]+:|(ssh|s3|gs|azure|https?):")


@dataclass(frozen=True)
class Service:
    """A kind of remote.

    Attributes:
        package: What DVC needs to speak to it.
        login: How one user logs in, in options of `dvc remote modify --local`, if nothing else says it already.
        takes_user: Whether the URL may name a user, which is no secret.
        read_only: Whether nothing can be pushed.
    """

    package: str
    login: str
    takes_user: bool = False
    read_only: bool = False


WEB = Service("dvc-http", "user NAME, password WORD, auth basic", read_only=True)
# By the URL's scheme; "" is a folder.
SERVICES = {
    "": Service("dvc", ""),
    "ssh": Service("dvc-ssh", "keyfile PATH, or an SSH agent", takes_user=True),
    "s3": Service("dvc-s3", "access_key_id ID, secret_access_key KEY, or AWS's own files and variables"),
    "gs": Service("dvc-gs", "credentialpath FILE, or `gcloud auth application-default login`"),
    "azure": Service("dvc-azure", "connection_string TEXT, or `az login`"),
    "http": WEB,
    "https": WEB,
}


def service_of(url: str) -> Service:
    """The service that a URL names, if DVC can speak to it here and the URL holds no secret.

    Raises:
        UserError: An unknown scheme, a secret in the URL, or a package that is not installed.
    """
    parts = urlsplit(url)
    service = SERVICES.get(parts.scheme if "://" in url else "")
    if service is None:
        known = ", ".join(f"{scheme}://" for scheme in SERVICES if scheme)
        raise UserError(f"{public_url(url)}: expected a folder or one of {known}, found {parts.scheme}://")
    if "://" in url and (parts.password is not None or parts.query or parts.fragment):
        raise UserError(
            f"{public_url(url)}: expected a URL without a password or key, as everybody reads it in Git; leave it "
            "out, then `dvc remote modify --local store password WORD` (or another option of the service) keeps it here"
        )
    if parts.username is not None and "://" in url and not service.takes_user:
        raise UserError(
            f"{public_url(url)}: expected a URL without a user, as a key of {parts.scheme}:// may be one; "
            f"`dvc remote modify --local store OPTION VALUE` keeps it here ({service.login})"
        )
    if find_spec(service.package.replace("-", "_")) is None:
        raise UserError(f"{url}: expected DVC's part for {parts.scheme}://, found none; pip install {service.package}")
    return service


def public_url(url: str) -> str:
    """A URL that may be shown: neither password nor query, and a user only where it is no key."""
    if "://" not in url:
        return url
    parts = urlsplit(url)
    user, found, host = parts.netloc.rpartition("@")
    known = SERVICES.get(parts.scheme)
    name = user.partition(":")[0] if known is not None and known.takes_user else "***"
    if ":" in user:
        name += ":***"
    netloc = f"{name}@{host}" if found else host
    return urlunsplit((parts.scheme, netloc, parts.path, "***" if parts.query else "", "***" if parts.fragment else ""))


def shared_url(url: str) -> str:
    """A URL as it goes into .dvc/config: a folder by its full path, as a relative one means another in each clone."""
    if "://" in url:
        return url
    if LIKE_A_URL.match(url):
        raise UserError(
            f"{url.rpartition('@')[2]}: expected a folder or a URL, found neither; ssh://user@host/path is one"
        )
    folder = Path(url).expanduser().resolve()
    if folder.is_file():
        raise UserError(f"{folder}: expected a folder, found a file; name another")
    if folder.is_relative_to(Path.cwd()):
        raise UserError(f"{folder}: expected a folder outside the project, found one in it; name another")
    return str(folder)
