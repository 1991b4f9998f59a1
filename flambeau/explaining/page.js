"use strict";
const D = JSON.parse(document.getElementById("data").textContent);
const KINDS = ["data", "python", "compile", "run", "numpy", "wait"];
const WORDS = {
  data: "loading data", python: "Python and recording", compile: "compiling",
  run: "compiled programs", numpy: "programs in NumPy", wait: "waiting",
};
const $ = (id) => document.getElementById(id);
const SVG = "http://www.w3.org/2000/svg";

// ---- small things --------------------------------------------------------------------------

function el(tag, attributes, ...children) {
  const node = document.createElement(tag);
  fill(node, attributes, children);
  return node;
}
function svg(tag, attributes, ...children) {
  const node = document.createElementNS(SVG, tag);
  fill(node, attributes, children);
  return node;
}
function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes || {})) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value !== false && value != null) node.setAttribute(name, value);
  }
  node.append(...children.filter((c) => c != null));
}
function digits(x) {
  return x >= 100 ? x.toFixed(0) : x >= 10 ? x.toFixed(1) : x.toFixed(2);
}
function unit(x, names, base) {
  let n = 0;
  while (x >= base && n < names.length - 1) { x /= base; n++; }
  return `${n === 0 && Number.isInteger(x) ? x : digits(x)} ${names[n]}`;
}
function time(s) {
  if (s === 0) return "0";
  if (s >= 1) return `${digits(s)} s`;
  if (s >= 1e-3) return `${digits(s * 1e3)} ms`;
  return s >= 1e-6 ? `${digits(s * 1e6)} µs` : `${(s * 1e9).toFixed(0)} ns`;
}
const memory = (b) => unit(b, ["B", "KiB", "MiB", "GiB"], 1024);
const count = (n) => unit(n, ["", "k", "M", "G", "T"], 1000).trim();
const percent = (part, whole) => (whole > 0 ? `${(100 * part / whole).toFixed(1)} %` : "");
const colour = (kind) => `var(--${kind})`;

const tip = $("tip");
function tipped(node, text) {
  const show = (x, y) => {
    tip.textContent = typeof text === "function" ? text() : text;
    tip.hidden = false;
    const box = tip.getBoundingClientRect();
    tip.style.left = `${Math.max(4, Math.min(x + 12, innerWidth - box.width - 8))}px`;
    tip.style.top = `${y + box.height + 24 > innerHeight ? y - box.height - 10 : y + 14}px`;
  };
  node.addEventListener("mousemove", (e) => show(e.clientX, e.clientY));
  node.addEventListener("focus", () => {
    const box = node.getBoundingClientRect();
    show(box.left, box.bottom - 8);
  });
  for (const out of ["mouseleave", "blur"]) node.addEventListener(out, () => { tip.hidden = true; });
  return node;
}
document.addEventListener("keydown", (e) => { if (e.key === "Escape") tip.hidden = true; });

