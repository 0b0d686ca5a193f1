// The picture of a camera with its cells on a canvas. It asks for pictures itself, and only while it is in view.
const DASHES = [[], [7, 4], [2, 3], [9, 3, 2, 3], [14, 4], [4, 8]];
const TAIL_FRAMES = 25;
// An outline's numbers, see cells.py: so many points, and so many steps along a side of the box.
const OUTLINE_POINTS = 24;
const SIDE_STEPS = 85;
const LOST_MS = 1500;
const API = "/api/v1";

// All views of a page share one socket. Each asks for what comes after its picture, and is answered once there is
// something newer; see live.py for the form of the answers.
const line = {
  views: new Map(), last: 0, socket: null, waiting: new Set(), early: null,
  join(view) {
    this.views.set(++this.last, view);
    if (!this.socket) this.open();
    else this.early?.answers.splice(0).forEach((data) => this.hand(data));
    return this.last;
  },
  leave(number) {
    this.views.delete(number);
    this.waiting.delete(number);
    if (!this.views.size) this.socket?.close();
  },
  open() {
    // What early.js has asked for is answered on its socket, before or after this.
    this.early = window.streamcountEarly || null;
    window.streamcountEarly = null;
    const socket = this.early?.socket || new WebSocket(location.origin.replace(/^http/, "ws") + API + "/live");
    socket.binaryType = "arraybuffer";
    this.socket = socket;
    const asks = socket.onopen;
    socket.onopen = () => { asks?.(); this.views.forEach((view) => view.ask()); };
    socket.onmessage = ({ data }) => this.hand(data);
    socket.onclose = () => {
      this.socket = this.early = null;
      this.waiting.clear();
      this.views.forEach((view) => { view.note = "no new picture"; });
      setTimeout(() => { if (this.views.size && !this.socket) this.open(); }, LOST_MS);
    };
    if (socket.readyState > WebSocket.OPEN) socket.onclose();
    this.early?.answers.splice(0).forEach((data) => this.hand(data));
  },
  hand(data) {
    const length = new DataView(data).getUint32(0, true);
    const words = JSON.parse(new TextDecoder().decode(new Uint8Array(data, 4, length)));
    const at = this.early ? words.view - this.early.FIRST : -1;
    let number = words.view;
    if (at >= 0) {
      number = this.numberOf(this.early.cameras[at]);
      if (!number) { this.early.answers.push(data); return; }
      this.early.cameras[at] = null;
    }
    const view = this.views.get(number);
    if (!view) { this.waiting.delete(number); return; }
    // Until it is shown, what the view says that it knows is old, and the picture would be sent again.
    this.waiting.add(number);
    const jpeg = new Blob([new Uint8Array(data, 4 + length)], { type: "image/jpeg" });
    view.take(words, jpeg).finally(() => this.waiting.delete(number));
  },
  numberOf(camera) {
    for (const [number, view] of this.views) if (view.camera === camera) return number;
    return 0;
  },
  ask(number, want) {
    if (this.socket?.readyState !== WebSocket.OPEN || this.waiting.has(number)) return;
    // Asked for already, by early.js.
    if (this.early?.cameras.includes(want.camera)) return;
    this.waiting.add(number);
    this.socket.send(JSON.stringify({ view: number, ...want }));
  },
};

