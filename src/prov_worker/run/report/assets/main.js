// Unpacks the data and brings the parts to life.
(async () => {
  const root = document.documentElement,
    theme = byId("theme");
  if (!canUnpack()) {
    notice("This browser is older than 2023 and cannot unpack the page's data: the tables are here, all else is not.");
    // What stands for itself without a script stays, and so do names that are buttons with one.
    document.querySelectorAll("[data-function]").forEach((button) => {
      button.classList.remove("script");
      button.disabled = true;
    });
    root.dataset.ready = "tables";
    return;
  }
  root.classList.add("scripted");
  try {
    theme.value = localStorage.getItem("prov-worker-theme") || "auto";
  } catch (error) {
    theme.value = "auto"; /* no storage for this page */
  }
  if (!theme.value) theme.value = "auto";
  root.dataset.theme = theme.value;
  const core = await unpack("core");
  const rows = core.rows;
  let sum = 0;
  rows.start = rows.start.map((step) => {
    sum += step;
    return sum;
  });
  const firstOf = new Array(core.workers.length).fill(Infinity);
  rows.worker.forEach((worker, i) => {
    firstOf[worker] = Math.min(firstOf[worker], rows.start[i]);
  });
  const blocks = new Map(),
    into = new Map(),
    outOf = new Map(),
    tries = new Map();
  const push = (map, key, value) => {
    if (map.has(key)) map.get(key).push(value);
    else map.set(key, [value]);
  };
  core.edges.from.forEach((from, i) => {
    const to = core.edges.to[i],
      via = core.edges.via[i],
      what = core.edges.what[i];
    push(outOf, from, { row: to, via, what });
    push(into, to, { row: from, via, what });
  });
  rows.id.forEach((id, i) => push(tries, id, i));
  const run = {
    rows,
    length: core.length_us,
    startMs: core.start_ms,
    functions: core.functions,
    nodes: core.nodes,
    workers: core.workers,
    errors: core.errors,
    flows: core.flows,
    firstOf,
    failedCount: rows.failed.reduce((a, b) => a + b, 0),
    cpus: (i) => (rows.cpu[i] === null || !rows.wall[i] ? null : (rows.cpu[i] * 1000) / rows.wall[i]),
    gpusBusy: (i) => (rows.gpu[i] === null ? "–" : (rows.gpu[i] / 100).toFixed(2)),
    nodeOf: (i) => core.workers[rows.worker[i]][0],
    before: (i) => into.get(i) || [],
    after: (i) => outOf.get(i) || [],
    attempts: (i) =>
      tries
        .get(rows.id[i])
        .slice()
        .sort((a, b) => rows.attempt[a] - rows.attempt[b]),
    block: (n) => {
      if (!blocks.has(n)) blocks.set(n, unpack(`block-${n}`));
      return blocks.get(n);
    },
    describe: (i) =>
      `${core.functions[rows.fn[i]].name}, ${rows.failed[i] ? "failed" : "completed"}, ${duration(rows.wall[i] / 1e6)}\n${core.nodes[core.workers[rows.worker[i]][0]].name}, ${core.workers[rows.worker[i]][1]}, started +${duration(rows.start[i] / 1e6)}${rows.attempt[i] > 1 ? `, attempt ${rows.attempt[i]}` : ""}${rows.error[i] >= 0 ? `\n${core.errors[rows.error[i]]}` : ""}`,
    open: (i, among) => task.show(i, among),
  };
  const task = makeTask(run),
    table = makeTable(run);
  const parts = [() => drawNodes(run), makeTimeline(run), makeGraph(run), () => task.redraw()];
  drawNodes(run);
  const redraw = () => parts.forEach((part) => part());
  theme.addEventListener("change", () => {
    root.dataset.theme = theme.value;
    try {
      localStorage.setItem("prov-worker-theme", theme.value);
    } catch (error) {
      /* it holds until the page is closed */
    }
    redraw();
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
  const print = (on) => {
    if (printing !== on) {
      printing = on;
      table.forPrint(on);
      redraw();
    }
  };
  addEventListener("beforeprint", () => print(true));
  addEventListener("afterprint", () => print(false));
  document
    .querySelectorAll("[data-function]")
    .forEach((button) => button.addEventListener("click", () => table.only(button.dataset.function)));
  sortable(byId("function-table"));
  const links = new Map(
    [...document.querySelectorAll(".masthead nav a")].map((a) => [a.getAttribute("href").slice(1), a]),
  );
  const seen = new IntersectionObserver(
    (entries) => {
      for (const entry of entries)
        if (entry.isIntersecting) {
          links.forEach((a) => a.removeAttribute("aria-current"));
          const a = links.get(entry.target.id);
          if (a) a.setAttribute("aria-current", "location");
        }
    },
    { rootMargin: "-20% 0px -70% 0px" },
  );
  document.querySelectorAll("main > section").forEach((section) => seen.observe(section));
  task.fromAddress();
  root.dataset.ready = "true";
})().catch((error) => {
  document.documentElement.dataset.ready = "failed";
  notice(`This page's data cannot be shown: ${error.message}`);
});

function notice(text) {
  byId("main").prepend(el("div", { class: "notice", role: "alert" }, text));
}

// A plain table whose cells may carry data-v: its headers become buttons that sort.
function sortable(table) {
  const body = table.tBodies[0];
  [...table.tHead.rows[0].cells].forEach((cell, at) => {
    const button = el("button", { type: "button", class: "sort" }, cell.textContent);
    cell.replaceChildren(button);
    cell.setAttribute("aria-sort", "none");
    button.addEventListener("click", () => {
      const way =
        cell.getAttribute("aria-sort") === "descending"
          ? 1
          : at
            ? -1
            : cell.getAttribute("aria-sort") === "ascending"
              ? -1
              : 1;
      [...table.tHead.rows[0].cells].forEach((other) => other.setAttribute("aria-sort", "none"));
      cell.setAttribute("aria-sort", way > 0 ? "ascending" : "descending");
      const value = (row) => {
        const one = row.cells[at];
        return one.dataset.v === undefined ? one.textContent.trim().toLowerCase() : Number(one.dataset.v);
      };
      [...body.rows]
        .sort((a, b) => (value(a) < value(b) ? -way : value(a) > value(b) ? way : 0))
        .forEach((row) => body.append(row));
    });
  });
}