// A table whose columns sort. column: {head, value(row), show(row), number, width, wrap}
function table(rows, columns, options = {}) {
  const body = el("tbody");
  let sorted = options.sort ?? -1, down = true;
  const heads = columns.map((column, n) => {
    const button = el("button", { type: "button", title: column.title, onclick: () => order(n) }, column.head);
    return el("th", { scope: "col", class: column.number ? "n" : null, style: column.width ? `width:${column.width}` : null }, button);
  });
  function order(n) {
    down = n === sorted ? !down : Boolean(columns[n].number);
    sorted = n;
    draw();
  }
  function draw() {
    const list = [...rows];
    if (sorted >= 0) {
      const value = columns[sorted].value;
      list.sort((a, b) => {
        const x = value(a), y = value(b);
        return (x < y ? -1 : x > y ? 1 : 0) * (down ? -1 : 1);
      });
    }
    heads.forEach((head, n) => {
      if (n === sorted) head.setAttribute("aria-sort", down ? "descending" : "ascending");
      else head.removeAttribute("aria-sort");
    });
    body.replaceChildren(...list.slice(0, shown).map(row));
    more.hidden = list.length <= shown;
    more.textContent = `all ${list.length}`;
  }
  function row(item) {
    const cells = columns.map((column) => {
      const content = (column.show || column.value)(item);
      const node = el("td", { class: [column.number ? "n" : "", column.wrap ? "wrap" : ""].join(" ").trim() || null });
      node.append(content instanceof Node ? content : String(content ?? ""));
      if (!column.wrap && typeof content === "string" && content.length > 18) node.title = content;
      return node;
    });
    const open = options.open;
    const node = el("tr", open ? { class: "link", tabindex: 0, onclick: () => open(item, node), onkeydown: (e) => moved(e, () => open(item, node)) } : {}, ...cells);
    if (options.marked) options.marked(item, node);
    return node;
  }
  let shown = options.most ?? 12;
  const more = el("button", { type: "button", onclick: () => { shown = rows.length; draw(); } });
  draw();
  // Columns without a width share the rest, which must be enough to read; narrow windows scroll.
  const least = columns.reduce((sum, column) => sum + (column.width ? parseInt(column.width) : 190), 0);
  const node = el("table", { style: `min-width:${least}px` }, options.caption ? el("caption", {}, options.caption) : null, el("thead", {}, el("tr", {}, ...heads)), body);
  return el("div", { class: "scroll" }, node, more);
}
// Enter opens a row, arrows go to its neighbours.
function moved(event, open) {
  const row = event.currentTarget;
  if (event.key === "Enter" || event.key === " ") open();
  else if (event.key === "ArrowDown") neighbour(row, 1);
  else if (event.key === "ArrowUp") neighbour(row, -1);
  else return;
  event.preventDefault();
}
function neighbour(row, by) {
  const rows = [...row.closest("table, .tree").querySelectorAll("tr.link")].filter((r) => r.offsetParent);
  rows[rows.indexOf(row) + by]?.focus();
}
function bar(share, kind = "run", width = 90) {
  const node = el("span", { class: "bar", style: `width:${Math.max(1, share * width)}px;background:${colour(kind)}` });
  return node;
}

// ---- head ----------------------------------------------------------------------------------

const M = D.machine;
$("facts").textContent = `${time(D.seconds)} on ${M.cpu}, ${M.threads} ${M.threads === 1 ? "thread" : "threads"}, ` +
  `measured peaks ${digits(M.flops / 1e9)} GFLOP/s, ${digits(M.cached / 1e9)} GB/s in the cache, ` +
  `${digits(M.bandwidth / 1e9)} GB/s in memory · Flambeau ${D.flambeau}`;
for (const section of document.querySelectorAll("main section")) {
  $("contents").append(el("a", { href: `#${section.id}` }, section.querySelector("h2").textContent));
}
for (const sentence of D.verdict) $("verdict").append(el("p", {}, sentence.replace(/ (%|s|ms|µs)\b|(?<=\d) %/g, (m) => m.replace(" ", "\u00a0"))));

function legend(kinds, whole) {
  const items = KINDS.filter((k) => kinds[k] > 0).map((k) =>
    el("li", {}, el("i", { style: `background:${colour(k)}` }), `${WORDS[k]} ${time(kinds[k])} (${percent(kinds[k], whole)})`));
  return el("ul", { class: "legend" }, ...items);
}
function stack(kinds, whole, label) {
  const parts = KINDS.filter((k) => kinds[k] > 0).map((k) =>
    tipped(el("span", { style: `width:${100 * kinds[k] / whole}%;background:${colour(k)}` }), `${WORDS[k]}: ${time(kinds[k])}, ${percent(kinds[k], whole)}`));
  return el("div", { class: "stack", role: "img", "aria-label": label }, ...parts);
}
$("verdict").append(stack(D.kinds, D.seconds, "Shares of the time: " + KINDS.map((k) => `${WORDS[k]} ${percent(D.kinds[k], D.seconds)}`).join(", ")), legend(D.kinds, D.seconds));

// ---- charts --------------------------------------------------------------------------------

