// Runs before all else of a page: asks for its cameras' pictures while the browser still reads what shows them.
// view.js takes over the socket, and what has come. CAMERAS and WIDTH are put in by view.py.
window.streamcountEarly = (() => {
  const cameras = CAMERAS, FIRST = 2 ** 30;
  const socket = new WebSocket(location.origin.replace(/^http/, "ws") + "/api/v1/live");
  const early = { cameras, FIRST, socket, answers: [] };
  socket.binaryType = "arraybuffer";
  socket.onopen = () => cameras.forEach((camera, i) =>
    socket.send(JSON.stringify({ view: FIRST + i, camera, width: WIDTH, known: "" })));
  socket.onmessage = ({ data }) => early.answers.push(data);
  return early;
})();
