"""The program ``triptych`` of a script that a test runs: a fork, as `Cli` makes; see `Forks`.

It stands alone: the interpreter that runs it has neither the program nor the tests to import.
"""

import json
import os
import socket
import sys

if __name__ == "__main__":
    requests = socket.socket(fileno=int(os.environ["FORK_REQUESTS"]))
    reading, writing = os.pipe()
    request = {"args": sys.argv[1:], "env": dict(os.environ), "cwd": os.getcwd()}  # noqa: PTH109
    socket.send_fds(requests, [json.dumps(request).encode()], [0, 1, 2, writing])
    os.close(writing)
    with os.fdopen(reading) as answer:
        _, code = answer.read().split()
    sys.exit(int(code))
