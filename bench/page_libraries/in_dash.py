"""The wall in Dash: the browser asks by an interval, and one callback answers for all tiles."""

from dash import Dash, Input, Output, dcc, html
from feed import CAMERAS, COLUMNS, RATE_HZ, WIDTH_PX, arguments

feed, port = arguments()
app = Dash(__name__, serve_locally=True)
app.layout = html.Div(
    [
        dcc.Interval(id="tick", interval=1000 / RATE_HZ),
        html.Div(
            [
                html.Div(
                    [
                        html.Img(id=f"picture-{camera}", width=WIDTH_PX),
                        html.Span(id=f"words-{camera}", className="words"),
                    ]
                )
                for camera in range(CAMERAS)
            ],
            style={"display": "grid", "gridTemplateColumns": f"repeat({COLUMNS}, {WIDTH_PX}px)"},
        ),
    ]
)


@app.callback(
    [Output(f"picture-{camera}", "src") for camera in range(CAMERAS)],
    [Output(f"words-{camera}", "children") for camera in range(CAMERAS)],
    Input("tick", "n_intervals"),
)
def show(_: int) -> list[str]:
    """All tiles' pictures, then their words."""
    newest = list(feed.newest)
    return [*(shown.url for shown in newest), *(f"{shown.sequence} {shown.at_ms}" for shown in newest)]


app.run(host="127.0.0.1", port=port)
