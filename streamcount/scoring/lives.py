"""What happened to each cell: when it began, when it ended, and whether it divided.

A line of the table is not yet a cell's life: the form knows no gap, so a cell that was out of sight goes on under
another label. An only child is therefore its parent going on, and a division has two daughters or more.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from streamcount.scoring.film import Side
from streamcount.scoring.tables import BEGIN, END, LABEL, PARENT


@dataclass(frozen=True)
class Life:
    """A cell from begin to end, in frames from the film's first.

    label: of its first line. parent: the life that it is a daughter of, or None. daughters: none, or two and more.
    left: whether it touches the image's edge in its last frame, so that it may have gone out of view.
    """

    label: int
    begin: int
    end: int
    parent: int | None
    daughters: tuple[int, ...]
    left: bool


@dataclass(frozen=True)
class Lives:
    """All lives of one side. by_label: the number of the life that a label of the masks belongs to."""

    lives: list[Life]
    by_label: dict[int, int]

    def divisions(self) -> list[int]:
        """The numbers of those that divide."""
        return [number for number, life in enumerate(self.lives) if life.daughters]

    def births(self) -> list[int]:
        """The numbers of those that begin after the first frame and are nobody's daughters."""
        return [number for number, life in enumerate(self.lives) if life.begin and life.parent is None]

    def ends(self, last_frame: int) -> list[int]:
        """The numbers of those that end within the image before the film does, and do not divide."""
        return [
            number
            for number, life in enumerate(self.lives)
            if life.end < last_frame and not life.daughters and not life.left
        ]


def lives_of(side: Side) -> Lives:
    """Join the lines that are one life."""
    lines = side.table[np.argsort(side.table[:, BEGIN], kind="stable")]
    children: dict[int, list[int]] = {}
    for label, _, _, parent in lines.tolist():
        children.setdefault(parent, []).append(label)
    by_label: dict[int, int] = {}
    joined: list[list[int]] = []
    for row in lines.tolist():
        label, parent = row[LABEL], row[PARENT]
        if parent and len(children[parent]) == 1:
            by_label[label] = by_label[parent]
            joined[by_label[label]].append(label)
        else:
            by_label[label] = len(joined)
            joined.append([label])
    line = {row[LABEL]: row for row in lines.tolist()}
    lives = []
    for labels in joined:
        first, last = line[labels[0]], line[labels[-1]]
        lives.append(
            Life(
                label=first[LABEL],
                begin=first[BEGIN],
                end=last[END],
                parent=by_label[first[PARENT]] if first[PARENT] else None,
                daughters=tuple(by_label[child] for child in children.get(last[LABEL], [])),
                left=last[LABEL] in side.at_edge[last[END]],
            )
        )
    return Lives(lives, by_label)
