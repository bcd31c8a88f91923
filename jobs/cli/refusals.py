"""Messages for errors of a remote installation and of the connection to it."""

import ssl
from typing import Any
from urllib.parse import urljoin

import httpx2

from jobs.cli.installation import Trouble
from jobs.engine.inputs import Fault, InvalidInput

INPUT = (400, 413, 422)
HOW = "manage.py apitoken USER --scope read --scope launch"
PROBLEM = "application/problem+json"


class Refusals:
    """Messages about the server at an address. None of them contains the token."""

    def __init__(self, server: str, token: str) -> None:
        self._server, self._token = server, token

    def body(self, answer: httpx2.Response) -> dict[str, Any]:
        """Return the JSON object of a response about a job. Raises the error that the response describes."""
        if not answer.is_success:
            raise self.of(answer)
        data = _json(answer)
        if data is None or not isinstance(data.get("jobId"), str):
            raise self._stranger(answer)
        return data

    def of(self, answer: httpx2.Response) -> Exception:
        """Return the error that a response describes: InvalidInput, or a Trouble."""
        if answer.is_redirect:
            target = urljoin(str(answer.url), answer.headers.get("location", ""))
            return self._trouble(f"{self._server} redirects to {target}: use that address as --server")
        data = _json(answer)
        if data is None or PROBLEM not in answer.headers.get("content-type", ""):
            return self._stranger(answer)
        detail = str(data.get("detail", ""))
        if answer.status_code in INPUT:
            faults = [Fault(str(one["field"]), self._safe(str(one["message"]))) for one in _faults(data)]
            return InvalidInput(faults or [Fault("", self._safe(detail))])
        if answer.status_code == 401:
            return self._trouble(
                f"{self._server} does not accept the token: {detail}. Create one there with: {HOW}"
            )
        if answer.status_code == 403:
            return self._trouble(f"{self._server} refuses: {detail}. Create another token there with: {HOW}")
        return self._trouble(f"{self._server} refuses: {detail}")

    def hopeless(self, error: httpx2.TransportError) -> Trouble | None:
        """Return the message for an error that a retry cannot fix, None for any other error."""
        chain: BaseException | None = error
        while chain and not isinstance(chain, ssl.SSLError):
            chain = chain.__cause__ or chain.__context__
        if isinstance(chain, ssl.SSLCertVerificationError):
            return self._trouble(
                f"{self._server} shows a certificate that is not trusted here ({chain.verify_message}). "
                "For your own certificate authority, set SSL_CERT_FILE to the file of its certificate"
            )
        if chain:
            why = getattr(chain, "reason", "") or chain
            return self._trouble(f"{self._server}: TLS failed ({why}); did you mean http://?")
        if isinstance(error, httpx2.UnsupportedProtocol | httpx2.LocalProtocolError):
            return self._trouble(f"{self._server} cannot be used: {error}")
        return None

    def unreached(self, why: str, *, sent: bool) -> Trouble:
        """Return the message for a server that does not respond. `sent`: it may have received a launch."""
        if sent:
            return self._trouble(
                f"{self._server} received the launch but did not respond ({why}). It may have been launched: "
                f"check {self._server}/ before you launch again"
            )
        return self._trouble(
            f"{self._server} cannot be reached ({why}): check the address and that it is running"
        )

    def why(self, error: Exception) -> str:
        """Return a connection error in a few words."""
        if isinstance(error, httpx2.TimeoutException):
            return "no response in time"
        return self._safe(str(error)) or type(error).__name__

    def _stranger(self, answer: httpx2.Response) -> Trouble:
        return self._trouble(
            f"{self._server} returned {answer.status_code}, but the response didn't come from Flightplan: "
            "check the address"
        )

    def _trouble(self, message: str) -> Trouble:
        return Trouble(self._safe(message))

    def _safe(self, text: str) -> str:
        """Remove the token from a text, in case the server has sent it back."""
        return text.replace(self._token, "(the token)") if self._token else text


def _json(answer: httpx2.Response) -> dict[str, Any] | None:
    try:
        data = answer.json()
    except (ValueError, RecursionError):
        return None
    return data if isinstance(data, dict) else None


def _faults(data: dict[str, Any]) -> list[dict[str, Any]]:
    errors = data.get("errors")
    found = errors if isinstance(errors, list) else []
    return [one for one in found if isinstance(one, dict) and {"field", "message"} <= set(one)]
