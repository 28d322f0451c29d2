// All attempts over time, one row per worker, rows of a node together. Drawn on a canvas: ten thousand bars stay quick.
// The table of tasks is its text alternative; the keyboard moves a selection that is read aloud.
function makeTimeline(run) {
  const box = byId("timeline-box"),
    live = byId("timeline-live"),
    legend = byId("timeline-legend"),
    mode = byId("timeline-colour");
  const { start, wall, fn, failed, worker } = run.rows;
  const count = start.length,
    GUTTER = 150,
    AXIS = 24;
  // Rows: workers by node, and within it in the order of their first attempt.
  const order = [...run.workers.keys()].sort(
    (a, b) => run.workers[a][0] - run.workers[b][0] || run.firstOf[a] - run.firstOf[b],
  );
  const rowOf = new Int32Array(run.workers.length);
  order.forEach((one, i) => {
    rowOf[one] = i;
  });
  const inRow = order.map(() => []);
  for (let i = 0; i < count; i += 1) inRow[rowOf[worker[i]]].push(i);
  const bar = clamp(Math.floor(480 / order.length), 4, 20),
    height = Math.max(order.length * bar, 20);
  const axis = el("canvas", { "aria-hidden": "true" });
  const canvas = el("canvas", {
    tabindex: 0,
    role: "application",
    "aria-roledescription": "timeline",
    "aria-describedby": "timeline-live",
    "aria-label": `Timeline of ${plural(count, "attempt")} on ${plural(order.length, "worker")} of ${plural(run.nodes.length, "node")}. Arrow keys move from attempt to attempt, Enter opens one. The table of tasks has the same as text.`,
  });
  const scroller = el("div", { class: "rows" }, canvas);
  box.append(scroller, axis);
  let from = 0,
    to = run.length || 1,
    selected = -1,
    drag = null,
    width = 600;
  const x = (t) => GUTTER + ((width - GUTTER - 8) * (t - from)) / (to - from);
  const timeAt = (px) => from + ((to - from) * (px - GUTTER)) / (width - GUTTER - 8);
  const shade = (i) => {
    if (failed[i]) return badColour();
    if (mode.value === "status") return hue(2);
    if (mode.value === "cpu") {
      const used = run.cpus(i);
      if (used === null) return hue(7);
      return [
        isDark() ? "#33475e" : "#cfe0f1",
        isDark() ? "#3f7fb5" : "#7fb2dd",
        hue(0),
        isDark() ? "#a5d6ff" : "#003f6b",
      ][used < 0.25 ? 0 : used < 0.75 ? 1 : used < 1.5 ? 2 : 3];
    }
    return functionHue(fn[i]);
  };
  function prepare(target, wide, high) {
    const ratio = devicePixelRatio || 1;
    target.width = Math.round(wide * ratio);
    target.height = Math.round(high * ratio);
    target.style.width = `${wide}px`;
    target.style.height = `${high}px`;
    const context = target.getContext("2d");
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.font = "11px system-ui, sans-serif";
    context.textBaseline = "middle";
    return context;
  }
  function draw() {
    width = Math.max(320, box.clientWidth - 2);
    const context = prepare(canvas, width, height);
    context.fillStyle = colour("panel");
    context.fillRect(0, 0, width, height);
    // Nodes: bands and names.
    let band = 0;
    for (let row = 0; row < order.length;) {
      const node = run.workers[order[row]][0];
      let end = row;
      while (end < order.length && run.workers[order[end]][0] === node) end += 1;
      if (band % 2 === 0) {
        context.fillStyle = colour("soft");
        context.globalAlpha = 0.55;
        context.fillRect(0, row * bar, width, (end - row) * bar);
        context.globalAlpha = 1;
      }
      if ((end - row) * bar >= 11) {
        context.save();
        context.beginPath();
        context.rect(0, row * bar, GUTTER - 8, (end - row) * bar);
        context.clip();
        context.fillStyle = colour("text");
        context.fillText(run.nodes[node].name, 8, row * bar + Math.min(10, ((end - row) * bar) / 2));
        context.fillStyle = colour("muted");
        if ((end - row) * bar >= 28) context.fillText(plural(end - row, "worker"), 8, row * bar + 24);
        context.restore();
      }
      row = end;
      band += 1;
    }
    const ticks = niceTicks(from / 1e6, to / 1e6, Math.max(3, Math.floor(width / 130)));
    context.strokeStyle = colour("line");
    context.lineWidth = 1;
    context.beginPath();
    for (const tick of ticks) {
      const px = Math.round(x(tick * 1e6)) + 0.5;
      context.moveTo(px, 0);
      context.lineTo(px, height);
    }
    context.stroke();
    context.save();
    context.beginPath();
    context.rect(GUTTER, 0, width - GUTTER, height);
    context.clip();
    const gap = bar > 6 ? 2 : bar > 4 ? 1 : 0.5;
    for (const pass of [0, 1]) {
      // failures on top
      for (let i = 0; i < count; i += 1) {
        if (failed[i] !== pass || start[i] > to || start[i] + wall[i] < from) continue;
        const left = Math.max(x(start[i]), GUTTER - 2),
          right = Math.min(x(start[i] + wall[i]), width),
          wide = Math.max(right - left, pass ? 2.5 : 0.8),
          top = rowOf[worker[i]] * bar;
        context.fillStyle = shade(i);
        context.fillRect(left, top + gap / 2, wide > 2 ? wide - 0.6 : wide, bar - gap);
        if (pass && wide > 9 && bar >= 8) {
          // a cross, for those who do not see red
          context.strokeStyle = isDark() ? "#10151c" : "#ffffff";
          context.lineWidth = 1.4;
          const cx = left + wide / 2,
            cy = top + bar / 2;
          context.beginPath();
          context.moveTo(cx - 2.5, cy - 2.5);
          context.lineTo(cx + 2.5, cy + 2.5);
          context.moveTo(cx + 2.5, cy - 2.5);
          context.lineTo(cx - 2.5, cy + 2.5);
          context.stroke();
        }
      }
    }
    if (selected >= 0) {
      const left = x(start[selected]),
        wide = Math.max(3, x(start[selected] + wall[selected]) - left);
      context.strokeStyle = colour("text");
      context.lineWidth = 2;
      context.strokeRect(left - 1, rowOf[worker[selected]] * bar, wide + 2, bar);
    }
    if (drag && drag.to !== undefined) {
      context.fillStyle = colour("accent");
      context.globalAlpha = 0.15;
      context.fillRect(Math.min(drag.from, drag.to), 0, Math.abs(drag.to - drag.from), height);
      context.globalAlpha = 1;
    }
    context.restore();
    const below = prepare(axis, width, AXIS);
    below.fillStyle = colour("muted");
    below.textAlign = "center";
    for (const tick of ticks)
      below.fillText(tickLabel(tick, to / 1e6 - from / 1e6), clamp(x(tick * 1e6), GUTTER, width - 30), AXIS / 2 + 2);
    below.textAlign = "left";
    below.fillText("since the start", 8, AXIS / 2 + 2);
  }
  function drawLegend() {
    const swatch = (shadeOf, text) =>
      el(
        "li",
        {},
        el(
          "svg",
          { width: 12, height: 12, "aria-hidden": "true" },
          el("rect", { width: 12, height: 12, rx: 2, fill: shadeOf }),
        ),
        el("span", {}, text),
      );
    const items = [];
    const functions = run.functions.map((one) => one.label),
      others = functions.slice(OWN.length);
    if (mode.value === "fn") functions.slice(0, OWN.length).forEach((name, i) => items.push(swatch(functionHue(i), name)));
    else if (mode.value === "status") items.push(swatch(hue(2), "completed"));
    else
      [
        ["#cfe0f1", "#33475e", "below ¼ of a CPU"],
        ["#7fb2dd", "#3f7fb5", "¼ to ¾"],
        [hue(0), hue(0), "about one CPU"],
        ["#003f6b", "#a5d6ff", "more than 1½"],
      ].forEach(([light, dark, text]) => items.push(swatch(isDark() ? dark : light, text)));
    if (mode.value === "fn" && others.length)
      items.push(swatch(hue(GREY), others.length === 1 ? others[0] : `${others.length} others`));
    if (run.failedCount) items.push(swatch(badColour(), "✕ failed"));
    legend.replaceChildren(...items);
  }
  const redraw = () => {
    drawLegend();
    draw();
  };
  function zoom(factor, centre) {
    const middle = centre === undefined ? (from + to) / 2 : centre,
      span = clamp((to - from) * factor, Math.min(1000, run.length || 1), run.length || 1);
    from = clamp(middle - ((middle - from) * span) / (to - from), 0, Math.max(0, run.length - span));
    to = from + span;
    draw();
  }
  function find(px, py) {
    const row = Math.floor(py / bar);
    if (row < 0 || row >= inRow.length || px < GUTTER) return -1;
    const t = timeAt(px),
      slack = ((to - from) * 3) / width;
    let best = -1,
      least = Infinity;
    for (const i of inRow[row]) {
      const far = t < start[i] ? start[i] - t : t > start[i] + wall[i] ? t - start[i] - wall[i] : 0;
      if (far <= slack && far <= least) {
        best = i;
        least = far;
      }
    }
    return best;
  }
  function select(i) {
    if (i === undefined || i < 0) return;
    selected = i;
    if (start[i] < from || start[i] > to) {
      const span = to - from;
      from = clamp(start[i] - span / 2, 0, Math.max(0, run.length - span));
      to = from + span;
    }
    const top = rowOf[worker[i]] * bar;
    if (top < scroller.scrollTop || top + bar > scroller.scrollTop + scroller.clientHeight)
      scroller.scrollTop = top - scroller.clientHeight / 2;
    live.textContent = run.describe(i);
    draw();
  }
  function move(key) {
    if (selected < 0) {
      select(inRow[0][0]);
      return;
    }
    const row = rowOf[worker[selected]],
      mine = inRow[row];
    if (key === "ArrowLeft" || key === "ArrowRight") {
      select(mine[clamp(mine.indexOf(selected) + (key === "ArrowLeft" ? -1 : 1), 0, mine.length - 1)]);
      return;
    }
    const other = inRow[clamp(row + (key === "ArrowUp" ? -1 : 1), 0, inRow.length - 1)],
      middle = start[selected] + wall[selected] / 2;
    select(
      other.reduce(
        (best, i) =>
          Math.abs(start[i] + wall[i] / 2 - middle) < Math.abs(start[best] + wall[best] / 2 - middle) ? i : best,
        other[0],
      ),
    );
  }
  canvas.addEventListener("keydown", (event) => {
    const keys = {
      "+": () => zoom(0.5),
      "=": () => zoom(0.5),
      "-": () => zoom(2),
      0: () => {
        from = 0;
        to = run.length || 1;
        draw();
      },
      Enter: () => selected >= 0 && run.open(selected),
    };
    if (/^Arrow/.test(event.key)) move(event.key);
    else if (keys[event.key]) keys[event.key]();
    else return;
    event.preventDefault();
  });
  const local = (event) => {
    const rect = canvas.getBoundingClientRect();
    return [event.clientX - rect.left, event.clientY - rect.top];
  };
  canvas.addEventListener("pointerdown", (event) => {
    if (event.button === 0) {
      drag = { from: local(event)[0] };
      canvas.setPointerCapture(event.pointerId);
    }
  });
  canvas.addEventListener("pointermove", (event) => {
    const [px, py] = local(event);
    if (drag && Math.abs(px - drag.from) > 5) {
      drag.to = clamp(px, GUTTER, width);
      hideTip();
      draw();
      return;
    }
    const i = find(px, py);
    canvas.style.cursor = i >= 0 ? "pointer" : "crosshair";
    if (i >= 0) showTip(run.describe(i), event.clientX, event.clientY);
    else hideTip();
  });
  canvas.addEventListener("pointerup", (event) => {
    const done = drag;
    drag = null;
    if (done && done.to !== undefined) {
      const [a, b] = [timeAt(Math.min(done.from, done.to)), timeAt(Math.max(done.from, done.to))];
      if (b - a > 100) {
        from = clamp(a, 0, run.length);
        to = clamp(b, from + 100, Math.max(run.length, from + 100));
      }
      draw();
      return;
    }
    const i = find(...local(event));
    if (i >= 0) {
      select(i);
      run.open(i);
    }
  });
  canvas.addEventListener("pointerleave", hideTip);
  canvas.addEventListener(
    "wheel",
    (event) => {
      if (event.ctrlKey || event.metaKey) {
        event.preventDefault();
        zoom(event.deltaY > 0 ? 1.3 : 0.77, timeAt(local(event)[0]));
      }
    },
    { passive: false },
  );
  canvas.addEventListener("dblclick", () => {
    from = 0;
    to = run.length || 1;
    draw();
  });
  byId("zoom-in").addEventListener("click", () => zoom(0.5));
  byId("zoom-out").addEventListener("click", () => zoom(2));
  byId("zoom-all").addEventListener("click", () => {
    from = 0;
    to = run.length || 1;
    draw();
  });
  mode.addEventListener("change", redraw);
  let last = 0;
  new ResizeObserver(() => {
    if (box.clientWidth !== last) {
      last = box.clientWidth;
      draw();
    }
  }).observe(box);
  redraw();
  return redraw;
}
function niceTicks(low, high, most) {
  const span = high - low || 1,
    steps = [
      1e-6, 1e-5, 1e-4, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600,
      900, 1800, 3600, 7200, 14400, 21600, 43200, 86400, 172800, 604800,
    ];
  const step = steps.find((one) => span / one <= most) || span / most,
    ticks = [];
  for (let tick = Math.ceil(low / step) * step; tick <= high + step * 1e-6; tick += step) ticks.push(tick);
  return ticks;
}
function tickLabel(seconds, span) {
  if (seconds === 0) return "0";
  if (span < 1) return `${Math.round(seconds * 1e4) / 10} ms`;
  if (span < 180) return `${Math.round(seconds * 100) / 100} s`;
  const minutes = Math.round(seconds / 60);
  return span < 10800
    ? seconds % 60
      ? `${Math.floor(seconds / 60)}:${String(Math.round(seconds % 60)).padStart(2, "0")} min`
      : `${minutes} min`
    : span < 259200
      ? `${Math.floor(seconds / 3600)} h ${minutes % 60 ? `${minutes % 60} min` : ""}`
      : `${Math.round(seconds / 8640) / 10} d`;
}
