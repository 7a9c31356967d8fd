// Draws the plots of the page: lines, bars, rows of bars, and points, from the data beside them.
(() => {
  "use strict";
  const hidden = new Set(), plots = [], tip = document.getElementById("tip");
  const NS = "http://www.w3.org/2000/svg";
  const make = (name, attributes, text) => {
    const node = document.createElementNS(NS, name);
    for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
    if (text !== undefined) node.textContent = text;
    return node;
  };
  const short = value => {
    const size = Math.abs(value);
    if (size >= 1e6) return +(value / 1e6).toPrecision(3) + "M";
    if (size >= 1e4) return +(value / 1e3).toPrecision(3) + "k";
    if (size > 0 && size < 0.0001) return value.toExponential(0).replace("e-", "e\u2212");
    return String(+value.toPrecision(3));
  };
  const exact = value => {
    const size = Math.abs(value);
    if (size >= 1000) return String(Math.round(value));
    if (size > 0 && size < 0.001) return value.toExponential(2).replace("e-", "e\u2212");
    return String(+value.toPrecision(4));
  };
  const ticks = (low, high, count, whole) => {
    const raw = (high - low) / count || 1, power = 10 ** Math.floor(Math.log10(raw));
    let step = [1, 2, 2.5, 5, 10].map(n => n * power).find(n => n >= raw * 0.999);
    if (whole) step = Math.max(1, Math.round(step));
    const found = [];
    for (let n = Math.ceil(low / step - 1e-9); n * step <= high + step * 1e-9; n++) found.push(n * step);
    return found;
  };
  const show = (event, title, rows) => {
    tip.replaceChildren();
    const head = document.createElement("b");
    head.textContent = title;
    tip.append(head);
    for (const [series, name, value] of rows) {
      const line = document.createElement("div"), left = document.createElement("span");
      const swatch = document.createElement("i");
      swatch.className = `swatch ${series.colour}`;
      left.append(swatch, name);
      const right = document.createElement("span");
      right.textContent = value;
      line.append(left, right);
      tip.append(line);
    }
    tip.hidden = false;
    const view = document.documentElement.clientWidth;
    const left = Math.min(event.clientX + 14, view - tip.offsetWidth - 6);
    const over = event.clientY + tip.offsetHeight + 24 > innerHeight;
    tip.style.left = `${Math.max(4, left) + scrollX}px`;
    tip.style.top = `${event.clientY + scrollY + (over ? -tip.offsetHeight - 12 : 16)}px`;
  };
  const hide = () => { tip.hidden = true; };

  const frame = (box, chart, height, left, bottom) => {
    const width = Math.max(220, Math.round(box.clientWidth));
    const svg = make("svg", {viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": chart.title});
    svg.addEventListener("pointerleave", hide);
    box.replaceChildren(svg);
    return {svg, width, height, left, right: width - 10, top: 18, bottom: height - bottom};
  };
  const place = (svg, event, width) => (event.clientX - svg.getBoundingClientRect().left) * width / svg.getBoundingClientRect().width;
  // Where the pointer is over the place of a group, its values are shown.
  const catcher = (place, title, shown, group) => {
    const over = make("rect", {...place, fill: "transparent"});
    over.addEventListener("pointermove", event => show(event, title, shown.map(series =>
      [series, series.name, series.values[group] === null ? "no object" : series.values[group].toFixed(1)])));
    return over;
  };

  function lines(box, chart, shown) {
    const area = frame(box, chart, box.closest(".wide") ? 270 : 200, 50, 34), {svg} = area;
    const all = shown.flatMap(series => series.points);
    if (!all.length) return;
    const xs = all.map(point => point[0]);
    let ys = all.map(point => point[1]).sort((a, b) => a - b);
    let x0 = chart.whole ? Math.min(...xs) : 0, x1 = chart.end || Math.max(...xs);
    if (x0 === x1) { x0 -= 1; x1 += 1; }
    // Single spikes of a loss may leave the plot; its course is to fill it.
    let y0 = ys[0], y1 = chart.floor === 0 && ys.length > 50 ? ys[Math.floor(ys.length * 0.985)] : ys[ys.length - 1];
    if (chart.floor === 0) y0 = Math.min(0, y0);
    if (chart.range) [y0, y1] = chart.range;
    else { const margin = (y1 - y0) * 0.08 || Math.abs(y1) * 0.1 || 1; y1 += margin; if (chart.floor !== 0) y0 = Math.max(y0 >= 0 ? 0 : -Infinity, y0 - margin); }
    const x = value => area.left + (value - x0) / (x1 - x0) * (area.right - area.left);
    const y = value => Math.max(area.top - 2, area.bottom - (value - y0) / (y1 - y0) * (area.bottom - area.top));
    for (const value of ticks(y0, y1, 5)) {
      svg.append(make("line", {class: "grid", x1: area.left, x2: area.right, y1: y(value), y2: y(value)}),
        make("text", {x: area.left - 6, y: y(value) + 4, "text-anchor": "end"}, short(value)));
    }
    for (const value of ticks(x0, x1, area.width < 380 ? 4 : 6, chart.whole)) {
      svg.append(make("text", {x: x(value), y: area.bottom + 15, "text-anchor": "middle"}, short(value)));
    }
    svg.append(make("line", {class: "axis", x1: area.left, x2: area.right, y1: area.bottom, y2: area.bottom}),
      make("text", {x: (area.left + area.right) / 2, y: area.height - 3, "text-anchor": "middle"}, chart.x));
    if (chart.y) svg.append(make("text", {x: area.left, y: 9}, chart.y));
    for (const series of shown) {
      const path = series.points.map(([a, b], n) => `${n ? "L" : "M"}${x(a).toFixed(1)} ${y(b).toFixed(1)}`).join("");
      const extra = (series.faint ? " faint" : "") + (series.dashed ? " dashed" : "");
      svg.append(make("path", {class: `line ${series.colour}${extra}`, d: path}));
      if (series.markers || series.points.length === 1) {
        for (const [a, b] of series.points) svg.append(make("circle", {class: `dot ${series.colour}`, cx: x(a), cy: y(b), r: 3}));
      }
      const marked = series.points.find(point => point[0] === series.marked);
      if (marked) svg.append(make("circle", {class: `ring ${series.colour}`, cx: x(marked[0]), cy: y(marked[1]), r: 7}));
    }
    const cross = make("line", {class: "cross", y1: area.top, y2: area.bottom, visibility: "hidden"});
    const dots = shown.filter(series => !series.faint).map(series => {
      const dot = make("circle", {class: `dot ${series.colour}`, r: 4, visibility: "hidden"});
      svg.append(dot);
      return [series, dot];
    });
    svg.append(cross);
    const leave = () => { cross.setAttribute("visibility", "hidden"); dots.forEach(([, dot]) => dot.setAttribute("visibility", "hidden")); };
    svg.addEventListener("pointerleave", leave);
    svg.addEventListener("pointermove", event => {
      const wanted = x0 + (place(svg, event, area.width) - area.left) / (area.right - area.left) * (x1 - x0);
      const rows = [];
      let at = null;
      for (const [series, dot] of dots) {
        if (!series.points.length) continue;
        const near = series.points.reduce((a, b) => Math.abs(b[0] - wanted) < Math.abs(a[0] - wanted) ? b : a);
        if (at === null || Math.abs(near[0] - wanted) < Math.abs(at - wanted)) at = near[0];
        dot.setAttribute("cx", x(near[0])); dot.setAttribute("cy", y(near[1])); dot.setAttribute("visibility", "visible");
        rows.push([series, series.name, exact(near[1])]);
      }
      cross.setAttribute("x1", x(at)); cross.setAttribute("x2", x(at)); cross.setAttribute("visibility", "visible");
      show(event, `${chart.x} ${exact(at)}`, rows);
    });
  }

  function bars(box, chart, shown) {
    const area = frame(box, chart, 250, 34, 40), {svg} = area, count = chart.groups.length;
    const y = value => area.bottom - value / 100 * (area.bottom - area.top);
    for (const value of [0, 25, 50, 75, 100]) {
      svg.append(make("line", {class: value ? "grid" : "axis", x1: area.left, x2: area.right, y1: y(value), y2: y(value)}),
        make("text", {x: area.left - 6, y: y(value) + 4, "text-anchor": "end"}, value));
    }
    svg.append(make("text", {x: area.left, y: 9}, chart.y));
    const gap = 14, starts = Object.keys(chart.splits).map(Number);
    const step = (area.right - area.left - gap * starts.length) / count;
    const shift = group => starts.filter(start => start <= group).length * gap;
    starts.forEach((start, n) => {
      const from = area.left + start * step + shift(start), to = area.left + (starts[n + 1] || count) * step + shift(start);
      svg.append(make("text", {x: (from + to) / 2, y: area.height - 4, "text-anchor": "middle"}, chart.splits[start]),
        make("line", {class: "axis", x1: from + 6, x2: to - 6, y1: area.bottom + 22, y2: area.bottom + 22}));
    });
    chart.groups.forEach((name, group) => {
      const left = area.left + group * step + shift(group), wide = Math.min(26, (step - 6) / Math.max(1, shown.length));
      const start = left + (step - wide * shown.length) / 2;
      shown.forEach((series, n) => {
        const value = series.values[group];
        if (value === null) return;
        svg.append(make("rect", {class: `rect ${series.colour}`, x: start + n * wide + 0.5, width: Math.max(1, wide - 1),
          y: Math.min(y(value), area.bottom - 1), height: Math.max(1, area.bottom - y(value)), rx: Math.min(2, wide / 4)}));
      });
      svg.append(make("text", {class: "label", x: left + step / 2, y: area.bottom + 15, "text-anchor": "middle",
        style: step < 46 ? "font-size:9px" : ""}, name));
      const over = {x: left, y: area.top, width: step, height: area.bottom - area.top + 18};
      svg.append(catcher(over, `${name}, ${chart.y}`, shown, group));
    });
  }

  function rows(box, chart, shown) {
    const points = chart.form === "points", thick = points ? 20 : Math.max(20, 11 * shown.length + 8);
    const names = Math.min(130, 16 + 6.8 * Math.max(...chart.groups.map(name => name.length)));
    const area = frame(box, chart, chart.groups.length * thick + 42, names, 30), {svg} = area;
    const x = value => area.left + value / 100 * (area.right - 24 - area.left);
    for (const value of [0, 25, 50, 75, 100]) {
      svg.append(make("line", {class: value ? "grid" : "axis", x1: x(value), x2: x(value), y1: area.top, y2: area.bottom}),
        make("text", {x: x(value), y: area.bottom + 14, "text-anchor": "middle"}, value));
    }
    svg.append(make("text", {x: (x(0) + x(100)) / 2, y: area.height - 2, "text-anchor": "middle"}, chart.x));
    chart.groups.forEach((name, group) => {
      const top = area.top + group * thick, middle = top + thick / 2;
      const most = Math.floor((names - 12) / 6.3), label = name.length > most ? `${name.slice(0, most - 1)}…` : name;
      svg.append(make("text", {class: "label", x: area.left - 7, y: middle + 4, "text-anchor": "end"}, label));
      const known = shown.filter(series => series.values[group] !== null);
      if (points && known.length) {
        const values = known.map(series => series.values[group]);
        svg.append(make("line", {class: "grid", style: "stroke-width:3", x1: x(Math.min(...values)), x2: x(Math.max(...values)), y1: middle, y2: middle}));
      }
      known.forEach(series => {
        const value = series.values[group], n = shown.indexOf(series), high = (thick - 8) / shown.length;
        if (points) svg.append(make("circle", {class: `dot ${series.colour}`, cx: x(value), cy: middle, r: 4.5, "fill-opacity": 0.85}));
        else {
          svg.append(make("rect", {class: `rect ${series.colour}`, x: x(0), width: Math.max(1, x(value) - x(0)), y: top + 4 + n * high, height: Math.max(1, high - 1), rx: 2}));
          if (high >= 8) svg.append(make("text", {x: x(value) + 4, y: top + 4 + n * high + high / 2 + 3.5, style: "font-size:10px"}, value.toFixed(0)));
        }
      });
      const over = {x: 0, y: top, width: area.width, height: thick};
      svg.append(catcher(over, `${name}, ${chart.x}`, shown, group));
    });
  }

  const draw = plot => {
    const shown = plot.chart.series.filter(series => !hidden.has(series.run));
    const form = {line: lines, bars, rows, points: rows}[plot.chart.form];
    plot.width = plot.box.clientWidth;
    form(plot.box, plot.chart, shown);
  };
  for (const figure of document.querySelectorAll(".plot")) {
    const plot = {box: figure.querySelector(".chart"), chart: JSON.parse(figure.querySelector("script").textContent), width: 0};
    plots.push(plot);
    draw(plot);
  }
  let waiting = 0;
  addEventListener("resize", () => {
    cancelAnimationFrame(waiting);
    waiting = requestAnimationFrame(() => plots.filter(plot => plot.box.clientWidth !== plot.width).forEach(draw));
  });
  addEventListener("scroll", hide, {passive: true});
  for (const button of document.querySelectorAll(".legend button")) {
    button.addEventListener("click", () => {
      const run = Number(button.dataset.run), off = !hidden.has(run);
      if (off) hidden.add(run); else hidden.delete(run);
      document.querySelectorAll(`.legend button[data-run="${run}"]`).forEach(other => other.setAttribute("aria-pressed", String(!off)));
      plots.forEach(draw);
    });
  }
})();
