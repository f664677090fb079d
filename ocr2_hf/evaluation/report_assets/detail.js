// The page that is open.

function openPage(item, scroll = false) {
  hideTip();
  state.open = item;
  for (const node of document.querySelectorAll(".row")) {
    if (item && node.dataset.id === item.id) node.setAttribute("aria-current", "true");
    else node.removeAttribute("aria-current");
  }
  const place = document.getElementById("page");
  place.replaceChildren(...(item ? detail(item) : [make("p", { class: "soft none" }, "No page is like that.")]));
  if (!item) return;
  showLabel();
  keepInView(document.querySelector(".row[aria-current]"));
  history.replaceState(null, "", `#page=${encodeURIComponent(item.id)}`);
  if (scroll || window.innerWidth <= 860 && document.activeElement?.classList.contains("row")) place.scrollIntoView({ block: "start" });
}

function detail(item) {
  const heading = make("div", { class: "detail-head" },
    make("div", { class: "turn" }, turn("‹", "Previous page", -1), turn("›", "Next page", 1)),
    make("h2", { class: "name", id: "page-name" }, item.id), marksOf(item).map(markChip),
    comparing ? null : scores(item, 0));
  const sides = item.sides.map((_, side) => comparing ? comparedSide(item, side) : [
    make("div", { class: "column" }, sheet(item, side)), make("div", { class: "column" }, texts(item, side))]);
  const tables = comparing ? [] : item.sides[0].tables.map(tablePanel);
  return [heading, make("div", { class: "columns" }, sides.flat()), tables, comparing ? null : rawPanel(item, 0)].flat().filter((node) => node !== null);
}

function comparedSide(item, side) {
  const name = make("h3", { class: "side" }, make("span", { class: "soft" }, side ? "After " : "Before "), report.names[side]);
  return make("div", { class: "column" }, name, scores(item, side), sheet(item, side), texts(item, side),
    make("div", {}, item.sides[side].tables.map(tablePanel)), rawPanel(item, side));
}

function texts(item, side) {
  return [make("h3", {}, "Text, with its differences"), differencePanel(item.sides[side].difference)];
}

function scores(item, side) {
  const measured = report.measures.filter((measure) => item.sides[side].scores[measure.name] !== null);
  return make("dl", { class: "scores" }, measured.map((measure) => make("div", { title: measure.label },
    make("dt", {}, measure.short), make("dd", {}, shown(measure, item.sides[side].scores[measure.name])))));
}

function turn(sign, name, step) {
  return make("button", { type: "button", class: "plain", "aria-label": name, title: name, click: () => turnPage(step) }, sign);
}

function turnPage(step) {
  const matched = matching();
  const next = matched[matched.indexOf(state.open) + step];
  if (!next) return;
  openPage(next);
  const pages = document.getElementById("pages");
  if (pages.getBoundingClientRect().top > 0.6 * window.innerHeight) pages.scrollIntoView();
}

// Scrolls the list alone: the rest of the page stays where it is.
function keepInView(row) {
  if (!row) return;
  const list = document.getElementById("rows");
  const [inner, outer] = [row.getBoundingClientRect(), list.getBoundingClientRect()];
  if (inner.top < outer.top) list.scrollTop -= outer.top - inner.top;
  if (inner.bottom > outer.bottom) list.scrollTop += inner.bottom - outer.bottom;
}

// Boxes of labels other than the chosen one step back.
function showLabel() {
  for (const node of document.querySelectorAll(".box")) node.classList.toggle("faint", state.label !== "" && node.dataset.label !== state.label);
}

function toggles() {
  const box = (kind, key) => make("label", { class: `check ${kind}` },
    make("input", { type: "checkbox", id: kind, checked: true, change: (event) => showBoxes(kind, event.target.checked) }),
    make("span", { class: "swatch", "aria-hidden": "true" }), `${kind} boxes`, make("kbd", {}, key));
  return make("div", { class: "toggles" }, box("predicted", "P"), box("reference", "R"),
    make("label", { class: "check" }, make("input", { type: "checkbox", id: "large", change: (event) => document.body.classList.toggle("large", event.target.checked) }), "large image", make("kbd", {}, "L")),
    make("span", { class: "legend" }, make("del", {}, "not on the page"), " ", make("ins", {}, "not predicted")));
}

function showBoxes(kind, visible) {
  document.body.classList.toggle(`no-${kind}`, !visible);
  hideTip();
  for (const layer of document.querySelectorAll(".boxes")) firstBoxStops(layer);
}
