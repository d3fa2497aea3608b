// Values, units and times as a reader knows them.

const UNITS = {
  celsius: "°C", fahrenheit: "°F", kelvin: "K", percent: "%", ampere: "A", volt: "V", watt: "W", kilowatt: "kW",
  degree: "°", hertz: "Hz", second: "s", pascal: "Pa", newton: "N", metre: "m", meter: "m", "N*m": "N·m",
  "m3/h": "m³/h", "m^3/h": "m³/h", "l/min": "l/min", "m/s^2": "m/s²",
}; // prettier-ignore

export const unitText = (unit) => (unit ? (UNITS[unit] ?? unit) : "");

/** A number with as many digits as are worth reading. */
export function numberText(number) {
  if (number === null || number === undefined) return "–";
  if (Number.isInteger(number) && Math.abs(number) < 1e9) return number.toLocaleString("en");
  const size = Math.abs(number);
  if (size >= 1e7 || (size > 0 && size < 1e-3)) return number.toExponential(2);
  const digits = size >= 1000 ? 0 : size >= 100 ? 1 : size >= 1 ? 2 : 3;
  return number.toLocaleString("en", { minimumFractionDigits: digits === 2 ? 1 : 0, maximumFractionDigits: digits });
}

export function valueText(value) {
  if (value === null || value === undefined) return "–";
  if (Array.isArray(value)) return `[${value.map(valueText).join(", ")}]`;
  if (typeof value === "number") return numberText(value);
  return typeof value === "boolean" ? (value ? "yes" : "no") : String(value);
}

export function withUnit(value, unit) {
  const text = valueText(value);
  const sign = typeof value === "number" || Array.isArray(value) ? unitText(unit) : "";
  if (!sign) return text;
  return sign === "°" || sign === "%" ? `${text}${sign === "%" ? " " : ""}${sign}` : `${text} ${sign}`;
}

const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false });
const minutes = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", hour12: false });
const day = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short" });
const full = new Intl.DateTimeFormat(undefined, {
  day: "numeric", month: "short", year: "numeric", hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false,
}); // prettier-ignore

export const clockText = (time) => clock.format(new Date(time));
export const minuteText = (time) => minutes.format(new Date(time));
export const dayText = (time) => day.format(new Date(time));
export const fullText = (time) => full.format(new Date(time));

/** Today's times as a clock, older ones with their day. */
export function timeText(time) {
  const moment = new Date(time);
  const today = moment.toDateString() === new Date().toDateString();
  return today ? clockText(time) : `${dayText(time)} ${minuteText(time)}`;
}

/** How long ago, in one word. */
export function ageText(time, now = Date.now()) {
  const seconds = (now - Date.parse(time)) / 1000;
  if (seconds < 1.5) return "now";
  return `${spanText(seconds)} ago`;
}

export function spanText(seconds) {
  if (seconds < 90) return `${Math.round(seconds)} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  if (seconds < 129600) return `${Math.round(seconds / 3600)} h`;
  return `${Math.round(seconds / 86400)} d`;
}

/** `assembly_line` as it is read aloud. */
export const plain = (word) => (word ?? "").replaceAll("_", " ");
