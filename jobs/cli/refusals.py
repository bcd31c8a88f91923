"""What a far installation says no to, and what lies between it and us, each in a sentence for people."""

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
    """Words about the server at an address. The token stands in none of them."""

    def __init__(self, server: str, token: str) -> None:
        self._server, self._token = server, token

    def body(self, answer: httpx2.Response) -> dict[str, Any]:
        """Give the JSON object of an answer about a job. Raises what the answer amounts to otherwise."""
        if not answer.is_success:
            raise self.of(answer)
        told = _json(answer)
        if told is None or not isinstance(told.get("jobId"), str):
            raise self._stranger(answer)
        return told

    def of(self, answer: httpx2.Response) -> Exception:
        """Give what an answer that is an error amounts to: faults of the input, or a Trouble."""
        if answer.is_redirect:
            target = urljoin(str(answer.url), answer.headers.get("location", ""))
            return self._trouble(f"{self._server} sends us on to {target}: give that address as --server")
        told = _json(answer)
        if told is None or PROBLEM not in answer.headers.get("content-type", ""):
            return self._stranger(answer)
        detail = str(told.get("detail", ""))
        if answer.status_code in INPUT:
            faults = [Fault(str(one["field"]), self._safe(str(one["message"]))) for one in _faults(told)]
            return InvalidInput(faults or [Fault("", self._safe(detail))])
        if answer.status_code == 401:
            return self._trouble(
                f"{self._server} does not take the token: {detail}. Make one there with: {HOW}"
            )
        if answer.status_code == 403:
            return self._trouble(f"{self._server} refuses: {detail}. Make another one there with: {HOW}")
        return self._trouble(f"{self._server} refuses: {detail}")

    def hopeless(self, error: httpx2.TransportError) -> Trouble | None:
        """Give what to say of an error that no second try would mend, None for any other."""
        chain: BaseException | None = error
        while chain and not isinstance(chain, ssl.SSLError):
            chain = chain.__cause__ or chain.__context__
        if isinstance(chain, ssl.SSLCertVerificationError):
            return self._trouble(
                f"{self._server} shows a certificate that is not trusted here ({chain.verify_message}). "
                "For an authority of your own let SSL_CERT_FILE name the file of its certificate"
            )
        if chain:
            why = getattr(chain, "reason", "") or chain
            return self._trouble(f"{self._server} does not speak TLS as it should ({why}): is it http://?")
        if isinstance(error, httpx2.UnsupportedProtocol | httpx2.LocalProtocolError):
            return self._trouble(f"{self._server} cannot be asked: {error}")
        return None

    def unreached(self, why: str, *, sent: bool) -> Trouble:
        """Give what to say of a server that does not answer; `sent`: a launch may have arrived."""
        if sent:
            return self._trouble(
                f"{self._server} took the launch but did not answer ({why}). It may have been launched: "
                f"look at {self._server}/ before you launch again"
            )
        return self._trouble(f"{self._server} cannot be reached ({why}): check the address, and that it runs")

    def why(self, error: Exception) -> str:
        """Give an error of the way there in a few words."""
        if isinstance(error, httpx2.TimeoutException):
            return "no answer in time"
        return self._safe(str(error)) or type(error).__name__

    def _stranger(self, answer: httpx2.Response) -> Trouble:
        return self._trouble(
            f"{self._server} answers with {answer.status_code}, but not as Flightplan does: check the address"
        )

    def _trouble(self, message: str) -> Trouble:
        return Trouble(self._safe(message))

    def _safe(self, text: str) -> str:
        """Give a text of the server's without the token, should it have sent it back."""
        return text.replace(self._token, "(the token)") if self._token else text


def _json(answer: httpx2.Response) -> dict[str, Any] | None:
    try:
        told = answer.json()
    except (ValueError, RecursionError):
        return None
    return told if isinstance(told, dict) else None


def _faults(told: dict[str, Any]) -> list[dict[str, Any]]:
    errors = told.get("errors")
    found = errors if isinstance(errors, list) else []
    return [one for one in found if isinstance(one, dict) and {"field", "message"} <= set(one)]
