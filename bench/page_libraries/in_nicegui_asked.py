"""The wall in NiceGUI, its pictures asked for (decisions 27, 35): a tile asks for the next when the last is drawn."""

import asyncio

from feed import COLUMNS, RATE_HZ, WIDTH_PX, arguments
from nicegui import app, ui
from starlette.websockets import WebSocket, WebSocketDisconnect

feed, port = arguments()
HEAD = 40
ASK = f"""
const tiles = [...document.querySelectorAll("[data-camera]")];
const socket = new WebSocket(`ws://${{location.host}}/pictures`);
socket.binaryType = "arraybuffer";
socket.onopen = () => tiles.forEach((_, camera) => socket.send(`${{camera}} -1`));
socket.onmessage = async ({{ data }}) => {{
  const [camera, sequence, at] = new TextDecoder().decode(data.slice(0, {HEAD})).trim().split(" ");
  const url = URL.createObjectURL(new Blob([data.slice({HEAD})], {{ type: "image/jpeg" }}));
  const image = tiles[camera].querySelector("img");
  image.src = url;
  await image.decode();
  URL.revokeObjectURL(url);
  tiles[camera].querySelector(".words").textContent = `${{sequence}} ${{at}}`;
  await new Promise(requestAnimationFrame);
  socket.send(`${{camera}} ${{sequence}}`);
}};
"""


@app.websocket("/pictures")
async def pictures(socket: WebSocket) -> None:
    """Answers "CAMERA AFTER" with that camera's picture as soon as there is a newer one."""
    await socket.accept()
    answers = set()

    async def answer(camera: int, after: int) -> None:
        while feed.newest[camera].sequence == after:
            await asyncio.sleep(0.05 / RATE_HZ)
        shown = feed.newest[camera]
        head = f"{camera} {shown.sequence} {shown.at_ms}".ljust(HEAD).encode()
        await socket.send_bytes(head + shown.jpeg)

    try:
        while True:
            camera, after = (await socket.receive_text()).split()
            answers.add(task := asyncio.create_task(answer(int(camera), int(after))))
            task.add_done_callback(answers.discard)
    except WebSocketDisconnect:
        for task in answers:
            task.cancel()


@ui.page("/")
async def wall() -> None:
    """One page of one visitor."""
    with ui.grid(columns=COLUMNS):
        for camera in range(len(feed.newest)):
            tile = f'<div data-camera="{camera}"><img width="{WIDTH_PX}"><span class="words"></span></div>'
            ui.html(tile, sanitize=False)
    await ui.context.client.connected()
    ui.run_javascript(ASK)


ui.run(host="127.0.0.1", port=port, show=False, reload=False)
