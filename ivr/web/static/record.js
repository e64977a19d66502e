// The customer's record, opened by the agent. It is gone from the page as soon as the call is not verified any more, or is another one's.

const desk = document.getElementById("desk");
const list = document.getElementById("calls");
const tongues = new Intl.DisplayNames([document.documentElement.lang], { type: "language" });

function refOf(card) {
  return card.querySelector('[data-part="ref"]').textContent;
}

function within(card, name) {
  return card.querySelector(`[data-${name}]`);
}

function shut(card) {
  const record = within(card, "record");
  const focused = record.contains(document.activeElement) ? document.activeElement : null;
  delete record.dataset.of;
  within(card, "opened").hidden = true;
  within(card, "refused").hidden = true;
  within(card, "open").hidden = false;
  for (const row of card.querySelectorAll("[data-field]")) {
    row.hidden = true;
    row.querySelector("dd").textContent = "";
  }
  if (focused !== null && focused.offsetParent === null) card.querySelector('[data-part="title"]').focus();
}

function tongue(code) {
  try {
    return tongues.of(code);
  } catch {
    return code;
  }
}

function told(name, value) {
  if (value === null || value.length === 0) return desk.dataset.nothing;
  if (name === "language") return tongue(value);
  if (typeof value === "boolean") return value ? desk.dataset.yes : desk.dataset.no;
  return Array.isArray(value) ? value.join(", ") : value;
}

function refuse(card, text) {
  const place = within(card, "refused");
  place.textContent = text;
  place.hidden = false;
}

async function open(card) {
  const ref = refOf(card);
  shut(card);
  within(card, "record").dataset.of = ref;
  let answer, found;
  try {
    answer = await fetch(`/api/v1/customers/${ref}/record`);
    found = await answer.json();
  } catch {
    refuse(card, desk.dataset.unreached);
    return;
  }
  // meanwhile the call may be over, or another one's
  if (within(card, "record").dataset.of !== ref || card.dataset.sign !== "verified") return;
  if (!answer.ok) {
    refuse(card, found.detail);
    return;
  }
  for (const [name, value] of Object.entries(found.fields)) {
    const row = card.querySelector(`[data-field="${name}"]`);
    row.querySelector("dd").textContent = told(name, value);
    row.hidden = false;
  }
  within(card, "open").hidden = true;
  within(card, "opened").hidden = false;
  within(card, "opened").focus();
}

document.addEventListener("drawn", () => {
  for (const card of list.children) {
    const open = within(card, "record").dataset.of;
    if (open !== undefined && (card.dataset.sign !== "verified" || refOf(card) !== open)) shut(card);
  }
});

list.addEventListener("click", (event) => {
  const card = event.target.closest(".call");
  if (event.target.closest("[data-open]")) open(card);
  if (event.target.closest("[data-shut]")) {
    shut(card);
    within(card, "open").focus();
  }
});
