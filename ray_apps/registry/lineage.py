"""Where a training comes from: the code, and who ran it, as tags that MLflow's pages know."""

from __future__ import annotations

import getpass
from contextlib import suppress
from pathlib import Path

import reaseq

SOURCES = Path(reaseq.__file__).parents[1]


def lineage_tags() -> dict[str, str]:
    """Version and commit of this code and the user's name, as far as each is known."""
    tags = {"reaseq_version": reaseq.__version__, "mlflow.source.name": "reaseq"}
    with suppress(KeyError, OSError):  # a container's user may have no name
        tags["mlflow.user"] = getpass.getuser()
    commit = source_commit(SOURCES)
    if commit:
        tags["mlflow.source.git.commit"] = commit
    return tags


def source_commit(root: Path) -> str | None:
    """The commit that is checked out at `root`; None for an installed package."""
    if not (root / ".git").exists():
        return None
    # A package installed into somebody else's checkout must not be given that one's commit.
    from mlflow.utils.git_utils import get_git_commit

    commit: str | None = get_git_commit(str(root))
    return commit
