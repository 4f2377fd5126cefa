/* Puts the parts of each run into its article, and listens to keys. */
const shown = new Map();

function showRun(number) {
  const article = document.querySelector(`article[data-run="${number}"]`);
  for (const each of document.querySelectorAll("article")) each.hidden = each !== article;
  if (!shown.has(number)) shown.set(number, fillArticle(article, number));
  return shown.get(number);
}

function fillArticle(article, number) {
  const run = block(`run-${number}`);
  const part = (name) => article.querySelector(`[data-part="${name}"]`);
  run.steps.forEach((step) => {
    step.inside = false;
  });
  run.steps.forEach((step) => {
    if (step.parent >= 0) run.steps[step.parent].inside = true;
  });
  const axis = new Axis(run);
  const steps = new Steps(run, number, part("steps"), axis);
  const reveal = (path) => {
    const button = steps.reveal(path);
    if (button) {
      button.focus({ preventScroll: true });
      button.scrollIntoView({ block: "start" });
    }
  };
  timelineOf(run, axis, part("timeline"), reveal);
  lazily(part("graph"), (place) => {
    if (run.graph) graphOf(run.graph, place, (pattern) => reveal(pathOf(run, pattern)));
    else place.append(make("p", { class: "quiet" }, run.graph_note || "The run has no workflow."));
  });
  lazily(part("values"), (place) => place.append(make("h3", {}, "Inputs"), valueOf(run.inputs), make("h3", {}, "Output"), valueOf(run.output)));
  lazily(part("files"), (place) => filesOf(run, place));
  lazily(part("before"), (place) => beforeOf(run, place));
  return { run, steps, reveal };
}

/* Of the steps that a box of the graph stands for the one that a reader looks for. */
function pathOf(run, pattern) {
  const order = ["failed", "running", "waiting", "done", "pending", "skipped"];
  const alike = run.steps.filter((step) => step.pattern === pattern);
  alike.sort((one, other) => order.indexOf(one.status) - order.indexOf(other.status));
  return alike.length ? alike[0].path : pattern;
}

function filesOf(run, place) {
  if (!run.files) {
    place.append(make("p", { class: "quiet" }, "No checkpoint of this run keeps the project’s files (checkpoints: {workspace: …})."));
    return;
  }
  place.append(make("p", { class: "note" }, run.files.title));
  if (!run.files.changes.length) place.append(make("p", { class: "quiet" }, "No file differs."));
  place.append(changeList(run.files.changes));
  if (run.files.note) place.append(make("p", { class: "note" }, run.files.note));
}

function beforeOf(run, place) {
  const before = run.before;
  if (!before) {
    place.append(make("p", { class: "quiet" }, run.before_note || "There is no run of this workflow before it."));
    return;
  }
  const line = (one) => [make("span", { class: "mono" }, one.run), one.status, one.started ? clock(one.started) : "", duration(one.seconds), cost(one.totals)];
  place.append(table(["run", "status", "started", "time", "cost"], [line(before), line(run)]));
  const both = run.steps.filter((step) => step.before && step.before.seconds !== null && step.seconds !== null && !step.inside);
  const other = both.filter((step) => Math.abs(step.seconds - step.before.seconds) > Math.max(0.25 * step.before.seconds, 1));
  other.sort((one, two) => Math.abs(two.seconds - two.before.seconds) - Math.abs(one.seconds - one.before.seconds));
  if (other.length) place.append(make("h3", {}, "Faster or slower"), table(["step", "before", "now"], other.slice(0, 20).map((step) => [stepLink(step.path), duration(step.before.seconds), duration(step.seconds)])));
  if (before.changes) place.append(make("h3", {}, "What differs"), before.changes.length ? changeList(before.changes) : make("p", { class: "quiet" }, "Nothing but times."));
  if (before.note) place.append(make("p", { class: "note" }, before.note));
}

/* --- keys and links --- */

let current = null;

function followLink() {
  const match = /^#step=(.*)$/s.exec(location.hash);
  if (!match) return false;
  let path = match[1];
  try {
    path = decodeURIComponent(match[1]);
  } catch {
    return false;
  }
  current.reveal(path);
  return true;
}

function onKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
  const help = document.getElementById("help");
  if (help.open) return;
  const steps = current.steps;
  const inField = event.target.closest("input, select, textarea");
  if (inField) {
    if (event.key === "Escape") {
      steps.search("", "");
      steps.input.blur();
    } else if (event.key === "ArrowDown" && event.target === steps.input) steps.move(1);
    else return;
    event.preventDefault();
    return;
  }
  const row = event.target.closest(".row");
  const acts = {
    j: () => steps.move(1),
    k: () => steps.move(-1),
    l: () => steps.open(row, true),
    h: () => steps.open(row, false),
    f: () => steps.nextFailed(),
    "/": () => steps.input.focus(),
    "?": () => help.showModal(),
    Escape: () => closeStep(steps, event.target),
  };
  if (row) Object.assign(acts, { ArrowDown: acts.j, ArrowUp: acts.k, ArrowRight: acts.l, ArrowLeft: acts.h });
  const act = acts[event.key];
  if (!act) return;
  event.preventDefault();
  act();
}

/* Close the step that the focus is in; else leave a search. */
function closeStep(steps, target) {
  const row = target.closest("li")?.querySelector(".row");
  if (row && row.getAttribute("aria-expanded") === "true") {
    row.click();
    steps.focus(row);
  } else steps.search("", "");
}

function begin() {
  current = showRun(0);
  const select = document.getElementById("run");
  if (select) {
    select.addEventListener("change", () => {
      current = showRun(Number(select.value));
    });
  }
  document.addEventListener("keydown", onKey);
  window.addEventListener("hashchange", followLink);
  if (!followLink() && current.run.failed_at) current.steps.reveal(current.run.failed_at);
  document.documentElement.dataset.ready = "yes";
}

begin();
