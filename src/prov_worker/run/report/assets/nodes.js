// What each node did over the run: attempts running, CPUs, memory, GPUs, on one axis of time.
function drawNodes(run) {
  const box = byId("node-charts");
  box.textContent = "";
  const seconds = run.length / 1e6;
  const one = (node) => {
    const bins = node.running.length,
      times = node.running.map((_, i) => ((i + 0.5) * seconds) / bins);
    const common = { times, from: 0, to: seconds, timeFormat: (t) => duration(Math.max(0, t)), height: 84 };
    const charts = [
      chart({
        ...common,
        title: "Attempts running",
        top: node.workers,
        format: number,
        lines: [{ name: "running", values: node.running, hue: hue(0) }],
      }),
    ];
    const cpu = [{ name: "tasks", values: node.task_cpu, hue: hue(2) }];
    if (node.cpu) cpu.unshift({ name: "node", values: node.cpu, hue: hue(7), area: false });
    charts.push(chart({ ...common, title: "CPUs busy", top: node.cpus || 0, format: number, lines: cpu }));
    if (node.used_gib)
      charts.push(
        chart({
          ...common,
          title: "Memory in use on the whole node",
          // What is sampled is the node's, whatever the limit of a control group.
          top: node.memory_total ? node.memory_total / 2 ** 30 : 0,
          format: (v) => size(v * 2 ** 30),
          lines: [{ name: "memory", values: node.used_gib, hue: hue(5) }],
        }),
      );
    if (node.gpu)
      charts.push(
        chart({
          ...common,
          title: `GPU use, mean of ${node.gpus || 1}`,
          top: 100,
          format: percent,
          lines: [{ name: "GPU", values: node.gpu, hue: hue(1) }],
        }),
      );
    const facts = [
      node.cpu_model,
      node.cpus && `${node.cpus} CPUs`,
      node.memory &&
        (node.memory_total > node.memory
          ? `${size(node.memory_total)}, limited to ${size(node.memory)}`
          : size(node.memory)),
      node.gpus && `${node.gpus} × ${node.gpu_model || "GPU"}`,
      plural(node.workers, "worker"),
      ...node.facts.map(([name, value]) => `${name}: ${value}`),
    ];
    return el(
      "div",
      { class: "node" },
      el(
        "div",
        {},
        el("h3", {}, node.name),
        facts.filter(Boolean).map((fact) => el("div", { class: "sub" }, fact)),
      ),
      el("div", { class: "charts" }, charts),
    );
  };
  const FIRST = 6;
  box.append(...run.nodes.slice(0, FIRST).map(one));
  if (run.nodes.length > FIRST) {
    const rest = el("details", {}, el("summary", {}, `${run.nodes.length - FIRST} more nodes`));
    rest.addEventListener("toggle", () => {
      if (rest.open && rest.childElementCount === 1)
        rest.append(el("div", { class: "nodes" }, run.nodes.slice(FIRST).map(one)));
    });
    box.append(rest);
  }
}
