// A trend of up to six signals of one kind on a canvas: lines (or steps), the band between the lowest and the highest
// reading of a bucket, gaps where readings were bad, texts as a ribbon, and a cross-hair that tells the values.

import { dayText, fullText, minuteText, clockText, numberText, withUnit } from "./format.js";

const PAD = { left: 52, right: 12, top: 12, bottom: 24 };
const USABLE = 64; // OPC quality: below it a reading is bad
const RIBBON = 26;
const DAY = 86_400_000;
const STEPS = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400, 172800, 604800];

export class Trend {
  constructor(canvas, tip) {
    this.canvas = canvas;
    this.tip = tip;
    this.series = [];
    canvas.onpointermove = (event) => this.point(event.offsetX);
    canvas.onpointerleave = () => this.point(null);
    canvas.onkeydown = (event) => this.pressed(event);
    new ResizeObserver(() => this.draw()).observe(canvas);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.draw());
  }

  /**
   * Shows series `{id, name, unit, stepped, texts, time[ms], value[], low[], high[], quality[]}` over a span that
   * ends now, or when the next reading comes; `limits` `{value, severity}` are drawn across it.
   */
  show(series, span, limits = []) {
    Object.assign(this, { series, span, limits, end: Date.now() });
    this.draw();
  }

  /** A live reading at the right end. */
  add(id, time, value, quality) {
    const one = this.series.find((candidate) => candidate.id === id);
    if (!one) return;
    const last = one.time.length ? one.time[one.time.length - 1] : -Infinity;
    if (time <= last) return;
    one.time.push(time);
    for (const column of ["value", "low", "high"]) one[column].push(value);
    one.quality.push(quality);
    const start = time - this.span;
    let gone = 0;
    while (gone < one.time.length - 1 && one.time[gone + 1] < start) gone++;
    if (gone > 64) for (const column of ["time", "value", "low", "high", "quality"]) one[column].splice(0, gone);
    this.end = Math.max(this.end, time);
    this.soon();
  }

  soon() {
    this.waiting ??= requestAnimationFrame(() => {
      this.waiting = null;
      this.draw();
    });
  }

  draw() {
    const { clientWidth: width, clientHeight: height } = this.canvas;
    if (!width || !this.span) return;
    const ratio = devicePixelRatio || 1;
    if (this.canvas.width !== Math.round(width * ratio)) this.canvas.width = Math.round(width * ratio);
    if (this.canvas.height !== Math.round(height * ratio)) this.canvas.height = Math.round(height * ratio);
    const pen = this.canvas.getContext("2d");
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    pen.clearRect(0, 0, width, height);
    this.colours = colours();
    this.frame = { left: PAD.left, right: width - PAD.right, top: PAD.top, bottom: height - PAD.bottom };
    pen.font = `11px ${this.colours.font}`;
    const texts = this.series.some((one) => one.texts);
    if (texts) this.frame.left = 12;
    this.timeAxis(pen);
    if (!this.series.some((one) => one.time.length)) return this.nothing(pen);
    if (texts) this.ribbons(pen);
    else this.lines(pen);
    this.describe();
    if (this.at !== null && this.at !== undefined) this.crosshair(pen);
    return undefined;
  }

  x(time) {
    const { left, right } = this.frame;
    return left + ((time - (this.end - this.span)) / this.span) * (right - left);
  }

  y(value) {
    const { top, bottom } = this.frame;
    return bottom - ((value - this.low) / (this.high - this.low)) * (bottom - top);
  }

  timeAxis(pen) {
    const { left, right, bottom, top } = this.frame;
    const wanted = Math.max(2, Math.floor((right - left) / 80));
    const step = (STEPS.find((seconds) => this.span / 1000 / seconds <= wanted) ?? STEPS[STEPS.length - 1]) * 1000;
    // Ticks stand on the reader's own hours, not on those of UTC.
    const zone = new Date(this.end).getTimezoneOffset() * 60_000;
    pen.fillStyle = this.colours.muted;
    pen.strokeStyle = this.colours.line;
    pen.textAlign = "center";
    pen.textBaseline = "top";
    for (let time = Math.ceil((this.end - this.span - zone) / step) * step + zone; time <= this.end; time += step) {
      const x = Math.round(this.x(time)) + 0.5;
      segment(pen, x, top, x, bottom);
      if (x > left + 14 && x < right - 14) pen.fillText(step >= DAY ? dayText(time) : step < 60_000 ? clockText(time) : minuteText(time), x, bottom + 6);
    }
  }

  lines(pen) {
    this.range();
    const { left, right, bottom, top } = this.frame;
    pen.textAlign = "right";
    pen.textBaseline = "middle";
    for (const value of ticks(this.low, this.high, Math.max(2, Math.floor((bottom - top) / 34)))) {
      const y = Math.round(this.y(value)) + 0.5;
      pen.strokeStyle = this.colours.line;
      segment(pen, left, y, right, y);
      pen.fillStyle = this.colours.muted;
      pen.fillText(numberText(Number(value.toPrecision(6))), left - 7, y);
    }
    this.limitLines(pen);
    pen.save();
    pen.beginPath();
    pen.rect(left, top - 4, right - left, bottom - top + 8);
    pen.clip();
    this.series.forEach((one, number) => this.line(pen, one, this.colours.series[number % this.colours.series.length]));
    pen.restore();
  }

  limitLines(pen) {
    pen.setLineDash([5, 4]);
    for (const { value, severity } of this.limits) {
      pen.strokeStyle = this.colours[severity] ?? this.colours.muted;
      segment(pen, this.frame.left, this.y(value), this.frame.right, this.y(value));
    }
    pen.setLineDash([]);
  }

  range() {
    let low = Infinity;
    let high = -Infinity;
    const start = this.end - this.span;
    for (const { time, low: lows, high: highs } of this.series)
      for (let i = 0; i < time.length; i++) {
        if (lows[i] === null || time[i] < start) continue;
        low = Math.min(low, lows[i]);
        high = Math.max(high, highs[i]);
      }
    for (const { value } of this.limits) [low, high] = [Math.min(low, value), Math.max(high, value)];
    if (low > high) [low, high] = [0, 1];
    const room = (high - low) * 0.1 || Math.abs(high) * 0.05 || 1;
    this.low = low >= 0 && low - room < 0 ? 0 : low - room;
    this.high = high + room;
  }

  line(pen, one, colour) {
    const { time, low, high } = one;
    pen.fillStyle = colour;
    pen.globalAlpha = 0.16;
    for (const [from, to] of runs(one)) {
      pen.beginPath();
      for (let i = from; i < to; i++) pen.lineTo(this.x(time[i]), this.y(high[i]));
      for (let i = to - 1; i >= from; i--) pen.lineTo(this.x(time[i]), this.y(low[i]));
      pen.fill();
    }
    pen.globalAlpha = 1;
    pen.strokeStyle = colour;
    pen.lineWidth = 1.6;
    pen.lineJoin = "round";
    for (const [from, to] of runs(one)) this.stroke(pen, one, from, to);
    pen.lineWidth = 1;
  }

  stroke(pen, { time, value, stepped }, from, to) {
    pen.beginPath();
    for (let i = from; i < to; i++) {
      const [x, y] = [this.x(time[i]), this.y(value[i])];
      if (stepped && i > from) pen.lineTo(x, this.y(value[i - 1]));
      pen.lineTo(x, y);
    }
    if (stepped && to === time.length) pen.lineTo(this.frame.right, this.y(value[to - 1]));
    pen.stroke();
    if (to - from === 1 || to === time.length) {
      pen.beginPath();
      pen.arc(this.x(time[to - 1]), this.y(value[to - 1]), 2.6, 0, 7);
      pen.fillStyle = pen.strokeStyle;
      pen.fill();
    }
  }

  // Texts: a ribbon for each signal, one colour for each text.
  ribbons(pen) {
    const { left, right, top } = this.frame;
    const words = [...new Set(this.series.flatMap((one) => one.value.map(String)))];
    this.series.forEach((one, row) => {
      const y = top + row * (RIBBON + 6);
      for (let i = 0; i < one.time.length; ) {
        let next = i + 1;
        while (next < one.time.length && one.value[next] === one.value[i]) next++;
        const from = Math.max(this.x(one.time[i]), left);
        const to = next < one.time.length ? Math.max(this.x(one.time[next]), left) : right;
        const text = one.value[i] === null ? "" : String(one.value[i]);
        pen.fillStyle = one.value[i] === null ? this.colours.line : this.colours.series[words.indexOf(text) % this.colours.series.length];
        pen.globalAlpha = 0.75;
        pen.fillRect(from, y, Math.max(to - from - 1, 1), RIBBON);
        pen.globalAlpha = 1;
        pen.textAlign = "left";
        pen.textBaseline = "middle";
        pen.fillStyle = this.colours.ink;
        if (pen.measureText(text).width + 10 < to - from) pen.fillText(text, from + 5, y + RIBBON / 2 + 1);
        i = next;
      }
    });
    this.words(pen, words, top + this.series.length * (RIBBON + 6) + 12);
  }

  // What the colours mean.
  words(pen, words, top) {
    const { left, right, bottom } = this.frame;
    let x = left;
    let y = top;
    pen.textAlign = "left";
    pen.textBaseline = "middle";
    for (const [number, word] of words.entries()) {
      const width = pen.measureText(word).width + 30;
      if (x > left && x + width > right) [x, y] = [left, y + 20];
      if (y > bottom - 8 || word === "null") continue;
      pen.fillStyle = this.colours.series[number % this.colours.series.length];
      pen.fillRect(x, y - 5, 10, 10);
      pen.fillStyle = this.colours.ink;
      pen.fillText(word, x + 15, y + 1);
      x += width;
    }
  }

  nothing(pen) {
    const { left, right, top, bottom } = this.frame;
    pen.fillStyle = this.colours.muted;
    pen.textAlign = "center";
    pen.textBaseline = "middle";
    pen.font = `13px ${this.colours.font}`;
    pen.fillText("no readings in this span", (left + right) / 2, (top + bottom) / 2);
    this.canvas.setAttribute("aria-label", "Trend: no readings in this span");
  }

  describe() {
    const parts = this.series.map((one) => {
      const last = one.value[one.value.length - 1];
      const usable = one.texts ? [] : one.value.filter((value) => value !== null);
      const span = usable.length ? `, between ${numberText(Math.min(...usable))} and ${numberText(Math.max(...usable))}` : "";
      return `${one.name} ${last === undefined ? "without readings" : withUnit(last, one.unit)}${span}`;
    });
    this.canvas.setAttribute("aria-label", `Trend. ${parts.join(". ")}`);
  }

  // The cross-hair

  pressed(event) {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    const times = this.series[0]?.time;
    if (!step || !times?.length) return;
    event.preventDefault();
    const at = this.at === null || this.at === undefined ? times.length - 1 : nearest(times, this.at) + step;
    this.at = times[Math.max(0, Math.min(times.length - 1, at))];
    this.draw();
  }

  point(offset) {
    const { left, right } = this.frame ?? {};
    const outside = offset === null || offset < left || offset > right;
    this.at = outside ? null : this.end - this.span + ((offset - left) / (right - left)) * this.span;
    if (outside) this.tip.hidden = true;
    this.soon();
  }

  crosshair(pen) {
    const found = this.series.filter((one) => one.time.length).map((one) => [one, this.indexAt(one)]);
    if (!found.length) return;
    const time = found[0][0].time[found[0][1]];
    const x = Math.min(Math.max(this.x(time), this.frame.left), this.frame.right);
    pen.strokeStyle = this.colours.muted;
    pen.setLineDash([3, 3]);
    segment(pen, x, this.frame.top, x, this.frame.bottom);
    pen.setLineDash([]);
    const values = found.map(([one, i]) => `${found.length > 1 ? `${one.name} ` : ""}${withUnit(one.value[i], one.unit)}`);
    this.tip.hidden = false;
    this.tip.textContent = `${fullText(time)}  ${values.join("  ")}`;
  }

  indexAt(one) {
    return one.texts || one.stepped ? Math.max(0, before(one.time, this.at)) : nearest(one.time, this.at);
  }
}

