// A still picture to draw on, by mouse, pen, finger or keyboard. Points are [y, x] in pixels of the picture.
const DASHES = ["", "7 4", "2 3", "9 3 2 3", "14 4", "4 8"];
const NEAR_PX = 9;
const STEPS = { ArrowRight: [0, 1], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowUp: [-1, 0] };

export default {
  template: `
    <div class="sketch">
      <svg ref="svg" role="application" tabindex="0" :aria-label="label" :viewBox="'0 0 ' + width_px + ' ' + height_px"
           :class="{ drawing: tool !== 'choose' }" @pointerdown="down" @pointermove="move" @pointerup="up"
           @dblclick.prevent="finish" @keydown="key">
        <image :href="src" :width="width_px" :height="height_px" preserveAspectRatio="none" />
        <g v-for="shape in shapes" :key="shape.id">
          <path :d="path(shape)" class="under" />
          <path :d="path(shape)" class="over" :stroke="shape.color" :stroke-dasharray="dash(shape)" />
          <text v-if="shape.kind !== 'box'" :x="shape.points[0][1]" :y="shape.points[0][0]" :font-size="width_px / 40"
                :dx="width_px / 120" :dy="width_px / 36">{{ shape.name }}</text>
        </g>
        <template v-if="chosenShape">
          <path :d="frame(chosenShape)" class="under wide" /><path :d="frame(chosenShape)" class="over" stroke="#fff" />
        </template>
        <template v-if="draft.length || dragged">
          <path :d="draftPath" class="under" /><path :d="draftPath" class="over" stroke="#fff" stroke-dasharray="6 3" />
        </template>
        <template v-if="cursor && tool !== 'choose'">
          <path :d="cross" class="under" /><path :d="cross" class="over" stroke="#fff" />
        </template>
      </svg>
      <div class="sketch-note" aria-live="polite">{{ note }}</div>
    </div>`,
  props: {
    src: String, width_px: Number, height_px: Number, shapes: Array, tool: String, chosen: Number, label: String,
  },
  data() { return { draft: [], dragged: null, cursor: null, hover: null }; },
  watch: { tool() { this.forget(); }, src() { this.forget(); } },
  computed: {
    chosenShape() { return this.shapes.find((shape) => shape.id === this.chosen) || null; },
    note() {
      if (this.tool === "choose") return this.chosenShape ? this.chosenShape.name : "nothing chosen";
      const at = this.cursor ? `x ${Math.round(this.cursor[1])}, y ${Math.round(this.cursor[0])}` : "";
      const points = this.draft.length === 1 ? "1 point" : `${this.draft.length} points`;
      return [points, at].filter(Boolean).join(", ");
    },
    cross() {
      const [y, x] = this.cursor, r = this.width_px / 40;
      return `M${x - r} ${y}H${x + r}M${x} ${y - r}V${y + r}`;
    },
    draftPath() {
      if (this.dragged) return this.rectangle(this.dragged);
      const last = this.cursor || this.hover;
      const points = last ? [...this.draft, last] : this.draft;
      if (this.tool === "box") return this.rectangle([points[0], points[points.length - 1]]);
      return points.map(([y, x], i) => `${i ? "L" : "M"}${x} ${y}`).join("") + (this.tool === "polygon" ? "Z" : "");
    },
  },
  methods: {
    rectangle([[ya, xa], [yb, xb]]) { return `M${xa} ${ya}H${xb}V${yb}H${xa}Z`; },
    dash(shape) { return DASHES[shape.dash % DASHES.length]; },
    path(shape) {
      const points = shape.points;
      if (shape.kind === "box") {
        const [[y0, x0], [y1, x1]] = points, rx = (x1 - x0) / 2, ry = (y1 - y0) / 2;
        return `M${x0} ${y0 + ry}a${rx} ${ry} 0 1 1 ${2 * rx} 0a${rx} ${ry} 0 1 1 ${-2 * rx} 0Z`;
      }
      const open = points.map(([y, x], i) => `${i ? "L" : "M"}${x} ${y}`).join("");
      return shape.kind === "polygon" ? open + "Z" : open + (shape.kind === "line" ? this.arrow(points) : "");
    },
    // Which way is forward: from the line's left to its right, seen from its first point to its last.
    arrow(points) {
      const i = Math.floor((points.length - 1) / 2), [[ya, xa], [yb, xb]] = [points[i], points[i + 1]];
      const far = Math.hypot(xb - xa, yb - ya) || 1, size = this.width_px / 26;
      const [dx, dy] = [(xb - xa) / far, (yb - ya) / far], [x, y] = [(xa + xb) / 2, (ya + yb) / 2];
      const [tx, ty] = [x - dy * size, y + dx * size], back = size * 0.35;
      const wing = (side) => `L${tx + dy * back + side * dx * back} ${ty - dx * back + side * dy * back}`;
      return `M${x} ${y}L${tx} ${ty}${wing(1)}M${tx} ${ty}${wing(-1)}`;
    },
    frame(shape) {
      const ys = shape.points.map(([y]) => y), xs = shape.points.map(([, x]) => x), m = this.width_px / 160;
      return this.rectangle([[Math.min(...ys) - m, Math.min(...xs) - m], [Math.max(...ys) + m, Math.max(...xs) + m]]);
    },
    place(event) {
      const at = new DOMPoint(event.clientX, event.clientY).matrixTransform(this.$refs.svg.getScreenCTM().inverse());
      return this.within([at.y, at.x]);
    },
    within([y, x]) {
      return [Math.min(Math.max(y, 0), this.height_px), Math.min(Math.max(x, 0), this.width_px)];
    },
    scale() { return this.$refs.svg.getScreenCTM().a; },
    near(a, b) { return Math.hypot(a[0] - b[0], a[1] - b[1]) * this.scale() < NEAR_PX; },
    forget() { this.draft = []; this.dragged = null; this.cursor = null; this.hover = null; },
    down(event) {
      if (event.button !== 0) return;
      const at = this.place(event);
      this.cursor = null;
      if (this.tool === "choose") this.choose(this.under(at));
      else if (this.tool === "box") { this.dragged = [at, at]; this.$refs.svg.setPointerCapture(event.pointerId); }
      else this.add(at);
    },
    move(event) {
      if (this.tool === "choose") return;
      const at = this.place(event);
      if (this.dragged) this.dragged = [this.dragged[0], at];
      else if (this.draft.length) { this.hover = at; this.cursor = null; }
    },
    up() {
      if (!this.dragged) return;
      const [a, b] = this.dragged;
      this.dragged = null;
      // A click without a drag is the first or second corner.
      if (this.near(a, b)) this.add(a); else this.tell([a, b]);
    },
    add(at) {
      const last = this.draft[this.draft.length - 1];
      if (last && this.near(at, last)) { if (this.tool !== "box") this.finish(); return; }
      if (this.tool === "polygon" && this.draft.length > 2 && this.near(at, this.draft[0])) { this.finish(); return; }
      this.draft = [...this.draft, at];
      if ((this.tool === "box" || this.tool === "length") && this.draft.length === 2) this.tell(this.draft);
    },
    finish() {
      const least = this.tool === "polygon" ? 3 : 2;
      if (["polygon", "line"].includes(this.tool) && this.draft.length >= least) this.tell(this.draft);
    },
    tell(points) {
      if (this.tool === "box") {
        const [[ya, xa], [yb, xb]] = points;
        points = [[Math.min(ya, yb), Math.min(xa, xb)], [Math.max(ya, yb), Math.max(xa, xb)]];
      }
      const keptCursor = this.cursor;
      this.forget();
      this.cursor = keptCursor;
      this.$emit("drawn", { tool: this.tool, points: points.map((at) => at.map((v) => Math.round(v * 10) / 10)) });
    },
    under([y, x]) {
      let best = -1, least = Infinity;
      for (const shape of this.shapes) {
        if (shape.kind !== "box") continue;
        const [[y0, x0], [y1, x1]] = shape.points, away = Math.hypot((y0 + y1) / 2 - y, (x0 + x1) / 2 - x);
        if (y >= y0 && y <= y1 && x >= x0 && x <= x1 && away < least) { best = shape.id; least = away; }
      }
      return best;
    },
    choose(id) { this.$emit("chosen", { id }); },
    key(event) {
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      const step = STEPS[event.key];
      if (this.tool === "choose") {
        if (step) this.chooseNext(step[0] + step[1]);
        else if (/^([1-9u]|Delete|Backspace)$/.test(event.key)) this.$emit("pressed", { key: event.key });
        else return;
      } else if (step) {
        const [y, x] = this.cursor || this.draft[this.draft.length - 1] || [this.height_px / 2, this.width_px / 2];
        const by = event.shiftKey ? 1 : Math.max(1, Math.round(this.width_px / 128));
        this.cursor = this.within([y + step[0] * by, x + step[1] * by]);
      } else if (event.key === "Enter" && this.cursor) this.add(this.cursor);
      else if (event.key === "Escape") this.forget();
      else if (event.key === "Backspace") this.draft = this.draft.slice(0, -1);
      else return;
      event.preventDefault();
    },
    chooseNext(by) {
      const ids = this.shapes.filter((shape) => shape.kind === "box").map((shape) => shape.id);
      if (!ids.length) return;
      const at = ids.indexOf(this.chosen);
      this.choose(ids[at < 0 ? (by > 0 ? 0 : ids.length - 1) : (at + by + ids.length) % ids.length]);
    },
  },
};
