/* What all parts of the page use. Whatever comes from a run reaches the page as text only. */
const SIGNS = { done: "✓", failed: "✗", skipped: "-", running: "▸", waiting: "?", pending: "·" };
const SVG = "http://www.w3.org/2000/svg";

/* Makes an element. Texts among the children become text, and nothing else. */
function make(tag, attributes, ...children) {
  return filled(document.createElement(tag), attributes, children);
}

function draw(tag, attributes, ...children) {
  return filled(document.createElementNS(SVG, tag), attributes, children);
}

function filled(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes || {})) {
    if (name === "click") element.addEventListener("click", value);
    else if (value !== null && value !== undefined && value !== false) {
      element.setAttribute(name, value === true ? "" : String(value));
    }
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

function block(id) {
  const element = document.getElementById(id);
  return element === null ? null : JSON.parse(element.textContent);
}

function count(number, noun) {
  return `${number.toLocaleString("en")} ${noun}${number === 1 ? "" : "s"}`;
}

function duration(seconds) {
  if (seconds === null || seconds === undefined) return "";
  if (seconds < 1) return `${Math.round(seconds * 1000)} ms`;
  if (seconds < 60) return `${seconds.toFixed(1)} s`;
  const minutes = Math.floor(Math.round(seconds) / 60);
  const two = (number) => String(number).padStart(2, "0");
  if (minutes < 60) return `${minutes} m ${two(Math.round(seconds) % 60)} s`;
  return `${Math.floor(minutes / 60)} h ${two(minutes % 60)} m`;
}

function size(bytes) {
  const units = ["B", "kB", "MB", "GB"];
  let unit = 0;
  let number = bytes;
  while (number >= 999.5 && unit < units.length - 1) {
    number /= 1000;
    unit += 1;
  }
  return `${unit === 0 || number >= 9.95 ? Math.round(number) : number.toFixed(1)} ${units[unit]}`;
}

function thousands(number) {
  return number < 1000 ? String(number) : number < 99500 ? `${(number / 1000).toFixed(1)}k` : `${Math.round(number / 1000)}k`;
}

function cost(agent) {
  if (!agent) return "";
  if (agent.usd !== null && agent.usd !== undefined) return `$${agent.usd.toFixed(2)}`;
  const tokens = (agent.tokens_in || 0) + (agent.tokens_out || 0);
  return tokens ? `${thousands(tokens)} tokens` : "";
}

function shortened(text, most) {
  return text.length <= most ? text : `${text.slice(0, most - 1)}…`;
}

function stepLink(path, text) {
  return make("a", { href: `#step=${encodeURIComponent(path)}` }, text || path);
}

/* A part that is made when it is first opened. */
function lazily(details, fill) {
  const once = () => {
    if (details.open && !details.dataset.made) {
      details.dataset.made = "yes";
      fill(details);
    }
  };
  details.addEventListener("toggle", once);
  once();
}
