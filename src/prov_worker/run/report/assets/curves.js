// The charts of one attempt: CPU, memory, GPUs, traffic, and the node around it. Times are kept as differences in ms.
function taskCurves(series, training, seconds, nodeCpus) {
  const unroll = (steps) => {
    let sum = 0;
    return steps.map((step) => {
      sum += step;
      return sum / 1000;
    });
  };
  const found = [],
    MIB = 2 ** 20;
  const add = (base, title, lines, format, top) => {
    const times = unroll(base.t);
    found.push(
      chart({
        title,
        times,
        lines,
        top,
        format,
        from: 0,
        to: Math.max(seconds, times[times.length - 1] || 0),
        timeFormat: duration,
        height: 90,
      }),
    );
  };
  const task = series.task,
    node = series.node,
    gpu = series.gpu;
  if (task && task.cpu)
    add(
      task,
      "CPU, 100 % is one CPU",
      [
        ...(task.cpu_high ? [{ name: "highest", values: task.cpu_high, hue: hue(7), area: false }] : []),
        { name: "mean", values: task.cpu, hue: hue(0) },
      ],
      percent,
      100,
    );
  if (task && task.rss)
    add(
      task,
      "Resident memory",
      [{ name: "memory", values: task.rss.map((v) => (v === null ? null : v * MIB)), hue: hue(5) }],
      size,
      0,
    );
  if (gpu) {
    const numbers = Object.keys(gpu)
      .filter((key) => key.startsWith("gpu"))
      .map((key) => key.slice(3));
    const active = numbers.filter((n) => gpu[`gpu${n}`].some((v) => v)),
      drawn = (active.length ? active : numbers).slice(0, 12);
    add(
      gpu,
      numbers.length > drawn.length ? `GPU use, ${drawn.length} of ${numbers.length} GPUs` : "GPU use",
      drawn.map((n, at) => ({ name: n, values: gpu[`gpu${n}`], hue: hue(at + 1), area: drawn.length === 1 })),
      percent,
      100,
    );
    const held = drawn.filter((n) => gpu[`mem${n}`] && gpu[`mem${n}`].some((v) => v));
    if (held.length)
      add(
        gpu,
        "GPU memory",
        held.map((n, at) => ({
          name: n,
          values: gpu[`mem${n}`].map((v) => (v === null ? null : v * MIB)),
          hue: hue(at + 1),
          area: held.length === 1,
        })),
        size,
        0,
      );
  }
  if (task && (task.read || task.written))
    add(
      task,
      "Read and written, in sum",
      [
        ["read", 4],
        ["written", 3],
      ]
        .filter(([key]) => task[key])
        .map(([key, at]) => ({
          name: key,
          values: task[key].map((v) => (v === null ? null : v * MIB)),
          hue: hue(at),
          area: false,
        })),
      size,
      0,
    );
  if (node && node.cpu)
    add(
      node,
      "CPU of the whole node",
      [{ name: "node", values: node.cpu, hue: hue(7) }],
      percent,
      100 * (nodeCpus || 1),
    );
  for (const [title, steps, values] of training || [])
    add({ t: steps }, title, [{ name: "value", values, hue: hue(2), area: false }], number, 0);
  return found;
}
