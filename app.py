"""Draw lines, dab colours, and pictures appear: ``python app.py`` opens the page's server."""

from __future__ import annotations

import argparse
import os

# Threads that spin while they wait would starve the server on a small machine.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

from s2i.ui.page import build, launch_options


def main() -> None:
    """Serve the page until it is interrupted."""
    parser = argparse.ArgumentParser(description=__doc__)
    on_space = "SPACE_ID" in os.environ
    host = os.environ.get("GRADIO_SERVER_NAME", "0.0.0.0" if on_space else "127.0.0.1")
    parser.add_argument("--host", default=host, help="address to listen on (default: %(default)s)")
    parser.add_argument(
        "--port",
        type=int,
        default=int(os.environ.get("GRADIO_SERVER_PORT", "7860")),
        help="port to listen on (default: %(default)s)",
    )
    options = parser.parse_args()
    build().launch(server_name=options.host, server_port=options.port, **launch_options())


if __name__ == "__main__":
    main()
