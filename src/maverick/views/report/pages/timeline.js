/* When steps ran, and what ran beside what. Time in which nothing ran is drawn as a gap. */
const PAUSE = 0.03;
const MOST_LANES = 60;

class Axis {
  constructor(run) {
    const spans = run.steps.filter((step) => !step.inside).map((step) => Axis.times(step)).filter(Boolean);
    for (const execution of run.executions || []) {
      if (execution.seconds !== null) spans.push([Date.parse(execution.started), Date.parse(execution.started) + execution.seconds * 1000]);
    }
    spans.sort((one, other) => one[0] - other[0]);
    const busy = [];
    for (const [begin, end] of spans) {
      const last = busy[busy.length - 1];
      if (last && begin <= last[1]) last[1] = Math.max(last[1], end);
      else busy.push([begin, end]);
    }
    const total = busy.reduce((sum, [begin, end]) => sum + end - begin, 0) || 1;
    this.parts = [];
    for (const [begin, end] of busy) {
      const last = this.parts[this.parts.length - 1];
      if (last && begin - last.end < Math.max(total * 0.05, 2000)) last.end = end;
      else this.parts.push({ begin, end });
    }
    const active = this.parts.reduce((sum, part) => sum + part.end - part.begin, 0) || 1;
    const share = Math.max(1 - PAUSE * (this.parts.length - 1), 0.5);
    const pause = this.parts.length > 1 ? (1 - share) / (this.parts.length - 1) : 0;
    let from = 0;
    for (const part of this.parts) {
      part.from = from;
      part.to = from + (share * (part.end - part.begin)) / active;
      from = part.to + pause;
    }
    this.milliseconds = active;
  }

  static times(step) {
    if (!step.started || step.seconds === null || step.status === "skipped") return null;
    const begin = Date.parse(step.started);
    return [begin, begin + step.seconds * 1000];
  }

  at(time) {
    for (const part of this.parts) {
      if (time < part.begin) return part.from;
      if (time <= part.end) return part.from + ((part.to - part.from) * (time - part.begin)) / (part.end - part.begin || 1);
    }
    return 1;
  }

  /* Where a step lies, from 0 to 1; null where it has no time. */
  span(step) {
    const times = Axis.times(step);
    return times && this.parts.length ? [this.at(times[0]), this.at(times[1])] : null;
  }
}

function lanesOf(run, axis) {
  const bars = [];
  run.steps.forEach((step, index) => {
    const span = step.inside ? null : axis.span(step);
    if (span) bars.push({ index, step, begin: Date.parse(step.started), end: Date.parse(step.started) + step.seconds * 1000, span });
  });
  bars.sort((one, other) => one.begin - other.begin || one.index - other.index);
  const ends = [];
  let crowded = 0;
  for (const bar of bars) {
    let lane = ends.findIndex((end) => end <= bar.begin + 1);
    if (lane < 0 && ends.length < MOST_LANES) lane = ends.push(0) - 1;
    if (lane < 0) {
      lane = ends.indexOf(Math.min(...ends));
      crowded += 1;
    }
    ends[lane] = Math.max(bar.end, ends[lane]);
    bar.lane = lane;
  }
  return { bars, lanes: ends.length, crowded };
}

function timelineOf(run, axis, place, reveal) {
  const { bars, lanes, crowded } = lanesOf(run, axis);
  if (!bars.length) {
    place.append(make("p", { class: "quiet" }, "No times are known."));
    return;
  }
  const box = make("div");
  place.append(box);
  if (crowded) place.append(make("p", { class: "note" }, `More ran at once than there is room for: ${count(crowded, "bar")} lie on others.`));
  let drawn = 0;
  const paint = () => {
    const width = Math.max(box.clientWidth, 576);
    if (width === drawn) return;
    drawn = width;
    box.replaceChildren(timelineSvg(axis, bars, lanes, width, reveal));
  };
  paint();
  new ResizeObserver(paint).observe(box);
}

function timelineSvg(axis, bars, lanes, width, reveal) {
  const tall = lanes > 24 ? 8 : 18;
  const height = lanes * (tall + 3) + 24;
  const most = bars.reduce((best, bar) => (bar.step.seconds > best.step.seconds ? bar : best), bars[0]);
  const svg = draw("svg", { width, height, viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": `${count(bars.length, "step")}, up to ${lanes} at once; ${most.step.path} took longest, ${duration(most.step.seconds)}` });
  axis.parts.slice(1).forEach((part, number) => {
    const before = axis.parts[number];
    const gap = draw("rect", { class: "pause", x: before.to * width, y: 0, width: (part.from - before.to) * width, height: height - 22 }, draw("title", {}, `${duration((part.begin - before.end) / 1000)} without a step`));
    svg.append(gap);
  });
  for (const [x, text] of ticks(axis, width)) {
    svg.append(draw("line", { class: "tick", x1: x, x2: x, y1: 0, y2: height - 20 }), draw("text", { x: Math.min(x + 3, width - 40), y: height - 6 }, text));
  }
  const last = new Map();
  for (const bar of bars) {
    const x = bar.span[0] * width;
    const wide = (bar.span[1] - bar.span[0]) * width;
    const before = last.get(bar.lane);
    if (before && wide < 1.5 && before.status === bar.step.status && x - before.end < 1) {
      before.end = Math.max(before.end, x + wide);
      before.rect.setAttribute("width", before.end - before.x);
      continue;
    }
    const y = bar.lane * (tall + 3);
    const rect = draw("rect", { class: bar.step.status, x, y, width: Math.max(wide, 1.5), height: tall, rx: Math.min(3, wide / 2) });
    last.set(bar.lane, { x, end: x + Math.max(wide, 1.5), status: bar.step.status, rect });
    const group = draw("g", { class: "bar", click: () => reveal(bar.step.path) }, draw("title", {}, `${bar.step.path}\n${bar.step.status}, ${duration(bar.step.seconds)}`), rect);
    const room = Math.floor((wide - 10) / 6.4);
    if (tall > 10 && room >= 3) group.append(draw("text", { class: "name", x: x + 5, y: y + 13 }, shortened(bar.step.name, room)));
    svg.append(group);
  }
  return svg;
}

function ticks(axis, width) {
  const steps = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000, 15000, 30000, 60000, 120000, 300000, 600000, 900000, 1800000, 3600000, 7200000, 14400000, 43200000, 86400000, 604800000];
  const wanted = axis.milliseconds / Math.max(Math.min(width / 110, 9), 2);
  const step = steps.find((each) => each >= wanted) || steps[steps.length - 1];
  const marks = [];
  let passed = 0;
  for (const part of axis.parts) {
    const length = part.end - part.begin;
    for (let mark = Math.ceil(passed / step) * step; mark < passed + length || (mark === 0 && passed === 0); mark += step) {
      marks.push([(part.from + ((part.to - part.from) * (mark - passed)) / (length || 1)) * width, mark ? duration(mark / 1000) : "0"]);
      if (marks.length > 40) return marks;
    }
    passed += length;
  }
  return marks;
}
