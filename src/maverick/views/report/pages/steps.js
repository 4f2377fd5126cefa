/* The steps of a run as a tree. Only what is open is made. */
const CHUNK = 100;
const MOST_ITERATIONS = 20;

class Steps {
  constructor(run, number, place, axis) {
    this.run = run;
    this.number = number;
    this.axis = axis;
    this.steps = run.steps;
    this.byPath = new Map(this.steps.map((step, index) => [step.path, index]));
    this.inside = this.steps.map(() => []);
    this.top = [];
    this.steps.forEach((step, index) => (step.parent < 0 ? this.top : this.inside[step.parent]).push(index));
    this.items = new Map();
    this.lists = new Map();
    this.kind = "";
    const isFree = !this.steps.some((step) => cost(step.agent));
    this.counted = this.steps.filter((step) => step.type !== "iteration");
    this.tree = make("div", { class: isFree ? "steps free" : "steps" });
    this.found = make("div", { class: this.tree.className, hidden: true, "aria-live": "polite" });
    place.append(this.findBar());
    if (run.steps_left_out) {
      place.append(make("p", { class: "note" }, `${count(run.steps_left_out, "step")} left out here: `, make("code", {}, `maverick show ${run.run} --all`)));
    }
    place.append(this.tree, this.found);
    this.tree.append(this.list(-1, this.top));
    if (!this.steps.length) this.tree.append(make("p", { class: "quiet" }, "No step has begun."));
  }

  /* --- lists --- */

  /* A list holds a stretch of its steps, from `begin` to `end`; both ends grow on demand. */
  list(parent, indices) {
    const list = make("ul");
    const state = { list, indices, begin: 0, end: 0 };
    this.lists.set(parent, state);
    const isFolded = parent >= 0 && this.steps[parent].type === "loop" && indices.length > MOST_ITERATIONS;
    if (isFolded) {
      list.append(...this.telling(indices).map((index) => this.item(index)));
      list.append(make("li", {}, make("button", { type: "button", class: "more", click: () => this.show(state, 0) }, `Show all ${indices.length.toLocaleString("en")}`)));
    } else this.show(state, 0);
    return list;
  }

  /* Of many iterations those that a reader looks for: what went wrong, what runs, what took longest. */
  telling(indices) {
    const chosen = new Set(indices.filter((index) => ["failed", "running", "waiting"].includes(this.steps[index].status)).slice(0, MOST_ITERATIONS - 1));
    const longest = indices.reduce((best, index) => ((this.steps[index].seconds || 0) > (this.steps[best].seconds || 0) ? index : best), indices[0]);
    chosen.add(longest);
    return [...chosen].sort((one, other) => one - other);
  }

  /* Show the stretch around the step at *place* of a list. */
  show(state, place) {
    state.begin = Math.max(place - CHUNK / 2, 0);
    state.end = Math.min(state.begin + CHUNK, state.indices.length);
    const items = state.indices.slice(state.begin, state.end).map((index) => this.item(index));
    state.list.replaceChildren(...items);
    this.bound(state);
  }

  /* Put the buttons at the ends of a list that show more of it. */
  bound(state) {
    const { list, indices } = state;
    for (const button of list.querySelectorAll(":scope > .rest")) button.remove();
    const rest = (left, text, grow) => {
      const number = Math.min(left, CHUNK);
      return make("li", { class: "rest" }, make("button", { type: "button", class: "more", click: grow }, `Show ${number} ${text} of ${indices.length.toLocaleString("en")}`));
    };
    if (state.begin > 0) list.prepend(rest(state.begin, "before", () => this.grow(state, -CHUNK)));
    if (state.end < indices.length) list.append(rest(indices.length - state.end, "more", () => this.grow(state, CHUNK)));
  }

  grow(state, by) {
    const { indices } = state;
    const old = { begin: state.begin, end: state.end };
    if (by < 0) state.begin = Math.max(state.begin + by, 0);
    else state.end = Math.min(state.end + by, indices.length);
    const items = (from, to) => indices.slice(from, to).map((index) => this.item(index));
    const last = state.list.querySelector(":scope > .rest:last-child");
    if (by < 0) state.list.querySelector(":scope > .rest").after(...items(state.begin, old.begin));
    else if (last) last.before(...items(old.end, state.end));
    this.bound(state);
  }

  item(index) {
    if (!this.items.has(index)) this.items.set(index, this.row(index, false));
    return this.items.get(index);
  }

  /* --- a row --- */

  row(index, isFlat) {
    const step = this.steps[index];
    const item = make("li", {});
    const body = make("div", { hidden: true });
    const name = make("span", { class: "name" }, make("b", {}, isFlat ? step.path : `${step.checkpoint ? "● " : ""}${step.name}`));
    if (step.label) name.append(make("small", {}, step.label));
    if (step.attempts > 1) name.append(make("small", {}, `${step.attempts} attempts`));
    if (step.reused_from) name.append(make("small", {}, "reused"));
    if (step.assumed) name.append(make("small", {}, "set by hand"));
    const counts = Object.entries(step.counts).map(([status, number]) => `${number.toLocaleString("en")} ${status}`);
    if (counts.length) name.append(make("small", {}, counts.join(", ")));
    if (step.status === "failed" && step.error) name.append(make("span", { class: "why" }, shortened(step.error.split("\n")[0], 160)));
    const time = make("span", { class: "time" }, step.status === "skipped" ? "" : duration(step.seconds));
    const button = make(
      "button",
      { type: "button", class: "row", "aria-expanded": "false", "data-step": index, click: () => this.toggle(index, button, body, isFlat) },
      make("span", { class: `sign is-${step.status}`, "aria-hidden": true }, SIGNS[step.status] || ""),
      name,
      make("span", { class: "what" }, [step.type, step.what].filter(Boolean).join(" ")),
      this.bar(step),
      time,
      make("span", { class: "cost" }, cost(step.agent)),
    );
    name.prepend(make("span", { class: "away" }, `${step.status}: `));
    item.append(button, body);
    return item;
  }

