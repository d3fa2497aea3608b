"""`POST /load`: a file of readings, streamed in."""

ENDPOINTS: list = []
