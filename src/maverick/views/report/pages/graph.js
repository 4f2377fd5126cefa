/* The workflow as boxes in the order of its steps. */
const BOX = { height: 44, gap: 22, pad: 14, title: 40, character: 7.4, widest: 38 };

function graphOf(graph, place, go) {
  if (!graph.steps.length) {
    place.append(make("p", { class: "quiet" }, "There are no steps."));
    return;
  }
  const laid = column(graph.steps);
  const svg = draw("svg", { width: laid.width + 4, height: laid.height + 4, viewBox: `-2 -2 ${laid.width + 4} ${laid.height + 4}`, role: "img", "aria-label": `The steps of ${graph.workflow} in their order` });
  paintColumn(svg, laid, 0, 0, go);
  place.append(make("div", { class: "graph", tabindex: 0 }, svg));
  if (graph.left_out) place.append(make("p", { class: "note" }, `${count(graph.left_out, "step")} in the middle are left out.`));
}

function wordsOf(node) {
  const counts = Object.entries(node.counts).map(([status, number]) => `${number} ${status}`).join(", ");
  const sign = node.status ? `${SIGNS[node.status]} ` : "";
  const way = node.way ? `[${node.way}] ` : "";
  const first = shortened(`${sign}${node.checkpoint ? "● " : ""}${way}${node.name}`, BOX.widest);
  const folded = node.left_out ? `${count(node.left_out, "step")} inside` : "";
  const when = node.when ? `when ${node.when}` : "";
  const second = shortened([counts, folded, `${node.type} ${node.what}`.trim(), when].filter(Boolean).join(" · "), BOX.widest + 6);
  return [first, second];
}

function laidOut(node) {
  const words = wordsOf(node);
  const least = Math.max(words[0].length * BOX.character, words[1].length * BOX.character * 0.88, 90) + 2 * BOX.pad;
  if (!node.steps.length) return { node, words, width: least, height: BOX.height, inside: null };
  const inside = node.beside ? row(node.steps) : column(node.steps);
  return { node, words, inside, width: Math.max(inside.width + 2 * BOX.pad, least), height: inside.height + BOX.title + 2 * BOX.pad };
}

function column(nodes) {
  const boxes = nodes.map(laidOut);
  const width = Math.max(...boxes.map((box) => box.width));
  const height = boxes.reduce((sum, box) => sum + box.height + BOX.gap, -BOX.gap);
  return { boxes, width, height, isRow: false };
}

function row(nodes) {
  const boxes = nodes.map(laidOut);
  const width = boxes.reduce((sum, box) => sum + box.width + BOX.gap, -BOX.gap);
  return { boxes, width, height: Math.max(...boxes.map((box) => box.height)), isRow: true };
}

function paintColumn(svg, laid, left, top, go) {
  let x = left;
  let y = top;
  laid.boxes.forEach((box, number) => {
    const boxLeft = laid.isRow ? x : left + (laid.width - box.width) / 2;
    const boxTop = laid.isRow ? top : y;
    paintBox(svg, box, boxLeft, boxTop, go);
    if (laid.isRow) x += box.width + BOX.gap;
    else {
      y += box.height + BOX.gap;
      if (number < laid.boxes.length - 1) {
        const middle = left + laid.width / 2;
        svg.append(draw("path", { d: `M${middle} ${y - BOX.gap}V${y - 5}` }), draw("path", { class: "arrow", d: `M${middle - 4} ${y - 7}h8l-4 6z` }));
      }
    }
  });
}

function paintBox(svg, box, left, top, go) {
  const { node, words } = box;
  const rect = draw("rect", { class: `${box.inside ? "cluster " : ""}${node.status ? `is-${node.status}` : ""}`, x: left, y: top, width: box.width, height: box.height, rx: node.checkpoint ? BOX.height / 2 : 6 });
  const center = left + box.width / 2;
  const group = draw(
    "g",
    { "data-step": node.path, click: () => go(node.path) },
    draw("title", {}, [node.path, node.when ? `when ${node.when}` : "", node.status || ""].filter(Boolean).join("\n")),
    rect,
    draw("text", { x: center, y: top + 19, "text-anchor": "middle" }, words[0]),
    draw("text", { class: "second", x: center, y: top + 35, "text-anchor": "middle" }, words[1]),
  );
  svg.append(group);
  if (box.inside) paintColumn(svg, box.inside, left + (box.width - box.inside.width) / 2, top + BOX.title + BOX.pad, go);
}
