// The page that is open: its image under its boxes, its text, its tables, its scores.

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
    make("div", { class: "column" }, pageView(item, side)), make("div", { class: "column" }, texts(item, side))]);
  const tables = comparing ? [] : item.sides[0].tables.map(tablePanel);
  return [heading, make("div", { class: "columns" }, sides.flat()), tables, comparing ? null : rawPanel(item, 0)].flat().filter((node) => node !== null);
}

function comparedSide(item, side) {
  const name = make("h3", { class: "side" }, make("span", { class: "soft" }, side ? "After " : "Before "), report.names[side]);
  return make("div", { class: "column" }, name, scores(item, side), pageView(item, side), texts(item, side),
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
  const has = { predicted: report.items.some((item) => item.sides.some((side) => side.regions.length)), reference: report.items.some((item) => item.regions.length) };
  return make("div", { class: "toggles" }, has.predicted ? box("predicted", "P") : "", has.reference ? box("reference", "R") : "",
    make("label", { class: "check" }, make("input", { type: "checkbox", id: "large", change: (event) => document.body.classList.toggle("large", event.target.checked) }), "large image", make("kbd", {}, "L")),
    make("span", { class: "legend" }, make("del", {}, "not on the page"), " ", make("ins", {}, "not predicted")));
}

function showBoxes(kind, visible) {
  document.body.classList.toggle(`no-${kind}`, !visible);
  hideTip();
  for (const layer of document.querySelectorAll(".boxes")) firstBoxStops(layer);
}

// A page's image under its boxes. The boxes are one stop of the Tab key; the arrow keys go from box to box.

function pageView(item, side) {
  if (!item.size && !item.image) return make("p", { class: "soft" }, "No image and no size of this page are known.");
  const [width, height] = item.size ?? [1, 1];
  const holder = make("div", { class: "page-view" }, item.image ? make("img", { src: item.image, alt: `Page ${item.id}` }) : null);
  holder.style.aspectRatio = `${width} / ${height}`;
  const result = item.sides[side];
  const found = new Map(result.regions.filter((region) => region.partner !== null).map((region) => [region.partner, region.iou]));
  const boxes = [
    ...item.regions.map((region, index) => ({ ...region, kind: "reference", pair: index, iou: found.get(index) ?? 0 })),
    ...result.regions.map((region) => ({ ...region, kind: "predicted", pair: region.partner, wanted: item.regions[region.partner]?.text })),
  ];
  if (boxes.length) holder.append(overlay(boxes, width, height));
  return holder;
}

function overlay(boxes, width, height) {
  const layer = draw("svg", { class: "boxes", viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: "none", role: "group",
    "aria-label": `${plural(boxes.length, "box", "boxes")} on the page; arrow keys go from box to box`, keydown: stepBox });
  layer.append(...boxes.map(rectangle));
  firstBoxStops(layer);
  return layer;
}

function rectangle(box) {
  const [x0, y0, x1, y1] = box.box;
  const alone = box.iou === null ? "reference boxes not known" : box.kind === "predicted" ? "on no reference box" : "not found";
  const told = box.pair !== null && box.iou > 0 ? `IoU ${box.iou.toFixed(2)}` : alone;
  const node = draw("rect", { class: `box ${box.kind}`, x: x0, y: y0, width: Math.max(x1 - x0, 0), height: Math.max(y1 - y0, 0),
    tabindex: -1, role: "img", "aria-label": `${box.kind} ${box.label}, ${told}. ${limited(box.text, 300)}`,
    "data-label": box.label, "data-pair": box.pair });
  const tell = () => showTip(node, box, told);
  for (const event of ["mouseenter", "focus"]) node.addEventListener(event, tell);
  for (const event of ["mouseleave", "blur"]) node.addEventListener(event, hideTip);
  return node;
}

function firstBoxStops(layer) {
  const first = boxesShown(layer)[0];
  for (const node of layer.children) node.setAttribute("tabindex", node === first ? 0 : -1);
}

function boxesShown(layer) {
  return [...layer.children].filter((node) => getComputedStyle(node).display !== "none");
}

function stepBox(event) {
  const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
  if (!step) return;
  const boxes = boxesShown(event.currentTarget);
  const next = boxes[(boxes.indexOf(document.activeElement) + step + boxes.length) % boxes.length];
  for (const node of boxes) node.setAttribute("tabindex", node === next ? 0 : -1);
  next.focus();
  event.preventDefault();
}

function showTip(node, box, told) {
  const tip = document.getElementById("tip");
  tip.replaceChildren(
    make("p", { class: `tip-head ${box.kind}` }, make("b", {}, box.label || "no label"), make("span", {}, box.kind), make("span", {}, told)),
    box.text ? make("p", { class: "tip-text", dir: "auto" }, limited(box.text, 300)) : "",
    box.wanted && box.wanted !== box.text ? make("p", { class: "tip-text", dir: "auto" }, make("ins", {}, limited(box.wanted, 300))) : "");
  tip.hidden = false;
  const place = node.getBoundingClientRect(), size = tip.getBoundingClientRect();
  const left = Math.min(Math.max(place.left, 8), window.innerWidth - size.width - 8);
  const under = place.bottom + 8 + size.height < window.innerHeight;
  tip.style.left = `${Math.max(left, 8)}px`;
  tip.style.top = `${under ? place.bottom + 8 : Math.max(place.top - size.height - 8, 8)}px`;
  const pair = node.dataset.pair;
  if (pair !== undefined) for (const other of node.parentNode.children) other.classList.toggle("paired", other.dataset.pair === pair);
}

function hideTip() {
  document.getElementById("tip").hidden = true;
  for (const node of document.querySelectorAll(".box.paired")) node.classList.remove("paired");
}

// A page's text: its difference from the reference, its tables, and what was written exactly.

function differencePanel(pieces) {
  if (pieces.length === 0) return make("p", { class: "soft" }, "No text, neither predicted nor in the reference.");
  const names = { extra: "del", lost: "ins" };
  const told = { extra: "predicted, but not on the page", lost: "on the page, but not predicted" };
  const parts = pieces.map(([kind, text]) => kind === "same" ? text : make(names[kind], { title: told[kind] }, text));
  return make("div", { class: "text", dir: "auto", tabindex: 0, role: "region", "aria-label": "Difference of the texts" }, parts);
}

function tablePanel(pair, number) {
  const score = pair.predicted && pair.reference ? `TEDS ${pair.teds.toFixed(3)}` : pair.predicted ? "not in the reference" : "not predicted";
  return make("section", { class: "tables" }, make("h3", {}, `Table ${number + 1} `, make("span", { class: "soft" }, score)),
    make("div", { class: "beside" }, tableOf("Predicted", pair.predicted, "extra"), tableOf("Reference", pair.reference, "lost")));
}

function tableOf(name, rows, wrong) {
  if (!rows) return make("div", {}, make("h4", {}, name), make("p", { class: "soft" }, "none"));
  const cells = (row) => row.map(([text, columns, spanned, same]) =>
    make("td", { class: same ? null : wrong, colspan: columns > 1 ? columns : null, rowspan: spanned > 1 ? spanned : null, dir: "auto" }, text));
  const body = make("tbody", {}, rows.map((row) => make("tr", {}, cells(row))));
  return make("div", {}, make("h4", {}, name),
    make("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": `${name} table` }, make("table", { class: "grid" }, body)));
}

function rawPanel(item, side) {
  const parts = [["Prompt", item.prompt], ["Prediction", item.sides[side].prediction], ["Reference", item.reference]];
  const blocks = parts.filter(([, text]) => text).flatMap(([name, text]) => [make("h4", {}, name), make("pre", { dir: "auto", tabindex: 0 }, text)]);
  return make("details", { class: "raw" }, make("summary", {}, "As written, tags and all"), blocks);
}
