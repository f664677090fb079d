// The figures of the whole evaluation: tiles, then all of them in groups, then breakdowns.

const COMPARED = "Certain or not: by the 95% interval of the difference, over samples of the same pages on both sides.";

const ARROWS = "Arrows point to the better values.";

function headline() {
  const tiles = report.figures.filter((figure) => figure.headline).map(tile);
  return make("section", { class: "headline", "aria-label": "Headline figures" }, make("dl", { class: "tiles" }, tiles),
    make("p", { class: "soft note" }, `${comparing ? COMPARED : `${plural(report.items.length, "page")}. Ranges are 95% intervals over samples of the pages.`} ${ARROWS}`),
    (report.notes ?? []).map((note) => make("p", { class: "note" }, note)));
}

function tile(figure) {
  const below = comparing ? changeOf(figure) : intervalOf(figure);
  const [first, last] = [figure.values[0], figure.values.at(-1)];
  const number = comparing
    ? make("dd", { class: "pair" }, make("span", { class: "was" }, first), make("span", { class: "arrow", "aria-label": "to" }, "→"), last)
    : make("dd", {}, last);
  return make("div", { class: "tile", title: figure.meaning }, make("dt", {}, figure.label), number, below);
}

function intervalOf(figure) {
  if (!figure.interval) return make("dd", { class: "interval" }, "");
  const [low, high] = figure.interval.values;
  const text = make("span", { title: "95% interval over samples of the pages" }, `${low} – ${high}`);
  return make("dd", { class: "interval" }, figure.share ? intervalBar(figure) : null, text);
}

function intervalBar(figure) {
  const place = (value) => 100 * Math.min(Math.max(value, 0), 1);
  const [low, high] = figure.interval.numbers.map(place);
  return draw("svg", { viewBox: "0 0 100 8", preserveAspectRatio: "none", "aria-hidden": "true" },
    draw("rect", { class: "track", x: 0, y: 3, width: 100, height: 2 }),
    draw("rect", { class: "range", x: low, y: 2, width: Math.max(high - low, 0.8), height: 4 }),
    draw("rect", { class: "point", x: Math.min(place(figure.numbers[0]), 99), y: 0, width: 1, height: 8 }));
}

function verdict(figure) {
  if (figure.better === null) return "same";
  return figure.certain === false ? "unclear" : figure.better ? "better" : "worse";
}

function changeOf(figure) {
  const kind = verdict(figure);
  const words = { same: "no change", unclear: "not certain", better: "better", worse: "worse" };
  const range = figure.paired ? ` by ${figure.paired.join(" to ").replaceAll("+", "")}` : "";
  const told = kind === "better" || kind === "worse" ? betterBy(figure) : "";
  return make("dd", { class: "interval" },
    make("span", { class: `chip ${kind}` }, figure.change),
    make("span", { title: figure.paired ? `95% interval of the paired difference:${range}` : null }, `${words[kind]}${told}`));
}

function betterBy(figure) {
  if (!figure.paired) return "";
  const ends = figure.better ? figure.paired : figure.paired.map(negated).reverse();
  return `, by ${ends.map((end) => end.replace("+", "")).join(" – ")}`;
}

function negated(text) {
  return text.startsWith("-") ? text.slice(1) : `-${text.replace("+", "")}`;
}

function allFigures() {
  const tables = [...grouped(report.figures)].map(([group, figures]) =>
    make("div", { class: "group" }, make("h3", {}, group), make("table", {}, make("tbody", {}, figures.map(figureRow)))));
  return make("details", { class: "all" }, make("summary", {}, "All figures"),
    make("div", { class: "groups" }, tables), make("div", { class: "breakdowns" }, report.breakdowns.map(breakdown)));
}

function grouped(figures) {
  const groups = new Map();
  for (const figure of figures) groups.set(figure.group, [...(groups.get(figure.group) ?? []), figure]);
  return groups;
}

function figureRow(figure) {
  const cells = figure.values.map((value) => make("td", { class: "number" }, value));
  const beside = comparing
    ? make("td", { class: `number ${verdict(figure)}` }, figure.change)
    : make("td", { class: "number soft" }, figure.interval ? figure.interval.values.join(" – ") : "");
  return make("tr", {}, make("th", { scope: "row", title: figure.meaning }, figure.label), cells, beside);
}

function breakdown(table) {
  const heads = table.heads.map((head, index) => make("th", { scope: "col", class: index ? "number" : null }, head));
  const rows = table.rows.map(([value, ...cells]) =>
    make("tr", {}, make("th", { scope: "row" }, value), cells.map((cell) => make("td", { class: "number" }, cell))));
  return make("div", { class: "breakdown scroll", tabindex: 0, role: "region", "aria-label": `Figures by ${table.kind}` },
    make("table", {}, make("thead", {}, make("tr", {}, heads)), make("tbody", {}, rows)));
}
