// Puts the page together; elements, themes and keys.

// Builders of elements. A text only ever becomes a text node: nothing that was read can become markup.

function make(tag, attributes = {}, ...children) {
  return furnish(document.createElement(tag), attributes, children);
}

function draw(tag, attributes = {}, ...children) {
  return furnish(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);
}

function furnish(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") node.addEventListener(name, value);
    else if (value !== null && value !== false) node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.flat().filter((child) => child !== null));
  return node;
}

const FORMS = {
  percent: (value) => `${(100 * value).toFixed(1)}%`,
  decimal: (value) => value.toFixed(3),
  seconds: (value) => `${value.toFixed(2)} s`,
  count: (value) => Math.round(value).toLocaleString("en"),
};

function shown(measure, value) {
  return value === null ? "–" : FORMS[measure.form](value);
}

function limited(text, length) {
  const characters = Array.from(text);
  return characters.length > length ? `${characters.slice(0, length).join("")}…` : text;
}

function plural(count, word, many = `${word}s`) {
  return `${count.toLocaleString("en")} ${count === 1 ? word : many}`;
}

const KEYS = [
  ["J", "next page", () => turnPage(1)],
  ["K", "previous page", () => turnPage(-1)],
  ["P", "predicted boxes on and off", () => document.getElementById("predicted")?.click()],
  ["R", "reference boxes on and off", () => document.getElementById("reference")?.click()],
  ["L", "large image on and off", () => document.getElementById("large").click()],
  ["B", "to the boxes; arrow keys go from one to the next", () => document.querySelector(".box[tabindex='0']")?.focus()],
  ["T", "theme", () => nextTheme()],
  ["/", "find a page", () => document.getElementById("search").focus()],
  ["?", "these keys", () => document.getElementById("keys").showModal()],
];
const THEMES = ["auto", "light", "dark"];

function themes() {
  const options = THEMES.map((theme) => make("label", {},
    make("input", { type: "radio", name: "theme", value: theme, checked: theme === "auto", change: () => setTheme(theme) }), theme));
  return make("fieldset", { class: "segments" }, make("legend", { class: "unseen" }, "Theme"), options);
}

function setTheme(theme) {
  document.documentElement.dataset.theme = theme;
  document.querySelector(`input[name=theme][value=${theme}]`).checked = true;
  try {
    localStorage.setItem("ocr2-report-theme", theme);
  } catch {
    // A browser may forbid storage to files: then the theme lasts as long as the page.
  }
}

function savedTheme() {
  try {
    const theme = localStorage.getItem("ocr2-report-theme");
    return THEMES.includes(theme) ? theme : "auto";
  } catch {
    return "auto";
  }
}

function nextTheme() {
  setTheme(THEMES[(THEMES.indexOf(document.documentElement.dataset.theme) + 1) % THEMES.length]);
}

function keysDialog() {
  const rows = KEYS.map(([key, what]) => make("div", {}, make("dt", {}, make("kbd", {}, key)), make("dd", {}, what)));
  return make("dialog", { id: "keys", "aria-labelledby": "keys-name" }, make("h2", { id: "keys-name" }, "Keys"), make("dl", {}, rows),
    make("form", { method: "dialog" }, make("button", { class: "plain" }, "Close")));
}

function onKey(event) {
  const typing = event.target.closest?.("input[type=search], select, textarea, dialog[open]");
  if (event.key === "Escape" && event.target.id === "search") event.target.blur();
  if (typing || event.ctrlKey || event.metaKey || event.altKey) return;
  const action = KEYS.find(([key]) => key === event.key.toUpperCase());
  if (!action) return;
  event.preventDefault();
  action[2]();
}

function linkedPage() {
  const match = /^#page=(.*)$/.exec(location.hash);
  if (!match) return undefined;
  try {
    const id = decodeURIComponent(match[1]);
    return report.items.find((item) => item.id === id);
  } catch {
    return undefined;
  }
}

function explorer() {
  return make("section", { id: "pages", class: "explorer", "aria-label": "Pages", tabindex: -1 },
    make("div", { class: "side-list" }, controls(), make("p", { class: "soft", id: "count", role: "status" }), sampleNote(),
      make("ol", { id: "rows", class: "rows", "aria-label": "Pages" })),
    make("div", { class: "reading" }, toggles(), make("article", { id: "page", "aria-labelledby": "page-name" })));
}

function sampleNote() {
  if (report.items.length === report.pages) return null;
  return make("p", { class: "soft note", id: "sample" }, `${report.items.length.toLocaleString("en")} of ${plural(report.pages, "page")} are shown: by each metric the worst, the middle one and the best, and others drawn by chance. Figures and distributions are of all pages.`);
}

function start() {
  document.getElementById("tools").append(themes(), make("button", { type: "button", class: "plain", "aria-label": "Keys", click: () => document.getElementById("keys").showModal() }, "Keys ", make("kbd", {}, "?")));
  document.body.append(make("div", { id: "tip", role: "tooltip", hidden: true }), keysDialog());
  document.body.classList.toggle("compared", comparing);
  setTheme(savedTheme());
  const shownItems = report.items.length ? [make("section", { id: "examples", class: "examples", "aria-label": "Worst, median and best page" }), explorer()]
    : [make("p", { class: "soft" }, "There are no pages.")];
  document.getElementById("main").append(...[comparing ? sidesLine() : null, headline(), histograms(), allFigures(), ...shownItems].filter((node) => node !== null));
  document.addEventListener("keydown", onKey);
  if (!report.items.length) return;
  document.getElementById("examples").append(...examples());
  const linked = linkedPage();
  const pages = renderList();
  openPage(linked ?? pages[0], Boolean(linked));
  addEventListener("hashchange", () => { const item = linkedPage(); if (item && item !== state.open) openPage(item, true); });
}

function sidesLine() {
  return make("p", { class: "sides soft" }, plural(report.pages, "page"), " that both evaluations have. ",
    make("span", { class: "swatch side0" }), " before: ", make("b", {}, report.names[0]), " ", make("span", { class: "swatch side1" }), " after: ", make("b", {}, report.names[1]));
}

start();
