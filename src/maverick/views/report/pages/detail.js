/* What is known of one step. It is read when the step is opened. */
function detailOf(run, number, index, isMadeOfSteps) {
  const step = run.steps[index];
  const detail = step.detail ? block(`step-${number}-${index}`) || {} : {};
  const box = make("div", { class: "detail" });
  const part = (title, ...content) => box.append(make("div", {}, make("h3", {}, title), ...content));
  const facts = [];
  if (step.when) facts.push(`when ${step.when}`);
  if (detail.because) facts.push(`${{ ran: "ran", reran: "ran again", recalled: "recalled", reused: "reused", skipped: "skipped" }[detail.did] || "ran"}: ${detail.because}`);
  if (step.started) facts.push(`started ${clock(step.started)}`);
  if (step.before) facts.push(`in the run before: ${step.before.status}${step.before.seconds === null ? "" : `, ${duration(step.before.seconds)}`}`);
  if (step.reused_from) facts.push(`reused from ${step.reused_from}`);
  if (facts.length) box.append(make("p", { class: "note" }, facts.join(" · ")));
  if (step.error) part("Error", pre(detail.error || step.error));
  if (detail.changes && detail.changes.length) {
    part("What changed", table(["part", "before", "now"], detail.changes.map((change) => [change.part, valueOf(change.old ?? null), valueOf(change.new ?? null)])));
  }
  if (step.agent) part("Agent", agentTable(step.agent));
  if (detail.tries && detail.tries.length > 1) {
    part("Attempts", table(["", "status", "time", "exit code", "error"], detail.tries.map((one) => [String(one.number), one.status, duration(one.seconds), one.exit_code === null ? "" : String(one.exit_code), (one.error || "").split("\n")[0]])));
  }
  if (detail.given && detail.given.length) {
    part("Given", table(["name", "value"], detail.given.map((one) => [make("code", {}, one.name), one.step ? make("span", {}, stepLink(one.step, "output of " + one.step), valueOf(one.value, 2)) : valueOf(one.value, 2)])));
  }
  if ("output" in detail && detail.output !== null && !isMadeOfSteps) part("Output", valueOf(detail.output));
  const logs = detail.logs || [];
  logs.slice(-1).forEach((log) => part(logs.length > 1 ? `Log of attempt ${log.attempt}` : "Log", ...logOf(log)));
  if (logs.length > 1) part("Logs before", ...logs.slice(0, -1).reverse().map(foldedLog));
  if (detail.prompt) {
    const details = make("details", {}, make("summary", {}, count(detail.prompt.split("\n").length, "line")));
    lazily(details, () => details.append(pre(detail.prompt)));
    part("Prompt", details);
  }
  if (detail.files && detail.files.length) part("Files", changeList(detail.files));
  const prefix = `steps.${step.path}.`;
  const differs = ((run.before && run.before.changes) || []).filter((change) => change.path.startsWith(prefix) || (change.change === "code" && change.path === `steps.${step.path}`));
  if (differs.length) part("Differs from the run before", changeList(differs));
  if (detail.artifacts && detail.artifacts.length) part("Artifacts", table(["file", "size"], detail.artifacts.map((file) => [make("code", {}, file.path), size(file.bytes)])));
  if (detail.definition) {
    const details = make("details", {}, make("summary", {}, detail.file || "definition"));
    lazily(details, () => details.append(pre(detail.definition)));
    part("Definition", details);
  }
  for (const note of detail.notes || []) box.append(make("p", { class: "note" }, note));
  return box.firstChild ? box : null;
}

function clock(time) {
  return time.replace("T", " ").replace(/\.\d+Z$/, " UTC");
}

function agentTable(agent) {
  const rows = Object.entries(agent).filter(([, value]) => value !== null && value !== "");
  return table(rows.map(([name]) => name.replace("_", " ")), [rows.map(([name, value]) => (name === "usd" ? `$${value.toFixed(4)}` : String(value)))]);
}

function foldedLog(log) {
  const details = make("details", {}, make("summary", {}, `attempt ${log.attempt}`));
  lazily(details, () => details.append(...logOf(log)));
  return details;
}

function logOf(log) {
  const box = make("pre", { tabindex: 0 });
  for (const [stream, text] of log.pieces) box.append(make("span", { class: stream }, text));
  const notes = Object.entries(log.left_out || {}).map(([stream, bytes]) => `${size(bytes)} of ${stream} before this ${bytes === 1 ? "is" : "are"} left out.`);
  return [box, ...notes.map((note) => make("p", { class: "note" }, note))];
}
