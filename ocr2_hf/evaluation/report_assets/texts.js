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
