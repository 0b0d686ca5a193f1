"""The wall in NiceGUI as its documentation has it: a timer sets each picture and its words, which are pushed."""

from feed import COLUMNS, RATE_HZ, WIDTH_PX, arguments
from nicegui import ui

feed, port = arguments()


@ui.page("/")
def wall() -> None:
    """One page of one visitor."""
    with ui.grid(columns=COLUMNS):
        tiles = [(ui.image().style(f"width: {WIDTH_PX}px"), ui.html("", sanitize=False)) for _ in feed.newest]

    def show() -> None:
        for (picture, words), shown in zip(tiles, feed.newest, strict=True):
            picture.set_source(shown.url)
            words.set_content(shown.words)

    ui.timer(1 / RATE_HZ, show)


ui.run(host="127.0.0.1", port=port, show=False, reload=False)
