// Distributions over the pages, one panel a measure.

const BINS = 20;
const WIDTH = 320, HEIGHT = 96;

function histograms() {
  const panels = report.measures.filter((measure) => measure.histogram).slice(0, 4).map(histogram);
  return panels.length === 0 || report.items.length < 2 ? null
    : make("section", { class: "histograms", "aria-label": "Distributions" }, panels);
}

function histogram(measure) {
  const sides = report.names.map((_, side) => report.items.map((item) => item.sides[side].scores[measure.name]).filter((value) => value !== null));
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