  bar(step) {
    const svg = draw("svg", { viewBox: "0 0 1000 8", preserveAspectRatio: "none", "aria-hidden": true });
    const span = this.axis.span(step);
    if (span) svg.append(draw("rect", { class: step.status, x: span[0] * 1000, y: 0, width: Math.max((span[1] - span[0]) * 1000, 6), height: 8, rx: 2 }));
    return svg;
  }

  toggle(index, button, body, isFlat) {
    const opens = button.getAttribute("aria-expanded") === "false";
    button.setAttribute("aria-expanded", String(opens));
    body.hidden = !opens;
    if (opens && !body.firstChild) {
      const detail = detailOf(this.run, this.number, index, this.inside[index].length > 0);
      if (detail) body.append(detail);
      if (!isFlat && this.inside[index].length) body.append(this.list(index, this.inside[index]));
    }
    if (opens) history.replaceState(null, "", `#step=${encodeURIComponent(this.steps[index].path)}`);
  }

  /* Open what is around a step, and the step; give its button. */
  reveal(path) {
    const index = this.byPath.get(path);
    if (index === undefined) return null;
    this.search("", "");
    const trail = [];
    for (let at = index; at >= 0; at = this.steps[at].parent) trail.unshift(at);
    let button = null;
    let parent = -1;
    for (const at of trail) {
      const state = this.lists.get(parent);
      if (!this.items.has(at) || !this.items.get(at).isConnected) this.show(state, state.indices.indexOf(at));
      button = this.items.get(at).firstChild;
      if (button.getAttribute("aria-expanded") === "false") button.click();
      parent = at;
    }
    return button;
  }

  /* --- searching --- */

  findBar() {
    this.input = make("input", { type: "search", id: `find-${this.number}`, autocomplete: "off", spellcheck: "false", placeholder: "name, type, error" });
    const present = Object.keys(SIGNS).filter((status) => this.counted.some((step) => step.status === status));
    this.buttons = new Map();
    const kinds = make("fieldset", { class: "kinds" }, make("legend", { class: "away" }, "Only steps that are"));
    for (const status of present.length > 1 ? present : []) {
      const number = this.counted.filter((step) => step.status === status).length;
      const button = make("button", { type: "button", "aria-pressed": "false", click: () => this.search(this.input.value, this.kind === status ? "" : status) }, `${SIGNS[status]} ${number.toLocaleString("en")} ${status}`);
      this.buttons.set(status, button);
      kinds.append(button);
    }
    this.input.addEventListener("input", () => this.search(this.input.value, this.kind));
    return make("div", { class: "find" }, make("label", { for: `find-${this.number}` }, "Search"), this.input, kinds);
  }

  search(text, kind) {
    if (this.input.value !== text) this.input.value = text;
    this.kind = kind;
    for (const [status, button] of this.buttons) button.setAttribute("aria-pressed", String(status === kind));
    const isTree = !text && !kind;
    this.tree.hidden = !isTree;
    this.found.hidden = isTree;
    this.found.replaceChildren();
    if (isTree) return;
    const wanted = text.toLowerCase();
    const matches = [];
    this.steps.forEach((step, index) => {
      const said = `${step.path} ${step.label || ""} ${step.type} ${step.what || ""} ${step.error || ""}`.toLowerCase();
      if (step.type !== "iteration" && (!kind || step.status === kind) && said.includes(wanted)) matches.push(index);
    });
    const list = make("ul");
    let next = 0;
    const add = () => {
      list.append(...matches.slice(next, next + CHUNK).map((index) => this.row(index, true)));
      next += CHUNK;
      if (next < matches.length) list.append(moreButton(matches.length - next, CHUNK, add));
    };
    add();
    this.found.append(make("p", { class: "note" }, `${count(matches.length, "step")} found`), list);
  }

  /* --- the keyboard --- */

  rows() {
    const place = this.tree.hidden ? this.found : this.tree;
    return [...place.querySelectorAll(".row")].filter((row) => row.offsetParent !== null);
  }

  move(by) {
    let rows = this.rows();
    const at = rows.indexOf(document.activeElement);
    const row = rows[at];
    const rest = row && (by > 0 ? row.closest("li").nextElementSibling : row.closest("li").previousElementSibling);
    if (rest?.classList.contains("rest")) {
      rest.firstChild.click();
      rows = this.rows();
    }
    const now = rows.indexOf(row);
    const next = now < 0 ? (by > 0 ? 0 : rows.length - 1) : Math.min(Math.max(now + by, 0), rows.length - 1);
    this.focus(rows[next]);
  }

  focus(row) {
    if (!row) return;
    row.focus({ preventScroll: true });
    row.scrollIntoView({ block: "nearest" });
  }

  open(row, wanted) {
    if (row && (row.getAttribute("aria-expanded") === "true") !== wanted) row.click();
    else if (row && !wanted) this.focus(row.closest("ul").closest("li")?.querySelector(".row"));
  }

  nextFailed() {
    const failed = this.steps.map((step, index) => index).filter((index) => this.steps[index].status === "failed" && !this.inside[index].some((inner) => this.steps[inner].status === "failed"));
    if (!failed.length) return;
    const at = Number(document.activeElement?.dataset?.step ?? -1);
    const next = failed.find((index) => index > at) ?? failed[0];
    this.focus(this.reveal(this.steps[next].path));
  }
}
