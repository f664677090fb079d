// What is shown: the measure pages are sorted by, the filters, the page that is open.

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
