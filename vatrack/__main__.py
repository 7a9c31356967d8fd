"""The command `vatrack`, also as `python -m vatrack`."""

from __future__ import annotations

import signal

from vatrack.common.openmp import share_cores


def main() -> None:
    """Runs the command line; Ctrl-C ends it without a traceback also while it is imported."""
    share_cores()
    before = signal.getsignal(signal.SIGINT)
    if before is signal.default_int_handler:  # not under nohup, or where another one waits for it
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from vatrack import cli

    signal.signal(signal.SIGINT, before)
    cli.main()


if __name__ == "__main__":
    main()
