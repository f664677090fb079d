// A page's image under its boxes. The boxes are one stop of the Tab key; the arrow keys go from box to box.

function sheet(item, side) {
  if (!item.size && !item.image) return make("p", { class: "soft" }, "No image and no size of this page are known.");
  const [width, height] = item.size ?? [1, 1];
  const holder = make("div", { class: "sheet" }, item.image ? make("img", { src: item.image, alt: `Page ${item.id}` }) : null);
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
  const told = box.pair !== null && box.iou > 0 ? `IoU ${box.iou.toFixed(2)}` : box.kind === "predicted" ? "on no reference box" : "not found";
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