// A chart over time that zooms: draw(svg, scale, from, to) fills it.
function chart(where, title, length, height, draw) {
  const WIDTH = 1200;
  let from = 0, to = length;
  const node = svg("svg", { class: "chart", viewBox: `0 0 ${WIDTH} ${height}`, role: "group", tabindex: 0,
    "aria-label": `${title}. Plus and minus zoom, arrows move, 0 shows all.` });
  const says = el("span", { "aria-live": "polite" });
  function redraw() {
    const scale = (t) => (t - from) / (to - from) * WIDTH;
    node.replaceChildren();
    draw(node, scale, from, to, WIDTH, height);
    axis(node, scale, from, to, WIDTH, height);
    says.textContent = `${time(from)} to ${time(to)}`;
  }
  function zoom(factor, centre = (from + to) / 2) {
    const span = Math.min(length, Math.max((to - from) * factor, length / 5e4));
    from = Math.max(0, Math.min(centre - (centre - from) * span / (to - from), length - span));
    to = from + span;
    redraw();
  }
  function move(by) {
    const span = to - from;
    from = Math.max(0, Math.min(from + by * span, length - span));
    to = from + span;
    redraw();
  }
  function all() { from = 0; to = length; redraw(); }
  const at = (e) => {
    const box = node.getBoundingClientRect();
    return from + (e.clientX - box.left) / box.width * (to - from);
  };
  node.addEventListener("keydown", (e) => {
    const act = { "+": () => zoom(0.6), "=": () => zoom(0.6), "-": () => zoom(1.7), ArrowLeft: () => move(-0.2), ArrowRight: () => move(0.2), 0: all }[e.key];
    if (act) { act(); e.preventDefault(); node.focus(); }
  });
  node.addEventListener("wheel", (e) => {
    if (!e.ctrlKey && document.activeElement !== node) return;
    zoom(e.deltaY < 0 ? 0.8 : 1.25, at(e));
    e.preventDefault();
  }, { passive: false });
  let began = null;
  node.addEventListener("mousedown", (e) => { began = at(e); });
  node.addEventListener("mouseup", (e) => {
    const a = began, b = at(e);
    began = null;
    if (a == null || Math.abs(b - a) < (to - from) * 0.01) return;
    from = Math.min(a, b); to = Math.max(a, b);
    redraw();
  });
  node.addEventListener("dblclick", all);
  const button = (text, label, act) => el("button", { type: "button", "aria-label": label, onclick: act }, text);
  where.append(el("figure", {}, el("figcaption", {}, title, button("+", "zoom in", () => zoom(0.6)), button("−", "zoom out", () => zoom(1.7)), button("all", "show all", all), says), node));
  redraw();
}
function axis(node, scale, from, to, width, height) {
  const rough = (to - from) / 8, power = 10 ** Math.floor(Math.log10(rough));
  const tick = [1, 2, 5, 10].map((n) => n * power).find((n) => n >= rough);
  for (let t = Math.ceil(from / tick) * tick; t <= to; t += tick) {
    const x = scale(t);
    node.append(svg("line", { x1: x, x2: x, y1: 0, y2: height - 14, stroke: "var(--line)", "stroke-width": 0.5 }));
    if (x > 8 && x < width - 30) node.append(svg("text", { x: x + 3, y: height - 3 }, time(t)));
  }
}

function wholeRun() {
  const B = D.bins, n = Math.min(B.memory.length, Math.ceil(D.seconds / B.width));
  const peak = Math.max(...B.memory, 1);
  const where = $("time");
  chart(where, `Shares of the time; the line is the memory of the process${peak > 1 ? ` (${memory(peak)} at the peak)` : ""}`, Math.max(D.seconds, 1e-9), 150, (node, scale, from, to, width, height) => {
    const top = 8, bottom = height - 16, high = bottom - top;
    for (let i = Math.floor(from / B.width); i < Math.min(n, Math.ceil(to / B.width)); i++) {
      const x = scale(i * B.width), w = Math.max(scale((i + 1) * B.width) - x, 0.5);
      const span = Math.min(B.width, D.seconds - i * B.width);
      let y = bottom;
      const group = svg("g");
      for (const kind of KINDS) {
        const h = high * Math.min(B.kinds[kind][i] / span, 1);
        if (h <= 0.05) continue;
        y -= h;
        group.append(svg("rect", { x, y, width: w + 0.3, height: h, fill: colour(kind) }));
      }
      tipped(group, () => `${time(i * B.width)} to ${time((i + 1) * B.width)}\n` +
        KINDS.filter((k) => B.kinds[k][i] > 0).map((k) => `${WORDS[k]} ${percent(B.kinds[k][i], span)}`).join("\n"));
      node.append(group);
    }
    const points = [];
    for (let i = 0; i < n; i++) if (B.memory[i]) points.push(`${scale((i + 0.5) * B.width)},${bottom - high * 0.94 * B.memory[i] / peak}`);
    node.append(svg("polyline", { points: points.join(" "), fill: "none", stroke: "var(--ink)", "stroke-width": 1.5, "pointer-events": "none" }));
  });
}