// Runs of usable readings that follow one another.
function* runs({ time, value, quality }) {
  let from = null;
  for (let i = 0; i <= time.length; i++) {
    const usable = i < time.length && value[i] !== null && quality[i] >= USABLE;
    if (usable && from === null) from = i;
    if (!usable && from !== null) {
      yield [from, i];
      from = null;
    }
  }
}

// The last index whose time is not after `at`; -1 if there is none.
function before(times, at) {
  let low = 0;
  let high = times.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (times[middle] <= at) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}

function nearest(times, at) {
  const left = Math.max(0, before(times, at));
  return left + 1 < times.length && times[left + 1] - at < at - times[left] ? left + 1 : left;
}

function ticks(low, high, wanted) {
  const rough = (high - low) / wanted;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((candidate) => candidate >= rough);
  const found = [];
  for (let value = Math.ceil(low / step) * step; value <= high + step / 1e6; value += step) found.push(value);
  return found;
}

function segment(pen, x1, y1, x2, y2) {
  pen.beginPath();
  pen.moveTo(x1, y1);
  pen.lineTo(x2, y2);
  pen.stroke();
}

function colours() {
  const computed = getComputedStyle(document.documentElement);
  const of = (name) => computed.getPropertyValue(`--${name}`).trim();
  return {
    critical: of("critical"), warning: of("warning"), muted: of("muted"), line: of("line"), ink: of("ink"), font: of("font") || "sans-serif",
    series: [1, 2, 3, 4, 5, 6].map((number) => of(`series-${number}`)),
  }; // prettier-ignore
}
