// Which pages are shown and in which order: the measure they are sorted by, the filters, the page that is open.

const report = JSON.parse(document.getElementById("data").textContent);
const comparing = report.names.length > 1;
const MARKS = { missing: "no prediction", empty: "empty", loop: "ends in a loop", "no end": "never ends" };

const state = {
  measure: report.measures[0]?.name ?? "name",
  bestFirst: false,
  label: "",
  marked: false,
  search: "",
  open: null,
};

function measureNow() {
  return report.measures.find((measure) => measure.name === state.measure) ?? null;
}

function scoreOf(item, side = item.sides.length - 1) {
  const measure = measureNow();
  return measure ? item.sides[side].scores[measure.name] : null;
}

// How bad a page is; of two evaluations, by how much it became worse. null where it was not measured.
function badness(item) {
  const sign = measureNow()?.more_is_better ? -1 : 1;
  const after = scoreOf(item);
  if (!comparing || after === null) return after === null ? null : sign * after;
  const before = scoreOf(item, 0);
  return before === null ? null : sign * (after - before);
}

function ranked(items) {
  const order = state.bestFirst ? -1 : 1;
  if (!measureNow()) return [...items].sort((a, b) => order * a.id.localeCompare(b.id, undefined, { numeric: true }));
  const keyed = items.map((item) => [badness(item), item]);
  keyed.sort(([a], [b]) => (a === null) - (b === null) || order * (b - a));
  return keyed.map(([, item]) => item);
}

function labelsOf(item) {
  return new Set([...item.regions, ...item.sides.flatMap((side) => side.regions)].map((region) => region.label));
}

function marksOf(item) {
  return [...new Set(item.sides.at(-1).marks)];
}

function matching() {
  const words = state.search.trim().toLowerCase();
  const wanted = (item) => (!state.label || labelsOf(item).has(state.label)) && (!state.marked || marksOf(item).length > 0)
    && (!words || item.id.toLowerCase().includes(words) || item.reference.toLowerCase().includes(words));
  return ranked(report.items.filter(wanted));
}

// The list of pages, how it is sorted and filtered, and the three that stand for all.

function examples() {
  const pages = ranked(report.items).filter((item) => badness(item) !== null);
  if (pages.length < 3) return [];
  const [first, last] = comparing ? ["Most worsened", "Most improved"] : ["Worst", "Best"];
  const [worst, best] = state.bestFirst ? [pages.at(-1), pages[0]] : [pages[0], pages.at(-1)];
  const middle = report.items[report.middles[state.measure]];
  return [[first, worst], ["Median", middle], [last, best]].filter(([, item]) => item).map(([name, item]) => example(name, item));
}

function example(name, item) {
  return make("button", { class: "example", type: "button", click: () => openPage(item, true) },
    item.image ? make("span", { class: "thumb" }, make("img", { src: item.image, alt: "" })) : null,
    make("span", { class: "caption" }, make("b", {}, name), make("span", { class: "name" }, item.id), make("span", { class: "number" }, told(item))));
}

function told(item) {
  const measure = measureNow();
  const values = item.sides.map((side) => shown(measure, side.scores[measure.name]));
  return `${measure.short} ${values.join(" → ")}`;
}

function controls() {
  const options = [...report.measures.map((measure) => [measure.name, measure.label]), ["name", "Page name"]];
  const counts = new Map();
  for (const item of report.items) for (const label of labelsOf(item)) counts.set(label, (counts.get(label) ?? 0) + 1);
  const labels = [...counts].sort(([a], [b]) => a.localeCompare(b)).map(([label, count]) => [label, `${label || "no label"} (${count})`]);
  const marked = report.items.filter((item) => marksOf(item).length).length;
  return make("form", { class: "controls", submit: (event) => event.preventDefault() },
    make("input", { type: "search", id: "search", placeholder: "Find a page or a text", "aria-label": "Find a page or a text",
      input: (event) => change({ search: event.target.value }) }),
    make("div", { class: "line" }, choice("sort", "Sort by", options, (value) => change({ measure: value }, true)),
      make("button", { type: "button", id: "direction", class: "plain", click: () => change({ bestFirst: !state.bestFirst }) }, "")),
    labels.length ? choice("label", "Label", [["", "All labels"], ...labels], (value) => change({ label: value })) : null,
    marked ? make("label", { class: "check" },
      make("input", { type: "checkbox", id: "marked", change: (event) => change({ marked: event.target.checked }) }), `With trouble only (${marked})`) : null);
}

function choice(id, name, options, chosen) {
  return make("select", { id, "aria-label": name, change: (event) => chosen(event.target.value) },
    options.map(([value, text]) => make("option", { value }, text)));
}

function directionText() {
  if (!measureNow()) return state.bestFirst ? "Z – A" : "A – Z";
  const [first, last] = comparing ? ["Worsened first", "Improved first"] : ["Worst first", "Best first"];
  return state.bestFirst ? last : first;
}

function row(item, largest) {
  const measure = measureNow(), score = scoreOf(item), worse = badness(item);
  const bar = make("span", { class: "bar", "aria-hidden": "true" }, make("i"));
  bar.firstChild.style.width = `${100 * Math.min((score ?? 0) / largest, 1)}%`;
  const values = measure ? item.sides.map((side) => shown(measure, side.scores[measure.name])).join(" → ") : "";
  const trend = comparing && worse ? (worse < 0 ? "better" : "worse") : "";
  return make("li", {}, make("button", { type: "button", class: "row", "data-id": item.id, "aria-current": state.open === item ? "true" : null,
    click: () => openPage(item) },
    make("span", { class: "name" }, item.id), make("span", { class: `number ${trend}` }, values),
    marksOf(item).length || (measure && !comparing) ? make("span", { class: "under" }, measure && !comparing ? bar : null, marksOf(item).map(markChip)) : null));
}

function markChip(mark) {
  return make("span", { class: "chip mark" }, MARKS[mark]);
}

function renderList() {
  const pages = matching(), measure = measureNow();
  const scores = pages.map((item) => scoreOf(item) ?? 0);
  const share = measure && (measure.form === "percent" || measure.form === "decimal");
  const largest = share ? 1 : Math.max(...scores, 0) || 1;
  document.getElementById("rows").replaceChildren(...pages.map((item) => row(item, largest)));
  document.getElementById("count").textContent = pages.length === report.items.length
    ? plural(pages.length, "page") : `${pages.length.toLocaleString("en")} of ${plural(report.items.length, "page")}`;
  document.getElementById("direction").textContent = directionText();
  return pages;
}

// The list anew after a change; the page that was open stays open while it is in it.
function change(values, again = false) {
  Object.assign(state, values);
  const pages = renderList();
  if (again || "bestFirst" in values) document.getElementById("examples").replaceChildren(...examples());
  if (!pages.includes(state.open)) openPage(pages[0] ?? null);
  else if ("label" in values) showLabel();
}
