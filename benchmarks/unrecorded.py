"""`iotsense` that records neither changes nor refusals over REST in its audit log: bench_access compares with it."""

from iotsense.cli import main
from iotsense.rest import app

app.recorded = lambda endpoint, run: run
app.Refusals = lambda application, context: application

if __name__ == "__main__":
    main()
