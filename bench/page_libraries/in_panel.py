"""The wall in Panel: a periodic callback sets the panes of each tile, which Bokeh's server pushes."""

import panel as pn
from feed import COLUMNS, RATE_HZ, WIDTH_PX, arguments

feed, port = arguments()


def wall() -> pn.GridBox:
    """One page of one visitor."""
    tiles = [(pn.pane.JPG(shown.jpeg, width=WIDTH_PX), pn.pane.HTML(shown.words)) for shown in feed.newest]

    def show() -> None:
        for (picture, words), shown in zip(tiles, feed.newest, strict=True):
            picture.object = shown.jpeg
            words.object = shown.words

    pn.state.add_periodic_callback(show, period=round(1000 / RATE_HZ))
    return pn.GridBox(*(pn.Column(*tile) for tile in tiles), ncols=COLUMNS)


pn.serve(wall, address="127.0.0.1", port=port, show=False)
