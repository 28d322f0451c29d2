// All attempts as a grid: only the rows in sight are in the document, so that ten thousand scroll as ten do.
const ROW = 32;
function makeTable(run) {
  const rows = run.rows,
    count = rows.start.length,
    live = byId("tasks-live");
  const name = (i) => run.functions[rows.fn[i]].name,
    node = (i) => run.nodes[run.workers[rows.worker[i]][0]].name;
  const columns = [
    { key: "status", label: "Status", text: (i) => (rows.failed[i] ? "failed" : "done"), value: (i) => rows.failed[i] },
    { key: "fn", label: "Function", text: name, value: name },
    { key: "id", label: "Task", text: (i) => rows.id[i].slice(0, 8), value: (i) => rows.id[i], mono: true },
    { key: "attempt", label: "Try", text: (i) => rows.attempt[i], value: (i) => rows.attempt[i], end: true },
    { key: "node", label: "Node", text: node, value: node },
    { key: "worker", label: "Worker", text: (i) => run.workers[rows.worker[i]][1], value: (i) => rows.worker[i] },
    {
      key: "start",
      label: "Start",
      text: (i) => `+${duration(rows.start[i] / 1e6)}`,
      value: (i) => rows.start[i],
      end: true,
      first: 1,
    },
    {
      key: "wall",
      label: "Duration",
      text: (i) => duration(rows.wall[i] / 1e6),
      value: (i) => rows.wall[i],
      end: true,
      first: -1,
    },
    {
      key: "cpu",
      label: "CPUs used",
      text: (i) => {
        const used = run.cpus(i);
        return used === null ? "–" : used.toFixed(2);
      },
      value: (i) => {
        const used = run.cpus(i);
        return used === null ? -1 : used;
      },
      end: true,
      first: -1,
    },
    {
      key: "rss",
      label: "Memory",
      text: (i) => (rows.rss[i] === null ? "–" : size(rows.rss[i] * 1024)),
      value: (i) => (rows.rss[i] === null ? -1 : rows.rss[i]),
      end: true,
      first: -1,
    },
    {
      key: "gpu",
      label: "GPUs busy",
      text: (i) => (rows.gpus[i] ? `${run.gpusBusy(i)} / ${rows.gpus[i]}` : "–"),
      value: (i) => (rows.gpus[i] && rows.gpu[i] !== null ? rows.gpu[i] : -1),
      end: true,
      first: -1,
    },
    {
      key: "error",
      label: "Error",
      text: (i) => (rows.error[i] < 0 ? "" : run.errors[rows.error[i]]),
      value: (i) => (rows.error[i] < 0 ? "" : run.errors[rows.error[i]]),
    },
  ];
  const lower = [
    run.functions.map((one) => one.name.toLowerCase()),
    run.nodes.map((one) => one.name.toLowerCase()),
    run.errors.map((one) => one.toLowerCase()),
  ];
  let shown = [],
    active = 0,
    sort = { column: columns[0], way: -1 };
  const head = el("div", { class: "head", role: "row", "aria-rowindex": 1 });
  columns.forEach((column, at) => {
    const button = el("button", { type: "button" }, column.label);
    button.addEventListener("click", () => {
      sort = { column, way: sort.column === column ? -sort.way : column.first || 1 };
      update();
    });
    head.append(el("div", { role: "columnheader", class: column.end ? "end" : null, "aria-colindex": at + 1 }, button));
  });
  const spacer = el("div", { class: "spacer", role: "rowgroup" });
  const viewport = el(
    "div",
    {
      class: "viewport",
      tabindex: 0,
      role: "grid",
      "aria-label": "Tasks",
      "aria-colcount": columns.length,
      "aria-readonly": "true",
    },
    el("div", { role: "rowgroup" }, head),
    spacer,
  );
  byId("task-grid").append(el("div", { class: "grid" }, viewport));

  function filtered() {
    const words = byId("filter-text").value.trim().toLowerCase().split(/\s+/).filter(Boolean);
    const status = byId("filter-status").value,
      fn = byId("filter-function").value,
      where = byId("filter-node").value;
    const least = parseFloat(byId("filter-seconds").value) * 1e6;
    const found = [];
    for (let i = 0; i < count; i += 1) {
      if (
        status === "failed"
          ? !rows.failed[i]
          : status === "lost"
            ? !(rows.failed[i] && rows.latest[i])
            : status === "completed"
              ? rows.failed[i]
              : status === "repeated"
                ? rows.attempt[i] < 2 && rows.latest[i]
                : false
      )
        continue;
      const at = run.workers[rows.worker[i]][0];
      if ((fn !== "" && rows.fn[i] !== Number(fn)) || (where !== "" && at !== Number(where)) || rows.wall[i] < least)
        continue;
      if (
        words.every(
          (word) =>
            rows.id[i].toLowerCase().includes(word) ||
            lower[0][rows.fn[i]].includes(word) ||
            lower[1][at].includes(word) ||
            (rows.error[i] >= 0 && lower[2][rows.error[i]].includes(word)),
        )
      )
        found.push(i);
    }
    return found;
  }
  function update() {
    const keys = new Map();
    shown = filtered();
    for (const i of shown) keys.set(i, sort.column.value(i));
    shown.sort((a, b) => {
      const x = keys.get(a),
        y = keys.get(b);
      return (x < y ? -1 : x > y ? 1 : 0) * sort.way || a - b;
    });
    [...head.children].forEach((cell, at) => {
      if (columns[at] === sort.column) cell.setAttribute("aria-sort", sort.way > 0 ? "ascending" : "descending");
      else cell.removeAttribute("aria-sort");
    });
    active = clamp(active, 0, Math.max(0, shown.length - 1));
    const by = sort.column.label.replace(/^[A-Z](?=[a-z])/, (first) => first.toLowerCase());
    live.textContent =
      shown.length === count
        ? `${plural(count, "attempt")}, sorted by ${by}`
        : `${shown.length.toLocaleString("en-US")} of ${plural(count, "attempt")}, sorted by ${by}`;
    viewport.setAttribute("aria-rowcount", shown.length + 1);
    viewport.style.height = `${Math.min(544, shown.length * ROW + 34)}px`;
    spacer.style.height = `${shown.length * ROW}px`;
    viewport.scrollTop = 0;
    active = 0;
    paint();
  }
  function cells(i) {
    return columns.map((column, at) =>
      el(
        "div",
        {
          role: "gridcell",
          "aria-colindex": at + 1,
          class:
            [
              column.end ? "end" : "",
              column.mono ? "mono" : "",
              at === 0 ? `dot${rows.failed[i] ? " failed" : ""}` : "",
            ]
              .join(" ")
              .trim() || null,
          title: column.key === "error" || column.key === "fn" ? column.text(i) : null,
        },
        column.text(i),
      ),
    );
  }
  function paint(all) {
    const first = all ? 0 : Math.max(0, Math.floor(viewport.scrollTop / ROW) - 8);
    const last = all
      ? Math.min(shown.length, all)
      : Math.min(shown.length, first + Math.ceil(viewport.clientHeight / ROW) + 18);
    const fresh = [];
    for (let at = first; at < last; at += 1) {
      const row = el(
        "div",
        { role: "row", class: "row", id: `row-${at}`, "aria-rowindex": at + 2, "aria-selected": String(at === active) },
        cells(shown[at]),
      );
      row.style.top = `${at * ROW}px`;
      row.addEventListener("click", () => {
        active = at;
        paint();
        run.open(shown[at], shown);
      });
      fresh.push(row);
    }
    spacer.replaceChildren(...fresh);
    if (shown.length) viewport.setAttribute("aria-activedescendant", `row-${active}`);
    else viewport.removeAttribute("aria-activedescendant");
  }
  let waiting = false;
  viewport.addEventListener("scroll", () => {
    if (!waiting) {
      waiting = true;
      requestAnimationFrame(() => {
        waiting = false;
        paint();
      });
    }
  });
  viewport.addEventListener("keydown", (event) => {
    if (event.target !== viewport) return;
    const page = Math.max(1, Math.floor(viewport.clientHeight / ROW) - 2),
      to = {
        ArrowDown: active + 1,
        ArrowUp: active - 1,
        PageDown: active + page,
        PageUp: active - page,
        Home: 0,
        End: shown.length - 1,
      }[event.key];
    if (event.key === "Enter" && shown.length) {
      event.preventDefault();
      run.open(shown[active], shown);
      return;
    }
    if (to === undefined || !shown.length) return;
    event.preventDefault();
    active = clamp(to, 0, shown.length - 1);
    const top = active * ROW,
      space = viewport.clientHeight - ROW - 40;
    if (top < viewport.scrollTop) viewport.scrollTop = top;
    else if (top > viewport.scrollTop + space) viewport.scrollTop = top - space;
    paint();
  });
  run.functions.forEach((one, i) => byId("filter-function").append(el("option", { value: i }, one.name)));
  run.nodes.forEach((one, i) => byId("filter-node").append(el("option", { value: i }, one.name)));
  let timer = 0;
  const form = byId("filters");
  for (const kind of ["input", "change"])
    form.addEventListener(kind, () => {
      clearTimeout(timer);
      timer = setTimeout(update, count > 5000 ? 120 : 0);
    });
  form.addEventListener("reset", () => setTimeout(update, 0));
  form.addEventListener("submit", (event) => event.preventDefault());
  byId("save-csv").addEventListener("click", () => {
    // A cell that a spreadsheet would take for a formula gets an apostrophe before it.
    const quote = (value) => {
      const text = String(value).replace(/^[=+\-@\t\r]/, "'$&");
      return /[",\n\r]/.test(text) ? `"${text.replace(/"/g, '""')}"` : text;
    };
    const header = [
      "task_id",
      "attempt",
      "status",
      "function",
      "node",
      "worker",
      "start_utc",
      "wall_s",
      "cpu_s",
      "peak_rss_bytes",
      "gpus_visible",
      "gpus_busy",
      "error",
    ];
    const lines = shown.map((i) =>
      [
        rows.id[i],
        rows.attempt[i],
        rows.failed[i] ? "failed" : "completed",
        name(i),
        node(i),
        run.workers[rows.worker[i]][1],
        new Date(run.startMs + rows.start[i] / 1000).toISOString(),
        rows.wall[i] / 1e6,
        rows.cpu[i] === null ? "" : rows.cpu[i] / 1000,
        rows.rss[i] === null ? "" : rows.rss[i] * 1024,
        rows.gpus[i],
        rows.gpu[i] === null ? "" : rows.gpu[i] / 100,
        rows.error[i] < 0 ? "" : run.errors[rows.error[i]],
      ]
        .map(quote)
        .join(","),
    );
    const url = URL.createObjectURL(
      new Blob([[header.join(","), ...lines].join("\r\n") + "\r\n"], { type: "text/csv" }),
    );
    el("a", { href: url, download: "tasks.csv" }).click();
    setTimeout(() => URL.revokeObjectURL(url), 1000);
  });
  update();
  return {
    only(fn) {
      form.reset();
      byId("filter-function").value = String(fn);
      update();
      byId("tasks").scrollIntoView();
      viewport.focus({ preventScroll: true });
    },
    forPrint(on) {
      if (on) {
        paint(60);
        live.dataset.text = live.textContent;
        if (shown.length > 60) live.textContent = `The first 60 of ${live.textContent}`;
      } else {
        if (live.dataset.text) live.textContent = live.dataset.text;
        paint();
      }
    },
    focus() {
      viewport.focus({ preventScroll: true });
    },
  };
}
