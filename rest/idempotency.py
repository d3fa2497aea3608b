"""HTTP answers by the `Idempotency-Key` of their requests: status, headers and body are given again as they were."""

from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass

from starlette.responses import Response, StreamingResponse

from ..twin.kept_answers import Kept, KeptAnswers

REPLAYED = "Idempotent-Replayed"


@dataclass(frozen=True, slots=True)
class _Answered:
    """What was answered."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes

    def again(self) -> Response:
        answer = Response(self.body, self.status)
        answer.raw_headers = [*self.headers, (REPLAYED.lower().encode(), b"true")]
        return answer


async def answered_once(
    answers: KeptAnswers, request: Hashable, mark: bytes, run: Callable[[], Awaitable[Response]]
) -> Response:
    """What `run` answers, or has answered to the same request. Raises ReusedKeyError if `mark` is another."""
    given = await answers.once(request, mark, run, _kept)
    answer: Response = given.answer.again() if given.again else given.answer
    return answer


def _kept(answer: Response) -> Kept | None:
    if answer.status_code >= 300 or isinstance(answer, StreamingResponse):
        return None
    body = bytes(answer.body)
    return Kept(_Answered(answer.status_code, list(answer.raw_headers), body), len(body))
