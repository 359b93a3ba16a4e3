"""Studies: many runs that answer one question.

    space.py     which values of which knobs: the grid of them, or a draw
    study.py     what a study is, its folder, and the configs of its members
    control.py   start, go on, stop and delete; how long it will take
    driver.py    the process that asks Optuna which values to try next
    results.py   what came out: a table, mean ± standard deviation, the out-of-fold confusion matrix
    range_test.py  the learning rate that a range test suggests

A study is a folder; its members are ordinary runs in the ordinary queue. Kill any process at any time, and
`continue_study` finds all it needs there.
"""

from playground.studies.space import Axis, StudyError, parse_axis
from playground.studies.study import Study, StudyFolder, create_study, list_studies, open_study, plan

__all__ = [
    "Axis",
    "Study",
    "StudyError",
    "StudyFolder",
    "create_study",
    "list_studies",
    "open_study",
    "parse_axis",
    "plan",
]
