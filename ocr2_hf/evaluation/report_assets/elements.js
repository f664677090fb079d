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
