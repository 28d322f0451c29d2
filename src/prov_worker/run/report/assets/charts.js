// One curve chart: SVG stretched to its place, labels beside it as text, a reading under the pointer or at the arrow keys.
// lines: [{name, values (null if nothing is known), hue, area}], all over the same times.
function chart({ title, times, lines, top, format, from, to, timeFormat, height = 64 }) {
  const known = lines.flatMap((line) => line.values.filter((value) => value !== null));
  const low = Math.min(0, ...(known.length ? [known.reduce((a, b) => Math.min(a, b), 0)] : [0]));
  const high = Math.max(top || 0, ...(known.length ? [known.reduce((a, b) => Math.max(a, b), 0)] : [0])) || 1;
  const width = to - from || 1;
  const x = (t) => (1000 * (t - from)) / width,
    y = (value) => 100 - (100 * (value - low)) / (high - low);
  const words = lines.map((line) => {
    const values = line.values.filter((value) => value !== null);
    if (!values.length) return `${line.name}: nothing sampled`;
    const mean = values.reduce((a, b) => a + b, 0) / values.length;
    return `${line.name}: mean ${format(mean)}, highest ${format(values.reduce((a, b) => Math.max(a, b)))}`;
  });
  const svg = el("svg", {
    viewBox: "0 0 1000 100",
    preserveAspectRatio: "none",
    height,
    role: "img",
    tabindex: 0,
    "aria-label": `${title}. ${words.join("; ")}. Of at most ${format(high)}.`,
  });
  svg.append(el("path", { class: "frame", d: "M0 0H1000M0 50H1000M0 100H1000" }));
  for (const line of lines) {
    let stroke = "",
      area = "",
      begun = null,
      lastX = 0;
    line.values.forEach((value, i) => {
      if (value === null) {
        if (begun !== null) area += `L${lastX} 100L${begun} 100Z`;
        begun = null;
        return;
      }
      const px = x(times[i]).toFixed(1),
        py = y(value).toFixed(1);
      stroke += `${begun === null ? "M" : "L"}${px} ${py}`;
      area += `${begun === null ? `M${px} 100L` : "L"}${px} ${py}`;
      if (begun === null) begun = px;
      lastX = px;
    });
    if (begun !== null) area += `L${lastX} 100L${begun} 100Z`;
    if (line.area !== false) svg.append(el("path", { class: "area", d: area, fill: line.hue }));
    if (line.values.filter((value) => value !== null).length === 1) stroke += "h8";
    svg.append(el("path", { class: "line", d: stroke, stroke: line.hue }));
  }
  const cursor = el("path", { class: "cursor" });
  svg.append(cursor);
  const read = el("span", { class: "read" });
  const keys =
    lines.length > 1
      ? el(
          "span",
          { class: "keys" },
          lines.map((line) => {
            const key = el("i", {}, line.name);
            key.style.setProperty("--key", line.hue);
            return key;
          }),
        )
      : null;
  let index = -1;
  const show = (at) => {
    index = at;
    cursor.setAttribute("d", at < 0 ? "" : `M${x(times[at]).toFixed(1)} 0V100`);
    read.textContent =
      at < 0
        ? ""
        : `${timeFormat(times[at])}: ${lines.map((line) => (line.values[at] === null ? "–" : format(line.values[at]))).join(" / ")}`;
  };
  svg.addEventListener("pointermove", (event) => {
    const box = svg.getBoundingClientRect(),
      at = from + (width * (event.clientX - box.left)) / box.width;
    let best = 0;
    times.forEach((time, i) => {
      if (Math.abs(time - at) < Math.abs(times[best] - at)) best = i;
    });
    show(best);
  });
  svg.addEventListener("pointerleave", () => show(-1));
  svg.addEventListener("blur", () => show(-1));
  svg.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!step) return;
    event.preventDefault();
    event.stopPropagation();
    show(clamp(index + step, 0, times.length - 1));
    svg.setAttribute("aria-description", read.textContent);
  });
  return el(
    "figure",
    {},
    el("figcaption", {}, el("span", {}, el("b", {}, title), " ", keys), read),
    el(
      "div",
      { class: "plot" },
      svg,
      el("span", { class: "y top" }, format(high)),
      el("span", { class: "y bottom" }, low ? format(low) : "0"),
      el("span", { class: "x left" }, timeFormat(from)),
      el("span", { class: "x right" }, timeFormat(to)),
    ),
  );
}
