"""`python -m playground` is `playground`."""

import signal
import sys

signal.signal(signal.SIGINT, signal.SIG_DFL)  # before the imports: Ctrl-C ends it without a traceback

from playground.cli import main  # noqa: E402

sys.exit(main())
