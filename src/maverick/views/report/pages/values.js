/* Values, texts and differences. */
const MOST_ENTRIES = 100;
const LONG_TEXT = 400;
const LEFT_OUT = "$left_out";

function valueOf(value, depth = 0) {
  return make("div", { class: "value" }, valuePart(value, depth));
}

function valuePart(value, depth) {
  if (value === null) return make("span", { class: "quiet" }, "null");
  if (typeof value === "string") return textValue(value);
  if (typeof value !== "object") return make("span", { class: "number" }, String(value));
  const isList = Array.isArray(value);
  if (!isList && Object.keys(value).length === 1) {
    const [name, inside] = Object.entries(value)[0];
    if (name === LEFT_OUT) return make("span", { class: "quiet" }, `… ${inside}`);
    if (name === "$int") return make("span", { class: "number" }, String(inside));
    if (name === "$bytes") return make("span", { class: "quiet" }, `${String(inside)}`);
  }
  const entries = isList ? value.map((item, number) => [number, item]) : Object.entries(value);
  if (!entries.length) return make("span", { class: "quiet" }, isList ? "[]" : "{}");
  const short = shortValue(entries, isList);
  if (short) return short;
  const summary = isList ? `[ ${count(entries.length, "item")} ]` : `{ ${count(entries.length, "key")} }`;
  const details = make("details", { open: depth < 1 || entries.length <= 8 - 2 * depth }, make("summary", {}, summary));
  lazily(details, () => details.append(entryList(entries, depth)));
  return details;
}

/* A few plain entries on one line. */
function shortValue(entries, isList) {
  if (entries.length > 6 || entries.some(([, item]) => item !== null && (typeof item === "object" || (typeof item === "string" && item.trimEnd().includes("\n"))))) return null;
  if (JSON.stringify(entries).length > 90) return null;
  const line = make("span", {}, isList ? "[" : "{ ");
  entries.forEach(([name, item], number) => {
    if (number) line.append(", ");
    if (!isList) line.append(make("span", { class: "key" }, name), ": ");
    line.append(valuePart(item, 9));
  });
  line.append(isList ? "]" : " }");
  return line;
}

function entryList(entries, depth) {
  const list = make("ul");
  let next = 0;
  const add = () => {
    for (const [name, item] of entries.slice(next, next + MOST_ENTRIES)) {
      const key = make("span", { class: "key" }, `${name}: `);
      const shown = valuePart(item, depth + 1);
      const summary = shown.tagName === "DETAILS" ? shown.firstChild : null;
      if (summary) summary.prepend(key);
      list.append(make("li", {}, summary ? null : key, shown));
    }
    next += MOST_ENTRIES;
    if (next < entries.length) list.append(moreButton(entries.length - next, MOST_ENTRIES, add));
  };
  add();
  return list;
}

function moreButton(left, most, add) {
  const item = make("li", { class: "rest" });
  const press = () => {
    item.remove();
    add();
  };
  item.append(make("button", { type: "button", class: "more", click: press }, left > most ? `Show ${most} more of ${left.toLocaleString("en")}` : `Show ${left} more`));
  return item;
}

function textValue(text) {
  const body = text.endsWith("\n") ? text.slice(0, -1) : text;
  if (text.length <= LONG_TEXT && !body.includes("\n")) return make("span", { class: "text" }, JSON.stringify(text));
  const lines = body.split("\n").length;
  const details = make("details", { open: text.length <= 4 * LONG_TEXT }, make("summary", {}, lines > 1 ? count(lines, "line") : count(text.length, "character")));
  lazily(details, () => details.append(make("pre", { tabindex: 0 }, text)));
  return details;
}

function pre(text) {
  return make("pre", { tabindex: 0 }, text);
}

/* A unified diff. */
function diffOf(text) {
  const box = make("pre", { class: "diff", tabindex: 0 });
  const lines = text.split("\n");
  if (lines[lines.length - 1] === "") lines.pop();
  for (const line of lines) {
    const kind = { "+": "add", "-": "cut", "@": "place" }[line[0]];
    box.append(make("span", kind ? { class: kind } : {}, line || " "));
  }
  return box;
}

/* What differs between two runs, or between two states of a file. */
function changeOf(change) {
  const sign = { added: "+", removed: "−", changed: "~", mode: "~", code: "~" }[change.change] || "~";
  const part = change.part ? ` (${change.part})` : "";
  const heading = [make("span", { "aria-hidden": true }, `${sign} `), make("span", { class: "away" }, `${change.change}: `), make("code", {}, change.path), part];
  if (change.note) heading.push(make("span", { class: "quiet" }, ` ${change.note}`));
  if (!change.diff && isPlain(change.old) && isPlain(change.new)) {
    heading.push(": ", ...plainSides(change));
    return make("div", { class: "change value" }, ...heading);
  }
  const has = change.diff || "old" in change || "new" in change;
  if (!has) return make("div", { class: "change" }, ...heading);
  const details = make("details", { class: "change" }, make("summary", {}, ...heading));
  lazily(details, () => details.append(change.diff ? diffOf(change.diff) : bothSides(change)));
  return details;
}

function isPlain(side) {
  return side !== undefined && (side === null || typeof side !== "object") && String(side).length < 60 && !String(side).includes("\n");
}

function plainSides(change) {
  if (change.change === "added") return [valuePart(change.new, 0)];
  if (change.change === "removed") return [valuePart(change.old, 0)];
  return [valuePart(change.old, 0), " → ", valuePart(change.new, 0)];
}

function bothSides(change) {
  const rows = [];
  for (const side of ["old", "new"]) {
    if (side in change && !(change[side] === null && change.change !== "changed" && change.change !== "code")) {
      rows.push(make("tr", {}, make("th", { scope: "row" }, side === "old" ? "before" : "now"), make("td", {}, valueOf(change[side]))));
    }
  }
  return make("table", {}, make("tbody", {}, ...rows));
}

function changeList(changes) {
  const list = make("div", {});
  let next = 0;
  const add = () => {
    list.append(...changes.slice(next, next + MOST_ENTRIES).map(changeOf));
    next += MOST_ENTRIES;
    if (next < changes.length) list.append(moreButton(changes.length - next, MOST_ENTRIES, add));
  };
  add();
  return list;
}

function table(heads, rows) {
  const head = make("tr", {}, ...heads.map((text) => make("th", { scope: "col" }, text)));
  return make("div", { class: "scroll" }, make("table", {}, make("thead", {}, head), make("tbody", {}, ...rows.map((cells) => make("tr", {}, ...cells.map((cell) => make("td", typeof cell === "string" && cell.length < 24 ? { class: "short" } : {}, cell)))))));
}
