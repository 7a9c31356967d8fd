// Tables sort by a click on a heading; rows that follow another (differences) stay below it.
(() => {
  "use strict";
  const number = text => parseFloat(text.replace("\u2212", "-").replace("+", ""));
  for (const table of document.querySelectorAll("table.data")) {
    const body = table.tBodies[0], texts = Number(table.dataset.texts);
    const units = [];
    for (const row of body.rows) {
      if (row.classList.contains("follows") && units.length) units[units.length - 1].push(row);
      else units.push([row]);
    }
    const heads = [...table.tHead.rows[table.tHead.rows.length - 1].cells];
    heads.forEach((head, column) => {
      const button = head.querySelector("button");
      if (!button) return;
      button.addEventListener("click", () => {
        const turns = column < texts ? ["ascending", "descending"] : ["descending", "ascending"];
        const next = turns[turns.indexOf(head.getAttribute("aria-sort")) + 1];
        heads.forEach(other => other.removeAttribute("aria-sort"));
        let order = units;
        if (next) {
          head.setAttribute("aria-sort", next);
          const sign = next === "ascending" ? 1 : -1;
          const text = unit => {
            const cell = unit[0].cells[column];
            return cell.dataset.order ?? cell.textContent;
          };
          order = [...units].sort((a, b) => {
            const first = number(text(a)), second = number(text(b));
            if (column < texts || isNaN(first) && isNaN(second)) {
              return sign * text(a).localeCompare(text(b), undefined, {numeric: true});
            }
            if (isNaN(first) || isNaN(second)) return isNaN(first) - isNaN(second);
            return sign * (first - second);
          });
        }
        body.append(...order.flat());
      });
    });
  }
})();