function typicalStep() {
  const S = D.step, where = $("step");
  if (!S) { where.append(el("p", { class: "quiet" }, "The program has no steps that repeat.")); return; }
  where.append(el("p", {}, `Of ${S.steps} steps ${S.alike} run the same programs; this is the one of middle length ` +
    `(${time(S.seconds)}; they take ${time(S.shortest)} to ${time(S.longest)}). A step begins where ${S.begins}.`));
  where.append(stack(S.kinds, S.seconds, "Shares of the step"), legend(S.kinds, S.seconds));
  const lanes = 1 + Math.max(0, ...S.spans.map((s) => s[4]));
  chart(where, "The step; a click on a program opens it", S.seconds, 64 + 26 * (lanes - 1) + 24, (node, scale, from, to) => {
    for (const [start, stop, kind, what, lane] of S.spans) {
      if (stop < from || start > to) continue;
      const x = scale(start), w = Math.max(scale(stop) - x, 0.7), y = lane ? 64 + 26 * (lane - 1) : 8;
      const program = D.programs.find((p) => p.number === what);
      const text = () => `${lane ? "worker: " : ""}${WORDS[kind]}${program ? `: ${program.title}` : ""}\n${time(stop - start)}`;
      const open = program ? () => openProgram(program) : null;
      node.append(mark(x, y, w, lane ? 20 : 26, colour(kind), text, open));
      if (w > 60) node.append(svg("text", { x: Math.max(x, 0) + 4, y: y + 17, style: "fill:var(--on);pointer-events:none" }, shorten(program ? program.title : WORDS[kind], w / 6.2)));
      if (kind === "run" && program && !lane) kernelsOf(node, program, scale, start, stop, from, to);
    }
  });
}
function kernelsOf(node, program, scale, start, stop, from, to) {
  const whole = program.steps.reduce((sum, s) => sum + s.seconds, 0);
  let at = start;
  program.steps.forEach((step, number) => {
    const next = at + (stop - start) * step.seconds / whole, x = scale(at), w = scale(next) - x;
    if (w > 0.6 && next > from && at < to) {
      const text = () => `${step.title}${step.module ? `\n${step.module}` : ""}\n${time(step.seconds)}, ${percent(step.fraction, 1)} of the ${step.bound} peak`;
      node.append(mark(x, 36, Math.max(w - 0.6, 0.5), 20, "color-mix(in srgb, var(--run) 60%, var(--panel))", text, () => openProgram(program, number)));
      if (w > 50) node.append(svg("text", { x: Math.max(x, 0) + 3, y: 50, style: "fill:var(--ink);pointer-events:none" }, shorten(step.title, w / 6.2)));
    }
    at = next;
  });
}
function mark(x, y, width, height, fillWith, text, open) {
  const node = svg("rect", { class: open ? "mark" : null, x, y, width, height, rx: 2, style: `fill:${fillWith}`,
    ...(open ? { tabindex: 0, role: "button", "aria-label": text().replace(/\n/g, ", "), onclick: open, onkeydown: (e) => { if (e.key === "Enter") { open(); e.preventDefault(); } } } : {}) });
  return tipped(node, text);
}
const shorten = (text, n) => (text.length > n ? text.slice(0, Math.max(1, n - 1)) + "…" : text);

// ---- kernels and programs ------------------------------------------------------------------

function kernelTable() {
  const where = $("kernels");
  if (!D.kernels.length) { where.append(el("p", { class: "quiet" }, "Nothing was compiled.")); return; }
  where.append(el("p", { class: "quiet" }, "Times are those of a few runs of each program, taken kernel by kernel, times its runs. The peak is what this machine has reached: computing or memory, whichever binds the kernel."));
  const rows = D.kernels.map((k) => ({ ...k, p: D.programs[k.program], s: D.programs[k.program].steps[k.step] }));
  where.append(table(rows, [
    { head: "share", number: true, width: "82px", value: (r) => r.seconds, show: (r) => percent(r.seconds, D.seconds) },
    { head: "time", number: true, width: "80px", value: (r) => r.seconds, show: (r) => time(r.seconds) },
    { head: "computes", value: (r) => r.s.title },
    { head: "module", width: "140px", value: (r) => r.s.module },
    { head: "runs", number: true, width: "64px", value: (r) => r.p.compiled_runs },
    { head: "a run", number: true, width: "80px", value: (r) => r.s.seconds, show: (r) => time(r.s.seconds) },
    { head: "FLOP", number: true, width: "72px", value: (r) => r.s.flops, show: (r) => count(r.s.flops) },
    { head: "GFLOP/s", number: true, width: "88px", value: (r) => r.s.flops / r.s.seconds || 0, show: (r) => digits(r.s.flops / r.s.seconds / 1e9 || 0) },
    { head: "bytes", number: true, width: "84px", value: (r) => r.s.bytes, show: (r) => memory(r.s.bytes) },
    { head: "of peak", number: true, width: "76px", value: (r) => r.s.fraction, show: (r) => percent(r.s.fraction, 1) },
    { head: "bound", width: "84px", value: (r) => r.s.bound },
    { head: "line", width: "150px", value: (r) => r.s.place },
  ], { sort: 0, open: (r) => openProgram(r.p, r.step) }));
}

