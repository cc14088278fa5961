// Filters, sorting and the large view. The table's rows are the one source of facts; a row's tile has the row's code as its id.
"use strict";
(() => {
  const at = (id) => document.getElementById(id);
  const table = document.querySelector("table.scans"), body = table.tBodies[0];
  const tiles = document.querySelector(".tiles"), view = at("view");
  const scans = [...body.rows].map((row, order) => ({
    row, order, tile: at(row.id.slice(4)), text: row.textContent.toLowerCase(), what: row.dataset.what.split(" "),
  }));
  let shown = scans;

  // ---- filters: words, what, site; all must hold
  const form = document.querySelector("form.bar"), find = at("find"), what = at("what"), site = at("site");
  const filter = () => {
    const words = find.value.toLowerCase().split(/\s+/).filter(Boolean);
    shown = [];
    for (const scan of scans) {
      const fits = words.every((word) => scan.text.includes(word)) && (!what.value || scan.what.includes(what.value)) &&
        (!site || !site.value || scan.row.dataset.site === site.value);
      scan.row.hidden = !fits;
      if (scan.tile) scan.tile.hidden = !fits;
      if (fits) shown.push(scan);
    }
    at("count").value = `${shown.length} of ${scans.length} scans`;
    document.querySelector(".none").hidden = shown.some((scan) => scan.tile);
  };
  form.addEventListener("input", filter);
  form.addEventListener("submit", (event) => event.preventDefault());
  for (const link of document.querySelectorAll("a[data-what]")) {
    link.addEventListener("click", () => { form.reset(); bare(); what.value = link.dataset.what; filter(); });
  }

  // ---- sorting: a button a column; pictures follow the table; what is absent (refused scans) stays last
  const collator = new Intl.Collator("en", { numeric: true });
  const key = (scan, column, isNumber) => {
    const cell = scan.row.cells[column], text = cell.dataset.v ?? cell.firstChild?.textContent.trim() ?? "";
    if (text === "–" || text === "") return null;
    return isNumber ? Number.parseFloat(text) : cell.textContent.trim();
  };
  const sort = (head, column) => {
    const down = head.getAttribute("aria-sort") === "ascending";
    for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    const isNumber = head.classList.contains("num") || scans.some((scan) => scan.row.cells[column].dataset.v);
    for (const scan of scans) scan.key = key(scan, column, isNumber);
    const compare = (a, b) => (isNumber ? a.key - b.key : collator.compare(a.key, b.key)) * (down ? -1 : 1);
    scans.sort((a, b) => (a.key === null) - (b.key === null) || (a.key === null ? 0 : compare(a, b)) || a.order - b.order);
    body.append(...scans.map((scan) => scan.row));
    tiles.append(...scans.map((scan) => scan.tile).filter(Boolean));
    filter();
  };
  [...table.tHead.rows[0].cells].forEach((head, column) => {
    const name = head.querySelector(".head"), button = document.createElement("button");
    button.type = "button";
    button.textContent = name.textContent;
    button.addEventListener("click", () => sort(head, column));
    name.replaceChildren(button);
  });

  // ---- the large view: the tile's planes and the row's cells
  let open = null;
  const bare = () => document.documentElement.classList.toggle("bare", !at("outlines").checked);
  const fact = (name, cell) => {
    const term = document.createElement("dt"), value = document.createElement("dd");
    term.textContent = name;
    value.append(...[...cell.childNodes].map((node) => node.cloneNode(true)));
    if (name === "Findings") term.className = value.className = "wide";
    return [term, value];
  };
  const show = (scan) => {
    open = scan;
    const heads = [...table.tHead.rows[0].cells].map((head) => head.querySelector(".head").textContent);
    const units = [...table.tHead.rows[0].cells].map((head) => head.querySelector("small")?.textContent);
    at("view-code").textContent = scan.tile.id;
    at("view-planes").replaceChildren(scan.tile.querySelector(".planes").cloneNode(true));
    at("view-facts").replaceChildren(...[...scan.row.cells].flatMap((cell, i) =>
      i === 0 ? [] : fact(units[i] ? `${heads[i]} (${units[i]})` : heads[i], cell)));
    if (view.open) return;
    view.showModal();
    at("close").focus();
  };
  const step = (by) => {
    const list = shown.filter((scan) => scan.tile), place = list.indexOf(open);
    if (list.length) show(list[(place + by + list.length) % list.length]);
  };
  tiles.addEventListener("click", (event) => {
    const tile = event.target.closest(".tile");
    if (!tile || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    show(scans.find((scan) => scan.tile === tile));
  });
  at("previous").addEventListener("click", () => step(-1));
  at("next").addEventListener("click", () => step(1));
  at("close").addEventListener("click", () => view.close());
  view.addEventListener("click", (event) => { if (event.target === view) view.close(); });
  view.addEventListener("close", () => { if (open && !open.tile.hidden) open.tile.focus(); });
  view.addEventListener("keydown", (event) => {
    const does = { ArrowLeft: () => step(-1), ArrowRight: () => step(1), o: () => at("outlines").click() }[event.key];
    if (does) { event.preventDefault(); does(); }
  });
  at("outlines").addEventListener("change", bare);

  for (const hidden of [form, ...document.querySelectorAll(".scripted")]) hidden.hidden = false;
  form.reset();
  filter();
})();
