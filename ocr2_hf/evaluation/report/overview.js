// The whole evaluation: tiles, distributions over the pages, all metrics in groups, breakdowns.

const COMPARED = "Certain or not: by the 95% interval of the difference, over samples of the same pages on both sides.";

const ARROWS = "Arrows point to the better values.";

function headline() {
  const tiles = report.figures.filter((figure) => figure.headline).map(tile);
  return make("section", { class: "headline", "aria-label": "Headline figures" }, make("dl", { class: "tiles" }, tiles),
    make("p", { class: "soft note" }, `${comparing ? COMPARED : `${plural(report.pages, "page")}. Ranges are 95% intervals over samples of the pages.`} ${ARROWS}`),
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

// Distributions over the pages, one panel a measure.

const BINS = 20;
const WIDTH = 320, HEIGHT = 96;

function histograms() {
  const panels = report.measures.filter((measure) => report.distributions[measure.name]).slice(0, 4).map(histogram);
  return panels.length === 0 || report.pages < 2 ? null
    : make("section", { class: "histograms", "aria-label": "Distributions" }, panels);
}

function histogram(measure) {
  const sides = report.distributions[measure.name];
  const top = axisEnd(measure, sides.flat());
  const counts = sides.map((values) => binned(values, top));
  const highest = Math.max(1, ...counts.flat());
  const medians = sides.map((values) => shown(measure, values.length ? median(values) : null)).join(" → ");
  const bars = counts.flatMap((bins, side) => bins.map((count, bin) => bar(measure, top, highest, count, bin, side)));
  return make("figure", { class: "histogram" },
    make("figcaption", {}, make("b", {}, measure.label), make("span", { class: "soft" }, `median ${medians}`)),
    draw("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT + 18}`, role: "img", "aria-label": `${measure.label} of the pages, median ${medians}` },
      draw("line", { class: "axis", x1: 0, x2: WIDTH, y1: HEIGHT + 0.5, y2: HEIGHT + 0.5 }), bars, axisLabels(measure, top, sides.flat())));
}

function bar(measure, top, highest, count, bin, side) {
  const slot = WIDTH / BINS, width = (slot - 2) / report.names.length;
  const height = count ? Math.max((HEIGHT - 6) * count / highest, 2) : 0;
  const [from, to] = [bin, bin + 1].map((edge) => shown(measure, top * edge / BINS));
  const name = comparing ? `${report.names[side]}: ` : "";
  return draw("rect", { class: `bar side${comparing ? side : 1}`, x: bin * slot + 1 + side * width, y: HEIGHT - height, width, height, rx: 1 },
    draw("title", {}, `${name}${from} – ${to}: ${plural(count, "page")}`));
}

function axisLabels(measure, top, values) {
  const over = values.some((value) => value > top) ? "+" : "";
  return [[0, "start", 0], [WIDTH / 2, "middle", top / 2], [WIDTH, "end", top]].map(([x, anchor, value], index) =>
    draw("text", { class: "tick", x, y: HEIGHT + 14, "text-anchor": anchor }, axisLabel(measure, value) + (index === 2 ? over : "")));
}

function axisLabel(measure, value) {
  if (measure.form === "percent") return `${+(100 * value).toFixed(1)}%`;
  return measure.form === "seconds" ? `${+value.toFixed(2)} s` : `${+value.toFixed(2)}`;
}

// Shares end at 1; errors and times at a round number that the largest value fits under, errors at 100% the latest.
function axisEnd(measure, values) {
  if (measure.form === "decimal") return 1;
  const largest = Math.max(...values, 0) || 1;
  const power = 10 ** Math.floor(Math.log10(largest));
  const round = [1, 2, 5, 10].map((step) => step * power).find((end) => end >= largest);
  return measure.form === "percent" ? Math.min(round, 1) : round;
}

function binned(values, top) {
  const counts = new Array(BINS).fill(0);
  for (const value of values) counts[Math.min(Math.floor(BINS * value / top), BINS - 1)] += 1;
  return counts;
}

function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  return (sorted[Math.floor((sorted.length - 1) / 2)] + sorted[Math.ceil((sorted.length - 1) / 2)]) / 2;
}