let detail = null, programRows = new Map();
function programTable() {
  const where = $("programs");
  const own = (p) => p.seconds + p.numpy_seconds;
  where.append(el("p", { class: "quiet" }, "A program is what was recorded up to the point where a value was needed, and ran in one go. Open one to see its modules, kernels and code."));
  where.append(table(D.programs, [
    { head: "#", number: true, width: "44px", value: (p) => p.number },
    { head: "share", number: true, width: "70px", value: own, show: (p) => percent(own(p), D.seconds) },
    { head: "time", number: true, width: "80px", value: own, show: (p) => time(own(p)) },
    { head: "runs", number: true, width: "64px", value: (p) => p.runs },
    { head: "in NumPy", number: true, width: "98px", value: (p) => p.numpy_runs },
    { head: "compiling", number: true, width: "104px", value: (p) => p.compile_seconds, show: (p) => (p.compile_seconds ? time(p.compile_seconds) : "") },
    { head: "kernels", number: true, width: "82px", value: (p) => p.steps.length, show: (p) => p.steps.length || "" },
    { head: "what", value: (p) => p.title },
    { head: "modules", width: "200px", value: (p) => p.modules.join(", ") },
    { head: "line", width: "190px", value: (p) => p.place },
  ], { open: (p) => openProgram(p), most: 10, marked: (p, node) => { programRows.set(p, node); if (detail && detail.program === p) node.classList.add("chosen"); } }));
  if (D.more_programs) where.append(el("p", { class: "quiet" }, `${D.more_programs} more programs ran; each took less than these.`));
  where.append(el("div", { id: "program" }));
}

function openProgram(program, step = null) {
  for (const node of programRows.values()) node.classList.remove("chosen");
  programRows.get(program)?.classList.add("chosen");
  detail = { program };
  const where = $("program");
  const facts = [
    ["what", program.title], ["recorded at", program.place],
    ["runs", `${program.runs}: ${program.compiled_runs} compiled (${time(program.seconds)}), ${program.numpy_runs} in NumPy (${time(program.numpy_seconds)})${program.loading ? `; ${program.loading} while batches were loaded` : ""}`],
    ["compiled", program.compile_seconds ? `${time(program.compile_seconds)}${program.from_disk ? ", from the disk" : ""}` : "no"],
    ["recorded because", program.why.join("; ")],
    ["memory", `reads ${memory(sum(program.bases.map((b) => b[1])))}, makes ${memory(sum(program.results.map((r) => r[1])))}, intermediates ${memory(program.arena)}`],
  ].filter(([, text]) => text);
  const list = el("dl", { class: "facts" }, ...facts.flatMap(([a, b]) => [el("dt", {}, a), el("dd", {}, b)]));
  const panel = el("div", { class: "panel", role: "region", "aria-label": `program ${program.number}`, tabindex: -1 }, el("h3", {}, `Program ${program.number}`), list);
  if (program.steps.length) panel.append(graph(program, step));
  else panel.append(el("p", { class: "quiet" }, program.compiled_runs ? "It took too little time to be shown kernel by kernel." : "It ran in NumPy only: there are no kernels."));
  where.replaceChildren(panel);
  panel.scrollIntoView({ block: "nearest" });
  if (step == null) panel.focus({ preventScroll: true });
}
const sum = (numbers) => numbers.reduce((a, b) => a + b, 0);

