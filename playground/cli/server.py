"""`streamlit`, quiet about Ctrl-C from its first import on: `python -m playground.cli.server run app.py`."""

import runpy
import signal

from playground import interrupts

if __name__ == "__main__":
    interrupts.quit_at_once()
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    runpy.run_module("streamlit", run_name="__main__", alter_sys=True)