export default {
  template: `
    <div class="view" ref="box">
      <canvas ref="canvas" role="img" tabindex="0" :aria-label="label" @click="pick" @keydown="step"></canvas>
      <div class="view-note" aria-hidden="true">{{ note }}</div>
      <div v-if="past && past.why" class="view-why" role="status">{{ past.why }}</div>
    </div>`,
  props: {
    camera: String, styles: Object, hz: Number, outlines: Boolean, ids: Boolean, tails: Boolean, hidden: Array,
    selectable: Boolean, zones: Boolean, places: Object, past: Object,
  },
  data() {
    return { note: "", label: this.camera + ": no picture yet" };
  },
  mounted() {
    this.known = ""; this.picture = null; this.cells = null; this.lines = null; this.tailsOf = new Map(); this.selected = 0;
    this.told = 0; this.inView = false; this.due = 0; this.drawing = false;
    this.number = line.join(this);
    this.observer = new IntersectionObserver((seen) => {
      this.inView = seen[seen.length - 1].isIntersecting;
      this.ask();
    });
    this.observer.observe(this.$refs.box);
    this.seen = () => this.ask();
    document.addEventListener("visibilitychange", this.seen);
    this.clock = setInterval(() => this.say(), 1000);
  },
  unmounted() {
    line.leave(this.number);
    this.observer.disconnect();
    document.removeEventListener("visibilitychange", this.seen);
    clearInterval(this.clock);
    clearTimeout(this.timer);
    this.picture?.close();
  },
  watch: {
    outlines() { this.draw(); }, ids() { this.draw(); }, tails() { this.draw(); }, zones() { this.draw(); },
    places() { this.draw(); }, past() { this.turn(); },
    hidden: { deep: true, handler() { this.draw(); } },
  },
  methods: {
    ask() {
      if (this.past || !this.inView || document.visibilityState !== "visible") return;
      const width = Math.round(this.$refs.box.clientWidth * Math.min(2, window.devicePixelRatio || 1));
      line.ask(this.number, { camera: this.camera, width: Math.max(16, Math.min(1920, width)), known: this.known });
    },
    async take({ shown, problem }, jpeg) {
      // Not more often than `hz`, in the mean: what comes a little late must not put off all that follow.
      const now = performance.now();
      this.due = Math.max(this.due, now - 1000 / this.hz) + 1000 / this.hz;
      // What was asked for before one slid back belongs to no moment of the past.
      if (this.past) return;
      try {
        if (problem) throw new Error(problem);
        const picture = await createImageBitmap(jpeg);
        if (this.past) return;
        this.show(picture, shown);
      } catch (error) {
        this.known = `${shown.run}/${shown.sequence}`;
        this.note = `frame ${shown.sequence} cannot be shown`;
      }
      this.timer = setTimeout(() => this.ask(), Math.max(0, this.due - performance.now()));
    },
    show(picture, shown) {
      this.picture?.close();
      this.picture = picture; this.cells = shown.cells;
      const lines = shown.cells?.outlines;
      this.lines = lines ? Uint8Array.from(atob(lines), (letter) => letter.charCodeAt(0)) : null;
      if (this.known.split("/")[0] !== shown.run) { this.tailsOf.clear(); this.selected = 0; }
      this.known = `${shown.run}/${shown.sequence}`;
      this.capturedAt = shown.captured_at_ms;
      this.remember();
      this.fresh = true;
      this.draw();
    },
    // Shows another moment of the past, or the present again.
    async turn() {
      const moment = this.past;
      this.tailsOf.clear();
      if (!moment) {
        this.known = "";
        this.ask();
        return;
      }
      const { shown } = moment;
      let picture = null;
      if (shown && moment.picture) {
        const asked = `run=${encodeURIComponent(shown.run)}&sequence=${shown.sequence}&at_ms=${moment.counted_at_ms}`;
        const answer = await fetch(`${API}/cameras/${encodeURIComponent(this.camera)}/history/picture?${asked}`);
        if (answer.ok) picture = await createImageBitmap(await answer.blob());
      }
      if (this.past !== moment) return;
      // Without its picture a frame is a blank of its size, on which the cells are still drawn.
      const blank = new ImageData(shown?.cells?.width_px || 640, shown?.cells?.height_px || 480);
      this.show(picture || await createImageBitmap(blank),
        shown || { run: "", sequence: "", captured_at_ms: moment.at_ms, cells: null });
    },
    // Views draw together when the browser paints next: a picture each would paint the page each time.
    draw() {
      if (this.drawing) return;
      this.drawing = true;
      requestAnimationFrame(() => {
        this.drawing = false;
        this.paint();
        if (this.fresh && this.$refs.canvas) this.tellPicture();
        this.fresh = false;
      });
    },
    tellPicture() {
      const [, sequence] = this.known.split("/");
      this.$refs.canvas.dataset.age = Math.max(0, Date.now() - this.capturedAt);
      this.$refs.canvas.dataset.sequence = sequence;
      const n = this.cells ? `${this.cells.ids.length} cells` : "cells not known";
      this.label = `${this.camera}, frame ${sequence}: ${n}`;
      this.say();
      this.tell(false);
    },
    say() {
      if (!this.picture) return;
      if (this.past) {
        this.note = this.past.shown ? `frame ${this.past.shown.sequence} · past` : "past";
        return;
      }
      const age = Math.max(0, Date.now() - this.capturedAt);
      const ageText = age < 3000 ? `${age} ms old` : `${Math.round(age / 1000)} s old`;
      const frame = `frame ${this.known.split("/")[1]}`;
      this.note = `${frame} · ${ageText}` + (this.cells ? "" : " · cells not known");
    },
    remember() {
      if (!this.cells) return;
      const now = this.cells.sequence;
      this.cells.ids.forEach((id, i) => {
        const [y0, x0, y1, x1] = this.cells.boxes_px[i];
        const tail = this.tailsOf.get(id) || [];
        tail.push([now, (x0 + x1) / 2, (y0 + y1) / 2]);
        while (tail.length > TAIL_FRAMES) tail.shift();
        this.tailsOf.set(id, tail);
      });
      for (const [id, tail] of this.tailsOf) if (now - tail[tail.length - 1][0] > TAIL_FRAMES) this.tailsOf.delete(id);
    },
    paint() {
      const canvas = this.$refs.canvas;
      if (!this.picture || !canvas) return;
      const { width, height } = this.picture;
      if (canvas.width !== width || canvas.height !== height) { canvas.width = width; canvas.height = height; }
      const pen = canvas.getContext("2d");
      pen.clearRect(0, 0, width, height);
      pen.drawImage(this.picture, 0, 0);
      if (!this.cells) { canvas.dataset.outlined = 0; return; }
      const scale = width / this.cells.width_px;
      const thin = Math.max(1.25, width / 400);
      if (this.zones && this.places) this.drawPlaces(pen, scale, thin);
      let outlined = 0;
      pen.lineJoin = "round";
      this.cells.ids.forEach((id, i) => {
        const name = this.cells.class_names[this.cells.class_ids[i]];
        if (this.hidden?.includes(name)) return;
        const [color, dash] = this.styles[name] || ["#56b4e9", this.cells.class_ids[i]];
        const [y0, x0, y1, x1] = this.cells.boxes_px[i].map((value) => value * scale);
        if (this.tails) this.drawTail(pen, this.tailsOf.get(id), scale, color, thin);
        if (this.outlines) {
          pen.setLineDash(DASHES[dash % DASHES.length].map((part) => part * thin * 0.6));
          pen.beginPath();
          if (this.traceCell(pen, i, y0, x0, y1 - y0, x1 - x0)) outlined += 1;
          else pen.ellipse((x0 + x1) / 2, (y0 + y1) / 2, Math.max(1, (x1 - x0) / 2), Math.max(1, (y1 - y0) / 2), 0, 0, 7);
          pen.lineWidth = thin * 2.2; pen.strokeStyle = "rgba(0,0,0,.45)"; pen.stroke();
          pen.lineWidth = thin * (this.cells.confirmed[i] ? 1.4 : 0.8); pen.strokeStyle = color; pen.stroke();
          pen.setLineDash([]);
        }
        if (id === this.selected) {
          pen.lineWidth = thin * 1.5; pen.strokeStyle = "#fff"; pen.strokeRect(x0 - 3, y0 - 3, x1 - x0 + 6, y1 - y0 + 6);
          pen.lineWidth = thin * 0.7; pen.strokeStyle = "#000"; pen.strokeRect(x0 - 3, y0 - 3, x1 - x0 + 6, y1 - y0 + 6);
        }
        if (this.ids) {
          pen.font = `600 ${Math.max(10, width / 70)}px system-ui, sans-serif`;
          pen.textAlign = "center"; pen.lineWidth = 3; pen.strokeStyle = "rgba(0,0,0,.75)"; pen.fillStyle = "#fff";
          pen.strokeText(id, (x0 + x1) / 2, (y0 + y1) / 2 + 4); pen.fillText(id, (x0 + x1) / 2, (y0 + y1) / 2 + 4);
        }
      });
      canvas.dataset.outlined = outlined;
    },
    // The outline of the i-th cell as a closed path, its box given in pixels of the canvas; false where it has none.
    traceCell(pen, i, y0, x0, height, width) {
      const line = this.lines?.subarray(i * OUTLINE_POINTS * 2, (i + 1) * OUTLINE_POINTS * 2);
      if (!line?.some((number) => number)) return false;
      for (let at = 0; at < line.length; at += 2) {
        pen.lineTo(x0 + (line[at + 1] / SIDE_STEPS - 1) * width, y0 + (line[at] / SIDE_STEPS - 1) * height);
      }
      pen.closePath();
      return true;
    },
    // Zones as closed outlines, counting lines with an arrow in whose direction a crossing counts as forward.
    drawPlaces(pen, scale, thin) {
      const mark = (name, [y, x]) => {
        pen.font = `600 ${Math.max(11, pen.canvas.width / 60)}px system-ui, sans-serif`;
        pen.textAlign = "left"; pen.lineWidth = 3; pen.strokeStyle = "rgba(0,0,0,.75)"; pen.fillStyle = "#fff";
        const at = [Math.max(3, x * scale + 4), Math.max(14, y * scale - 5)];
        pen.strokeText(name, ...at); pen.fillText(name, ...at);
      };
      const stroke = () => {
        pen.lineWidth = thin * 2.4; pen.strokeStyle = "rgba(0,0,0,.6)"; pen.stroke();
        pen.lineWidth = thin * 1.2; pen.strokeStyle = "#fff"; pen.stroke();
      };
      const trace = (points) => points.forEach(([y, x], i) => (
        i ? pen.lineTo(x * scale, y * scale) : pen.moveTo(x * scale, y * scale)));
      for (const { name, points_px } of this.places.zones) {
        pen.beginPath(); trace(points_px); pen.closePath(); stroke(); mark(name, points_px[0]);
      }
      for (const { name, points_px } of this.places.lines) {
        pen.beginPath(); trace(points_px);
        const [[y0, x0], [y1, x1]] = points_px;
        const length = Math.hypot(x1 - x0, y1 - y0) || 1;
        // Forward is from the left of the line to its right, seen along it: (dx, dy) turned by a quarter.
        const [y, x] = [(y0 + y1) / 2 * scale, (x0 + x1) / 2 * scale];
        const [fy, fx] = [(x1 - x0) / length, -(y1 - y0) / length].map((part) => part * thin * 12);
        pen.moveTo(x, y); pen.lineTo(x + fx, y + fy);
        pen.lineTo(x + fx * 0.6 - fy * 0.35, y + fy * 0.6 + fx * 0.35);
        pen.moveTo(x + fx, y + fy); pen.lineTo(x + fx * 0.6 + fy * 0.35, y + fy * 0.6 - fx * 0.35);
        stroke(); mark(name, points_px[0]);
      }
    },
    drawTail(pen, tail, scale, color, thin) {
      if (!tail || tail.length < 2) return;
      pen.beginPath();
      tail.forEach(([, x, y], i) => (i ? pen.lineTo(x * scale, y * scale) : pen.moveTo(x * scale, y * scale)));
      pen.lineWidth = thin; pen.strokeStyle = color; pen.stroke();
    },
    pick(event) {
      if (!this.selectable || !this.cells) return;
      const place = this.$refs.canvas.getBoundingClientRect();
      // The picture is fitted into the canvas' box, with margins on two sides.
      const scale = Math.min(place.width / this.cells.width_px, place.height / this.cells.height_px);
      const x = (event.clientX - place.left - (place.width - this.cells.width_px * scale) / 2) / scale;
      const y = (event.clientY - place.top - (place.height - this.cells.height_px * scale) / 2) / scale;
      let best = 0, least = Infinity;
      this.cells.ids.forEach((id, i) => {
        const [y0, x0, y1, x1] = this.cells.boxes_px[i];
        const away = Math.hypot((x0 + x1) / 2 - x, (y0 + y1) / 2 - y);
        if (x >= x0 && x <= x1 && y >= y0 && y <= y1 && away < least) { best = id; least = away; }
      });
      this.selected = best;
      this.draw();
      this.tell(true);
    },
    step(event) {
      const by = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
      if (!this.selectable || !by || !this.cells?.ids.length) return;
      event.preventDefault();
      const ids = [...this.cells.ids].sort((a, b) => a - b);
      // Before the first, so that the way back begins at the last.
      const at = this.cells.ids.includes(this.selected) ? ids.indexOf(this.selected) : (by > 0 ? -1 : 0);
      this.selected = ids[(at + by + ids.length) % ids.length];
      this.draw();
      this.tell(true);
    },
    tell(now) {
      if (!this.selectable || (!this.selected && !now) || (!now && performance.now() - this.told < 1000)) return;
      this.told = performance.now();
      const i = this.cells ? this.cells.ids.indexOf(this.selected) : -1;
      const of = (column) => (i < 0 ? null : this.cells[column][i]);
      this.$emit("cell", {
        id: this.selected, run: this.known.split("/")[0], in_view: i >= 0, class_name: i < 0 ? "" : this.cells.class_names[of("class_ids")],
        believed: i < 0 ? "" : this.cells.class_names[of("believed_class_ids")], probability: of("probabilities"), age_s: of("ages_s"), parent: of("parents"), generation: of("generations"),
        area_px: of("areas_px"), confirmed: of("confirmed"),
      });
    },
  },
};