// The program by module or in order, and the code of the kernel that is chosen.
function graph(program, step) {
  const whole = sum(program.steps.map((s) => s.seconds)), rows = new Map();
  const view = el("div"), code = el("div");
  const choose = (number) => {
    for (const list of rows.values()) list.forEach((r) => r.classList.remove("chosen"));
    (rows.get(number) || []).forEach((r) => r.classList.add("chosen"));
    code.replaceChildren(kernelDetail(program, number, choose));
  };
  const remember = (number, row) => {
    rows.set(number, [...(rows.get(number) || []), row]);
    return row;
  };
  const views = { "by module": () => byModule(program, whole, choose, remember), "in order": () => inOrder(program, whole, choose, remember) };
  const buttons = Object.keys(views).map((name) => el("button", { type: "button", "aria-pressed": "false", onclick: () => show(name) }, name));
  function show(name) {
    rows.clear();
    buttons.forEach((b) => b.setAttribute("aria-pressed", String(b.textContent === name)));
    view.replaceChildren(views[name]());
  }
  show(step == null && program.modules.length ? "by module" : "in order");
  const node = el("div", {}, el("div", { class: "row" }, "kernels", ...buttons, el("span", { class: "quiet" }, `${program.steps.length} kernels, ${time(whole)} a run (of ${program.sampled} samples)`)), view, code);
  if (step != null) { choose(step); requestAnimationFrame(() => code.scrollIntoView({ block: "nearest" })); }
  return node;
}
function kernelCells(s, whole) {
  return [
    el("td", { title: s.title }, s.title || s.label),
    el("td", { class: "n" }, time(s.seconds)),
    el("td", {}, bar(s.seconds / whole), ` ${percent(s.seconds, whole)}`),
    el("td", { class: "n" }, percent(s.fraction, 1)),
    el("td", {}, s.bound),
    el("td", { title: s.place }, s.place),
  ];
}
const KERNEL_HEADS = [["computes", ""], ["time", "80px"], ["share", "170px"], ["of peak", "76px"], ["bound", "84px"], ["line", "190px"]];
function kernelRow(program, number, whole, choose, remember, before) {
  const s = program.steps[number];
  const open = () => choose(number);
  return remember(number, el("tr", { class: "link", tabindex: 0, onclick: open, onkeydown: (e) => moved(e, open) }, ...before, ...kernelCells(s, whole)));
}
function heads(first) {
  return el("thead", {}, el("tr", {}, ...first, ...KERNEL_HEADS.map(([text, width]) => el("th", { scope: "col", style: width && `width:${width}`, class: ["time", "of peak"].includes(text) ? "n" : null }, text))));
}
function byModule(program, whole, choose, remember) {
  const root = { name: "", children: new Map(), steps: [] };
  program.steps.forEach((s, number) => {
    let at = root;
    const backward = s.module.endsWith(" (backward)");
    const path = s.module.replace(" (backward)", "");
    const parts = path ? path.split(".") : ["(no module)"];
    for (const part of backward ? [...parts, "backward"] : parts) {
      if (!at.children.has(part)) at.children.set(part, { name: part, children: new Map(), steps: [] });
      at = at.children.get(part);
    }
    at.steps.push(number);
  });
  const seconds = (n) => sum(n.steps.map((i) => program.steps[i].seconds)) + sum([...n.children.values()].map(seconds));
  const draw = (n, path, depth) => {
    const own = seconds(n), inside = [...n.children.values()].sort((a, b) => seconds(b) - seconds(a)).map((c) => draw(c, `${path}${path && "."}${c.name}`, depth + 1));
    const list = n.steps.length ? el("table", {}, heads([]), el("tbody", {}, ...n.steps.map((i) => kernelRow(program, i, whole, choose, remember, [])))) : null;
    const many = n.steps.length ? `${n.steps.length} ${n.steps.length === 1 ? "kernel" : "kernels"}` : "";
    return el("details", { class: "module", open: depth < 2 ? "" : null }, el("summary", {}, path, el("span", { class: "t" }, `${time(own)}, ${percent(own, whole)} ${many}`), " ", bar(own / whole)), ...inside, list);
  };
  return el("div", { class: "tree" }, ...[...root.children.values()].sort((a, b) => seconds(b) - seconds(a)).map((c) => draw(c, c.name, 1)));
}
function inOrder(program, whole, choose, remember) {
  const HEIGHT = 24, WIDTH = 110, n = program.steps.length;
  const arcs = svg("svg", { width: WIDTH, height: n * HEIGHT, role: "img", "aria-label": "which kernel reads what another has made" });
  program.steps.forEach((s, to) => s.reads.forEach((from) => {
    const a = (from + 0.5) * HEIGHT, b = (to + 0.5) * HEIGHT, out = Math.min(WIDTH - 12, 8 + 9 * Math.sqrt(to - from));
    arcs.append(svg("path", { d: `M ${WIDTH - 4} ${a} C ${WIDTH - 4 - out} ${a}, ${WIDTH - 4 - out} ${b}, ${WIDTH - 4} ${b}`, fill: "none", stroke: "var(--quiet)", "stroke-opacity": 0.55 }));
  }));
  program.steps.forEach((s, i) => arcs.append(svg("circle", { cx: WIDTH - 4, cy: (i + 0.5) * HEIGHT, r: 2.5, fill: "var(--run)" })));
  const body = el("tbody", {}, ...program.steps.map((s, i) => {
    const before = [el("td", { class: "n" }, i), el("td", { title: s.modules.join(", ") }, s.module)];
    if (i === 0) before.unshift(el("td", { class: "arcs", rowspan: n, style: `width:${WIDTH}px` }, arcs));
    return kernelRow(program, i, whole, choose, remember, before);
  }));
  const first = [["reads", `${WIDTH}px`], ["#", "40px"], ["module", "170px"]].map(([text, width]) => el("th", { scope: "col", style: `width:${width}`, class: text === "#" ? "n" : null }, text));
  return el("div", { class: "scroll" }, el("table", { class: "ordered" }, heads(first), body));
}
function kernelDetail(program, number, choose) {
  const s = program.steps[number];
  const reads = s.reads.map((i) => el("button", { type: "button", onclick: () => choose(i) }, `${i}: ${shorten(program.steps[i].title, 40)}`));
  const facts = [
    ["computes", s.title], ["recorded at", s.place], ["modules", s.modules.join(", ")],
    ["time", `${time(s.seconds)} a run, ${time(s.seconds * program.compiled_runs)} in all; ${s.tasks} ${s.tasks === 1 ? "task" : "tasks"}${s.parallel ? ", in parallel" : ""}`],
    ["work", `${count(s.flops)} FLOP (${digits(s.flops / s.seconds / 1e9 || 0)} GFLOP/s), ${memory(s.bytes)} (${digits(s.bytes / s.seconds / 1e9 || 0)} GB/s): ${percent(s.fraction, 1)} of what ${s.bound} allows`],
    ["loop", s.label], ["operands", s.operands.join(", ")],
  ].filter(([, text]) => text);
  const list = el("dl", { class: "facts" }, ...facts.flatMap(([a, b]) => [el("dt", {}, a), el("dd", {}, b)]));
  if (reads.length) list.append(el("dt", {}, "reads"), el("dd", { class: "row" }, ...reads));
  history.replaceState(null, "", `#program-${program.number}-kernel-${number}`);
  const node = el("div", { id: "kernel" }, el("h3", {}, `Kernel ${number}`), list);
  const code = D.code[s.code];
  if (!code) { node.append(el("p", { class: "quiet" }, s.label && s.code < 0 ? "Its code is not in this page: others take more of the time." : "")); return node; }
  const text = el("pre", { tabindex: 0, "aria-label": "code", hidden: "" });
  const tabs = [["ir", "LLVM IR"], ["asm", "assembly"]].filter(([key]) => code[key]).map(([key, name]) => {
    const tab = el("button", { type: "button", "aria-pressed": "false", onclick: async () => {
      tabs.forEach((t) => t.setAttribute("aria-pressed", String(t === tab)));
      text.hidden = false;
      text.textContent = "…";
      text.textContent = await unpacked(code[key]);
      text.setAttribute("aria-label", name);
    } }, `${name} (${code[`${key}_lines`]} lines)`);
    return tab;
  });
  node.append(el("div", { class: "row" }, ...tabs), text);
  return node;
}
async function unpacked(base64) {
  const bytes = Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));
  if (typeof DecompressionStream === "undefined") return "This browser cannot unpack it: the JSON report has it, too.";
  return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate-raw"))).text();
}

