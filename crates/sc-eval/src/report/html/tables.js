
"use strict";
// Tables that can be sorted: each head becomes a button. The order of the report comes back after both directions.
(() => {
  const collator = new Intl.Collator(undefined, { numeric: true, sensitivity: "base" });

  const keyOf = (row, column) => {
    const cell = row.cells[column];
    if (!cell) return null;
    if (cell.dataset.v !== undefined) return Number(cell.dataset.v);
    const text = cell.textContent.trim();
    return text === "" || text === "–" ? null : text;
  };

  // Numbers before texts, and what is missing last whatever the direction.
  const compare = (a, b, sign) => {
    if (a === null || b === null) return (a === null) - (b === null);
    if (typeof a === "number" && typeof b === "number") return sign * (a - b);
    return sign * collator.compare(String(a), String(b));
  };

  const prepare = (table) => {
    const body = table.tBodies[0];
    const rows = Array.from(body.rows);
    if (rows.length < 2) return;
    const heads = Array.from(table.tHead.rows[0].cells);
    heads.forEach((head, column) => {
      if (head.classList.contains("plot")) return;
      const button = document.createElement("button");
      button.type = "button";
      button.append(...head.childNodes);
      head.append(button);
      const numeric = rows.some((row) => typeof keyOf(row, column) === "number");
      const first = numeric ? "descending" : "ascending";
      const second = numeric ? "ascending" : "descending";
      button.addEventListener("click", () => {
        const now = head.getAttribute("aria-sort");
        const next = now === first ? second : now === second ? null : first;
        heads.forEach((other) => other.removeAttribute("aria-sort"));
        let sorted = rows;
        if (next) {
          head.setAttribute("aria-sort", next);
          const sign = next === "ascending" ? 1 : -1;
          const keyed = rows.map((row) => [keyOf(row, column), row]);
          sorted = keyed.sort((a, b) => compare(a[0], b[0], sign)).map((pair) => pair[1]);
        }
        body.append(...sorted);
      });
    });
  };

  // A field of a heatmap of counts: its number, and its share of the row in percent.
  const fieldsOf = (row) => Array.from(row.cells).filter((cell) => cell.tagName === "TD" && !cell.classList.contains("n"));
  const countOf = (field) => Number(field.dataset.count ?? field.textContent);
  const shareOf = (field) => {
    const total = fieldsOf(field.parentElement).reduce((sum, other) => sum + countOf(other), 0);
    return (100 * countOf(field)) / total;
  };

  // The choice between counts and shares, for all heatmaps of its section.
  document.querySelectorAll(".measure").forEach((choice) => {
    choice.hidden = false;
    choice.addEventListener("change", () => {
      const shares = choice.querySelector(".by-share").checked;
      for (const row of choice.closest("section").querySelectorAll(".counts tbody tr")) {
        const fields = fieldsOf(row).filter((field) => field.textContent !== "");
        for (const field of fields) field.dataset.count ??= field.textContent;
        for (const field of fields) {
          const share = shareOf(field);
          field.textContent = !shares ? field.dataset.count : share < 0.5 ? "<1" : share.toFixed(0);
        }
      }
    });
  });

  // What a field of a heatmap is, once the pointer asks: written out for each, it would double the page.
  document.addEventListener("pointerover", (event) => {
    const field = event.target.closest?.(".confusion td");
    if (!field || field.title || field.textContent === "" || field.classList.contains("n")) return;
    const table = field.closest("table");
    const row = field.parentElement.cells[0].textContent;
    const column = table.tHead.rows[0].cells[field.cellIndex].textContent;
    const counts = table.classList.contains("counts");
    const value = counts ? `${countOf(field)} (${shareOf(field).toFixed(1)} % of the row)` : field.textContent;
    field.title = `${row}, ${column}: ${value}`;
  });

  document.querySelectorAll("table.sortable").forEach(prepare);
})();
