"""What is asked of a worker: by people through the run's control.jsonl, by the system through signals."""

import contextlib
import json
import signal
from collections.abc import Generator
from types import FrameType
from typing import Any

from playground import interrupts
from playground.runs import RunFolder


class Control:
    """Hands out each command once, oldest first. Asking costs one `stat` when there is nothing new."""

    def __init__(self, run: RunFolder) -> None:
        self._path = run.path / "control.jsonl"
        self._offset = 0
        self._signals: list[dict[str, Any]] = []

    @contextlib.contextmanager
    def listening(self) -> Generator[None]:
        """Inside, SIGTERM and Ctrl-C ask the worker to save its exact state and end; a second Ctrl-C does not ask.

        Not even a second one breaks off an import: what comes out of that could be any error, and none is needed.
        """
        before = {number: signal.signal(number, self._on_signal) for number in (signal.SIGTERM, signal.SIGINT)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self._signals.append({"do": "interrupt"})
        if number == signal.SIGINT:
            signal.signal(signal.SIGINT, interrupts.raise_between_imports)

    def read(self) -> list[dict[str, Any]]:
        """Return the commands that came since the last call; damaged lines are passed over."""
        commands, self._signals = self._signals, []
        try:
            size = self._path.stat().st_size
        except FileNotFoundError:
            return commands
        if size > self._offset:
            with self._path.open("rb") as file:
                file.seek(self._offset)
                whole, newline, _ = file.read().rpartition(b"\n")
            self._offset += len(whole) + len(newline)
            for line in whole.splitlines():
                with contextlib.suppress(ValueError):
                    command = json.loads(line)
                    commands += [command] if isinstance(command, dict) else []
        return commands
