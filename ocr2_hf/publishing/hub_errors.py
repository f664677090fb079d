"""What goes wrong on the way to the Hub, as one message each: for models and for datasets."""

from collections.abc import Iterator
from contextlib import contextmanager

from huggingface_hub import constants, errors, get_token

from ocr2_hf.errors import UsageError, WorkError

LONGEST = 300
HINTS = {
    401: "the token is not accepted: ",
    403: "the token may not write there: ",
    429: "too many requests, try later: ",
}


@contextmanager
def hub_errors(repo: str, then: str) -> Iterator[None]:
    """Errors of the client while pushing to `repo` become a `UsageError` or a `WorkError`.

    `then` says what is safe, and what to do. No message holds the token.
    """
    cannot = f"cannot push to {repo}"
    try:
        yield
    except errors.HFValidationError as error:
        raise UsageError(f"{repo!r} is no name of a repository: {_line(error)}") from None
    except errors.LocalTokenNotFoundError:
        raise WorkError(f"{cannot}: no token; log in with `hf auth login` or set HF_TOKEN; {then}") from None
    except errors.OfflineModeIsEnabled:
        raise WorkError(f"{cannot}: HF_HUB_OFFLINE is set; {then}") from None
    except errors.HfHubHTTPError as error:
        raise WorkError(f"{cannot}: {HINTS.get(error.response.status_code, '')}{_line(error)}; {then}") from error
    except errors.HTTPError as error:  # the client library's own, which hub releases take from different packages
        raise WorkError(f"{cannot}: no answer from {constants.ENDPOINT}: {_line(error)}; {then}") from error
    except OSError as error:
        raise WorkError(f"{cannot}: {_line(error)}; {then}") from error


def _line(error: Exception) -> str:
    """What the client says, on one line. It leaves tokens out of its messages; should one slip in, it is taken out."""
    text, token = " ".join(str(error).split()), get_token()
    return (text.replace(token, "***") if token else text)[:LONGEST]
