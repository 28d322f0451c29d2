// Functions as boxes in layers from left to right, the data that flowed between them as lines; a box opens to its tasks.
function makeGraph(run) {
  const box = byId("graph-box"),
    rows = run.rows;
  const WIDE = 220,
    GAP_X = 130,
    GAP_Y = 26,
    CELL = 12,
    PER_ROW = 16,
    MOST = 320;
  const count = run.functions.length,
    open = new Set();
  const members = run.functions.map(() => []),
    lost = new Array(count).fill(0),
    begun = new Array(count).fill(Infinity);
  for (let i = 0; i < rows.fn.length; i += 1) {
    members[rows.fn[i]].push(i);
    lost[rows.fn[i]] += rows.failed[i];
    begun[rows.fn[i]] = Math.min(begun[rows.fn[i]], rows.start[i]);
  }
  // Layers: the longest way from a function without inputs; a line that would close a circle is left out of the count.
  const byStart = [...run.functions.keys()].sort((a, b) => begun[a] - begun[b]),
    rank = new Array(count);
  byStart.forEach((fn, i) => {
    rank[fn] = i;
  });
  const layer = new Array(count).fill(0);
  const ahead = run.flows.filter(([a, b]) => rank[a] < rank[b]).sort((one, two) => rank[one[0]] - rank[two[0]]);
  for (const [a, b] of ahead) layer[b] = Math.max(layer[b], layer[a] + 1);
  const linked = new Set(run.flows.flatMap(([a, b]) => [a, b]));
  // Above a box from which data flow to itself there is space for that line and its number.
  const loops = new Set(run.flows.filter(([a, b]) => a === b).map(([a]) => a)),
    above = (fn) => (loops.has(fn) ? 24 : 0);
  const deepest = Math.max(0, ...layer);
  const cellAt = new Map();
  let focused = null;

  function place() {
    const layers = [];
    for (const fn of byStart.filter((one) => linked.has(one))) (layers[layer[fn]] = layers[layer[fn]] || []).push(fn);
    // Functions that nothing flows to or from: below, side by side.
    const alone = byStart.filter((one) => !linked.has(one)),
      spots = new Array(count),
      wide = Math.max(1, linked.size ? deepest + 1 : Math.min(4, alone.length));
    const tall = (fn) =>
      58 +
      (open.has(fn)
        ? Math.ceil(Math.min(members[fn].length, MOST) / PER_ROW) * CELL + 10 + (members[fn].length > MOST ? 14 : 0)
        : 0);
    // Boxes of a layer stand in the order of what flows into them, so that lines cross less.
    const heights = layers.map((fns) => (fns || []).reduce((sum, fn) => sum + above(fn) + tall(fn) + GAP_Y, 0)),
      highest = Math.max(0, ...heights);
    layers.forEach((fns, at) => {
      const weight = (fn) => {
        const into = run.flows.filter(([a, b]) => b === fn && spots[a]);
        return into.length ? into.reduce((sum, [a]) => sum + spots[a].y, 0) / into.length : rank[fn] * 1e-3;
      };
      fns.sort((a, b) => weight(a) - weight(b) || rank[a] - rank[b]);
      let y = 20 + (highest - heights[at]) / 2;
      for (const fn of fns) {
        y += above(fn);
        spots[fn] = { x: 12 + at * (WIDE + GAP_X), y, h: tall(fn) };
        y += spots[fn].h + GAP_Y;
      }
    });
    let low = linked.size ? highest + 36 : 20;
    for (let i = 0; i < alone.length; i += wide) {
      const some = alone.slice(i, i + wide);
      some.forEach((fn, at) => {
        spots[fn] = { x: 12 + at * (WIDE + (linked.size ? GAP_X : 30)), y: low, h: tall(fn) };
      });
      low += Math.max(...some.map(tall)) + GAP_Y;
    }
    return {
      spots,
      width: 24 + wide * WIDE + (wide - 1) * GAP_X,
      height: Math.max(highest + 30, alone.length ? low : 0, 90),
    };
  }
  const short = (text, most) => (text.length > most ? `${text.slice(0, most - 1)}…` : text);

  function draw() {
    const { spots, width, height } = place();
    const svg = el("svg", {
      width,
      height,
      viewBox: `0 0 ${width} ${height}`,
      role: "group",
      "aria-label": `Provenance graph: ${plural(count, "function")}, ${plural(run.flows.length, "flow")} of data`,
    });
    cellAt.clear();
    const arrow = (d) => el("path", { d, fill: colour("muted") });
    for (const [a, b, inferred, links] of run.flows) {
      const from = spots[a],
        to = spots[b],
        y1 = from.y + 29,
        y2 = to.y + 29;
      let d, mx, my;
      if (a === b) {
        const left = from.x + WIDE - 64,
          right = from.x + WIDE - 24,
          y = from.y;
        d = `M${left} ${y}C${left - 4} ${y - 30} ${right + 4} ${y - 30} ${right} ${y - 8}`;
        mx = (left + right) / 2;
        my = y - 26;
        svg.append(arrow(`M${right - 4} ${y - 8}L${right} ${y}L${right + 4} ${y - 8}Z`));
      } else {
        const x1 = from.x + WIDE,
          x2 = to.x,
          bend = Math.max(50, Math.abs(x2 - x1) / 2);
        d = `M${x1} ${y1}C${x1 + bend} ${y1} ${x2 - bend} ${y2} ${x2 - 8} ${y2}`;
        mx = (x1 + x2) / 2;
        my = (y1 + y2) / 2 - 7;
        svg.append(arrow(`M${x2 - 8} ${y2 - 4}L${x2} ${y2}L${x2 - 8} ${y2 + 4}Z`));
      }
      svg.append(
        el(
          "path",
          { class: `flow${inferred ? " inferred" : ""}`, d, "stroke-width": (1.2 + Math.log10(links + 1)).toFixed(2) },
          el(
            "title",
            {},
            `${run.functions[a].label} → ${run.functions[b].label}: ${plural(links, inferred ? "inferred link" : "declared link")}`,
          ),
        ),
      );
      svg.append(
        el(
          "text",
          { class: "small label", x: mx, y: my, "text-anchor": "middle", "aria-hidden": "true" },
          links.toLocaleString("en-US"),
        ),
      );
    }
    const threads = el("g", { "aria-hidden": "true" });
    byStart.forEach((fn) => {
      const { x, y, h } = spots[fn],
        all = members[fn],
        name = run.functions[fn].label;
      const group = el("g", {
        class: "fn",
        tabindex: 0,
        role: "button",
        "aria-expanded": String(open.has(fn)),
        "aria-label": `${name}: ${plural(all.length, "attempt")}, ${lost[fn]} failed`,
        "data-fn": fn,
      });
      group.append(
        el("title", {}, name),
        el("rect", { class: "box", x, y, width: WIDE, height: h, rx: 8 }),
        el("rect", { x, y: y + 8, width: 4, height: 42, rx: 2, fill: functionHue(fn) }),
      );
      group.append(
        el("text", { x: x + 14, y: y + 23, "font-weight": 600 }, short(name, 27)),
        el(
          "text",
          { class: "small", x: x + 14, y: y + 41 },
          `${plural(all.length, "attempt")}${lost[fn] ? `, ${lost[fn].toLocaleString("en-US")} failed` : ""}`,
        ),
        el("text", { class: "small", x: x + WIDE - 14, y: y + 32, "text-anchor": "end" }, open.has(fn) ? "−" : "+"),
      );
      if (lost[fn])
        group.append(
          el("rect", { x: x + 14, y: y + 48, width: WIDE - 28, height: 3, rx: 1.5, fill: colour("soft") }),
          el("rect", {
            x: x + 14,
            y: y + 48,
            width: Math.max(2, ((WIDE - 28) * lost[fn]) / all.length),
            height: 3,
            rx: 1.5,
            fill: badColour(),
          }),
        );
      const toggle = () => {
        if (open.has(fn)) open.delete(fn);
        else open.add(fn);
        focused = fn;
        draw();
      };
      group.addEventListener("click", toggle);
      group.addEventListener("keydown", (event) => {
        if (event.target === group && (event.key === "Enter" || event.key === " ")) {
          event.preventDefault();
          toggle();
        }
      });
      svg.append(group);
      if (open.has(fn)) {
        const inside = el("g", { role: "group", "aria-label": `Attempts of ${name}. Arrow keys move, Enter opens.` });
        all.slice(0, MOST).forEach((i, at) => {
          const cx = x + 14 + (at % PER_ROW) * CELL,
            cy = y + 58 + Math.floor(at / PER_ROW) * CELL;
          const cell = el("rect", {
            class: "cell",
            x: cx,
            y: cy,
            width: CELL - 2,
            height: CELL - 2,
            rx: 2,
            fill: rows.failed[i] ? badColour() : functionHue(fn),
            tabindex: at === 0 ? 0 : -1,
            role: "button",
            "aria-label": run.describe(i),
          });
          cell.addEventListener("click", (event) => {
            event.stopPropagation();
            run.open(i, all);
          });
          cell.addEventListener("keydown", (event) => {
            const to = { ArrowRight: at + 1, ArrowLeft: at - 1, ArrowDown: at + PER_ROW, ArrowUp: at - PER_ROW }[
              event.key
            ];
            if (event.key === "Enter" || event.key === " ") {
              event.preventDefault();
              run.open(i, all);
            } else if (to !== undefined) {
              event.preventDefault();
              const next = inside.children[to];
              if (next) {
                cell.tabIndex = -1;
                next.setAttribute("tabindex", 0);
                next.focus();
              }
            }
          });
          const trace = (event) => {
            thread(i, threads, spots);
            if (event.type === "pointerenter") showTip(run.describe(i), event.clientX, event.clientY);
          };
          cell.addEventListener("pointerenter", trace);
          cell.addEventListener("focus", trace);
          for (const kind of ["pointerleave", "blur"])
            cell.addEventListener(kind, () => {
              threads.replaceChildren();
              hideTip();
            });
          cellAt.set(i, [cx + (CELL - 2) / 2, cy + (CELL - 2) / 2]);
          inside.append(cell);
        });
        svg.append(inside);
        if (all.length > MOST)
          svg.append(
            el(
              "text",
              { class: "small", x: x + 14, y: y + h - 7 },
              `the first ${MOST} of ${all.length.toLocaleString("en-US")}`,
            ),
          );
      }
    });
    svg.append(threads);
    box.replaceChildren(svg);
    if (focused !== null) {
      const again = svg.querySelector(`[data-fn="${focused}"]`);
      focused = null;
      if (again) again.focus({ preventScroll: true });
    }
  }
  // What one attempt took and gave: lines to the attempts, or to the closed boxes that they are in.
  function thread(i, threads, spots) {
    const lines = [],
      spot = (other, into) =>
        cellAt.get(other) || [spots[rows.fn[other]].x + (into ? 0 : WIDE), spots[rows.fn[other]].y + 29];
    for (const [other, back] of [
      ...run.before(i).map((edge) => [edge.row, true]),
      ...run.after(i).map((edge) => [edge.row, false]),
    ]) {
      const [x1, y1] = back ? spot(other, false) : cellAt.get(i),
        [x2, y2] = back ? cellAt.get(i) : spot(other, true),
        bend = Math.max(30, Math.abs(x2 - x1) / 2);
      lines.push(el("path", { class: "thread", d: `M${x1} ${y1}C${x1 + bend} ${y1} ${x2 - bend} ${y2} ${x2} ${y2}` }));
    }
    threads.replaceChildren(...lines);
  }
  draw();
  return draw;
}
