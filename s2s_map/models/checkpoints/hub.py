"""Published models and their text encoder from the hub, a mirror of it, or a folder."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from s2s_map.config.files import file_sha256
from s2s_map.config.model import OriginCard
from s2s_map.errors import CheckpointError, ModelError
from s2s_map.models.checkpoints.places import models_folder
from s2s_map.opening.egress import EgressError, egress
from s2s_map.opening.redirects import Host, Route
from s2s_map.redaction import redacted, remember_address

DEFAULT_REVISION = "main"
HUB = "https://huggingface.co"

_OWN_HOSTS = ("huggingface.co", "hf.co", ".huggingface.co", ".hf.co")
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Source:
    """Where files come from.

    Attributes:
        folder: A folder laid out as on the hub; None: the hub, a mirror, or the hub's cache.
        endpoint: Address of a mirror; None: that of the environment variable HF_ENDPOINT, else
            the hub's own.
        cache: The hub's cache; None: where the hub's own tools keep it.
        redirects_to: Hosts that a mirror may redirect to, besides those of the hub.
    """

    folder: Path | None = None
    endpoint: str | None = None
    cache: Path | None = None
    redirects_to: tuple[str, ...] = ()

    @property
    def shown(self) -> str:
        """For people."""
        return redacted(str(self.folder or self.endpoint or os.environ.get("HF_ENDPOINT") or HUB))


@dataclass(frozen=True)
class FetchedFile:
    """A file that is here.

    Attributes:
        path: Where.
        origin: What it is.
    """

    path: Path
    origin: OriginCard


def get_file(source: Source, repository: str, file: str, revision: str, name: str) -> FetchedFile:
    """Get one file of a repository, and check it against the hash the hub knows of it.

    Args:
        source: Where from. In a folder the file has the path it has in its repository.
        repository: Owner and name on the hub.
        file: Path in the repository.
        revision: Branch, tag or commit.
        name: The model it is for, for messages.

    Raises:
        ModelError: If it cannot be reached.
        CheckpointError: If it was damaged on its way.
    """
    if source.folder is not None:
        path = source.folder / file
        if not path.is_file():
            raise ModelError(
                f"no {file} in {source.folder}",
                expected=f"a folder laid out as {HUB}/{repository}",
            )
        return FetchedFile(path, OriginCard(file=file, sha256=file_sha256(path)))
    from huggingface_hub import hf_hub_download

    endpoint = source.endpoint or os.environ.get("HF_ENDPOINT") or None
    remember_address(endpoint or HUB)
    with (
        _explained(source, repository, revision, name),
        _redirects(endpoint or HUB, source.redirects_to),
    ):
        path = Path(
            hf_hub_download(
                repository,
                file,
                revision=revision,
                endpoint=endpoint,
                cache_dir=source.cache,
                library_name="s2s-map",
                # Without a network the download would try for half a minute before it looks here.
                local_files_only=not _reachable(repository, file, revision, endpoint),
            )
        )
    found = file_sha256(path)
    # The cache names a large file by the SHA-256 that the hub gave for it.
    promised = path.resolve().name
    if _SHA256.fullmatch(promised) and promised != found:
        raise CheckpointError(
            f"{path} has SHA-256 {found}",
            expected=f"{promised}, as the hub says",
            remedy="delete that file and its target in blobs/, then fetch it again",
        )
    commit = path.parts[path.parts.index("snapshots") + 1]
    return FetchedFile(
        path, OriginCard(repository=repository, file=file, revision=commit, sha256=found)
    )


@contextmanager
def _redirects(endpoint: str, hosts: tuple[str, ...]) -> Iterator[None]:
    """Let the hub's client follow redirects to the hub's own hosts of files, and no others.

    The token of the hub goes to its own host alone: its client keeps it back from others.
    """
    import httpx2
    from huggingface_hub import constants, set_client_factory
    from huggingface_hub.utils._http import default_client_factory

    try:
        route = Route(Host.of(endpoint), (*_OWN_HOSTS, *hosts))
    except ValueError:
        raise ModelError(
            f"HF_ENDPOINT is {redacted(endpoint)}", expected="an address such as https://host"
        ) from None

    def check(request: httpx2.Request) -> None:
        # The client asks for some of the addresses that it is given by itself.
        try:
            egress().check(route, Host.of(str(request.url)))
        except (EgressError, ValueError) as error:
            raise ModelError(
                f"{redacted(endpoint)} cannot be used: {error}",
                remedy="name that host with --redirects-to if you trust it",
            ) from None

    def make() -> httpx2.Client:
        client = default_client_factory()
        client.event_hooks["request"].append(check)
        return client

    set_client_factory(make)
    # The client of Xet storage knows neither this check nor how to keep a token out of its texts.
    xet, constants.HF_HUB_DISABLE_XET = constants.HF_HUB_DISABLE_XET, True
    try:
        yield
    finally:
        constants.HF_HUB_DISABLE_XET = xet
        set_client_factory(default_client_factory)


def _reachable(repository: str, file: str, revision: str, endpoint: str | None) -> bool:
    import httpx2
    from huggingface_hub import errors, get_hf_file_metadata, hf_hub_url

    url = hf_hub_url(repository, file, revision=revision, endpoint=endpoint)
    try:
        get_hf_file_metadata(url, timeout=10, endpoint=endpoint)
    except (httpx2.ConnectError, httpx2.TimeoutException, errors.OfflineModeIsEnabled):
        return False
    except errors.HfHubHTTPError:
        # It answered; what is wrong is for the download to say.
        return True
    return True


@contextmanager
def _explained(source: Source, repository: str, revision: str, name: str) -> Iterator[None]:
    """Turn what can go wrong between here and the hub into one line that says what to do."""
    import httpx2
    from huggingface_hub import errors

    where = f"{repository} at {source.shown}"
    try:
        yield
    except errors.GatedRepoError:
        raise ModelError(
            f"{where} is gated",
            remedy=f"accept its terms on {HUB}/{repository} and set HF_TOKEN to a token of yours",
        ) from None
    except errors.RepositoryNotFoundError:
        raise ModelError(
            f"{where} does not exist, or is not open to you",
            remedy="set HF_TOKEN if it is private, HF_ENDPOINT if it is on a mirror",
        ) from None
    except errors.RevisionNotFoundError:
        raise ModelError(
            f"{where} has no revision {revision!r}", remedy="leave --revision out for the newest"
        ) from None
    except errors.LocalEntryNotFoundError as error:
        if isinstance(error.__cause__, errors.HfHubHTTPError):
            raise _answered(where, error.__cause__.response.status_code) from None
        raise ModelError(
            f"{source.shown} cannot be reached and {name} is not in the hub's cache",
            remedy=how_to_carry(name),
        ) from None
    except errors.EntryNotFoundError as error:
        raise ModelError(
            f"{where} lacks a file of {name} ({str(error).splitlines()[0][:160]})",
            remedy="try another --revision",
        ) from None
    except errors.HfHubHTTPError as error:
        raise _answered(where, error.response.status_code) from None
    except httpx2.HTTPError as error:
        raise ModelError(
            f"the connection to {source.shown} broke ({type(error).__name__})",
            remedy="start the same command again: files that are whole are not loaded again",
        ) from None
    except OSError as error:
        if "Consistency check failed" not in str(error):
            raise
        raise CheckpointError(
            f"a file of {where} was cut short on its way",
            remedy="start the same command again: files that are whole are not loaded again",
        ) from None


def how_to_carry(name: str) -> str:
    """What to do for a published model on a machine without a network."""
    return (
        f"where there is a network run: s2s-map models fetch {name}; then copy its folder of "
        f"models (s2s-map models where) to {models_folder()} here, or point S2S_MAP_MODELS to it"
    )


def _answered(where: str, status: int) -> ModelError:
    """Say what to do about an answer that is not a file; plain mirrors give just a number."""
    remedies = {
        401: "set HF_TOKEN to a token that may read it",
        403: "set HF_TOKEN to a token that may read it",
        404: "nothing of that name is there: check HF_ENDPOINT and --revision",
    }
    later = "try again later, or set HF_ENDPOINT to a mirror"
    return ModelError(f"{where} answered {status}", remedy=remedies.get(status, later))
