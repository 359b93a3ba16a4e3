"""A run's figures as a table that opens in a spreadsheet: one row an event."""

import csv
import io
from typing import Any

from playground.events import Scores
from playground.exports.context import ExportContext
from playground.runs import Resumed, Row

COLUMNS = (
    *("run", "type", "epoch", "step", "seconds", "loss", "accuracy", "learning_rate", "grad_norm", "weight_norm"),
    *("images_per_second", "train_loss", "train_accuracy", "val_loss", "val_accuracy", "test_loss", "test_accuracy"),
    *("knob", "old", "new", "what"),
)
"""Losses are means, accuracies fractions; "loss" and "accuracy" are of the training batches since the last row."""
PIXEL_COLUMNS = ("val_iou", "val_boundary_f1", "test_iou", "test_boundary_f1")
"""What a run that labels pixels has besides, as fractions; its accuracies are shares of the pixels."""


def make_table(facts: ExportContext) -> bytes:
    """Write the rows that count as CSV in UTF-8, with the mark by which spreadsheets know it."""
    text = io.StringIO()
    columns = (*COLUMNS, *PIXEL_COLUMNS) if facts.masks else COLUMNS
    writer = csv.DictWriter(text, columns, extrasaction="ignore", lineterminator="\r\n")
    writer.writeheader()
    for row in facts.feed.rows:
        if not isinstance(row, Resumed):
            writer.writerow(
                {key: escape_formula(value) for key, value in ({"run": facts.name} | flatten_row(row)).items()}
            )
    return text.getvalue().encode("utf-8-sig")


def flatten_row(row: Row) -> dict[str, Any]:
    """Give the scores of each split columns of their own."""
    scores = {
        f"{split}_{metric}": value
        for split, found in vars(row).items()
        if isinstance(found, Scores)
        for metric, value in vars(found).items()
        if value is not None
    }
    return vars(row) | scores


def escape_formula(value: Any) -> Any:
    """Keep a spreadsheet from taking text for a formula: an apostrophe before it says that it is text."""
    return f"'{value}" if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r") else value
