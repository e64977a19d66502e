// Another organisation is on the line: we prove to its desk who we are, and are shown what it proves to ours.

const desk = document.getElementById("desk");
const list = document.getElementById("calls");
const days = new Intl.DateTimeFormat(document.documentElement.lang, { dateStyle: "long" });
const ahead = Date.now() / 1000 - Number(desk.dataset.now);
// by call, for a card that is drawn anew: digits are good once
const kept = new Map();
const MOST = 20;

function within(card, name) {
  return card.querySelector(`[data-peer-${name}]`);
}

function put(card, name, text) {
  const place = within(card, name);
  place.textContent = text;
  // what has a row of its own goes with it
  (place.closest("[data-peer-row]") ?? place).hidden = text === "";
}

function showSent(card, sent) {
  const left = sent === undefined ? 0 : sent.until - (Date.now() / 1000 - ahead);
  within(card, "sent").hidden = left <= 0;
  if (left <= 0) return;
  put(card, "to", sent.domain);
  put(card, "code", `${sent.code.slice(0, 3)} ${sent.code.slice(3)}`);
  setTimeout(() => {
    const now = [...list.children].find((one) => one.dataset.id === card.dataset.id);
    if (now !== undefined && kept.get(card.dataset.id)?.sent === sent) within(now, "sent").hidden = true;
  }, left * 1000);
}

function showProven(card, found) {
  within(card, "proven").hidden = found === undefined;
  if (found === undefined) return;
  const { knownSince, compared, notCompared, like } = within(card, "proven").dataset;
  put(card, "domain", found.domain);
  put(card, "like", found.like === null ? "" : like.replace("{domain}", () => found.like));
  within(card, "unnumbered").hidden = found.numbered;
  const since = knownSince.replace("{date}", () => days.format(found.first_seen * 1000));
  put(card, "since", `${since} ${found.agreed ? compared : notCompared}`);
  for (const name of ["organisation", "department", "person", "about"]) put(card, `their-${name}`, found[name]);
}

function show(card) {
  const { sent, proven } = kept.get(card.dataset.id) ?? {};
  showSent(card, sent);
  showProven(card, proven);
}

function keep(id, what) {
  const before = kept.get(id) ?? {};
  kept.delete(id);
  kept.set(id, { ...before, ...what });
  if (kept.size > MOST) kept.delete(kept.keys().next().value);
}

const asked = { prove: ["peer", "sent"], read: ["peer/read", "proven"] };

async function ask(card, form) {
  const [path, gives] = asked[form.dataset.peer];
  const { id } = card.dataset;
  const button = form.querySelector("button");
  const given = Object.fromEntries(new FormData(form));
  if (given.code !== undefined) given.code = given.code.replace(/\D/g, "");
  put(card, "refused", "");
  // what was proven before is not what these digits say
  keep(id, { [gives]: undefined });
  show(card);
  button.disabled = true;
  let fault = "";
  try {
    const answer = await fetch(`/api/v1/calls/${id}/${path}`, {
      method: "POST",
      headers: { "CSRF-Token": desk.dataset.csrf, "Content-Type": "application/json" },
      body: JSON.stringify(given),
    });
    const found = await answer.json();
    if (answer.ok) keep(id, { [gives]: found });
    else fault = found.detail ?? desk.dataset.failed;
  } catch {
    fault = desk.dataset.failed;
  }
  button.disabled = false;
  // meanwhile the call may be over, or drawn anew
  const now = [...list.children].find((one) => one.dataset.id === id);
  if (now === undefined) return;
  put(now, "refused", fault);
  show(now);
  if (fault === "") within(now, gives).focus();
  if (fault === "" && form.dataset.peer === "read") form.reset();
}

list.addEventListener("submit", (event) => {
  if (event.target.dataset.peer !== undefined) ask(event.target.closest(".call"), event.target);
});

document.addEventListener("drawn", () => {
  for (const card of list.children) {
    const place = within(card, "all");
    const focused = place.contains(document.activeElement);
    place.hidden = card.dataset.peerable !== "yes";
    if (focused && place.hidden) card.querySelector('[data-part="title"]').focus();
    if (card.dataset.peers === undefined) show(card);
    card.dataset.peers = "drawn";
  }
});
