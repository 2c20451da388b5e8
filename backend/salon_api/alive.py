"""Ask the web server of this container whether it lives: exit status 0 or 1. It must not know what else it serves."""

import http.client
import os
import sys


def main() -> int:
    """Call `/healthz` on the port that the environment names."""
    connection = http.client.HTTPConnection("127.0.0.1", int(os.environ.get("PORT") or 8000), timeout=2)
    try:
        # The name is one that ALLOWED_HOSTS of a container must hold anyway, for this.
        connection.request("GET", "/healthz", headers={"Host": "localhost"})
        return 0 if connection.getresponse().status == 200 else 1
    except OSError:
        return 1
    finally:
        connection.close()


if __name__ == "__main__":
    sys.exit(main())
