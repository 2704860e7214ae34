
// Maps of cells on a canvas. Texts reach the page through textContent only.
(() => {
  const GHOST = { day: "#d0d4dc", night: "#39414f" };
  const GROUND = { day: "#ffffff", night: "#191e27" };
  const WRONG = { day: "#d55e00", night: "#f08a3c" };
  const RIGHT = { day: "#b9c4d4", night: "#4a5566" };
  const SURE = {
    day: ["#7f2704", "#c4500a", "#ee7d2d", "#fba55a", "#d9c9a8", "#a6cae4", "#85b6d9", "#4a90c2", "#1f659d", "#08417a"],
    night: ["#fae0bf", "#f0c28b", "#e3a661", "#c98336", "#8b7a63", "#3f5c75", "#3f84b5", "#65a5d1", "#93c5e8", "#c6e3f7"],
  };
  const dark = matchMedia("(prefers-color-scheme: dark)");

  const bytes = (text) => {
    const binary = atob(text);
    const out = new Uint8Array(binary.length);
    for (let i = 0; i < binary.length; i++) out[i] = binary.charCodeAt(i);
    return out;
  };
  const wide = (raw) => {
    const out = new Uint16Array(raw.length / 2);
    for (let i = 0; i < out.length; i++) out[i] = raw[2 * i] | (raw[2 * i + 1] << 8);
    return out;
  };
  // Codes as 16-bit numbers, with 65535 for none.
  const codesOf = (text, width) => {
    const raw = bytes(text);
    if (width === 2) return wide(raw);
    return Uint16Array.from(raw, (code) => (code === 255 ? 65535 : code));
  };
  const element = (name, attributes, text) => {
    const made = document.createElement(name);
    for (const [key, value] of Object.entries(attributes || {})) made.setAttribute(key, value);
    if (text !== undefined) made.textContent = text;
    return made;
  };
  const thousands = (n) => String(n).replace(/\B(?=(\d{3})+$)/g, "\u00a0");
  const percent = (share) => (share * 100).toFixed(0) + " %";
  const rgba = (hex) => {
    const n = parseInt(hex.slice(1), 16);
    // As the canvas stores it: red lowest, full opacity highest.
    return (0xff000000 | ((n & 255) << 16) | (n & 0xff00) | (n >> 16)) >>> 0;
  };

  const start = (host) => {
    const data = JSON.parse(document.getElementById(host.dataset.cells).textContent);
    const n = data.n;
    const xs = wide(bytes(data.x));
    const ys = wide(bytes(data.y));
    const labels = codesOf(data.labels, data.width);
    const models = data.models.map((model) => ({
      name: model.name,
      codes: codesOf(model.codes, data.width),
      confidence: model.confidence === null ? null : bytes(model.confidence),
    }));
    // Neighbours in the file are drawn far apart: no class hides another because its cells come last.
    const order = new Uint32Array(n);
    const stride = [7919, 104729].find((prime) => n % prime !== 0) || 1;
    for (let i = 0; i < n; i++) order[i] = (i * stride) % n;

    // A grid of the cells for the pointer: cells of field f are sorted[first[f]] up to sorted[first[f + 1]].
    const SIDE = 128;
    const field = (i) => (ys[i] >> 9) * SIDE + (xs[i] >> 9);
    const first = new Uint32Array(SIDE * SIDE + 1);
    for (let i = 0; i < n; i++) first[field(i) + 1]++;
    for (let f = 0; f < SIDE * SIDE; f++) first[f + 1] += first[f];
    const next = first.slice();
    const sorted = new Uint32Array(n);
    for (let i = 0; i < n; i++) sorted[next[field(i)]++] = i;

    // Ways to colour the cells: each gives every cell a group, and each group a name and a colour.
    const classColours = (scheme) => data.classes.map((_, i) => data[scheme][i % data[scheme].length]);
    const views = {
      label: () => ({ codes: labels, names: data.classes, colours: classColours }),
      predicted: (model) => ({ codes: model.codes, names: data.classes, colours: classColours }),
      errors: (model) => ({
        codes: Uint16Array.from(model.codes, (code, i) => (code === 65535 ? 65535 : Number(code !== labels[i]))),
        names: ["right", "wrong"],
        colours: (scheme) => [RIGHT[scheme], WRONG[scheme]],
        above: 1,
      }),
      confidence: (model) => ({
        codes: Uint16Array.from(model.confidence, (value) => (value === 255 ? 65535 : Math.min(9, Math.floor(value / 25.4)))),
        names: SURE.day.map((_, i) => `${i * 10} to ${i * 10 + 10} % sure`),
        colours: (scheme) => SURE[scheme],
      }),
    };

    // Controls.
    const title = host.closest("section").querySelector("h2").textContent;
    const tools = element("div", { class: "tools" });
    const choose = (text, options) => {
      const label = element("label", {}, text + " ");
      const select = element("select");
      options.forEach(([value, name]) => select.append(element("option", { value }, name)));
      label.append(select);
      tools.append(label);
      return select;
    };
    const ways = [["label", "label"]];
    if (models.length) ways.push(["predicted", "what a model says"], ["errors", "errors of a model"]);
    if (models.some((model) => model.confidence)) ways.push(["confidence", "confidence of a model"]);
    const way = choose("Colour by", ways);
    const which = choose("Model", models.map((model, i) => [i, model.name]));
    which.parentElement.hidden = true;
    const buttons = element("span", { class: "zoom" });
    const press = (text, label, act) => {
      const button = element("button", { type: "button", "aria-label": label, title: label }, text);
      button.addEventListener("click", act);
      buttons.append(button);
    };
    tools.append(buttons);
    const stage = element("div", { class: "stage" });
    const canvas = element("canvas", { tabindex: "0", role: "img", "aria-label": `${title}, ${thousands(n)} cells. Plus and minus zoom, arrows move, 0 shows all.` });
    const tip = element("div", { class: "tip", hidden: "" });
    stage.append(canvas, tip);
    const side = element("div", { class: "side" });
    const legend = element("ul", { class: "legend pick" });
    const status = element("p", { class: "lede", "aria-live": "polite" });
    side.append(status, legend);
    const body = element("div", { class: "beside-map" });
    body.append(stage, side);
    host.append(tools, body);
    const hint = "Drag to move; click the map, then scroll to zoom; point at a cell to read it.";
    host.append(element("p", { class: "lede" }, data.left_out ? `${hint} ${thousands(data.left_out)} more models are not on this map.` : hint));

    let current = null;
    const picked = new Set();
    const view = { x: 0, y: 0, scale: 1 };
    let size = 0;
    let pending = 0;
    const redraw = () => {
      if (!pending) pending = requestAnimationFrame(draw);
    };

    const context = canvas.getContext("2d");
    const RIM = 0.03;
    const toX = (i) => (RIM + (1 - 2 * RIM) * (xs[i] / 65535)) * view.scale + view.x;
    const toY = (i) => (1 - RIM - (1 - 2 * RIM) * (ys[i] / 65535)) * view.scale + view.y;
    const radius = () => Math.min(6, Math.max(0.9, (120 / Math.sqrt(n)) * (size / 560) * Math.sqrt(view.scale)));

    function draw() {
      pending = 0;
      const scheme = dark.matches ? "night" : "day";
      const width = Math.round(stage.clientWidth);
      if (!width) return;
      size = width;
      // More points than the screen has: the browser's scaling smooths the edges of the dots.
      const dense = Math.max(n > 20000 ? 2 : 3, Math.ceil(devicePixelRatio || 1));
      const side = width * dense;
      if (canvas.width !== side) canvas.width = canvas.height = side;
      const image = context.createImageData(side, side);
      const pixels = new Uint32Array(image.data.buffer);
      pixels.fill(rgba(GROUND[scheme]));
      const colours = current.colours(scheme).map(rgba);
      const ghost = rgba(GHOST[scheme]);
      const r = radius() * dense;
      const reach = Math.floor(r);
      const spans = new Int32Array(2 * reach + 1);
      for (let dy = -reach; dy <= reach; dy++) spans[dy + reach] = Math.round(Math.sqrt(r * r - dy * dy));
      const scale = ((1 - 2 * RIM) / 65535) * view.scale * side;
      const left = (RIM * view.scale + view.x) * side;
      const foot = ((1 - RIM) * view.scale + view.y) * side;
      const dot = (i, colour) => {
        const cx = Math.round(left + xs[i] * scale);
        const cy = Math.round(foot - ys[i] * scale);
        if (cx < -r || cy < -r || cx > side + r || cy > side + r) return;
        const last = Math.min(reach, side - 1 - cy);
        for (let dy = Math.max(-reach, -cy); dy <= last; dy++) {
          const dx = spans[dy + reach];
          const row = (cy + dy) * side;
          const to = row + Math.min(side - 1, cx + dx);
          for (let at = row + Math.max(0, cx - dx); at <= to; at++) pixels[at] = colour;
        }
      };
      const { codes, above } = current;
      const plain = (code) => code === 65535 || (picked.size && !picked.has(code));
      for (let k = 0; k < n; k++) if (plain(codes[order[k]])) dot(order[k], ghost);
      for (let k = 0; k < n; k++) {
        const code = codes[order[k]];
        if (!plain(code) && code !== above) dot(order[k], colours[code]);
      }
      if (above !== undefined && !plain(above)) {
        for (let k = 0; k < n; k++) if (codes[order[k]] === above) dot(order[k], colours[above]);
      }
      context.putImageData(image, 0, 0);
    }

    const say = () => {
      const shown = picked.size ? Array.from(picked).reduce((sum, code) => sum + current.counts[code], 0) : n;
      status.textContent = picked.size ? `${thousands(shown)} of ${thousands(n)} cells picked out.` : `${thousands(n)} cells. Pick out some by name:`;
    };

    const listLegend = () => {
      const scheme = dark.matches ? "night" : "day";
      const colours = current.colours(scheme);
      const rows = current.names.map((name, code) => {
        const button = element("button", { type: "button", "aria-pressed": String(picked.has(code)) });
        const swatch = element("span", { class: "swatch" });
        swatch.style.background = colours[code];
        button.append(swatch, element("span", { class: "name" }, name), element("small", {}, thousands(current.counts[code])));
        button.addEventListener("click", () => {
          if (!picked.delete(code)) picked.add(code);
          button.setAttribute("aria-pressed", String(picked.has(code)));
          legend.classList.toggle("some", picked.size > 0);
          say();
          redraw();
        });
        const item = element("li");
        item.append(button);
        return item;
      });
      legend.replaceChildren(...rows);
      legend.classList.toggle("some", picked.size > 0);
    };

    const recolour = (keep) => {
      const model = models[Number(which.value)];
      which.parentElement.hidden = way.value === "label" || models.length < 2;
      const needs = way.value === "confidence";
      Array.from(which.options).forEach((option, i) => (option.disabled = needs && !models[i].confidence));
      let chosen = model;
      if (needs && !model.confidence) {
        const at = models.findIndex((candidate) => candidate.confidence);
        which.value = String(at);
        chosen = models[at];
      }
      current = views[way.value](chosen);
      current.counts = new Array(current.names.length).fill(0);
      for (let i = 0; i < n; i++) if (current.codes[i] !== 65535) current.counts[current.codes[i]]++;
      if (!keep) picked.clear();
      listLegend();
      say();
      redraw();
    };
    let classes = true;
    way.addEventListener("change", () => {
      const now = way.value === "label" || way.value === "predicted";
      recolour(now && classes);
      classes = now;
    });
    which.addEventListener("change", () => recolour(true));
    dark.addEventListener("change", () => { listLegend(); redraw(); });

    // The cell under the pointer, within a few points of the screen.
    const nearest = (px, py) => {
      const span = 1 - 2 * RIM;
      const dataX = (((px / size - view.x) / view.scale - RIM) / span) * 65535;
      const dataY = ((1 - RIM - (py / size - view.y) / view.scale) / span) * 65535;
      const reach = (Math.max(7, radius() + 3) / size / view.scale / span) * 65535;
      const clamp = (value) => Math.min(SIDE - 1, Math.max(0, Math.floor(value / 512)));
      let best = -1;
      let least = reach * reach;
      for (let fy = clamp(dataY - reach); fy <= clamp(dataY + reach); fy++) {
        for (let fx = clamp(dataX - reach); fx <= clamp(dataX + reach); fx++) {
          for (let k = first[fy * SIDE + fx]; k < first[fy * SIDE + fx + 1]; k++) {
            const i = sorted[k];
            if (picked.size && !picked.has(current.codes[i])) continue;
            const distance = (xs[i] - dataX) ** 2 + (ys[i] - dataY) ** 2;
            if (distance < least) [best, least] = [i, distance];
          }
        }
      }
      return best;
    };
    const point = (px, py) => {
      const i = nearest(px, py);
      tip.hidden = i < 0;
      if (i < 0) return;
      const lines = [element("b", {}, data.names ? data.names[i] : `cell ${thousands(i + 1)} of the map`), element("span", {}, `label: ${data.classes[labels[i]]}`)];
      const shown = way.value === "label" ? models.slice(0, 1) : models.slice(Number(which.value), Number(which.value) + 1);
      for (const model of shown) {
        const code = model.codes[i];
        const sure = model.confidence && model.confidence[i] !== 255 ? `, ${percent(model.confidence[i] / 254)} sure` : "";
        const verdict = code === 65535 ? "not asked" : `${data.classes[code]}${sure}`;
        lines.push(element("span", { class: code === labels[i] || code === 65535 ? "" : "wrong" }, `${model.name}: ${verdict}`));
      }
      tip.replaceChildren(...lines);
      const left = Math.min(toX(i) * size + 12, size - tip.offsetWidth - 4);
      const top = toY(i) * size + 12;
      tip.style.left = Math.max(4, left) + "px";
      tip.style.top = (top + tip.offsetHeight > size ? top - tip.offsetHeight - 22 : top) + "px";
    };

    // Moving and zooming; the map cannot leave its frame.
    const settle = () => {
      view.scale = Math.min(60, Math.max(1, view.scale));
      view.x = Math.min(0, Math.max(1 - view.scale, view.x));
      view.y = Math.min(0, Math.max(1 - view.scale, view.y));
      canvas.classList.toggle("zoomed", view.scale > 1);
      tip.hidden = true;
      redraw();
    };
    const zoom = (factor, px, py) => {
      const scale = Math.min(60, Math.max(1, view.scale * factor));
      const by = scale / view.scale;
      view.x = px - (px - view.x) * by;
      view.y = py - (py - view.y) * by;
      view.scale = scale;
      settle();
    };
    const move = (dx, dy) => { view.x += dx; view.y += dy; settle(); };
    const reset = () => { view.x = view.y = 0; view.scale = 1; settle(); };
    press("+", "Zoom in", () => zoom(1.5, 0.5, 0.5));
    press("−", "Zoom out", () => zoom(1 / 1.5, 0.5, 0.5));
    press("Whole map", "Show the whole map and all cells", () => {
      picked.clear();
      listLegend();
      say();
      reset();
    });
    const at = (event) => {
      const box = canvas.getBoundingClientRect();
      return [event.clientX - box.left, event.clientY - box.top];
    };
    canvas.addEventListener("wheel", (event) => {
      // Until the map has been clicked, the wheel scrolls the page.
      if (document.activeElement !== canvas && !event.ctrlKey) return;
      event.preventDefault();
      const [px, py] = at(event);
      zoom(Math.exp(-event.deltaY * (event.ctrlKey ? 0.01 : 0.0015)), px / size, py / size);
    }, { passive: false });
    const held = new Map();
    let spread = 0;
    canvas.addEventListener("pointerdown", (event) => {
      held.set(event.pointerId, at(event));
      canvas.setPointerCapture(event.pointerId);
      spread = 0;
      if (event.pointerType !== "mouse") point(...at(event));
    });
    canvas.addEventListener("pointermove", (event) => {
      const now = at(event);
      const before = held.get(event.pointerId);
      if (!before) {
        point(...now);
        return;
      }
      held.set(event.pointerId, now);
      if (held.size === 1) {
        if (view.scale > 1) move((now[0] - before[0]) / size, (now[1] - before[1]) / size);
      } else if (held.size === 2) {
        const [a, b] = Array.from(held.values());
        const apart = Math.hypot(a[0] - b[0], a[1] - b[1]);
        if (spread) zoom(apart / spread, (a[0] + b[0]) / 2 / size, (a[1] + b[1]) / 2 / size);
        spread = apart;
      }
    });
    const release = (event) => { held.delete(event.pointerId); spread = 0; };
    canvas.addEventListener("pointerup", release);
    canvas.addEventListener("pointercancel", release);
    canvas.addEventListener("pointerleave", () => { tip.hidden = true; });
    canvas.addEventListener("keydown", (event) => {
      const step = 0.08;
      const act = {
        "+": () => zoom(1.3, 0.5, 0.5), "=": () => zoom(1.3, 0.5, 0.5), "-": () => zoom(1 / 1.3, 0.5, 0.5), "0": reset,
        ArrowLeft: () => move(step, 0), ArrowRight: () => move(-step, 0), ArrowUp: () => move(0, step), ArrowDown: () => move(0, -step),
      }[event.key];
      if (!act || event.ctrlKey || event.metaKey || event.altKey) return;
      // With the whole map in view the arrows scroll the page.
      if (event.key.startsWith("Arrow") && view.scale === 1) return;
      event.preventDefault();
      act();
    });

    host.hidden = false;
    document.documentElement.classList.add("maps-drawn");
    recolour(false);
    new ResizeObserver(redraw).observe(stage);
  };

  document.querySelectorAll(".explorer").forEach(start);
})();
