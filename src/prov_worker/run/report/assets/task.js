// One attempt's page: a dialog over the report, with an address of its own (#task-<n>).
function makeTask(run) {
  const dialog = byId("task"),
    rows = run.rows;
  let list = null,
    current = -1,
    returnTo = null;
  const section = (title, ...content) => el("section", {}, el("h3", {}, title), ...content);
  const pairs = (items) =>
    el(
      "dl",
      { class: "pairs" },
      items.map(([name, value]) => el("div", {}, el("dt", {}, name), el("dd", {}, value))),
    );
  const link = (i, label) =>
    el(
      "a",
      { href: `#task-${i}`, class: "task" },
      label || `${run.functions[rows.fn[i]].name} ${rows.id[i].slice(0, 8)}`,
    );
  const quantity = (value, unit) =>
    typeof value !== "number"
      ? String(value)
      : unit === "byte"
        ? size(value)
        : unit === "second"
          ? duration(value)
          : unit === "percent"
            ? percent(value)
            : number(value);
  const table = (header, body) =>
    el(
      "div",
      { class: "scroll" },
      el(
        "table",
        {},
        el(
          "thead",
          {},
          el(
            "tr",
            {},
            header.map((text) => el("th", { scope: "col" }, text)),
          ),
        ),
        el(
          "tbody",
          {},
          body.map((cells) =>
            el(
              "tr",
              {},
              cells.map((cell) => el("td", { class: "wrap" }, cell)),
            ),
          ),
        ),
      ),
    );

  function flows(i) {
    const describe = (edges) =>
      el(
        "div",
        { class: "links" },
        edges
          .slice(0, 40)
          .map((edge) =>
            el(
              "span",
              {},
              link(edge.row),
              el(
                "span",
                { class: "sub" },
                ` ${edge.what}${edge.via === "file" || edge.via === "value" ? " (inferred)" : ""}`,
              ),
            ),
          ),
        edges.length > 40 ? el("span", { class: "sub" }, `and ${edges.length - 40} more`) : null,
      );
    const before = run.before(i),
      after = run.after(i);
    return before.length || after.length
      ? section(
          "Data flow",
          before.length
            ? [el("p", { class: "sub" }, `From ${plural(before.length, "attempt")}`), describe(before)]
            : null,
          after.length ? [el("p", { class: "sub" }, `To ${plural(after.length, "attempt")}`), describe(after)] : null,
        )
      : null;
  }
  async function fill(i) {
    const fn = run.functions[rows.fn[i]],
      node = run.nodes[run.nodeOf(i)],
      used = run.cpus(i),
      seconds = rows.wall[i] / 1e6;
    const status = el(
      "span",
      { class: `status ${rows.failed[i] ? "bad" : "good"}` },
      rows.failed[i] ? "✕ failed" : "✓ completed",
    );
    const title = el("h2", { id: "task-title", tabindex: -1 }, fn.name);
    const near = list || [...rows.start.keys()],
      at = near.indexOf(i);
    const step = (to, label, text) =>
      el(
        "button",
        {
          type: "button",
          "aria-label": label,
          disabled: to === undefined || to < 0,
          onclick: () => show(near[to], list, true),
        },
        text,
      );
    const body = el("div", { class: "body" }, el("p", { class: "sub" }, "Reading …"));
    dialog.replaceChildren(
      el(
        "header",
        {},
        el(
          "div",
          {},
          title,
          status,
          el(
            "p",
            { class: "sub mono" },
            rows.id[i],
            rows.attempt[i] > 1 || !rows.latest[i]
              ? `, attempt ${rows.attempt[i]}${rows.latest[i] ? "" : ", repeated later"}`
              : "",
          ),
        ),
        el(
          "span",
          { class: "buttons" },
          step(at > 0 ? at - 1 : undefined, "Previous attempt", "←"),
          step(at >= 0 && at + 1 < near.length ? at + 1 : undefined, "Next attempt", "→"),
        ),
        el("button", { type: "button", "aria-label": "Close", onclick: () => dialog.close() }, "✕"),
      ),
      body,
    );
    title.focus({ preventScroll: true });
    let details = {};
    try {
      details = (await run.block(rows.block[i]))[rows.place[i]];
    } catch (error) {
      details = { notes: [`The details of this attempt cannot be read: ${error.message}`] };
    }
    if (current !== i) return; // another one was opened meanwhile
    const parts = [];
    if (rows.failed[i])
      parts.push(
        section(
          "Why it failed",
          el("p", { class: "failure" }, run.errors[rows.error[i]]),
          details.failure && details.failure.some(Boolean)
            ? el("p", { class: "sub" }, details.failure.filter(Boolean).join(", "))
            : null,
          details.traceback
            ? el(
                "details",
                { open: true },
                el("summary", {}, "Traceback"),
                el("pre", { tabindex: 0 }, details.traceback),
              )
            : null,
        ),
      );
    parts.push(
      section(
        "What ran",
        fn.doc ? el("p", { class: "sub" }, prose(fn.doc)) : null,
        pairs([
          ["Start", rows.began[i] ? `${clock(run.startMs + rows.start[i] / 1000, true)} UTC` : "no worker began it"],
          ["Duration", duration(seconds)],
          ["CPUs used", used === null ? "–" : `${used.toFixed(2)} of ${rows.allowed[i] || "?"} allowed`],
          ["Peak memory", rows.rss[i] === null ? "–" : size(rows.rss[i] * 1024)],
          ["GPUs busy", rows.gpus[i] ? `${run.gpusBusy(i)} of ${rows.gpus[i]} visible` : "none visible"],
          ["Node", node.name],
          ["Worker", run.workers[rows.worker[i]][1]],
          ...(fn.module ? [["Module", fn.module]] : []),
          ...(details.facts || []),
        ]),
      ),
    );
    if (fn.source)
      parts.push(
        section("Source", el("details", {}, el("summary", {}, "The function"), el("pre", { tabindex: 0 }, fn.source))),
      );
    const same = run.attempts(i);
    if (same.length > 1)
      parts.push(
        section(
          "Attempts",
          el(
            "div",
            { class: "links" },
            same.map((other) =>
              other === i
                ? el("strong", {}, `attempt ${rows.attempt[other]} (this one)`)
                : link(other, `attempt ${rows.attempt[other]}, ${rows.failed[other] ? "failed" : "completed"}`),
            ),
          ),
        ),
      );
    const drawn = taskCurves(details.series || {}, details.training, seconds, node.cpus);
    parts.push(
      section(
        "Series",
        drawn.length
          ? el("div", { class: "curves" }, drawn)
          : el("p", { class: "none" }, "No sample was taken of this attempt."),
      ),
    );
    const values = (items) =>
      table(
        ["Name", "Value", "Type", "Size"],
        items.map(([name, value, type, bytes]) => [
          el("span", { class: "mono" }, name),
          value === null ? el("span", { class: "sub" }, "not recorded") : el("span", { class: "mono" }, String(value)),
          type || "",
          bytes === null ? "" : size(bytes),
        ]),
      );
    if (details.args) parts.push(section("Arguments", values(details.args)));
    if (details.results) parts.push(section("Result", values(details.results)));
    if (details.files)
      parts.push(
        section(
          "Files",
          table(
            ["Path", "Role", "Size", "sha256"],
            details.files.map(([path, role, bytes, digest, inside]) => [
              el("span", { class: "mono" }, path),
              inside ? `${role}, in the crate` : role,
              bytes === null ? "–" : size(bytes),
              el("span", { class: "mono" }, digest ? `${digest}…` : "–"),
            ]),
          ),
        ),
      );
    const flow = flows(i);
    if (flow) parts.push(flow);
    if (details.annotations) parts.push(section("Annotations", pairs(details.annotations)));
    parts.push(
      section(
        "Hardware",
        pairs([
          ["CPU", node.cpu_model || "–"],
          ["CPUs", number(node.cpus)],
          ["Memory", size(node.memory)],
          ["GPUs", node.gpus ? `${node.gpus} × ${node.gpu_model || "GPU"}` : "none"],
          ...node.facts,
        ]),
      ),
    );
    if (details.usage)
      parts.push(section("Totals", pairs(details.usage.map(([name, value, unit]) => [name, quantity(value, unit)]))));
    if (details.software) parts.push(section("Software", pairs(details.software)));
    if (details.env) parts.push(section("Environment", pairs(details.env)));
    if (details.notes)
      parts.push(
        section(
          "Notes",
          details.notes.map((note) => el("p", {}, note)),
        ),
      );
    if (details.content)
      parts.push(
        section(
          "The crate",
          el("p", { class: "mono sub" }, details.crate),
          el(
            "details",
            {},
            el("summary", {}, plural(details.content.length, "file")),
            pairs(
              details.content.map(([name, bytes]) => [
                el("span", { class: "mono" }, name),
                bytes === null ? "–" : size(bytes),
              ]),
            ),
          ),
        ),
      );
    body.replaceChildren(...parts);
  }
  function show(i, among, keep) {
    if (!(i >= 0 && i < rows.start.length)) return;
    if (!dialog.open) returnTo = document.activeElement;
    if (!keep) list = among || null;
    current = i;
    hideTip();
    if (location.hash !== `#task-${i}`) history.replaceState(null, "", `#task-${i}`);
    if (!dialog.open) dialog.showModal();
    dialog.scrollTop = 0;
    fill(i);
  }
  dialog.addEventListener("close", () => {
    current = -1;
    history.replaceState(null, "", location.pathname + location.search);
    if (returnTo && returnTo.isConnected && returnTo !== document.body) returnTo.focus({ preventScroll: true });
  });
  dialog.addEventListener("click", (event) => {
    if (event.target === dialog) dialog.close();
  });
  dialog.addEventListener("keydown", (event) => {
    if (event.target.closest("pre, input, select, svg[tabindex]") || event.altKey || event.ctrlKey || event.metaKey)
      return;
    const button = { ArrowLeft: "Previous attempt", ArrowRight: "Next attempt" }[event.key];
    if (button) {
      event.preventDefault();
      dialog.querySelector(`[aria-label="${button}"]`).click();
    }
  });
  const fromAddress = () => {
    const match = /^#task-(\d+)$/.exec(location.hash);
    if (match) show(Number(match[1]), null, dialog.open);
  };
  addEventListener("hashchange", fromAddress);
  // The address stays when a link to the same attempt is followed again after its page was closed.
  document.addEventListener("click", (event) => {
    const to = event.target.closest && event.target.closest('a[href^="#task-"]');
    if (to) {
      event.preventDefault();
      show(Number(to.getAttribute("href").slice(6)), null, dialog.open);
    }
  });
  return {
    show,
    redraw: () => {
      if (current >= 0) fill(current);
    },
    fromAddress,
  };
}