// ---- data, reasons, Python, memory ---------------------------------------------------------

const FUNCTION = [
  { head: "own share", number: true, width: "104px", title: "of the whole run, without what it calls", value: (f) => f.own, show: (f) => percent(f.own, D.seconds) },
  { head: "own", number: true, width: "90px", value: (f) => f.own, show: (f) => time(f.own) },
  { head: "with calls", number: true, width: "100px", value: (f) => f.whole, show: (f) => time(f.whole) },
];
function loading() {
  const where = $("loading"), L = D.data;
  if (!L.batches && !L.sources.length) { where.append(el("p", { class: "quiet" }, "The program has no DataLoader.")); return; }
  const sources = L.sources.map((s) => `${s.name}: ${s.batches} batches, ${s.samples} samples, ${time(s.seconds)}${s.elsewhere ? ` (${time(s.elsewhere)} of it in workers)` : ""}`);
  where.append(el("p", {}, `${time(L.seconds)} (${percent(L.seconds, D.seconds)}) until batches were there, ${L.batches} times. ${sources.join("; ")}`));
  const each = { head: "a sample", number: true, width: "98px", value: (f) => f.per_sample ?? 0, show: (f) => (f.per_sample ? time(f.per_sample) : "") };
  const columns = [...FUNCTION, each, { head: "function", value: (f) => f.name }, { head: "defined at", width: "320px", value: (f) => f.place }];
  for (const [list, caption] of [[L.functions, "In the main thread, by samples of its stack"], [L.workers, "In worker threads, by samples of their stacks"]]) {
    if (list.length) where.append(table(list, columns, { caption, sort: 0, most: 10 }));
  }
  if (!L.looks) where.append(el("p", { class: "quiet" }, "No stacks were sampled: another thread, another profiler, or a system without SIGPROF."));
}
function why() {
  const where = $("reasons");
  where.append(el("p", { class: "quiet" }, "A step that repeats an earlier one is recognised and costs a look-up for each op. Where it does not, it is recorded anew (and compiled when it comes back): this is what was new."));
  if (!D.reasons.length) { where.append(el("p", {}, "Everything was recognised.")); return; }
  where.append(table(D.reasons, [
    { head: "times", number: true, width: "64px", value: (r) => r.count },
    { head: "new ops", number: true, width: "88px", value: (r) => r.events },
    { head: "recording", number: true, width: "96px", value: (r) => r.seconds, show: (r) => time(r.seconds) },
    { head: "first at", number: true, width: "90px", value: (r) => r.first, show: (r) => time(r.first) },
    { head: "why", wrap: true, value: (r) => r.text + (r.more ? `, and ${r.more} more of the kind` : "") },
    { head: "line", width: "260px", wrap: true, value: (r) => r.place },
    { head: "programs", width: "100px", value: (r) => r.programs.join(", ") },
  ], { most: 14 }));
}
function python() {
  const where = $("python"), P = D.python;
  where.append(el("p", {}, `${time(D.kinds.python)} in Python on the main thread: the script's own work, and recording what it does with tensors. ${time(D.start)} of the run passed before the first tensor was computed.`));
  if (!P.lines.length) return;
  where.append(table(P.lines, [FUNCTION[0], FUNCTION[1], { head: "line", value: (f) => f.place }], { caption: "By line of the program, by samples of the stack", sort: 0, most: 8 }));
}
function holders() {
  const where = $("memory");
  if (D.memory.peak) where.append(el("p", {}, `${memory(D.memory.peak)} at the peak, the interpreter and its libraries included. The largest that programs hold:`));
  where.append(table(D.memory.holders, [
    { head: "bytes", number: true, width: "110px", value: (h) => h[2], show: (h) => memory(h[2]) },
    { head: "how many", number: true, width: "100px", value: (h) => h[1] },
    { head: "what", value: (h) => h[0] },
  ], { sort: 0, most: 10 }));
  const program = D.programs.find((p) => p.live.length && p.holders.length);
  if (!program) return;
  const step = program.steps, whole = sum(step.map((s) => s.seconds)), peak = Math.max(...program.live, 1);
  chart(where, `Intermediates of program ${program.number} while it runs (${memory(peak)} at the most)`, whole, 110, (node, scale, from, to, width, height) => {
    let at = 0;
    program.live.forEach((bytes, i) => {
      const x = scale(at), w = Math.max(scale(at + step[i].seconds) - x, 0.5), h = (height - 24) * bytes / peak;
      at += step[i].seconds;
      node.append(mark(x, height - 16 - h, w, h, "var(--numpy)", () => `${memory(bytes)} while kernel ${i} runs\n${step[i].title}`, () => openProgram(program, i)));
    });
  });
  where.append(table(program.holders, [
    { head: "bytes", number: true, width: "100px", value: (h) => h[1], show: (h) => memory(h[1]) },
    { head: "what", value: (h) => h[0] },
  ], { caption: `The largest intermediates of program ${program.number}`, most: 8 }));
}

wholeRun();
typicalStep();
kernelTable();
programTable();
loading();
why();
python();
holders();
// #program-3 or #program-3-kernel-5 opens them.
function follow() {
  const found = /^#program-(\d+)(?:-kernel-(\d+))?$/.exec(location.hash);
  const program = found && D.programs.find((p) => p.number === Number(found[1]));
  if (program) openProgram(program, found[2] == null ? null : Number(found[2]));
}
addEventListener("hashchange", follow);
follow();
