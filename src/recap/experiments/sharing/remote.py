"""`python -m recap.experiments.sharing.remote URL`: say where DVC keeps artifacts for everybody.

What `make remote R=URL` does: the URL becomes DVC's default remote, in .dvc/config, which Git tracks. DVC is
told to verify what comes from it. Passwords and keys are refused: they belong into
.dvc/config.local, which Git ignores.
"""

import argparse

from recap.experiments.git import asked, head_commit
from recap.experiments.sharing.urls import Service, public_url, service_of, shared_url
from recap.runtime.errors import UserError
from recap.runtime.stage import run

NAME = "store"
CONFIG = ".dvc/config"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m recap.experiments.sharing.remote", description=__doc__)
    parser.add_argument("url", help="a folder, ssh://, s3://, gs://, azure://, or https:// (read-only)")
    parser.add_argument("--endpoint-url", help="where an S3 service listens that is not Amazon's")
    args = parser.parse_args()
    url = shared_url(args.url)
    service = service_of(url)
    options: dict[str, object] = {"url": url, "verify": True}
    if args.endpoint_url:
        service_of(args.endpoint_url)  # no secret may stand in it either
        if not url.startswith("s3://"):
            raise UserError(f"{url}: expected s3:// with --endpoint-url, found another service; leave the option out")
        options["endpointurl"] = args.endpoint_url
    _set_default(options)
    print(f"{CONFIG}: the default remote is {NAME}, {url}")
    print("\n".join(_next_steps(url, service)))


def _set_default(options: dict[str, object]) -> None:
    from dvc.exceptions import NotDvcRepoError
    from dvc.repo import Repo

    try:
        repo = Repo()
    except NotDvcRepoError:
        raise UserError("expected to run inside a DVC project, found none here; change to the project's root") from None
    with repo, repo.config.edit("repo") as config:
        before = config["remote"].get(NAME, {}).get("url")
        config["remote"][NAME] = options
        config["core"]["remote"] = NAME
    if before not in (None, options["url"]):
        print(f"{CONFIG}: {NAME} was {public_url(str(before))}; what {CONFIG}.local says of it stays: look there")


def _next_steps(url: str, service: Service) -> list[str]:
    lines = []
    if service.login:
        lines.append(f"a login that is only yours: dvc remote modify --local {NAME} OPTION VALUE ({service.login})")
    lines.append(f'then: git commit -m "Where artifacts lie" {CONFIG}')
    if _has_experiments():
        lines.append("then: make (experiments belong to the commit before; it restores them from DVC's run-cache)")
    if service.read_only:
        lines.append(
            f"{url} is read-only: others pull from it; who pushes names the folder behind it, in one clone alone: "
            f"dvc remote modify --local {NAME} url FOLDER"
        )
    else:
        lines.append("then: make, where the recipes have not run yet, and make share")
    return lines


def _has_experiments() -> bool:
    commit = head_commit()
    return bool(asked("for-each-ref", f"refs/exps/{commit[:2]}/{commit[2:]}"))


if __name__ == "__main__":
    run(main)
